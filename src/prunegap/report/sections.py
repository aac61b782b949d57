"""The parts of the page as HTML: the headline, one section a setting, what cannot be said, how to get it again."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prunegap.report.axes import marker
from prunegap.report.figure import Figure
from prunegap.report.headline import Headline
from prunegap.report.markup import NOTHING, Markup, element, joined, text
from prunegap.report.palette import STYLES, slots
from prunegap.report.sentence import sentence
from prunegap.report.table import ratio_text, span_text, statistic_text
from prunegap.report.width_chart import setting, stem
from prunegap.study.row import Row
from prunegap.study.summary import Block
from prunegap.study.width import WidthStatus

LAYERS = {"seeds": "single seeds", "bounds": "published bounds", "chance": "95 % interval of the probability"}
"""What can be switched beside granularities, by the class of its elements."""


@dataclass(frozen=True)
class Setting:
    """Everything the page shows of one block: its figures, what the laws say, and its granularities' colours."""

    block: Block
    places: Mapping[str, int]
    widths: Figure | None
    laws: Figure | None
    success: Figure | None
    verdicts: Markup = NOTHING


def hero(headline: Headline, among: Iterable[str]) -> Markup:
    """Return the number, the claim, the bars and the plain sentence."""
    return joined(
        [
            element("h1", element("span", text(headline.number), class_="number"), text(" "),
                    element("span", text(headline.claim), class_="claim"), id="headline"),
            _bars(headline, among),
            element("p", text(headline.detail), class_="detail") if headline.detail else NOTHING,
        ]
    )  # fmt: skip


def _bars(headline: Headline, among: Iterable[str]) -> Markup:
    if len(headline.bars) < 2:
        return NOTHING
    places = slots((bar.granularity for bar in headline.bars), among)
    greatest = max(bar.width.low if math.isinf(bar.width.high) else bar.width.high for bar in headline.bars)
    rows: list[Markup] = []
    for name, place in places.items():
        span = next(bar.width for bar in headline.bars if bar.granularity == name)
        length = 100.0 * span.low / greatest
        drawn = [element("rect", width=f"{length:.2f}%", height="100%", rx=3.0, class_=f"f{place}")]
        if not span.is_known and not math.isinf(span.high):
            more = 100.0 * (span.high - span.low) / greatest
            drawn.append(element("rect", x=f"{length:.2f}%", width=f"{more:.2f}%", height="100%", class_=f"f{place}",
                                 opacity="0.35"))  # fmt: skip
        bar = element("svg", *drawn, class_="bar", aria_hidden="true")
        words = f"{_width(span_text(span))} neurons wide"
        rows.append(
            joined([element("dt", text(f"{name} pruning")), element("dd", bar, element("span", text(words)))])
        )
    return element("dl", *rows, class_="bars")


def _width(words: str) -> str:
    return words.replace("-", "–")


def facts(rows: Sequence[Row], blocks: Sequence[Block]) -> Markup:
    """Return the size of the study and how much of it is proven, as a list of terms."""
    counts = Counter(row.status for row in rows)
    seconds = sum(row.seconds for row in rows)
    tickets = sum(row.ticket is not None for row in rows)
    told = [
        ("cells", f"{len(rows):,}"),
        ("closed: width known", f"{counts[WidthStatus.CLOSED]:,}"),
        ("open or censored", f"{counts[WidthStatus.OPEN] + counts[WidthStatus.CENSORED]:,}"),
        ("certified tickets", f"{tickets:,}"),
        ("time spent", _duration(seconds)),
    ]
    items = [element("div", element("dt", text(name)), element("dd", text(value))) for name, value in told]
    return element("dl", *items, class_="facts")


def _duration(seconds: float) -> str:
    if seconds < 120.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60.0:.0f} min" if seconds < 7200.0 else f"{seconds / 3600.0:.1f} h"


def chooser(settings: Sequence[Setting]) -> Markup:
    """Return the switch between settings; nothing where there is only one."""
    if len(settings) < 2:
        return NOTHING
    options = [element("option", text(setting(s.block)), value=stem(s.block)) for s in settings]
    every = element("option", text("all of them"), value="", selected=True)
    return element("p", element("label", text("Show the setting "), element("select", every, *options, id="setting")),
                   class_="chooser")  # fmt: skip


def setting_section(told: Setting, is_alone: bool) -> Markup:
    """Return everything of one setting; a setting that is alone was already told in the headline."""
    block, name = told.block, stem(told.block)
    heading = "Width by the accuracy asked for" if is_alone else setting(block)
    parts = [element("h2", text(heading), id=name)]
    if not is_alone:
        parts.append(element("p", text(sentence(block)), class_="lead"))
    if told.widths is not None:
        parts.append(_chart(told.widths, _granularity_switches(told, "seeds"), _reading(told)))
    if told.laws is not None:
        parts += [element("h3", text("Which law?")), told.verdicts]
        parts.append(_chart(told.laws, _law_switches(told), NOTHING))
    if told.success is not None:
        parts += [element("h3", text("How likely is a ticket?"))]
        parts.append(_chart(told.success, _granularity_switches(told, "chance"), _reading(told, is_second=True)))
    parts.append(_summary(block))
    return element("section", *parts, class_="setting", data_setting=name, aria_labelledby=name)


