"""What a comparison may be asked: granularities, budgets, how hard to try and how to measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Granularity, parse_granularity

GRANULARITIES = ("weight", "2:4", "block:4", "neuron")
BUDGETS = (0.7, 0.5, 0.3, 0.1)
BUDGETS_OF = ("weights", "latency", "both")
STRONGEST = {"weight": "admm", "neuron": "local"}
"""The strongest solver of each kind; n:m and blocks are solved as weights are."""
STAGES = 8
"""Calibration passes a point at most: layers of one pass do not see each other's errors."""

Watch = Callable[[int, int, str], None]
"""Called with the points finished, the points asked for, and what is being done now."""


@dataclass(frozen=True)
class Options:
    """How hard to try and how to measure.

    `repeats` calibration samples a point, whose quality spreads; `turns` of timing; `threads` (None: torch's own);
    `budget_of`: what budgets are fractions of, the prunable layers' "weights", their measured "latency", or "both":
    then neither may exceed it;
    `cuda_graphs`: on a GPU every model, the dense one too, is timed as a CUDA graph;
    `stages` bounds the calibration passes of a point (None: one a layer); `finetune_steps` after pruning, the same
    for every point; `solvers` by kind, "weight" and "neuron"; `measure` names the quality; without an evaluate it is
    "agreement" or "fidelity" and chooses what is measured. `model_name` and `command` are only told.
    """

    repeats: int = 2
    seed: int = 0
    turns: int = 21
    threads: int | None = None
    stages: int | None = STAGES
    finetune_steps: int = 0
    solvers: Mapping[str, str] = field(default_factory=lambda: dict(STRONGEST))
    model_name: str = "model"
    measure: str = ""
    command: str = ""
    budget_of: str = "weights"
    cuda_graphs: bool = False

    def __post_init__(self) -> None:
        for name in ("repeats", "turns", "threads", "stages"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise BadInputError(f"{name} {value}", "must be at least 1", f"use {name} 2")
        if self.finetune_steps < 0:
            raise BadInputError(f"finetune steps {self.finetune_steps}", "must not be negative", "use 0 for none")
        if self.seed < 0:
            raise BadInputError(f"seed {self.seed}", "must not be negative", "use seed 0")
        if self.budget_of not in BUDGETS_OF:
            raise BadInputError(
                f"budget of {self.budget_of!r}", f"must be one of {', '.join(BUDGETS_OF)}", "use weights"
            )
        if set(self.solvers) != set(STRONGEST):
            raise BadInputError(f"solvers {sorted(self.solvers)}", "must be weight and neuron", f"use {STRONGEST}")


def asked_granularities(granularities: Sequence[str | Granularity]) -> list[Granularity]:
    """Return each granularity once, in the order given; raises BadInputError for none or an unknown one."""
    found = [parse_granularity(g) if isinstance(g, str) else g for g in granularities]
    if not found:
        raise BadInputError("granularities", "are empty", "use weight,neuron")
    return list({g.name: g for g in found}.values())


def asked_budgets(budgets: Sequence[float]) -> list[float]:
    """Return each budget once, the largest first; raises BadInputError for none or one outside (0, 1)."""
    if not budgets:
        raise BadInputError("budgets", "are empty", "use 0.7,0.5,0.3,0.1")
    for budget in budgets:
        if not 0.0 < budget < 1.0:
            raise BadInputError(
                f"budget {budget:g}", "must lie between 0 and 1, both left out", "0.3 keeps 30 % of the weights"
            )
    return sorted(set(map(float, budgets)), reverse=True)
