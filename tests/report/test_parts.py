"""Parts of the page, each against something computed another way."""

import math
import shlex
from itertools import combinations

import numpy as np
import pytest

from prunegap.certify import certify
from prunegap.cli.measure import Asked
from prunegap.model.draw import Draw
from prunegap.model.granularity import Neuron
from prunegap.model.mask import Mask
from prunegap.model.network import Readout
from prunegap.model.problem import Problem
from prunegap.report.markup import element, number, text
from prunegap.report.palette import STYLES, slots
from prunegap.report.reproduce import commands
from prunegap.report.ticket_chart import Portrait
from prunegap.study.row import Row
from prunegap.study.ticket import Ticket
from report.made import GAP, rows

STUDIES = {
    "a grid": rows(GAP),
    "two dimensions": [*rows(GAP, 2), *rows(GAP, 3)],
    "ragged": [row for i, row in enumerate([*rows(GAP), *rows(GAP, 1, Readout.LINEAR)]) if i % 5],
    "one cell": rows(GAP)[4:5],
}


@pytest.mark.parametrize("made_up", STUDIES.values(), ids=STUDIES.keys())
def test_the_commands_ask_for_exactly_the_cells(made_up: list[Row]) -> None:
    asked = []
    for command in commands(made_up, "a study"):
        words = shlex.split(command)
        assert words[:2] == ["prunegap", "measure"]
        options = dict(zip(words[2::2], words[3::2], strict=True))
        assert options["--out"] == "a study"
        names = ("dimension", "epsilon", "granularity", "readout", "init", "seeds")
        asked += Asked(*(options[f"--{name}"] for name in names)).cells()
    assert len(asked) == len(set(asked))
    assert set(asked) == {row.cell for row in made_up}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("readout", list(Readout))
def test_a_portrait_shows_the_certified_error(seed: int, readout: Readout) -> None:
    draw, width = Draw(2, seed), 12
    problem = Problem.from_draw(draw, width, 0.7, Neuron(), readout)
    mask = Mask.of_neurons([1, 4, 5, 11], width, 2)
    error = certify(problem, mask).error_upper
    portrait = Portrait.of(Ticket(problem, mask, error, draw))
    assert np.abs(portrait.error).max() * problem.epsilon == pytest.approx(error, rel=2e-3)
    assert abs(portrait.peaks[0, 1]) == np.abs(portrait.error).max()
    assert portrait.kept.size == 4
    assert portrait.dropped.size == width - 4
    # A kink is where its neuron's weights are orthogonal to the input; angles run clockwise from the target.
    towards = math.atan2(problem.target[1], problem.target[0])
    for kink, row in zip(portrait.kept, problem.network.weights[mask.alive], strict=True):
        angle = towards - math.radians(kink)
        assert abs(row @ [math.cos(angle), math.sin(angle)]) < 1e-9
    network = mask.apply(problem.network)
    for degrees in (-120.0, -33.0, 0.0, 37.0, 95.0):
        angle = towards - math.radians(degrees)
        x = np.array([math.cos(angle), math.sin(angle)])
        truth = float(network(x[None, :], readout)[0]) - max(0.0, float(x @ problem.target))
        drawn = np.interp(degrees, portrait.angles, portrait.error) * problem.epsilon
        assert drawn == pytest.approx(truth, abs=1e-3)


def test_colours_are_stable_and_told_apart() -> None:
    names = ["neuron", "block:8", "2:4", "weight", "1:2", "block:2", "block:4"]
    for size in range(1, len(names) + 1):
        for chosen in combinations(names, size):
            places = slots(chosen)
            assert len(set(places.values())) == size
            fixed = {"weight": 0, "neuron": 1, "2:4": 2, "block:2": 3, "block:4": 5}
            assert all(places[name] == fixed[name] for name in chosen if name in fixed)
    assert slots(["2:3"], among=[*names, "2:3"])["2:3"] == slots([*names, "2:3"])["2:3"]
    assert slots(["1:2"], ["2:3"]) | slots(["2:3"], ["1:2"]) == slots(["1:2", "2:3"])
    assert list(slots(names)) == ["weight", "1:2", "2:4", "block:2", "block:4", "block:8", "neuron"]
    assert len(set(slots([*names, "1:4", "3:4", "block:16"]).values())) == len(STYLES)


def contrast(one: str, other: str) -> float:
    """The contrast of WCAG 2 between two colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255.0 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_letters_can_be_read_on_their_paper() -> None:
    for style in STYLES:
        assert contrast(style.letters, "#FFFFFF") > 4.5
        assert contrast(style.dark, "#14181C") > 4.5


def test_markup_escapes_text_and_attributes() -> None:
    attack = "<b>&\"'\x00"
    made = element("p", text(attack), title=attack, hidden=True, class_="a", data_x=1.25, absent=None)
    assert made == (
        '<p title="&lt;b&gt;&amp;&quot;&#x27;\N{REPLACEMENT CHARACTER}" hidden class="a" data-x="1.2">'
        "&lt;b&gt;&amp;&quot;&#x27;\N{REPLACEMENT CHARACTER}</p>"
    )
    assert [number(x) for x in (0.0, -0.04, 3.0, 3.14, -2.25, 10.0)] == ["0", "0", "3", "3.1", "-2.2", "10"]
