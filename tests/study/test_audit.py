"""An audit believes nothing: true studies pass it, and every falsehood planted in one is found."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from brute import choose

import oracles
from prunegap.cli import run
from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Block, Granularity, Neuron, NOfM, Weight
from prunegap.model.network import Readout
from prunegap.model.problem import Problem
from prunegap.study import second_opinion as engines
from prunegap.study.audit import Audit, audit
from prunegap.study.cell import Cell, grid
from prunegap.study.row import COLUMNS, Row, digest_of
from prunegap.study.second_opinion import Verdict, second_opinion
from prunegap.study.store import DATABASE, TICKETS, Store
from prunegap.study.sweep import measure
from prunegap.study.ticket_file import load_ticket, save_ticket
from prunegap.study.width import Effort

CELLS = grid((1,), (0.45, 0.4), (Neuron(),), seeds=range(3)) + grid((2,), (0.7, 0.6), (Neuron(),), seeds=range(3))


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that brute force made."""
    directory = tmp_path_factory.mktemp("audit") / "study"
    measure(CELLS, directory, Effort(60.0, 9), choose=choose)
    return directory


@pytest.fixture
def study(honest: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(honest, tmp_path / "study"))


def contents(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def test_a_true_study_passes_and_is_not_touched(study: Path) -> None:
    before = contents(study)
    found = audit(study, sample=100)
    assert contents(study) == before
    assert found.rows == len(CELLS)
    assert found.disagreements == found.strays == ()
    assert found.count(Verdict.AGREES) == len(found.reproofs) == len(CELLS)
    assert {reproof.opinion.engine for reproof in found.reproofs} == {"enumeration"}


def rewrite(study: Path, row: Row, **changed: object) -> None:
    """Change values of a row as a forger would: the digest is computed anew."""
    with closing(sqlite3.connect(study / DATABASE)) as connection:
        sql = f"SELECT {', '.join(COLUMNS)} FROM cells WHERE key = ?"
        values = connection.execute(sql, (row.cell.key,)).fetchone()
        named = dict(zip(COLUMNS, values, strict=True)) | changed
        forged = tuple(named.values())[:-1]
        statement = f"INSERT OR REPLACE INTO cells VALUES ({', '.join('?' * len(COLUMNS))})"
        connection.execute(statement, (*forged, digest_of(forged)))
        connection.commit()


def false_lower(study: Path, row: Row) -> None:
    rewrite(study, row, lower=row.upper, upper=(row.upper or 0) + 3, status="open")


def false_censoring(study: Path, row: Row) -> None:
    rewrite(study, row, lower=row.upper, upper=None, ticket=None, error_upper=None, status="censored")


def lower_above_upper(study: Path, row: Row) -> None:
    rewrite(study, row, lower=row.upper, status="open")


def upper_below_ticket(study: Path, row: Row) -> None:
    rewrite(study, row, lower=row.lower - 1, upper=(row.upper or 0) - 1)


def no_ticket(study: Path, row: Row) -> None:
    (study / TICKETS / str(row.ticket)).unlink()


def truncated_ticket(study: Path, row: Row) -> None:
    path = study / TICKETS / str(row.ticket)
    path.write_bytes(path.read_bytes()[:-1])


def forged_ticket(study: Path, row: Row) -> None:
    """Write a mask that is none, with right digests."""
    path = study / TICKETS / str(row.ticket)
    ticket = load_ticket(path)
    empty = type(ticket.mask).of_neurons([0], ticket.mask.width, ticket.mask.dimension)
    save_ticket(path, replace(ticket, mask=empty))


def ticket_of_another(study: Path, row: Row) -> None:
    other = next(p for p in sorted((study / TICKETS).iterdir()) if p.name != row.ticket)
    shutil.copy(other, study / TICKETS / str(row.ticket))


FALSEHOODS: dict[str, Callable[[Path, Row], None]] = {
    f.__name__: f
    for f in (false_lower, false_censoring, lower_above_upper, upper_below_ticket, no_ticket, truncated_ticket,
              forged_ticket, ticket_of_another)
}  # fmt: skip


@pytest.mark.parametrize("plant", FALSEHOODS.values(), ids=FALSEHOODS.keys())
def test_every_planted_falsehood_is_found(study: Path, plant: Callable[[Path, Row], None]) -> None:
    with Store(study, read_only=True) as store:
        row = next(r for r in store.rows() if r.cell.dimension == 2 and r.upper is not None and r.upper > 2)
    plant(study, row)
    found = audit(study, sample=100)
    assert {d.key for d in found.disagreements} == {row.cell.key}


def test_a_changed_row_without_its_digest_is_damage(study: Path) -> None:
    with closing(sqlite3.connect(study / DATABASE)) as connection:
        connection.execute("UPDATE cells SET lower = lower - 1 WHERE seed = 1")
        connection.commit()
    with pytest.raises(BadInputError, match="recover"):
        audit(study)


def test_the_sample_depends_on_the_seed_alone(study: Path) -> None:
    def sampled(found: Audit) -> list[str]:
        return [reproof.row.cell.key for reproof in found.reproofs]

    assert sampled(audit(study, 4, seed=1)) == sampled(audit(study, 4, seed=1))
    assert len(set(sampled(audit(study, 4, seed=1)))) == 4
    draws = {key for seed in range(12) for key in sampled(audit(study, 4, seed))}
    assert draws == {cell.key for cell in CELLS}
    assert audit(study, 0).reproofs == ()


QUESTIONS = [
    (1, Neuron(), 6),
    (2, Neuron(), 7),
    (2, Weight(), 5),
    (2, Block(2), 6),
    (2, NOfM(1, 2), 5),
    (3, Neuron(), 6),
]


@pytest.mark.parametrize("readout", Readout)
@pytest.mark.parametrize(("dimension", "granularity", "width"), QUESTIONS)
@pytest.mark.parametrize("engine", ["enumeration", "highs", "search"])
def test_every_engine_agrees_with_brute_force_on_either_side_of_the_least_error(
    dimension: int, granularity: Granularity, width: int, readout: Readout, engine: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if engine != "enumeration":
        monkeypatch.setattr(engines, "FEW_MASKS", 0)
    if engine == "highs":
        monkeypatch.setattr(engines, "_other_search", lambda problem, searches: None)
    for seed in range(3):
        least = oracles.least_error(Cell(dimension, 0.5, granularity, seed, readout).problem(width)).upper
        for epsilon, truth in ((0.99 * least, Verdict.AGREES), (1.01 * least, Verdict.DISAGREES)):
            problem = Cell(dimension, epsilon, granularity, seed, readout).problem(width)
            opinion = second_opinion(problem, ("fractional",), 60.0)
            assert opinion.verdict is truth, opinion


@pytest.mark.parametrize(
    ("searches", "engine"),
    [(("sweep",), "program"), (("program",), "sweep"), (("program", "sweep"), "highs"), (("portfolio",), "sweep")],
)
def test_another_engine_is_asked_than_the_one_that_proved(searches: tuple[str, ...], engine: str) -> None:
    problem = Cell(2, 0.1, Neuron(), 0).problem(20)
    opinion = second_opinion(problem, searches, 60.0)
    assert (opinion.engine, opinion.verdict) == (engine, Verdict.AGREES)


def test_out_of_time_is_neither_agreement_nor_disagreement() -> None:
    problem: Problem = Cell(3, 0.02, Neuron(), 0).problem(80)
    assert second_opinion(problem, ("neurons",), 0.2).verdict is Verdict.UNDECIDED


def test_the_command_says_what_disagrees(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", str(study), "--sample", "100"]) == 0
    assert "nothing disagrees" in capsys.readouterr().out
    with Store(study, read_only=True) as store:
        row = next(r for r in store.rows() if r.upper is not None and r.upper > 2)
    false_censoring(study, row)
    assert run(["audit", str(study), "--sample", "100"]) == 1
    assert f"DISAGREES: proof of row {row.cell.key}" in capsys.readouterr().out
    assert run(["audit", str(study), "--sample", "100", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [d["key"] for d in told["disagreements"]] == [row.cell.key]
    assert len(told["proofs"]) == told["rows"] == len(CELLS)
    assert told["strays"] == [row.ticket]
    assert run(["audit", str(study), "--sample", "-1"]) == 2