def _chart(figure: Figure, switches: Markup, reading: Markup) -> Markup:
    files = joined(
        [element("a", text(kind.upper()), href=f"figures/{figure.name}.{kind}", download=True,
                 aria_label=f"{figure.title}, as {kind.upper()}") for kind in ("svg", "png", "pdf")], " "
    )  # fmt: skip
    stop = "" if figure.title.endswith("?") else "."
    caption = element("figcaption", text(f"{figure.title}{stop} {figure.subtitle} "),
                      element("span", text("Files: "), files, class_="files"))  # fmt: skip
    return element("figure", switches, figure.inline(), reading, caption, class_="chart", id=figure.name)


def _switch(words: Markup, value: str, kind: str, name: str | None, is_on: bool) -> Markup:
    box = element("input", type=kind, value=value, name=name, checked=is_on)
    return element("label", box, words)


def _granularity_switches(told: Setting, *layers: str) -> Markup:
    items = []
    for name, place in told.places.items():
        swatch = element("svg", marker(STYLES[place].marker, 7, 7, 4.5, class_=f"f{place}"), viewBox="0 0 14 14",
                         class_="swatch", aria_hidden="true")  # fmt: skip
        items.append(_switch(joined([swatch, text(name)]), f"g{place}", "checkbox", None, True))
    items += [_switch(text(LAYERS[layer]), layer, "checkbox", None, layer != "chance") for layer in layers]
    return element("fieldset", element("legend", text("Show")), *items, class_="switches")


def _law_switches(told: Setting) -> Markup:
    name = f"law-{stem(told.block)}"
    offers = [("what the data prefer", "shown"), ("logarithm", "log"), ("power", "power"), ("no law", "none")]
    laws = [_switch(text(words), f"law-{value}", "radio", name, value == "shown") for words, value in offers]
    choice = element("fieldset", element("legend", text("Law")), *laws, class_="switches")
    return joined([choice, _granularity_switches(told, "seeds", "bounds")])


def _reading(told: Setting, is_second: bool = False) -> Markup:
    """Return the slider that reads the figures at one epsilon; one figure's slider moves the other's."""
    epsilons = [epsilon for epsilon in told.block.epsilons if epsilon < 1.0]
    if len(epsilons) < 2:
        return NOTHING
    name = f"read-{stem(told.block)}{'-success' if is_second else ''}"
    last = len(epsilons) - 1
    slider = element("input", type="range", id=name, min="0", max=str(last), value=str(last), step="1",
                     aria_valuetext=f"ε = {epsilons[-1]:g}", class_="epsilon")  # fmt: skip
    head = element("label", text("Read at ε = "), element("output", text(f"{epsilons[-1]:g}"), for_=name), for_=name)
    said = element("p", text(_read_out(told.block, epsilons[-1])), class_="readout", aria_live="polite")
    return element("div", head, slider, said, class_="reading")


def _read_out(block: Block, epsilon: float) -> str:
    parts = [f"{name} {_width(statistic_text(block.width(epsilon, name)))}" for name in slots(block.granularities)]
    ratio = block.ratio(epsilon)
    if ratio is not None:
        parts.append(f"neuron / weight {_width(statistic_text(ratio, ratio_text))}")
    return " · ".join(parts)


def _summary(block: Block) -> Markup:
    """Return the medians as a table."""
    names = list(slots(block.granularities))
    paired = {"weight", "neuron"} <= set(names)
    head = ["ε", *(f"{name} width" for name in names), *(["neuron / weight"] if paired else [])]
    lines = []
    for epsilon in block.epsilons:
        cells = [statistic_text(block.width(epsilon, name)) for name in names]
        if paired:
            cells.append(statistic_text(block.ratio(epsilon), ratio_text))
        columns = [element("td", text(_width(cell))) for cell in cells]
        lines.append(element("tr", element("th", text(f"{epsilon:g}"), scope="row"), *columns))
    caption = (
        "Median minimal width over the seeds, range in brackets. * some intervals are open; 81+ means at least 81."
    )
    body = table(head, lines, caption)
    return element("details", element("summary", text("These numbers as a table")), body)


def table(head: Sequence[str], lines: Sequence[Markup], caption: str) -> Markup:
    """Return a table in a box that scrolls sideways by itself."""
    heads = [element("th", text(words), scope="col") for words in head]
    whole = element("table", element("caption", text(caption)), element("thead", element("tr", *heads)),
                    element("tbody", *lines))  # fmt: skip
    return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption.split(".")[0])


def bullets(sentences: Sequence[str]) -> Markup:
    """Return a plain list."""
    return element("ul", *[element("li", text(words)) for words in sentences], class_="plain")


def copied(words: str, name: str) -> Markup:
    """Return a block of code with a button that copies it; `name` says what it is."""
    button = element("button", text("Copy"), type="button", class_="copy", aria_label=f"Copy {name}")
    code = element("pre", element("code", text(words)), tabindex="0", aria_label=name)
    return element("div", code, button, class_="code")


def origin_table(origins: Sequence[tuple[str, list[str]]]) -> Markup:
    """Return the streams, versions and machines that made the rows."""
    lines = [
        element("tr", element("th", text(name), scope="row"), element("td", text(", ".join(values))))
        for name, values in origins
    ]
    return table(["what", "value"], lines, "What made the rows of this study")


def portraits(figures: Sequence[Figure], note: str) -> Markup:
    """Return the pictures of tickets, or the reason why there is none."""
    if not figures:
        return element("p", text(note))
    return joined([element("p", text(note)), *[_chart(figure, NOTHING, NOTHING) for figure in figures]])
