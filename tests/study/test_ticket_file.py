"""Tickets on disk: they come back as they were, and no changed byte goes unnoticed."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from brute import choose

from prunegap.model.draw import STREAM, Draw, Initialisation
from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Neuron, NOfM, Weight
from prunegap.model.mask import Mask
from prunegap.model.network import Network, Readout
from prunegap.model.problem import Problem
from prunegap.study import ticket_file
from prunegap.study.cell import Cell
from prunegap.study.ticket import Ticket
from prunegap.study.ticket_file import load_ticket, save_ticket
from prunegap.study.width import Effort, minimal_width


def drawn_ticket(readout: Readout = Readout.RELU, init: Initialisation = Initialisation.UNIFORM) -> Ticket:
    """Return a ticket of a random network."""
    ticket = minimal_width(Cell(1, 0.45, Neuron(), 0, readout, init), Effort(None, 10), choose=choose).ticket
    assert ticket is not None
    return ticket


def own_ticket() -> Ticket:
    """Return a ticket of a network that is no draw: the target itself beside a row that must go."""
    network = Network([[0.6, 0.8], [5.0, 1.0]], [1.0, 1.0])
    problem = Problem(network, np.array([0.6, 0.8]), 0.01, Neuron())
    return Ticket(problem, Mask.of_neurons([0], 2, 2), 0.001)


TICKETS = {"drawn": drawn_ticket, "own": own_ticket}


@pytest.fixture(params=sorted(TICKETS))
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "ticket.safetensors"
    save_ticket(path, TICKETS[request.param]())
    return path


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize("init", list(Initialisation))
def test_a_drawn_ticket_comes_back(readout: Readout, init: Initialisation, tmp_path: Path) -> None:
    ticket, path = drawn_ticket(readout, init), tmp_path / "t.safetensors"
    save_ticket(path, ticket)
    assert_same(load_ticket(path), ticket)
    assert load_ticket(path).verify().proves(0.45)


def test_a_ticket_of_a_users_network_comes_back(tmp_path: Path) -> None:
    ticket, path = own_ticket(), tmp_path / "t.safetensors"
    save_ticket(path, ticket)
    assert_same(load_ticket(path), ticket)
    assert load_ticket(path).verify().error_upper <= 0.001


def assert_same(one: Ticket, other: Ticket) -> None:
    assert one.draw == other.draw
    assert one.error_upper == other.error_upper
    for name in ("epsilon", "granularity", "readout"):
        assert getattr(one.problem, name) == getattr(other.problem, name)
    assert np.array_equal(one.problem.network.weights, other.problem.network.weights)
    assert np.array_equal(one.problem.network.outputs, other.problem.network.outputs)
    assert np.array_equal(one.problem.target, other.problem.target)
    assert np.array_equal(one.mask.kept_weights, other.mask.kept_weights)
    assert np.array_equal(one.mask.kept_outputs, other.mask.kept_outputs)


def test_an_empty_ticket_comes_back(tmp_path: Path) -> None:
    draw = Draw(3, 0)
    problem = Problem.from_draw(draw, 0, 1.5, Weight())
    save_ticket(tmp_path / "t", Ticket(problem, Mask.from_rows(np.zeros((0, 3), dtype=bool)), 1.1, draw))
    assert load_ticket(tmp_path / "t").verify().proves(1.5)


@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80, 0xFF])
def test_every_changed_byte_is_refused(saved: Path, flip: int) -> None:
    content = saved.read_bytes()
    for place in range(len(content)):
        saved.write_bytes(content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :])
        with pytest.raises(BadInputError):
            load_ticket(saved)


def test_every_truncation_and_extension_is_refused(saved: Path) -> None:
    content = saved.read_bytes()
    for length in range(len(content)):
        saved.write_bytes(content[:length])
        with pytest.raises(BadInputError):
            load_ticket(saved)
    saved.write_bytes(content + b"\0")
    with pytest.raises(BadInputError):
        load_ticket(saved)


def test_white_space_in_the_header_is_no_exception(saved: Path) -> None:
    content = saved.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    spaces = [place for place in range(8, end) if content[place : place + 1] == b" "]
    assert spaces
    for place in spaces:
        saved.write_bytes(content[:place] + b"\n" + content[place + 1 :])
        with pytest.raises(BadInputError):
            load_ticket(saved)


def forge(path: Path, **changes: Any) -> None:
    """Change the claim of a saved ticket and give it a matching digest, as an able forger would."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    claim = json.loads(header["__metadata__"]["prunegap"]) | changes | {"digest": "0" * 64}
    header["__metadata__"]["prunegap"] = json.dumps(claim)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    blank = len(text).to_bytes(8, "little") + text + content[end:]
    path.write_bytes(blank.replace(b"0" * 64, hashlib.sha256(blank).hexdigest().encode(), 1))


