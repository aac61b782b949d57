"""One sentence of advice, said only as strongly as the measured intervals allow.

The question is the engineer's: for a speed-up, which granularity loses least? The speed-up aimed at is the largest in
a list that some granularity reaches while it loses at most two points of quality; failing that, the smallest that
any reaches. A granularity reaches a speed-up where the low end of its measured interval does. A point is a hundredth
of a quality that is a fraction by its name (accuracy, agreement, fidelity); of any other measure (a perplexity, an
F-score out of 100) only the part of the dense quality that is lost can be said, and two per cent of it is tolerable.
"""

from __future__ import annotations

from prunegap.trained.compare.point import Comparison, Point

GOALS = (10.0, 5.0, 4.0, 3.0, 2.5, 2.0, 1.5, 1.2)
"""Speed-ups that advice may be about, the largest first."""
TOLERABLE = 0.02
"""Loss of quality up to which a faster model is worth advising: of 1 for fractions, else of the dense quality."""
FRACTIONS = ("accuracy", "agreement", "fidelity")
"""Measures whose best is 1; without an evaluate a remark in brackets may follow the name."""


def advice(comparison: Comparison) -> str:
    """Return one plain sentence: what to remove for which speed-up, what it costs, and who does not get there."""
    done = comparison.done
    if not done:
        return "Nothing was measured, so nothing can be advised."
    where = f"on {_machine(comparison)}"
    groups = _by_granularity(done)
    reached = {goal: {name: _best(points, goal) for name, points in groups.items()} for goal in GOALS}
    possible = [goal for goal in GOALS if any(reached[goal].values())]
    if possible:
        assert comparison.dense.quality is not None
        enough = comparison.dense.quality.median - TOLERABLE * _whole(comparison)
        cheap = [g for g in possible if max(_median(p) for p in reached[g].values() if p is not None) >= enough]
        goal = cheap[0] if cheap else possible[-1]
        winners = {name: point for name, point in reached[goal].items() if point is not None}
        return _said(comparison, goal, winners, [name for name in groups if name not in winners], where)
    least = min(comparison.dense.cost("bytes") / p.cost("bytes") for p in done)
    return (
        f"Nothing gets faster {where}: no granularity reaches {GOALS[-1]:g}x; pruning here buys size "
        f"(at least {least:.1f}x smaller at every budget), not time."
        if least > 1.0
        else f"Nothing gets faster {where}: no granularity reaches {GOALS[-1]:g}x."
    )


def _said(comparison: Comparison, goal: float, winners: dict[str, Point], losers: list[str], where: str) -> str:
    name, best = max(winners.items(), key=lambda pair: _median(pair[1]))
    parts = [f"For {goal:g}x {where} {_removing(name)}: {_change(comparison, best)}"]
    others = [
        f"{_noun(other)} there: {_change(comparison, point)}" for other, point in winners.items() if other != name
    ]
    if others:
        parts.append("; ".join(others))
    if losers:
        one_thing = len(losers) == 1 and losers[0] not in ("neuron", "weight")
        parts.append(f"{_listed([_noun(o) for o in losers])} {'reaches' if one_thing else 'reach'} it nowhere")
    return "; ".join(parts) + "."


def _by_granularity(points: list[Point]) -> dict[str, list[Point]]:
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault(point.granularity, []).append(point)
    return groups


def _best(points: list[Point], goal: float) -> Point | None:
    """Return the point of the highest quality whose speed-up surely reaches the goal."""
    fast = [p for p in points if p.speedup is not None and p.speedup.low >= goal]
    return max(fast, key=_median, default=None)


def _median(point: Point) -> float:
    return float("-inf") if point.quality is None else point.quality.median


def _change(comparison: Comparison, point: Point) -> str:
    assert comparison.dense.quality is not None
    assert point.quality is not None
    lost = 100.0 * (point.quality.median - comparison.dense.quality.median) / _whole(comparison)
    unit = " points" if _is_fraction(comparison) else f" % of {comparison.setting.measure}"
    kept = point.keep_fraction
    if comparison.setting.budget_of != "weights":
        kept = point.cost("weights") / comparison.dense.cost("weights")
    return f"{lost:+.1f}{unit} at {kept:.0%} of the weights"


def _is_fraction(comparison: Comparison) -> bool:
    return comparison.setting.measure.partition(" (")[0] in FRACTIONS


def _whole(comparison: Comparison) -> float:
    """Return what losses are fractions of: 1, or the size of the dense quality."""
    assert comparison.dense.quality is not None
    return 1.0 if _is_fraction(comparison) else abs(comparison.dense.quality.median) or 1.0


def _machine(comparison: Comparison) -> str:
    setting = comparison.setting
    threads = "1 thread" if setting.threads == 1 else f"{setting.threads} threads"
    return f"this {'GPU' if setting.device.startswith('cuda') else 'CPU'} (batch {setting.batch}, {threads})"


def _removing(granularity: str) -> str:
    kinds = {"neuron": "remove neurons", "weight": "remove single weights"}
    return kinds.get(granularity, f"prune {granularity}")


def _noun(granularity: str) -> str:
    return {"neuron": "neurons", "weight": "single weights"}.get(granularity, granularity)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
