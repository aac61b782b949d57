"""Rules for operations that contract or normalise: linear, convolution, matmul, attention, norms, reductions."""

from __future__ import annotations

from typing import Any

from prunegap.trained.structure.labels import Dims, Propagation, plain, rule, unlabelled


def _role(p: Propagation, x: Dims | None, dim: int, role: str) -> None:
    if x is not None and x.parameter:
        p.roles.setdefault((x.parameter, dim), role)


def _bias(p: Propagation, bias: Dims | None, label_of: Dims, dim: int) -> bool:
    """Equate a bias with its output dimension; returns whether it is zero where removed."""
    if bias is None:
        return True
    p.same(label_of.labels[dim], bias.labels[0])
    return bias.zero[0]


@rule("linear")
def linear(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    x, w = a["input"], a["weight"]
    _role(p, w, 0, "out")
    _role(p, w, 1, "in")
    p.contract(x, -1, w, 1)
    zero = w.zero[0] and _bias(p, a["bias"], w, 0)
    lost = [a["bias"] is None and z for z in x.zero[:-1]]
    return Dims(tuple(shape), [*x.labels[:-1], w.labels[0]], [*lost, zero])


@rule("conv1d", "conv2d", "conv3d", "convolution")
def conv(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    """Output channel (g, o) reads inputs (g, i): g goes on both sides at once, o and i in all groups at once."""
    x, w, groups = a["input"], a["weight"], a["groups"]
    if a.get("transposed") or len(x.shape) != len(w.shape):
        return _unknown(p, a, shape, "a transposed or unbatched convolution")
    _role(p, w, 0, "out")
    p.freeze(x, range(2, len(x.shape)), "a convolution slides along it")
    p.freeze(w, range(2, len(w.shape)), "a convolution slides along it")
    if groups == 1:
        _role(p, w, 1, "in")
        p.contract(x, 1, w, 1)
    else:
        reason = f"it is cut into the groups of {p.where}"
        theirs = p.units.split(x.labels[1], [groups, x.shape[1] // groups], reason)
        ours = p.units.split(w.labels[0], [groups, w.shape[0] // groups], reason)
        p.same(theirs[0], ours[0])
        p.same(theirs[1], w.labels[1])
        if not (x.zero[1] or w.zero[1]):
            p.freeze(x, [1], "removed entries would not be zero where they are summed")
    zero = w.zero[0] and _bias(p, a["bias"], w, 0)
    return Dims(
        tuple(shape),
        [x.labels[0], w.labels[0], *[None] * (len(shape) - 2)],
        [False, zero, *[False] * (len(shape) - 2)],
    )


@rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def conv_transpose(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    x, w = a["input"], a["weight"]
    if a["groups"] != 1 or len(x.shape) != len(w.shape):
        return _unknown(p, a, shape, "a grouped or unbatched transposed convolution")
    _role(p, w, 0, "in")
    _role(p, w, 1, "out")
    p.freeze(x, range(2, len(x.shape)), "a convolution slides along it")
    p.freeze(w, range(2, len(w.shape)), "a convolution slides along it")
    p.contract(x, 1, w, 0)
    zero = w.zero[1] and _bias(p, a["bias"], w, 1)
    return Dims(
        tuple(shape),
        [x.labels[0], w.labels[1], *[None] * (len(shape) - 2)],
        [False, zero, *[False] * (len(shape) - 2)],
    )


def _unknown(p: Propagation, a: dict[str, Any], shape: Any, what: str) -> Any:
    p.freeze_all(list(a.values()), f"prunegap does not follow {what} in {p.where}")
    return unlabelled(shape)


@rule("matmul", "bmm", "mm", "mv")
def matmul(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    x, y = list(a.values())[:2]
    if len(x.shape) < 2 or len(y.shape) < 2:
        return _unknown(p, a, shape, "a product with a vector")
    _role(p, y, 0, "in")
    _role(p, y, 1, "out")
    p.contract(x, -1, y, -2)
    outer = [Dims(v.shape[:-2], v.labels[:-2], v.zero[:-2]) for v in (x, y)]
    batch = p.broadcast(outer, len(shape) - 2)
    zero = [any(len(v.shape) >= -d and v.shape[d] > 1 and v.zero[d] for v in outer) for d in range(2 - len(shape), 0)]
    return Dims(tuple(shape), [*batch, x.labels[-2], y.labels[-1]], [*zero, x.zero[-2], y.zero[-1]])


@rule("addmm", "baddbmm")
def addmm(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    bias, x, y = list(a.values())[:3]
    product = matmul(p, {"x": x, "y": y}, shape)
    labels = p.broadcast([bias, product], len(shape))
    wide = [
        len(bias.shape) >= len(shape) - d and bias.shape[d - len(shape)] > 1 and bias.zero[d - len(shape)]
        for d in range(len(shape))
    ]
    return Dims(tuple(shape), labels, [z and w for z, w in zip(product.zero, wide, strict=True)])


@rule("einsum")
def einsum(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    left, arrow, right = a["equation"].replace(" ", "").partition("->")
    terms = left.split(",")
    if not arrow or "." in left or any(len(set(t)) != len(t) for t in terms):
        return _unknown(p, a, shape, f"einsum {a['equation']}")
    places: dict[str, list[tuple[Dims, int]]] = {}
    for term, x in zip(terms, a["tensors"], strict=True):
        for i, letter in enumerate(term):
            if x.shape[i] > 1:
                places.setdefault(letter, []).append((x, i))
    for letter, where in places.items():
        for x, i in where[1:]:
            p.same(where[0][0].labels[where[0][1]], x.labels[i])
        if letter not in right and not any(x.zero[i] for x, i in where):
            p.freeze(where[0][0], [where[0][1]], "removed entries would not be zero where they are summed")
    first = [places.get(letter, [(plain([1]), 0)]) for letter in right]
    labels = [where[0][0].labels[where[0][1]] for where in first]
    return Dims(tuple(shape), labels, [any(x.zero[i] for x, i in where) for where in first])


@rule("scaled_dot_product_attention")
def attention(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    q, k, v, mask = a["query"], a["key"], a["value"], a["attn_mask"]
    p.contract(q, -1, k, -1)
    p.freeze(k, [-2], "a softmax runs over it")
    p.freeze(v, [-2], "a softmax runs over it")
    batch = [Dims(t.shape[:-2], t.labels[:-2], t.zero[:-2]) for t in (q, k, v)]
    if a["enable_gqa"] and q.shape[-3] != k.shape[-3]:
        sizes = [k.shape[-3], q.shape[-3] // k.shape[-3]]
        shared, _ = p.units.split(q.labels[-3], sizes, f"queries share keys in {p.where}")
        for t in (k, v):
            p.same(shared, t.labels[-3])
        batch = [Dims((*t.shape[:-1], 1), [*t.labels[:-1], None], t.zero) if t is not batch[0] else t for t in batch]
    labels = p.broadcast(batch, len(shape) - 2)
    query = q.labels[-2]
    if mask is not None:
        p.freeze(mask, [-1], "a softmax runs over it")
        over = p.broadcast(
            [Dims(tuple(shape[:-1]), [*labels, query], [False] * (len(shape) - 1)), _drop_last(mask)], len(shape) - 1
        )
        labels, query = over[:-1], over[-1]
    return Dims(tuple(shape), [*labels, query, v.labels[-1]], [*v.zero[:-2], False, v.zero[-1]])


def _drop_last(x: Dims) -> Dims:
    return Dims(x.shape[:-1], x.labels[:-1], x.zero[:-1])


@rule("batch_norm", "instance_norm")
def batch_norm(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    x = a["input"]
    own = [a[k] for k in ("weight", "bias", "running_mean", "running_var") if a[k] is not None]
    for t in own:
        p.same(x.labels[1], t.labels[0])
    zero = a["weight"] is not None and a["bias"] is not None and a["weight"].zero[0] and a["bias"].zero[0]
    return Dims(tuple(shape), list(x.labels), [False, zero, *[False] * (len(shape) - 2)])


@rule("layer_norm", "rms_norm")
def layer_norm(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    x, n = a["input"], len(a["normalized_shape"])
    p.freeze(x, range(-n, 0), "a norm runs over it")
    for t in (a["weight"], a.get("bias")):
        p.freeze_all(t, f"a norm runs over it in {p.where}")
    return Dims(tuple(shape), [*x.labels[:-n], *[None] * n], [False] * len(shape))


@rule("group_norm")
def group_norm(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    """A group goes as a whole: the statistics of the others do not see it."""
    x, groups = a["input"], a["num_groups"]
    reason = f"a norm runs over it in {p.where}"
    p.freeze(x, range(2, len(x.shape)), "a norm runs over it")
    for t in (a["weight"], a["bias"]):
        if t is not None:
            p.same(x.labels[1], t.labels[0])
    p.units.freeze(p.units.split(x.labels[1], [groups, x.shape[1] // groups], reason)[1], reason)
    zero = a["weight"] is not None and a["bias"] is not None and a["weight"].zero[0] and a["bias"].zero[0]
    return Dims(tuple(shape), list(x.labels), [False, zero, *[False] * (len(shape) - 2)])


@rule("softmax", "log_softmax", "_softmax", "cumsum", "logsumexp", "argmax", "argmin", "topk", "sort")
def softmax(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    if not isinstance(shape, tuple) or a.get("dim") is None:
        return _unknown(p, a, shape, "a sort or a full reduction")
    x, d = a["self"], a["dim"] % len(a["self"].shape)
    p.freeze(x, [d], "its entries compete (softmax, sum along it)")
    labels = [None if i == d else label for i, label in enumerate(x.labels)]
    if len(shape) < len(labels):
        del labels[d]
    return Dims(tuple(shape), labels, [False] * len(shape))


@rule("sum", "mean", "linalg_vector_norm", "amax", "amin", "var", "std", "norm")
def reduction(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    """Sums and 2-norms do not see zeros; a mean does, in its divisor."""
    x, rank = a["self"], len(a["self"].shape)
    dims = a.get("dim")
    gone = {d % rank for d in ([dims] if isinstance(dims, int) else dims or range(rank))}
    blind = p.operation in ("sum", "linalg_vector_norm")
    p.freeze(
        x,
        [d for d in gone if not (blind and x.zero[d])],
        "it is averaged or summed where removed entries are not zero",
    )
    keep = len(shape) == rank
    stay = [d for d in range(rank) if keep or d not in gone]
    return Dims(
        tuple(shape), [None if d in gone else x.labels[d] for d in stay], [x.zero[d] and d not in gone for d in stay]
    )


@rule("embedding")
def embedding(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    w, i = a["weight"], a["indices"]
    _role(p, w, 1, "out")
    p.freeze_all(i, f"it is an index in {p.where}")
    p.freeze(w, [0], "single rows of it are picked")
    return Dims(tuple(shape), [*i.labels, w.labels[1]], [False] * len(i.shape) + [w.zero[1]])


@rule(
    "max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d",
    "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool2d", "upsample_nearest1d",
    "upsample_nearest2d", "upsample_nearest3d", "upsample_bilinear2d", "upsample_bicubic2d",
    "_upsample_nearest_exact2d", "lp_pool2d",
)  # fmt: skip
def pool(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    """Pixels mix, samples and channels do not."""
    x = next(iter(a.values()))
    if not isinstance(shape, tuple):
        return _unknown(p, a, shape, "pooling with indices")
    p.freeze(x, range(2, len(shape)), "pixels are pooled along it")
    return Dims(tuple(shape), [*x.labels[:2], *[None] * (len(shape) - 2)], list(x.zero))