FORGERIES: dict[str, dict[str, Any]] = {
    "smaller epsilon": {"epsilon": 1e-6, "error_upper": 1e-7},
    "smaller error": {"error_upper": 0.0},
    "error above epsilon": {"error_upper": 2.0},
    "negative error": {"error_upper": -1.0},
    "no number": {"error_upper": None},
    "granularity without a name": {"granularity": "rows"},
    "another readout": {"readout": "tanh"},
    "another width": {"width": 3},
    "a huge width": {"width": 10**15},
    "negative width": {"width": -1},
    "another dimension": {"dimension": 2},
    "a later format": {"format": 2},
    "another stream": {"stream": "torch-philox"},
    "another network": {"network": "f" * 64},
}


@pytest.mark.parametrize("changes", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_claim_with_a_matching_digest_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "t.safetensors"
    ticket = drawn_ticket()
    assert ticket.mask.width > 3
    save_ticket(path, ticket)
    forge(path)
    assert load_ticket(path).verify()
    forge(path, **changes)
    with pytest.raises(BadInputError):
        load_ticket(path).verify()


def test_a_forged_seed_draws_another_network(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    save_ticket(path, drawn_ticket())
    forge(path, seed=1)
    with pytest.raises(BadInputError, match="draws other numbers"):
        load_ticket(path)


def test_a_changed_generator_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.safetensors"
    save_ticket(path, drawn_ticket())
    monkeypatch.setattr(np.random, "default_rng", lambda seed: np.random.Generator(np.random.MT19937(seed)))
    with pytest.raises(BadInputError, match="draws other numbers"):
        load_ticket(path)


def test_a_mask_that_its_granularity_cannot_leave_is_refused(tmp_path: Path) -> None:
    ticket = own_ticket()
    problem = Problem(ticket.problem.network, ticket.problem.target, 0.9, NOfM(1, 2))
    save_ticket(tmp_path / "t", Ticket(problem, ticket.mask, 0.001))
    with pytest.raises(BadInputError, match="1:2 pruning"):
        load_ticket(tmp_path / "t").verify()


def test_padding_bits_must_be_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packbits = np.packbits
    monkeypatch.setattr(np, "packbits", lambda bits, axis=None: packbits(bits, axis=axis) | np.uint8(1))
    save_ticket(tmp_path / "t", own_ticket())
    monkeypatch.undo()
    with pytest.raises(BadInputError, match="bits beyond"):
        load_ticket(tmp_path / "t")


def test_nothing_is_pickled(saved: Path) -> None:
    content = saved.read_bytes()
    assert content[8:9] == b"{"
    assert STREAM.encode() in content or b'"W"' in content
    assert "pickle" not in Path(ticket_file.__file__).read_text()


def test_a_ticket_of_a_draw_must_be_that_draw() -> None:
    ticket = own_ticket()
    with pytest.raises(BadInputError, match="not that draw"):
        Ticket(ticket.problem, ticket.mask, 0.001, Draw(2, 0))


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.safetensors"
    save_ticket(path, drawn_ticket())
    before = path.read_bytes()

    def full(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(BadInputError, match="No space left"):
        save_ticket(path, own_ticket())
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
