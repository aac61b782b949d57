"""A figure: one message, drawn at two sizes for the page and once for files.

In the page it is inline SVG that takes the colours of the page; in files it carries its own title and the light
colours, so that it can stand in a paper or on a slide without the page.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prunegap.report import palette
from prunegap.report.axes import label
from prunegap.report.markup import Attribute, Markup, element, joined, text
from prunegap.whole_file import write_whole

HEADING = 54.0
"""Pixels above a figure in its file, for title and subtitle."""
MARGIN = 16.0


@dataclass(frozen=True)
class Drawing:
    """SVG elements for a canvas of the given size in pixels; `guides` are the places of its epsilons, if any."""

    width: float
    height: float
    body: Markup
    guides: tuple[float, ...] = ()


@dataclass(frozen=True)
class Figure:
    """`name` is the stem of its files, `description` says in words what can be seen."""

    name: str
    title: str
    subtitle: str
    description: str
    wide: Drawing
    narrow: Drawing

    def inline(self) -> Markup:
        """Return both sizes for the page; its style sheet shows one of them."""
        return joined([self._inline(self.wide, "wide"), self._inline(self.narrow, "narrow")])

    def _inline(self, drawing: Drawing, size: str) -> Markup:
        name = f"{self.name}-{size}"
        attributes: dict[str, Attribute] = {
            "class_": size,
            "viewBox": f"0 0 {drawing.width:g} {drawing.height:g}",
            "role": "img",
            "aria_labelledby": f"{name}-title",
            "aria_describedby": f"{name}-description",
            "data_guides": " ".join(f"{x:.1f}" for x in drawing.guides) or None,
        }
        return element(
            "svg",
            element("title", text(self.title), id=f"{name}-title"),
            element("desc", text(self.description), id=f"{name}-description"),
            drawing.body,
            **attributes,
        )

    def svg(self) -> str:
        """Return the file: title and subtitle above the wide drawing, on white, needing no other file."""
        width, height = self.wide.width + 2 * MARGIN, self.wide.height + HEADING + MARGIN
        body = joined(
            [
                element("title", text(self.title)),
                element("desc", text(self.description)),
                element("style", Markup(palette.for_files())),
                element("rect", width=width, height=height, class_="paper"),
                label(MARGIN, 28, self.title, style="font-size:17px;font-weight:700"),
                label(MARGIN, 47, self.subtitle, class_="muted"),
                element("g", self.wide.body, transform=f"translate({MARGIN:g} {HEADING:g})"),
            ]
        )
        box = f"0 0 {width:g} {height:g}"
        return str(element("svg", body, xmlns="http://www.w3.org/2000/svg", width=width, height=height, viewBox=box))

    def write(self, directory: Path) -> list[Path]:
        """Write SVG, PNG (twice the size) and PDF into the directory; raises BadInputError where it cannot."""
        import vl_convert

        drawn = self.svg()
        contents = {
            "svg": drawn.encode(),
            "png": vl_convert.svg_to_png(drawn, scale=2.0),
            "pdf": vl_convert.svg_to_pdf(drawn),
        }
        paths = [directory / f"{self.name}.{kind}" for kind in contents]
        for path, content in zip(paths, contents.values(), strict=True):
            write_whole(path, content)
        return paths
