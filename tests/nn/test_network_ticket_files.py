"""Ticket files: what was saved comes back bit for bit, and nothing else is let in."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import prunegap.nn.ticket_file as files
import prunegap.nn.ticket_reader as reader
from nn.small import SHAPE, made, residual_target
from prunegap.model.errors import BadInputError
from prunegap.nn import (
    NetworkTicket,
    collapsed_module,
    export_state,
    load,
    make_to_size,
    masked_module,
    read_ticket,
    save_ticket,
    trace,
    with_claim,
)


@pytest.fixture(scope="module")
def cut() -> NetworkTicket:
    """A certified ticket of the residual network."""
    target = residual_target()
    return with_claim(made(target, 0.03, "box:-1:1").ticket, target)


@pytest.fixture
def path(cut: NetworkTicket, tmp_path: Path) -> Path:
    """That ticket in a file."""
    save_ticket(tmp_path / "net.ticket", cut)
    return tmp_path / "net.ticket"


def test_what_was_saved_comes_back_bit_for_bit(cut: NetworkTicket, path: Path) -> None:
    read = read_ticket(path)
    assert (read.graph, read.inputs, read.epsilon, read.claim) == (cut.graph, cut.inputs, cut.epsilon, cut.claim)
    forms = {"collapsed": collapsed_module, "masked": masked_module}
    for dtype in (torch.float32, torch.float64):
        for form, build in forms.items():
            before, after = build(cut, dtype).state_dict(), load(path, form, dtype).state_dict()
            assert before.keys() == after.keys()
            assert all(torch.equal(before[name], after[name]) for name in before)
    x = torch.rand(2, *SHAPE)
    assert torch.allclose(load(path)(x), load(path, "masked")(x), atol=1e-5)
    save_ticket(path.with_name("again"), read)
    assert path.with_name("again").read_bytes() == path.read_bytes()


def test_every_changed_or_missing_byte_is_refused(path: Path) -> None:
    content = path.read_bytes()
    for place in [*range(0, len(content), 97), len(content) - 1]:
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(BadInputError, match=r"net\.ticket"):
            read_ticket(path)
    for length in (0, 7, 8, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(BadInputError, match=r"net\.ticket"):
            read_ticket(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(BadInputError, match="digest"):
        read_ticket(path)


def forged(path: Path, **changes: object) -> None:
    """Change the header and make the digest right again."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    claim = json.loads(header["__metadata__"]["prunegap"]) | changes | {"digest": "0" * 64}
    header["__metadata__"]["prunegap"] = json.dumps(claim, sort_keys=True, separators=(",", ":"))
    plain = json.dumps(header).encode()
    plain += b" " * (-len(plain) % 8)
    blank = len(plain).to_bytes(8, "little") + plain + content[8 + length :]
    path.write_bytes(blank.replace(b"0" * 64, hashlib.sha256(blank).hexdigest().encode(), 1))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 4}, "draws other numbers"), ({"stream": "mt19937"}, "mt19937"), ({"format": 9}, "format 9"),
        ({"kind": "poem"}, "no network-ticket"), ({"layers": []}, "malformed"), ({"graph": {}}, "malformed"),
        ({"inputs": "box:0:1"}, "digest|fit"), ({"inputs": "sphere"}, "input set"), ({"seed": -1}, "seed"),
        ({"seed": "x"}, "malformed"), ({}, ""),
    ],
)  # fmt: skip
def test_forgeries_with_a_right_file_digest_are_refused(path: Path, changes: dict[str, object], named: str) -> None:
    forged(path, **changes)
    if not changes:
        assert read_ticket(path).seed == 3
        return
    with pytest.raises(BadInputError, match=named):
        read_ticket(path)


@pytest.mark.parametrize("option", ["outputs", "inputs", "groups", "kernel", "bias"])
@pytest.mark.parametrize("value", [0, -3, 10**14, "x", None, [0, 0]])
def test_forged_graphs_are_refused(cut: NetworkTicket, path: Path, option: str, value: object) -> None:
    graph = cut.graph.as_object()
    step = next(step for step in graph["steps"] if step[0] == "grouped")
    if bool(value) == step[3][option]:
        return
    step[3][option] = value
    forged(path, graph=graph)
    with pytest.raises(BadInputError, match=r"net\.ticket"):
        read_ticket(path)


def test_another_generator_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "STREAM", "philox4x32")
    with pytest.raises(BadInputError, match="this version draws 'philox4x32'"):
        read_ticket(path)


def test_files_are_small_and_hold_no_weights(cut: NetworkTicket, path: Path) -> None:
    masks = sum(len(layer.code) for layer in cut.layers.values())
    assert masks * 8 < 12 * cut.weight_count
    assert path.stat().st_size < masks + 5000


def test_states_have_the_targets_names_where_one_sided(path: Path, tmp_path: Path) -> None:
    assert export_state(path, tmp_path / "plain", "collapsed") == 9
    state = load_file(tmp_path / "plain")
    network = load(path)
    assert torch.equal(state["linear.weight"], network.layers[3].positive)
    assert torch.equal(state["first.weight_negative"], network.layers[0].negative)
    assert {"last.weight", "linear.bias"} <= state.keys()
    assert export_state(path, tmp_path / "masked", "masked") == 16
    with pytest.raises(BadInputError, match="form"):
        export_state(path, tmp_path / "other", "dense")


def test_budgets_are_kept_and_more_room_means_less_error(tmp_path: Path) -> None:
    torch.manual_seed(0)
    target = trace(nn.Sequential(nn.Linear(50, 60), nn.ReLU(), nn.Linear(60, 10)), (50,))
    cuts = {bits: make_to_size(target, bits).ticket for bits in (6.0, 9.0)}
    for bits, cut in cuts.items():
        assert 8 * save_ticket(tmp_path / "t", with_claim(cut, target)) <= bits * target.weight_count
    assert cuts[9.0].epsilon < 0.5 * cuts[6.0].epsilon
    for bits in (1.0, 0.0, float("nan")):
        with pytest.raises(BadInputError, match="size budget"):
            make_to_size(target, bits)


def test_a_ticket_never_replaces_another_file(tmp_path: Path, path: Path) -> None:
    (tmp_path / "thesis").write_text("years of work")
    with pytest.raises(BadInputError, match="no ticket"):
        files.refuse_to_overwrite(tmp_path / "thesis")
    with pytest.raises(BadInputError, match="no directory"):
        files.refuse_to_overwrite(tmp_path / "nowhere" / "x")
    files.refuse_to_overwrite(path)
