"""The page: its numbers are the study's, it claims no more than they prove, and no string of a study becomes HTML."""

import html.parser
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from prunegap.cli import run
from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Neuron, Weight
from prunegap.report.page import FIGURES, PAGE, write_report
from prunegap.study.cell import grid
from prunegap.study.row import Provenance, Row
from prunegap.study.store import DATABASE, TICKETS
from prunegap.study.sweep import measure
from prunegap.study.width import Effort
from report.made import GAP, Widths, closed, rows, store_rows

ATTACK = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&<!--\x07"
OPEN: Widths = {**GAP, (0.02, "neuron"): [(49, 50), (58, 70), (75, None)]}


class Outline(html.parser.HTMLParser):
    """Every element with its attributes, and the text outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text, self.data, self._inside = "", "", ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attributes}
        self.elements.append((tag, named))
        self._inside = "data" if named.get("id") == "study-data" else tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "data":
            self.data += data
        elif self._inside not in ("script", "style"):
            self.text += data


def outline(directory: Path) -> Outline:
    return Outline((directory / PAGE).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row]]:
    """A study with real tickets and its report."""
    out = tmp_path_factory.mktemp("measured") / "study"
    cells = grid((2,), (0.5, 0.3), (Weight(), Neuron()), seeds=range(2))
    found = measure(cells, out, Effort(60.0, 200))
    write_report(out)
    return out, found


def test_every_figure_is_written_in_three_formats(measured: tuple[Path, list[Row]]) -> None:
    directory, _ = measured
    stems = {path.stem for path in (directory / FIGURES).iterdir()}
    setting = "d2-relu-uniform"
    assert {f"width-{setting}", f"laws-{setting}", f"success-{setting}", "ticket-weight", "ticket-neuron"} == stems
    for stem in stems:
        assert (directory / FIGURES / f"{stem}.png").read_bytes().startswith(b"\x89PNG")
        assert (directory / FIGURES / f"{stem}.pdf").read_bytes().startswith(b"%PDF")
        drawing = (directory / FIGURES / f"{stem}.svg").read_text()
        names = [node.tag.split("}")[1] for node in ET.fromstring(drawing)]
        assert names[:2] == ["title", "desc"]
        assert min(float(size) for size in re.findall(r"font-size:([0-9.]+)px", drawing)) >= 12.0


def test_figures_of_the_page_are_described_and_offered_as_files(measured: tuple[Path, list[Row]]) -> None:
    directory, _ = measured
    found = outline(directory)
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    pictures = [attributes for tag, attributes in found.elements if tag == "svg" and "role" in attributes]
    assert len(pictures) == 10
    for attributes in pictures:
        assert {attributes["aria-labelledby"], attributes["aria-describedby"]} <= set(ids)
    files = [attributes["href"] for tag, attributes in found.elements if "download" in attributes]
    assert {directory / name for name in files} == set((directory / FIGURES).iterdir())


def test_the_data_are_the_study(measured: tuple[Path, list[Row]]) -> None:
    directory, found = measured
    data = json.loads(outline(directory).data)
    told = [dict(zip(data["columns"], row, strict=True)) for row in data["rows"]]
    assert {
        (t["dimension"], t["epsilon"], data["names"]["granularity"][t["granularity"]], t["seed"], t["lower"],
         t["upper"], t["error_upper"])
        for t in told
    } == {
        (r.cell.dimension, r.cell.epsilon, r.cell.granularity.name, r.cell.seed, r.lower, r.upper, r.error_upper)
        for r in found
    }  # fmt: skip
    assert len(told) == len(found)


def test_the_page_needs_no_network(measured: tuple[Path, list[Row]]) -> None:
    directory, _ = measured
    page = (directory / PAGE).read_text()
    assert "default-src 'none'" in page
    for tag, attributes in outline(directory).elements:
        assert tag not in ("link", "iframe", "object", "img", "base")
        assert "src" not in attributes
    assert not re.search(r"@import|url\(", page)
    assert (directory / PAGE).stat().st_size < 5_000_000


def test_a_damaged_ticket_is_left_out_and_said(measured: tuple[Path, list[Row]], tmp_path: Path) -> None:
    directory, found = measured
    copy = store_rows(tmp_path / "copy", found)
    for path in (directory / TICKETS).iterdir():
        content = path.read_bytes()
        (copy / TICKETS / path.name).write_bytes(content[:-1] if "neuron" in path.name else content)
    write_report(copy)
    assert (copy / FIGURES / "ticket-weight.svg").exists()
    assert not (copy / FIGURES / "ticket-neuron.svg").exists()
    assert "The neuron ticket is left out" in outline(copy).text


CONCLUSIONS: dict[str, tuple[list[Row], list[str], list[str]]] = {
    "a gap": (rows(GAP), ["2.5×", "what removing whole neurons costs"], ["What this study cannot say"]),
    "open": (rows(OPEN), ["1 cell is open", "1 cell is censored", "50–76+"], []),
    "nothing closed": (
        rows({(0.1, "neuron"): [(19, None), (20, 40)], (0.05, "neuron"): [(30, None), (30, None)]}),
        ["of 4 cells are closed", "No cell is closed", "no law and no gap can be concluded"],
        ["×"],
    ),
    "one epsilon": (
        rows({key: value for key, value in GAP.items() if key[0] == 0.2}),
        ["one ε only", "no law can be concluded", "one ε cannot show whether the gap grows"],
        ["Which law?"],
    ),
    "one seed": (
        rows({key: value[:1] for key, value in GAP.items()}),
        ["one seed only", "no success probability"],
        ["How likely is a ticket?"],
    ),
    "one granularity": (
        rows({key: value for key, value in GAP.items() if key[1] == "neuron"}),
        ["No gap is measured here", "weight pruning not measured"],
        ["×"],
    ),
    "no gap": (
        rows({**GAP, (0.02, "neuron"): closed(20, 24, 30)}),
        ["no growing gap is visible"],
        ["what removing whole neurons costs"],
    ),
    "empty tickets": (rows({(2.0, "neuron"): [(-1, 0)]}), ["every ε is 1 or more", "nothing can be concluded"], []),
    "nothing": ([], ["holds no cell yet", "nothing can be concluded"], []),
    "all kinds": (
        rows(
            {**OPEN, (0.02, "2:4"): closed(20, 21), (0.02, "block:2"): [(5, 9)] * 3, (0.02, "3:4"): closed(20)}, 4
        ),
        ["2:4", "3:4", "block:2"],
        [],
    ),
    "many settings": ([*rows(GAP, 2), *rows(GAP, 3)], ["Show the setting", "d = 3, relu readout"], []),
}  # fmt: skip


@pytest.mark.parametrize(("made_up", "said", "unsaid"), CONCLUSIONS.values(), ids=CONCLUSIONS.keys())
def test_the_page_says_what_can_be_concluded(
    tmp_path: Path, made_up: list[Row], said: list[str], unsaid: list[str]
) -> None:
    directory = store_rows(tmp_path / "study", made_up)
    write_report(directory)
    text = outline(directory).text
    for words in said:
        assert words in text
    for words in [*unsaid, "nan", "inf "]:
        assert words not in text
    assert len(json.loads(outline(directory).data)["rows"]) == len(made_up)


def test_no_string_of_a_study_becomes_html(tmp_path: Path) -> None:
    honest = store_rows(tmp_path / "honest", rows(OPEN))
    made = Provenance.here()
    evil = replace(made, version=ATTACK, python=ATTACK, numpy=ATTACK, ortools=ATTACK, platform=ATTACK)
    hostile = [replace(row, reason=ATTACK, searches=(ATTACK,), provenance=evil) for row in rows(OPEN)]
    directory = store_rows(tmp_path / ATTACK.replace("/", "∕").replace("\x07", ""), hostile)
    for study in (honest, directory):
        write_report(study)
    told = outline(directory)
    assert sorted(tag for tag, _ in told.elements) == sorted(tag for tag, _ in outline(honest).elements)
    assert not any(name.startswith("on") for _, attributes in told.elements for name in attributes)
    assert "<img src=x onerror=alert(1)>" in told.text
    assert ATTACK in json.loads(told.data)["names"]["reason"]


def test_only_a_study_is_reported(tmp_path: Path) -> None:
    for directory in (tmp_path / "missing", tmp_path):
        with pytest.raises(BadInputError, match="prunegap measure"):
            write_report(directory)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / DATABASE).write_text("no database")
    with pytest.raises(BadInputError):
        write_report(tmp_path)


def test_the_command_ends_with_the_path_of_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = store_rows(tmp_path / "study", rows(GAP))
    assert run(["report", str(directory)]) == 0
    assert capsys.readouterr().out == f"{directory / PAGE}\n"
    assert run(["report", str(tmp_path / "missing")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
