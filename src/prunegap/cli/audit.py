"""`prunegap audit`: what of a study holds when it is looked at again."""

from __future__ import annotations

import json
from pathlib import Path

from prunegap.cli import lists
from prunegap.cli.bar import Bar
from prunegap.study.audit import Audit, Reproof, audit
from prunegap.study.row import Row
from prunegap.study.second_opinion import Verdict

SCHEMA = 1


def run(study: Path, sample: int, seed: int, time_limit: float, as_json: bool) -> int:
    """Audit and print; return 0, or 1 where something disagrees."""
    with Bar() as bar:
        found = audit(study, sample, seed, lists.time_limit(time_limit), bar)
    print(json.dumps(as_object(found)) if as_json else as_text(study, found))
    return 1 if found.disagreements else 0


def as_text(study: Path, found: Audit) -> str:
    """Return the audit as lines for a person."""
    bad = sum(d.what == "ticket" for d in found.disagreements)
    lines = [
        f"{study}: {found.rows} rows, every one matches its digest",
        f"tickets: {found.tickets - bad} of {found.tickets} verified",
        f"proofs: {len(found.reproofs)} sampled, {found.count(Verdict.AGREES)} agree, "
        f"{found.count(Verdict.DISAGREES)} disagree, {found.count(Verdict.UNDECIDED)} not proven again in time",
    ]
    for engine in sorted({reproof.opinion.engine for reproof in found.reproofs}):
        answers = [r.opinion for r in found.reproofs if r.opinion.engine == engine]
        agreed = sum(opinion.verdict is Verdict.AGREES for opinion in answers)
        lines.append(f"  by {engine}: {agreed} of {len(answers)} agree, {sum(o.seconds for o in answers):.1f} s")
    lines += [
        f"not proven again: {_asked(reproof.row)} at width {reproof.row.lower} by {reproof.opinion.engine}: "
        f"{reproof.opinion.detail}"
        for reproof in found.reproofs
        if reproof.opinion.verdict is Verdict.UNDECIDED
    ]
    lines += [f"DISAGREES: {d.what} of row {d.key}: {d.why}" for d in found.disagreements]
    if found.strays:
        lines.append(f"{len(found.strays)} files in tickets/ belong to no row, for example {found.strays[0]}")
    lines.append("something disagrees" if found.disagreements else "nothing disagrees")
    return "\n".join(lines)


def as_object(found: Audit) -> dict[str, object]:
    """Return the audit as the JSON object that docs/json-schema.md promises."""
    return {
        "schema": SCHEMA,
        "rows": found.rows,
        "tickets": found.tickets,
        "disagreements": [{"key": d.key, "what": d.what, "why": d.why} for d in found.disagreements],
        "proofs": [_proof(reproof) for reproof in found.reproofs],
        "strays": list(found.strays),
    }


def _proof(reproof: Reproof) -> dict[str, object]:
    row, opinion = reproof.row, reproof.opinion
    return {
        "key": row.cell.key,
        "width": row.lower,
        "searches": list(row.searches),
        "engine": opinion.engine,
        "verdict": opinion.verdict.value,
        "detail": opinion.detail,
        "seconds": opinion.seconds,
    }


def _asked(row: Row) -> str:
    cell = row.cell
    return f"d={cell.dimension} eps={cell.epsilon:g} {cell.granularity} {cell.readout.value} seed {cell.seed}"
