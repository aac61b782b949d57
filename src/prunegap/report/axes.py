"""The plain parts of a picture: scales, axes, markers and paths, as SVG text of our own.

A picture is drawn at two sizes, `wide` and `narrow`, instead of being shrunk until nobody can read it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prunegap.report.markup import NOTHING, Attribute, Markup, element, joined, number, text

LETTER = 0.56
"""Mean width of a letter, in font sizes."""


@dataclass(frozen=True)
class Scale:
    """A map from numbers in [low, high] to pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, value
        if self.is_log:
            low, high, at = math.log(low), math.log(high), math.log(value)
        return self.start + (self.end - self.start) * (at - low) / (high - low)


@dataclass(frozen=True)
class Plot:
    """A rectangle with two scales."""

    x: Scale
    y: Scale

    @property
    def left(self) -> float:
        """Pixels of the left edge."""
        return self.x.start

    @property
    def right(self) -> float:
        """Pixels of the right edge."""
        return self.x.end

    @property
    def top(self) -> float:
        """Pixels of the upper edge."""
        return self.y.end

    @property
    def bottom(self) -> float:
        """Pixels of the lower edge."""
        return self.y.start

    def horizontal(self, ticks: Iterable[tuple[float, str]], title: str) -> Markup:
        """Return grid lines with their labels on the left, and the title above the plot."""
        parts: list[Markup] = []
        for value, said in ticks:
            parts.append(line(self.left, self.y(value), self.right, self.y(value), class_="grid"))
            parts.append(label(self.left - 8, self.y(value) + 4.5, said, class_="muted", text_anchor="end"))
        return joined([*parts, label(max(4.0, self.left - 44.0), self.top - 14, title, class_="muted")])

    def vertical(self, ticks: Sequence[tuple[float, str]], title: str) -> Markup:
        """Return the lower axis; labels that would touch their neighbour are left out, the last one never is."""
        parts = [line(self.left, self.bottom, self.right, self.bottom, class_="axis")]
        free = math.inf
        for value, said in reversed(ticks):
            at, half = self.x(value), len(said) * LETTER * 13 / 2
            parts.append(line(at, self.bottom, at, self.bottom + 5, class_="axis"))
            if at + half + 8 <= free:
                parts.append(label(at, self.bottom + 20, said, class_="muted", text_anchor="middle"))
                free = at - half
        middle = (self.left + self.right) / 2
        parts.append(label(middle, self.bottom + 42, title, class_="muted", text_anchor="middle"))
        return joined(parts)


def line(x1: float, y1: float, x2: float, y2: float, **attributes: Attribute) -> Markup:
    """Return a straight line."""
    return element("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), **attributes)


def label(x: float, y: float, words: str, **attributes: Attribute) -> Markup:
    """Return one line of text whose base line starts (or ends, or is centred) at (x, y)."""
    return element("text", text(words), x=float(x), y=float(y), **attributes)


def polyline(points: Iterable[tuple[float, float]], **attributes: Attribute) -> Markup:
    """Return a line through the points."""
    told = "L".join(f"{number(x)} {number(y)}" for x, y in points)
    return element("path", d=f"M{told}", **attributes) if told else NOTHING


def area(low: Sequence[tuple[float, float]], high: Sequence[tuple[float, float]], **attributes: Attribute) -> Markup:
    """Return the surface between two lines."""
    around = [*low, *reversed(high)]
    told = "L".join(f"{number(x)} {number(y)}" for x, y in around)
    return element("path", d=f"M{told}Z", stroke="none", **attributes) if len(low) > 1 else NOTHING


def dots(points: Iterable[tuple[float, float]], size: float, **attributes: Attribute) -> Markup:
    """Return round dots as one path, whatever their number."""
    told = "".join(f"M{number(x)} {number(y)}h.01" for x, y in points)
    return (
        element("path", d=told, stroke_width=float(size), stroke_linecap="round", **attributes) if told else NOTHING
    )


_SHAPES = {
    "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    "triangle": ((0, -1.3), (1.2, 0.9), (-1.2, 0.9)),
    "diamond": ((0, -1.4), (1.4, 0), (0, 1.4), (-1.4, 0)),
    "wedge": ((0, 1.3), (1.2, -0.9), (-1.2, -0.9)),
    "cross": ((-1.3, -0.5), (-0.5, -0.5), (-0.5, -1.3), (0.5, -1.3), (0.5, -0.5), (1.3, -0.5), (1.3, 0.5),
              (0.5, 0.5), (0.5, 1.3), (-0.5, 1.3), (-0.5, 0.5), (-1.3, 0.5)),
    "bar": ((-1.4, -0.6), (1.4, -0.6), (1.4, 0.6), (-1.4, 0.6)),
}  # fmt: skip


def marker(name: str, x: float, y: float, radius: float, **attributes: Attribute) -> Markup:
    """Return the marker called `name` (palette.Style.marker), centred at (x, y)."""
    if name == "circle":
        return element("circle", cx=float(x), cy=float(y), r=float(radius), **attributes)
    told = "L".join(f"{number(x + radius * u)} {number(y + radius * v)}" for u, v in _SHAPES[name])
    return element("path", d=f"M{told}Z", **attributes)


def arrow(x: float, y: float, length: float = 16.0, **attributes: Attribute) -> Markup:
    """Return an arrow from (x, y) upwards: no upper end is known."""
    top = y - length
    told = f"M{number(x)} {number(y)}V{number(top)}M{number(x - 4)} {number(top + 5)}L{number(x)} {number(top)}"
    return element("path", d=f"{told}L{number(x + 4)} {number(top + 5)}", **attributes)
