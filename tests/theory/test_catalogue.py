"""Every bound as a statement, and the command that lists them."""

import json
import math

import pytest

from prunegap.cli import run
from prunegap.model.draw import Initialisation
from prunegap.model.network import Readout
from prunegap.theory.catalogue import catalogue
from prunegap.theory.statement import Statement

STATEMENTS = catalogue()
SOURCES = (
    "2603.02234v1", "2603.02234v3", "2002.00585", "2006.07990", "2006.12156", "Lueker", "2204.13929",
    "2410.14754", "2207.13944", "2311.09858",
)  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
def test_every_published_source_is_there(source: str) -> None:
    assert any(source in s.source for s in STATEMENTS)


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda s: f"{s.name}-{s.initialisations[0]}")
def test_a_statement_is_whole(statement: Statement) -> None:
    assert statement.formula
    assert statement.hypotheses
    assert statement.source
    assert (statement.constant == "known") == (statement.value is not None)
    published = "arXiv" in statement.source
    assert published or "docs/theory.md" in statement.source
    assert not (published and statement.value is not None), "published constants are hidden in O() and Omega()"
    for function in (statement.value, statement.shape):
        if function is not None:
            values = [function(3, e) for e in (0.2, 0.02, 2e-4, 2e-8)]
            assert all(math.isfinite(v) and v >= 0.0 for v in values)
            assert values == sorted(values), "no bound falls as epsilon does"


def test_granularities_inherit_what_their_masks_allow() -> None:
    lower_weight = next(s for s in STATEMENTS if s.name == "counting, any mask")
    upper_weight = next(s for s in STATEMENTS if s.name == "weight pruning, v3")
    lower_neuron = next(s for s in STATEMENTS if s.name.startswith("kinks"))
    upper_neuron = next(s for s in STATEMENTS if s.name.startswith("aligned"))
    names = ("weight", "neuron", "2:4", "block:2")
    assert [lower_weight.speaks_of(n) for n in names] == [True, True, True, True]
    assert [upper_weight.speaks_of(n) for n in names] == [True, False, True, False]
    assert [lower_neuron.speaks_of(n) for n in names] == [False, True, False, False]
    assert [upper_neuron.speaks_of(n) for n in names] == [True, True, False, True]


def test_hypotheses_decide() -> None:
    kink = next(s for s in STATEMENTS if s.name.startswith("the target's own kink, any"))
    uniform = kink.initialisations[0]
    assert kink.applies(2, Readout.LINEAR, uniform)
    assert not kink.applies(3, Readout.LINEAR, uniform)
    assert not kink.applies(2, Readout.RELU, uniform)
    assert len(kink.initialisations) == 1


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert run(["bounds", *arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


def test_the_command_lists_what_applies(capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(capsys, "--dimension", "2", "--epsilon", "0.01", "--granularity", "neuron")
    assert found["schema"] == 1
    bounds = found["bounds"]
    assert isinstance(bounds, list)
    by_name = {b["name"]: b for b in bounds}
    assert by_name["neuron pruning, v1"]["shape"] == pytest.approx(200.0)
    assert by_name["neuron pruning, v3"]["shape"] == pytest.approx(100.0)
    assert by_name["neuron pruning, v3"]["value"] is None
    assert by_name["neuron pruning, v3"]["constant"] == "unknown"
    assert by_name["kinks, whole neurons"]["value"] > 0
    assert not any("linear" in b["hypotheses"] or b["name"].startswith("the target") for b in bounds)
    assert len(bounds) == len(by_name), "one initialisation is asked for, and one is answered"


@pytest.mark.parametrize("init", list(Initialisation))
@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize("dimension", ["1", "2", "1024", "1000000"])
@pytest.mark.parametrize("epsilon", ["0.999", "0.3", "1e-12", "1e-300"])
def test_any_case_is_answered(
    capsys: pytest.CaptureFixture[str], init: str, readout: str, dimension: str, epsilon: str
) -> None:
    options = ["--dimension", dimension, "--epsilon", epsilon, "--init", init, "--readout", readout]
    for bound in asked(capsys, *options)["bounds"]:  # type: ignore[attr-defined]
        for key in ("value", "shape"):
            assert bound[key] is None or (math.isfinite(bound[key]) and bound[key] >= 0.0)


def test_the_text_says_sides_and_constants(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bounds", "--dimension", "3", "--epsilon", "0.01", "--readout", "linear"]) == 0
    text = capsys.readouterr().out
    for words in (
        "lower bounds",
        "upper bounds",
        "unknown constant x 300",
        "arXiv:2603.02234v1",
        "docs/theory.md, L",
    ):
        assert words in text
    assert run(["bounds", "--epsilon", "1.5"]) == 0
    assert "the minimal width is 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--dimension", "0"], ["--dimension", "2.5"], ["--dimension", "<script>"], ["--dimension", "2,3"],
        ["--epsilon", "nan"], ["--epsilon", "0"], ["--epsilon", "-1"], ["--epsilon", "inf"], ["--epsilon", "x"],
        ["--granularity", "block:5"], ["--granularity", "4:2"], ["--granularity", ""], ["--granularity", "weights"],
        ["--readout", "tanh"], ["--init", "zero"], ["--dimension"], ["--nonsense"],
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert run(["bounds", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
