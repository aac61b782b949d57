"""The command `bounds`: what theory says about one dimension and epsilon, with its sources."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from prunegap.cli import lists
from prunegap.model.draw import Draw, Initialisation
from prunegap.model.granularity import parse_granularity
from prunegap.model.network import Readout
from prunegap.model.problem import Problem
from prunegap.theory.catalogue import catalogue
from prunegap.theory.statement import Statement

SCHEMA = 1


def run(dimension: str, epsilon: str, granularity: str, readout: str, init: str, as_json: bool) -> None:
    """Print every bound that speaks of the case asked for; raises BadInputError for a case that cannot be."""
    d, e = lists.dimension(dimension), lists.epsilon(epsilon)
    names = [parse_granularity(name) for name in granularity.split(",")]
    case = Readout.parse(readout), Initialisation.parse(init)
    for name in names:
        Problem.from_draw(Draw(d, 0, case[1]), 0, e, name, case[0])
    asked = [name.name for name in names]
    told = [s for s in catalogue() if s.applies(d, *case) and any(s.speaks_of(name) for name in asked)]
    if as_json:
        objects = [_as_object(s, d, e) for s in told]
        head = {"dimension": d, "epsilon": e, "granularity": asked, "readout": case[0].value, "init": case[1].value}
        print(json.dumps({"schema": SCHEMA, **head, "bounds": objects}))
    else:
        print(
            _text(told, d, e, f"d = {d}, eps = {e:g}, {', '.join(asked)} pruning, {case[0]} readout, {case[1]} init")
        )


def _number(statement: Statement, d: int, e: float) -> float | None:
    """Return the bound where its constants are known; above epsilon = 1 the empty ticket is enough."""
    if e >= 1.0:
        return 0.0
    return None if statement.value is None else statement.value(d, e)


def _growth(statement: Statement, d: int, e: float) -> float | None:
    """Return the function inside O() or Omega(); None where there is none or a double cannot hold it."""
    growth = math.inf if statement.shape is None or e >= 1.0 else statement.shape(d, e)
    return growth if math.isfinite(growth) else None


def _as_object(statement: Statement, d: int, e: float) -> dict[str, object]:
    return {
        "name": statement.name,
        "side": statement.side,
        "granularity": statement.granularity,
        "quantity": statement.quantity,
        "formula": statement.formula,
        "hypotheses": statement.hypotheses,
        "source": statement.source,
        "constant": statement.constant,
        "value": _number(statement, d, e),
        "shape": _growth(statement, d, e),
    }


def _text(told: Sequence[Statement], d: int, e: float, title: str) -> str:
    lines = [title]
    if e >= 1.0:
        return f"{title}\nthe empty ticket is enough from eps = 1 on: the minimal width is 0"
    for side in ("lower", "upper", "estimate"):
        chosen = [s for s in told if s.side == side]
        lines.extend(["", f"{side} bounds" if side != "estimate" else "estimates, no bounds"] if chosen else [])
        lines.extend(line for s in chosen for line in _lines(s, d, e))
    return "\n".join(lines)


def _lines(statement: Statement, d: int, e: float) -> list[str]:
    number, growth = _number(statement, d, e), _growth(statement, d, e)
    if number is not None:
        said = f"{number:g}"
    else:
        said = "unknown constant" if growth is None else f"unknown constant x {growth:.4g}"
    return [
        f"  {said:28s}  {statement.granularity}: {statement.name}: {statement.formula}",
        f"  {'':28s}  {statement.quantity}; {statement.hypotheses}",
        f"  {'':28s}  {statement.source}",
    ]
