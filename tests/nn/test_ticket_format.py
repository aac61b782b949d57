"""docs/network-tickets.md is enough to read a ticket: a reader written from it alone gives the same weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from nn.small import dense_target, made
from prunegap.nn import save_ticket


class Reader:
    """The range decoder of the document."""

    def __init__(self, code: bytes) -> None:
        self.code, self.place, self.range = code, 6, 2**48 - 1
        self.low = int.from_bytes(code[:6].ljust(6, b"\0"), "big")
        self.counts: dict[int, list[int]] = {}

    def bit(self, context: int) -> int:
        """Return the next decision."""
        seen = self.counts.setdefault(context, [0, 0])
        ones = (self.range >> 16) * min(max(((2 * seen[1] + 1) << 15) // (sum(seen) + 1), 16), 65520)
        bit = int(self.low < ones)
        if bit:
            self.range = ones
        else:
            self.low, self.range = self.low - ones, self.range - ones
        seen[bit] += 1
        if seen[bit] >= 8192:
            seen[:] = [seen[0] >> 1, seen[1] >> 1]
        while self.range < 2**40:
            self.low = (self.low << 8) | (self.code[self.place] if self.place < len(self.code) else 0)
            self.range, self.place = self.range << 8, self.place + 1
        return bit


def values(seed: int, layer: int, block: int, part: int, count: int) -> np.ndarray:
    key = np.array([seed, 0x7072756E65676170], dtype=np.uint64)
    counter = np.array([0, part, block, layer], dtype=np.uint64)
    raw = np.random.Philox(key=key, counter=counter).random_raw(count)
    return (2.0 * (raw >> np.uint64(40)).astype(np.float64) + 1) * 2.0**-24 - 1.0


def one_mask(reader: Reader, worth: np.ndarray, first_context: int) -> list[int]:
    """Return the candidates that one mask keeps."""
    if not reader.bit(first_context):
        return []
    size = 1
    while size < worth.size and reader.bit(32 + size):
        size += 1
    kept: list[int] = []
    for rank, k in enumerate(np.argsort(np.abs(worth), kind="stable").tolist()):
        left = size - len(kept)
        if left == 0:
            break
        if left == worth.size - rank or reader.bit(96 + 64 * (min(left, 4) - 1) + rank):
            kept.append(k)
    return kept


@pytest.mark.parametrize("inputs", ["box:0:1", "box:-1:1"])
def test_a_reader_written_from_the_document_gets_the_same_weights(tmp_path: Path, inputs: str) -> None:
    ticket = made(dense_target(), 0.01, inputs).ticket
    save_ticket(tmp_path / "t", ticket)
    content = (tmp_path / "t").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    header = json.loads(header["__metadata__"]["prunegap"])
    for layer, (name, width, exponent, constants, _) in enumerate(header["layers"]):
        shape = ticket.layers[name].source.shape
        reader, above = Reader(load_file(tmp_path / "t")[f"masks.{layer}"].tobytes()), []
        blocks = shape.inputs + constants
        read = {1: np.zeros((shape.outputs, blocks)), -1: np.zeros((shape.outputs, blocks))}
        for side in ticket.layers[name].sides:
            for block in range(blocks if side == 1 else shape.inputs):
                u = values(header["seed"], layer, block, 0, width * blocks)[block::blocks]
                v = values(header["seed"], layer, block, 1, width * shape.outputs).reshape(width, -1) * 2.0**exponent
                rows = np.flatnonzero(u * side > 0)[:40]
                recent, now = [0] * 8, []
                for g in range(shape.outputs):
                    worth = np.abs(u[rows]) * v[rows, g]
                    kept = one_mask(reader, worth, 2 * sum(recent[-8:]) + (bool(above[g]) if above else 0))
                    read[side][g, block] = worth[kept].sum()
                    recent.append(int(bool(kept)))
                    now.append(kept)
                above = now
        collapsed = ticket.layers[name].collapsed()
        assert (read[1][:, : shape.inputs] == collapsed.positive).all()
        assert (read[1][:, shape.inputs :].sum(axis=1) == collapsed.bias).all()
        if collapsed.negative is not None:
            assert (read[-1][:, : shape.inputs] == collapsed.negative).all()
