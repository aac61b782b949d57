"""One cell of a study: what is asked, and nothing about how hard to try.

The key is the hash of the fields that differ from their default, so that a new field with a default renames no
stored row. Time limit and greatest width are effort, not question: they live in the row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields
from functools import cached_property, lru_cache
from itertools import product

from prunegap.model.draw import Draw, Initialisation
from prunegap.model.granularity import Granularity, Neuron, Weight
from prunegap.model.network import Readout
from prunegap.model.problem import Problem, checked_epsilon


@dataclass(frozen=True)
class Cell:
    """The question N(d, eps, granularity, readout, init, seed): the minimal width of one nested draw.

    Raises BadInputError for anything that Draw or Problem refuses.
    """

    dimension: int
    epsilon: float
    granularity: Granularity
    seed: int
    readout: Readout = Readout.RELU
    initialisation: Initialisation = Initialisation.UNIFORM

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimension", int(self.dimension))
        object.__setattr__(self, "seed", int(self.seed))
        object.__setattr__(self, "epsilon", checked_epsilon(self.epsilon))
        _ = self.draw  # refuses a bad seed; nothing else depends on the seed
        _check_question(self.dimension, self.epsilon, self.granularity, self.readout, self.initialisation)

    @cached_property
    def key(self) -> str:
        """The cell's name in every store: 16 hex digits of SHA-256 over its non-default fields as canonical JSON."""
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        told = {f.name for f in fields(self) if f.default is MISSING or f.default != named[f.name]}
        asked = {name: str(v) if isinstance(v, Granularity) else v for name, v in named.items() if name in told}
        canonical = json.dumps(asked, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def draw(self) -> Draw:
        """The nested draw that the cell is about."""
        return Draw(self.dimension, self.seed, self.initialisation)

    def problem(self, width: int) -> Problem:
        """Return the cell's question at one width."""
        return Problem.from_draw(self.draw, width, self.epsilon, self.granularity, self.readout)


@lru_cache(maxsize=1024)
def _check_question(
    dimension: int, epsilon: float, granularity: Granularity, readout: Readout, initialisation: Initialisation
) -> None:
    Problem.from_draw(Draw(dimension, 0, initialisation), 0, epsilon, granularity, readout)


def grid(
    dimensions: Iterable[int] = (2,),
    epsilons: Iterable[float] = (0.2, 0.1, 0.05, 0.02),
    granularities: Iterable[Granularity] = (Weight(), Neuron()),
    readouts: Iterable[Readout] = (Readout.RELU,),
    initialisations: Iterable[Initialisation] = (Initialisation.UNIFORM,),
    seeds: Iterable[int] = range(5),
) -> list[Cell]:
    """Return the cells of the whole product, each once, in reading order: dimension first, seed last."""
    asked = product(dimensions, readouts, initialisations, epsilons, granularities, seeds)
    cells = (Cell(d, eps, granularity, seed, readout, init) for d, readout, init, eps, granularity, seed in asked)
    return list(dict.fromkeys(cells))
