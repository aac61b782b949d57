"""Neuron pruning of a ticket's source: layer by layer, the subset of whole hidden neurons that imitates the layer
best.

With m_h = 1 where neuron h stays, the layer computes sum_h m_h V_h relu(U_h [x; 1]). On data, the neuron's
contribution to all outputs is a column of a matrix A, and the pre-activations of the target's layer are t: the
layer's ticket is the mask of least ||A m - t||^2, where x is what the pruned layers before really give. Neurons are
searched in blocks whose Gram matrix fits in memory, each against what the others leave; the one scalar of the
layer, a power of two, is the neurons' own choice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg.blas import ssyrk
from torch import Tensor
from torch.nn import functional

from prunegap.kernels.binary_least_squares import add_products, descend, relaxed_bound, symmetrise
from prunegap.model.granularity import Neuron
from prunegap.nn.graph import INPUT, Step
from prunegap.nn.modules import dense, fixed
from prunegap.nn.random_pair import drawn_pair, pair_forward
from prunegap.nn.rival import Rival, RivalLayer, masked_pair
from prunegap.nn.source import SourceLayer
from prunegap.nn.target import Target

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
Progress = Callable[[str, int, int], None]

WHOLE = 4096
"""Hidden neurons that are searched in one block: their Gram matrix takes 64 MB."""
BLOCK = 2048
"""Neurons of a block where there are more: the work on Gram matrices is proportional to it."""
ROWS = 1024
"""Inputs, or positions of a convolution, that a layer is fitted on."""
LEAST_ROWS = 256
"""No convolution is fitted on fewer positions."""
MOST_HELD = 32
"""Blocks whose Gram matrices are held from round to round: 512 MB at most."""
ROUNDS = 3
"""How often every block is searched."""
PASSES = 20
"""How often, within a block, every neuron is offered its best partner."""
FINEST = 12
"""Scales from the largest pre-activation down to 2^-12 of it are tried."""
BATCH = 256
HELD = 1 << 23
"""Contributions of neurons to outputs that are held at a time: 32 MB."""


@dataclass(frozen=True)
class Fit:
    """How near a layer's selection came on the rows it was fitted on: ||A m - t|| / ||t||.

    `bound`: no selection at this scale is nearer on these rows (up to rounding); 0 where the neurons did not fit into
    one block and nothing was proven.
    """

    layer: str
    error: float
    bound: float


@dataclass(frozen=True)
class Selection:
    """The neuron ticket, None where the time ran out, and how each layer was fitted."""

    rival: Rival | None
    fits: tuple[Fit, ...]


def select_neurons(
    target: Target,
    sources: Mapping[str, SourceLayer],
    inputs: Tensor,
    *,
    block: int | None = None,
    rows: int = ROWS,
    seconds: float = float("inf"),
    progress: Progress | None = None,
) -> Selection:
    """Return the best neuron-only ticket found, fitted on `inputs` (n, *input_shape).

    The same arguments give the same bits. Guaranteed for a layer that fits into one block: at the scale chosen no
    single flip of a neuron makes the fit better, nor, once the passes end by themselves, any two flips; up to 20
    neurons the fit is the best of all masks.
    """
    began = time.monotonic()
    wanted = _activations(target, inputs)
    values, layers = {INPUT: inputs.float()}, dict[str, RivalLayer]()
    fits: list[Fit] = []
    for step in target.graph.steps:
        before = [values[name] for name in step.inputs]
        if not step.is_layer:
            values[step.name] = fixed(step, before)
            continue
        problem = _Problem(step, sources[step.name], before[0], wanted[step.name], rows)
        found = problem.solved(block, began + seconds, progress)
        if found is None:
            return Selection(None, tuple(fits))
        layers[step.name], fit = found
        fits.append(fit)
        pair = masked_pair(drawn_pair(layers[step.name].source), layers[step.name])
        with torch.no_grad():
            values[step.name] = torch.cat([pair_forward(step, pair, part) for part in torch.split(before[0], BATCH)])
    return Selection(Rival(target.graph, layers, "neuron selection", target.digest()), tuple(fits))


def _activations(target: Target, inputs: Tensor) -> dict[str, Tensor]:
    module = dense(target, torch.float32)
    with torch.no_grad():
        parts = [module.activations(part) for part in torch.split(inputs.float(), BATCH)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


@dataclass
class _State:
    """One scale that is tried: its mask, and the part of the goal that the neurons kept do not give yet."""

    exponent: int
    mask: NDArray[np.int8]
    left: Float32s


class _Problem:
    """Binary least squares for one layer: `patches` (taps, rows, inputs), `columns` (hidden, outputs, taps)."""

    def __init__(self, step: Step, source: SourceLayer, x: Tensor, goal: Tensor, rows: int) -> None:
        self.step, self.source = step, source
        if step.kind == "conv2d":
            # A position gives as many equations as there are outputs; eight for each neuron are plenty.
            rows = min(rows, max(LEAST_ROWS, -(-8 * source.hidden // step.shape.outputs)))
        self.patches, self.inside, self.goal = _sampled(step, x, goal, rows)
        pair = drawn_pair(replace(source, exponent=0))
        self.first = pair.first.numpy()
        self.columns = _columns(source, pair.second.numpy(), None if pair.constant is None else pair.constant.numpy())

    def solved(self, block: int | None, deadline: float, progress: Progress | None) -> tuple[RivalLayer, Fit] | None:
        """Return the layer's selection, or None once the deadline has passed."""
        hidden, size = self.source.hidden, float(np.linalg.norm(self.goal))
        top = int(np.ceil(np.log2(max(float(np.abs(self.goal).max()), 1e-30))))
        top = int(np.clip(top, -90, 60))
        states = [_State(top - k, np.zeros(hidden, dtype=np.int8), self.goal.copy()) for k in range(FINEST + 1)]
        block = block or (hidden if hidden <= WHOLE else BLOCK)
        parts = [slice(start, min(start + block, hidden)) for start in range(0, hidden, block)]
        # With one block its Gram matrix is kept; a second round would find nothing new.
        grams: dict[int, Float32s] = {}
        bound, rounds = 0.0, ROUNDS if len(parts) > 1 else 1
        for turn in range(rounds):
            for place, part in enumerate(parts):
                if time.monotonic() > deadline:
                    return None
                features = self._features(part)
                gram = grams[place] if place in grams else self._gram(features, self.columns[part])
                if len(parts) <= MOST_HELD:
                    grams[place] = gram
                for state in states:
                    self._improve(state, part, features, gram, PASSES if turn else 0)
                if len(parts) == 1:
                    best = _best(states)
                    self._improve(best, part, features, gram, PASSES)
                    bound = self._bound(best, part, features, gram)
                    states = [best]
                states = _near(states, max(1, 3 - place))
                if progress is not None:
                    progress(f"neurons of {self.step.name}", turn * len(parts) + place + 1, rounds * len(parts))
            states = [_best(states)]
        best = states[0]
        source = replace(self.source, exponent=best.exponent)
        error = float(np.linalg.norm(best.left)) / size if size else 0.0
        layer = RivalLayer(source, Neuron(), (best.mask.astype(np.bool_),))
        return layer, Fit(self.step.name, error, bound / size if size else 0.0)

    def _features(self, part: slice) -> Float32s:
        """Return what the hidden neurons of a block say, (taps, rows, neurons)."""
        inputs, channels = self.source.shape.inputs, self.source.shape.inputs * self.source.width
        shift = self.first[part, inputs:].sum(axis=1)
        taps, rows = self.patches.shape[:2]
        said: Float32s = self.patches.reshape(taps * rows, inputs) @ self.first[part, :inputs].T
        said = np.maximum(said + shift, 0.0).reshape(taps, rows, -1)
        if self.step.kind == "conv2d":
            said *= self.inside[:, :, None]
            constants = np.arange(part.start, part.stop) >= channels
            said[:, :, constants] = np.maximum(shift[constants], 0.0)
        return said

    def _gram(self, features: Float32s, columns: Float32s) -> Float32s:
        """Return the inner products of the contributions at scale 1.

        Of the contributions themselves, rows by outputs, or, as each is a sum over taps of products, of what is said
        and of what is sent, for each pair of taps: whichever is less work.
        """
        taps, rows, count = features.shape
        gram: Float32s = np.zeros((count, count), dtype=np.float32)
        if rows * columns.shape[1] <= taps * (taps + 1) // 2 * (rows + columns.shape[1]):
            sent, held = np.ascontiguousarray(columns.transpose(1, 2, 0)), max(1, HELD // columns[:, :, 0].size)
            for start in range(0, rows, held):
                given = np.einsum("trh,oth->roh", features[:, start : start + held], sent).reshape(-1, count)
                ssyrk(1.0, given.T, 1.0, gram.T, lower=1, overwrite_c=1)
        else:
            sent = np.ascontiguousarray(columns.transpose(2, 0, 1))
            for one in range(taps):
                for other in range(one):
                    both: Float32s = features[one].T @ features[other]
                    both *= sent[one] @ sent[other].T
                    gram += both
            # Two taps and the same two the other way round are each other's transposes.
            gram.flat[:: count + 1] *= 2.0
            for one in range(taps):
                own = ssyrk(1.0, features[one].T, lower=1), ssyrk(1.0, sent[one].T, trans=1, lower=1)
                add_products(gram, own[0].T, own[1].T)
        symmetrise(gram)
        return gram

    def _improve(self, state: _State, part: slice, features: Float32s, gram: Float32s, passes: int) -> None:
        """Search one block at the state's scale and bring what is left up to date."""
        scale = 2.0**state.exponent
        mask, columns = state.mask[part].copy(), self.columns[part]
        state.left += self._given(features, columns, mask) * np.float32(scale)
        descend(gram, self._goal(features, columns, state.left) / scale, mask, passes)
        state.left -= self._given(features, columns, mask) * np.float32(scale)
        state.mask[part] = mask

    def _bound(self, state: _State, part: slice, features: Float32s, gram: Float32s) -> float:
        """Return a lower bound on ||A m - t|| over all masks, for a single block."""
        scale = 2.0**state.exponent
        least = relaxed_bound(gram, self._goal(features, self.columns[part], self.goal) / scale, 60)
        return float(np.sqrt(max(0.0, least * scale**2 + float(np.square(self.goal, dtype=np.float64).sum()))))

    @staticmethod
    def _given(features: Float32s, columns: Float32s, mask: NDArray[np.int8]) -> Float32s:
        kept = np.flatnonzero(mask)
        return sum(
            (said[:, kept] @ columns[kept, :, tap] for tap, said in enumerate(features) if kept.size),
            start=np.zeros((features.shape[1], columns.shape[1]), dtype=np.float32),
        )

    @staticmethod
    def _goal(features: Float32s, columns: Float32s, left: Float32s) -> Floats:
        return sum(
            (
                ((said.T @ left) * columns[:, :, tap]).sum(axis=1, dtype=np.float64)
                for tap, said in enumerate(features)
            ),
            start=np.zeros(features.shape[2]),
        )


def _near(states: list[_State], apart: int) -> list[_State]:
    """Return the scales within 2^apart of the best so far: far ones do not catch up, and each costs as much."""
    best = _best(states).exponent
    return [state for state in states if abs(state.exponent - best) <= apart]


def _best(states: list[_State]) -> _State:
    return min(states, key=lambda state: float(np.square(state.left, dtype=np.float64).sum()))


def _sampled(step: Step, x: Tensor, goal: Tensor, rows: int) -> tuple[Float32s, Float32s, Float32s]:
    """Return patches of the input, which of their taps lie inside (taps, rows), and the goal (rows, outputs)."""
    generator = torch.Generator().manual_seed(0)
    if step.kind == "linear":
        chosen = torch.randperm(x.shape[0], generator=generator)[:rows]
        return x[None, chosen].numpy(), np.ones((1, chosen.numel()), dtype=np.float32), goal[chosen].numpy()
    positions = goal.shape[2] * goal.shape[3]
    images = torch.randperm(x.shape[0], generator=generator)[:rows]
    drawn = torch.randint(positions, (rows,), generator=generator)
    patches, inside, wanted = [], [], []
    options = {name: tuple(step.options[name]) for name in ("dilation", "padding", "stride")}
    kernel = step.shape.kernel
    for place in range(rows):
        image, position = int(images[place % images.numel()]), int(drawn[place])
        patch = functional.unfold(x[image : image + 1], kernel, **options)[0, :, position]
        patches.append(patch.reshape(x.shape[1], -1))
        wanted.append(goal[image].flatten(1)[:, position])
        inside.append(functional.unfold(torch.ones_like(x[:1, :1]), kernel, **options)[0, :, position])
    cut = torch.stack(patches).permute(2, 0, 1).contiguous()
    return cut.numpy(), torch.stack(inside).T.contiguous().numpy(), torch.stack(wanted).numpy()


def _columns(source: SourceLayer, second: Float32s, constant: Float32s | None) -> Float32s:
    """Return every hidden neuron's weights to every output and tap, zeros to other groups: (hidden, outputs, taps).

    The constants' neurons have one weight to an output; it stands at the first tap.
    """
    shape = source.shape.widened(source.width)
    columns = np.zeros((source.hidden, shape.outputs, shape.taps), dtype=np.float32)
    own = shape.columns(second).reshape(shape.inputs, shape.outputs // shape.groups, shape.taps)
    for group in range(shape.groups):
        neurons = slice(group * shape.inputs // shape.groups, (group + 1) * shape.inputs // shape.groups)
        outputs = slice(group * shape.outputs // shape.groups, (group + 1) * shape.outputs // shape.groups)
        columns[neurons, outputs] = own[neurons]
    if constant is not None:
        columns[shape.inputs :, :, 0] = constant.T
    return columns
