"""What a study says about laws, in objects and in plain sentences, one verdict a readout, initialisation,
granularity.

All dimensions from 2 on share one law; d = 1 is the control, where a neuron is a weight, and each dimension also has
a law of its own, since nobody knows whether the exponent is the same in all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prunegap.laws.compare import Comparison, compare
from prunegap.laws.family import Family
from prunegap.laws.fit import RESAMPLES, Fit
from prunegap.laws.observation import Group, Observation, grouped
from prunegap.laws.sentences import sentences
from prunegap.model.draw import Initialisation
from prunegap.model.network import Readout
from prunegap.study.row import Row


@dataclass(frozen=True)
class Verdict:
    """Which law, with which exponent, supported by what; `sentences` say it as plain text.

    `comparison` is about all dimensions from 2 on together (d = 1 where there is no other), `by_dimension` about each
    alone. `preferred` and `fit` are those of `comparison`; None where the data do not decide.
    """

    readout: Readout
    initialisation: Initialisation
    granularity: str
    comparison: Comparison
    by_dimension: Mapping[int, Comparison]
    sentences: tuple[str, ...]

    @property
    def preferred(self) -> Family | None:
        """The family that explains seeds left out better, or None."""
        return self.comparison.preferred

    @property
    def fit(self) -> Fit | None:
        """The fit of the preferred family, or None."""
        return self.comparison.fit


def verdicts(rows: Iterable[Row], resamples: int = RESAMPLES, seed: int = 0) -> list[Verdict]:
    """Return the verdict of every group of rows, in the order in which groups first appear.

    Guarantees an answer for any rows: what cannot be concluded is said in `reason` and `sentences`. Same rows, same
    `resamples` and `seed`: same bits.
    """
    return [_verdict(group, members, resamples, seed) for group, members in grouped(rows).items()]


def _verdict(group: Group, members: Sequence[Observation], resamples: int, seed: int) -> Verdict:
    dimensions = sorted({o.dimension for o in members})
    alone = {d: compare([o for o in members if o.dimension == d], resamples, seed) for d in dimensions}
    together = [d for d in dimensions if d > 1] or dimensions
    if len(together) == 1:
        comparison = alone[together[0]]
    else:
        comparison = compare([o for o in members if o.dimension in together], resamples, seed)
    return Verdict(
        group.readout,
        group.initialisation,
        group.granularity,
        comparison,
        alone,
        sentences(group, comparison, alone),
    )
