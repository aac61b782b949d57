"""Rules for operations that move entries without computing: views, permutations, slices, concatenations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from prunegap.trained.structure.labels import Dims, Propagation, plain, rule, unlabelled


def _viewed(p: Propagation, x: Dims, shape: tuple[int, ...]) -> Dims:
    reason, out = f"its units do not form a rectangle in the view of {p.where}", plain(shape)
    for i, i_end, j, j_end in _blocks(x.shape, shape):
        labels = [p.units.resolve(label) for label in x.labels[i:i_end]]
        if any(label is not None for label in labels):
            zero = all(z for label, z in zip(labels, x.zero[i:i_end], strict=True) if label is not None)
            merged = p.units.merge(labels, x.shape[i:i_end])
            out.labels[j:j_end] = p.units.split(merged, shape[j:j_end], reason) if j_end - j > 1 else [merged]
            out.zero[j:j_end] = [zero] * (j_end - j)
    return out


def _blocks(old: Sequence[int], new: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    """The finest ranges old[i:i_end], new[j:j_end] that hold the same entries on both sides of a view."""
    i, j = len(old), len(new)
    while i > 0 and j > 0:
        i_end, j_end = i, j
        i, j = i - 1, j - 1
        while (a := math.prod(old[i:i_end])) != (b := math.prod(new[j:j_end])):
            i, j = (i - 1, j) if a < b else (i, j - 1)
        yield i, i_end, j, j_end


@rule("view", "reshape", "_unsafe_view", "flatten", "unflatten", "reshape_as", "view_as", "unsqueeze", "squeeze")
def view(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    return _viewed(p, a["self"], shape)


def _permuted(x: Dims, order: list[int]) -> Dims:
    return Dims(tuple(x.shape[d] for d in order), [x.labels[d] for d in order], [x.zero[d] for d in order])


@rule("permute")
def permute(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    return _permuted(a["self"], [d % len(shape) for d in a["dims"]])


@rule("transpose", "swapaxes", "swapdims", "t", "numpy_T")
def transpose(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    order = list(range(len(shape)))
    if len(a) == 1:
        return _permuted(a["self"], order[::-1])
    i, j = (d % len(shape) for d in list(a.values())[1:3])
    order[i], order[j] = order[j], order[i]
    return _permuted(a["self"], order)


@rule("movedim")
def movedim(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    pairs = [[d] if isinstance(d, int) else list(d) for d in (a["source"], a["destination"])]
    source, target = ([d % len(shape) for d in ds] for ds in pairs)
    rest = iter(d for d in range(len(shape)) if d not in source)
    return _permuted(a["self"], [source[target.index(d)] if d in target else next(rest) for d in range(len(shape))])


@rule("expand", "expand_as", "broadcast_to")
def expand(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    """Where one entry is repeated, every copy may go by itself: fresh units, which later operations equate."""
    x, out = a["self"], plain(shape)
    for d in range(1, len(shape) + 1):
        if d <= len(x.shape) and x.shape[-d] == shape[-d]:
            out.labels[-d], out.zero[-d] = x.labels[-d], x.zero[-d]
        elif shape[-d] > 1:
            out.labels[-d] = p.units.fresh(shape[-d])
    return out


@rule("repeat", "tile")
def repeat(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    x, out = a["self"], plain(shape)
    for d in range(1, len(x.shape) + 1):
        label = x.labels[-d]
        if label is not None:
            out.labels[-d], out.zero[-d] = np.tile(label, (1, shape[-d] // x.shape[-d])), x.zero[-d]
    return out


@rule("repeat_interleave")
def repeat_interleave(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    x = a["self"]
    if not isinstance(x, Dims) or not isinstance(a.get("repeats"), int) or a.get("dim") is None:
        p.freeze_all(list(a.values()), f"repeat_interleave by a tensor in {p.where}")
        return unlabelled(shape)
    out = Dims(tuple(shape), list(x.labels), list(x.zero))
    d = a["dim"] % len(shape)
    out.labels[d] = None if x.labels[d] is None else np.repeat(x.labels[d], a["repeats"], axis=1)
    return out


@rule("cat", "concat", "concatenate")
def cat(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    parts = [x for x in a["tensors"] if len(x.shape) == len(shape)]  # a legacy empty tensor may stand among them
    d = a["dim"] % len(shape)
    out = plain(shape)
    for i in range(len(shape)):
        if i != d:
            for x in parts:
                p.same(parts[0].labels[i], x.labels[i])
            out.labels[i] = parts[0].labels[i]
        out.zero[i] = all(x.zero[i] for x in parts if x.labels[i] is not None)
    out.labels[d] = p.units.concatenate([x.labels[d] for x in parts], [x.shape[d] for x in parts])
    return out


@rule("stack")
def stack(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    d = a["dim"] % len(shape)
    inner = p.broadcast(a["tensors"], len(shape) - 1)
    zero = [all(x.zero[i] for x in a["tensors"]) for i in range(len(inner))]
    return Dims(tuple(shape), [*inner[:d], None, *inner[d:]], [*zero[:d], False, *zero[d:]])


def _cut(x: Dims, d: int, pieces: list[slice]) -> list[Dims]:
    """Pieces of x along d."""
    out = []
    for piece in pieces:
        label = x.labels[d]
        labels, size = list(x.labels), len(range(*piece.indices(x.shape[d])))
        labels[d] = None if label is None or size < 1 else label[:, piece]
        out.append(Dims((*x.shape[:d], size, *x.shape[d + 1 :]), labels, list(x.zero)))
    return out


@rule("slice", "narrow")
def slice_(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    x = a["self"]
    d = a["dim"] % len(shape)
    start = a["start"] or 0
    if p.computed or a.get("step", 1) != 1:
        p.freeze(x, [d], "it is cut at a computed place or in steps")
        labels = [None if i == d else label for i, label in enumerate(x.labels)]
        return Dims(tuple(shape), labels, list(x.zero))
    start = min(start + x.shape[d] if start < 0 else start, x.shape[d])
    return _cut(x, d, [slice(start, start + shape[d])])[0]


@rule("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_chunk", "unsafe_split", "unsafe_split_with_sizes")
def split(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    x = a["self"]
    d = a["dim"] % len(x.shape)
    if p.computed:
        p.freeze(x, [d], "it is cut at a computed place or in steps")
    ends = np.cumsum([s[d] for s in shape]).tolist()
    return _cut(x, d, [slice(end - s[d], end) for s, end in zip(shape, ends, strict=True)])


def _without(x: Dims, d: int) -> Dims:
    return Dims((*x.shape[:d], *x.shape[d + 1 :]), x.labels[:d] + x.labels[d + 1 :], x.zero[:d] + x.zero[d + 1 :])


@rule("select")
def select(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    d = a["dim"] % len(a["self"].shape)
    p.freeze(a["self"], [d], "single entries of it are picked")
    return _without(a["self"], d)


@rule("unbind")
def unbind(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    return [select(p, a, s) for s in shape]


@rule("pad", "constant_pad_nd")
def pad(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    x, out = a["self"], Dims(tuple(shape), list(a["self"].labels), list(a["self"].zero))
    constant = a.get("mode", "constant") == "constant"
    for k in range(len(a["pad"]) // 2):
        d, (before, after) = len(shape) - 1 - k, a["pad"][2 * k : 2 * k + 2]
        if (before, after) == (0, 0):
            continue
        if not constant or before < 0 or after < 0:
            p.freeze(x, [d], "it is padded by its own entries or cropped")
            out.labels[d] = None
        else:
            out.labels[d] = p.units.concatenate([None, x.labels[d], None], [before, x.shape[d], after])
    return out


@rule("index")
def index(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    """Dimensions that are indexed lose their order; the others pass, in front of or behind the indexed ones."""
    x, given = a["self"], list(a["indices"])
    p.freeze_all(given, f"it is an index in {p.where}")
    given += [None] * (len(x.shape) - len(given))
    used = [d for d, g in enumerate(given) if g is not None]
    if any(len(given[d].shape) == len(x.shape) for d in used) and len(used) == 1 and len(x.shape) > 1:
        p.freeze_all(x, f"it is indexed by a mask in {p.where}")
        return plain(shape)
    p.freeze(x, used, "single entries of it are picked")
    width = max(len(given[d].shape) for d in used)
    first = used[0] if used[-1] - used[0] + 1 == len(used) else 0
    rest = [d for d in range(len(x.shape)) if d not in used]
    before = [d for d in rest if d < used[0]] if first else []
    behind = [d for d in rest if d not in before]
    labels = [*(x.labels[d] for d in before), *[None] * width, *(x.labels[d] for d in behind)]
    zero = [*(x.zero[d] for d in before), *[False] * width, *(x.zero[d] for d in behind)]
    if len(labels) != len(shape):
        p.freeze_all(x, f"it is indexed in a way prunegap does not follow in {p.where}")
        return plain(shape)
    return Dims(tuple(shape), labels, zero)


@rule("index_select")
def index_select(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    x, d = a["self"], a["dim"] % len(shape)
    p.freeze(x, [d], "single entries of it are picked")
    labels = [None if i == d else label for i, label in enumerate(x.labels)]
    return Dims(tuple(shape), labels, list(x.zero))


@rule("roll", "flip")
def roll(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    x = a["self"]
    moved = [d % len(shape) for d in a["dims"]] or list(range(len(shape)))
    p.freeze(x, moved, "its entries are moved about")
    return x


@rule("pixel_shuffle")
def pixel_shuffle(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    """C r r channels become C channels of r x r pixels; a channel goes as a whole."""
    x, r = a["self"], a["upscale_factor"]
    p.freeze(x, [-1, -2], "its pixels are moved about")
    channel, *pixels = p.units.split(x.labels[-3], [shape[-3], r, r], f"pixels are made of it in {p.where}")
    for part in pixels:
        p.units.freeze(part, f"pixels are made of it in {p.where}")
    return Dims(tuple(shape), [*x.labels[:-3], channel, None, None], list(x.zero))


@rule("sym_size")
def sym_size(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    return shape


@rule(
    "zeros",
    "ones",
    "full",
    "empty",
    "new_zeros",
    "new_ones",
    "new_full",
    "new_empty",
    "arange",
    "scalar_tensor",
    "eye",
)
def made(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    return plain(shape)
