"""Rows made up for the tests of laws."""

from prunegap.laws.observation import Observation
from prunegap.model.draw import Initialisation
from prunegap.model.granularity import parse_granularity
from prunegap.model.network import Readout
from prunegap.study.cell import Cell
from prunegap.study.row import Provenance, Row
from prunegap.study.width import Effort


def rows(observations: list[Observation], granularity: str = "neuron", readout: Readout = Readout.RELU) -> list[Row]:
    """Return one row for each observation."""
    made, effort = Provenance.here(), Effort()
    return [
        Row(
            Cell(o.dimension, o.epsilon, parse_granularity(granularity), o.seed, readout, Initialisation.UNIFORM),
            o.lower, o.upper, 1.0, (), "", None, None, effort, "", made,
        )
        for o in observations
    ]  # fmt: skip
