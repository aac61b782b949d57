"""Claim: sparse weights run faster than dense where prunegap says so, and never slower; half the neurons run faster.

Five tables; ratios are against the dense model beside it in the same turns:
layers: Linear layers with 90, 95 and 98 % zeros, the execution prunegap chooses, and torch's `F.linear(x, W_csr)`;
neurons: an MLP and a CNN whose hidden widths are cut until half the parameters are left, by the same part
everywhere, and the same two under a budget of half the latency, and of half of both;
strips: what the parts of prunegap's own sparse product take beside torch's;
never slower: every model of a table of granularities and keep fractions, as `fastest` returns it;
graphs: a tiny model as the graph that shrinking makes of it (with nothing removed) beside the model itself, in turns.

    python benchmarks/compare_speed.py --batch 64 --threads 2
"""

from __future__ import annotations

import argparse
import platform
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from prunegap.kernels.sparse_product import LANES, product, strips_of, tiled_rows
from prunegap.trained.calibrate import Calibration
from prunegap.trained.compare.by_the_clock import first_units, planned_widths
from prunegap.trained.compare.latency_table import LatencyTable
from prunegap.trained.compare.plan import UnitPlan
from prunegap.trained.execute.choose import fastest
from prunegap.trained.execute.sparse_layers import SparseLinear
from prunegap.trained.latency import Stopwatch, measure_latency
from prunegap.trained.structure import trace
from prunegap.trained.structure.shrink import cut
from prunegap.trained.timing import Span, timed_in_turns
from quality_models import ViT

SHAPES = [(512, 512), (1024, 1024), (512, 2048), (2048, 512), (4096, 1024)]


class PlainCsr(nn.Module):
    """The peer: what a user gets from `weight.to_sparse_csr()`."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.parts = [p.clone() for p in _csr(layer.weight.detach())]
        self.size, self.bias = layer.weight.shape, layer.bias.detach().clone()
        self.weight: Tensor | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        if self.weight is None:
            self.weight = torch.sparse_csr_tensor(*self.parts, self.size)
        return nn.functional.linear(inputs, self.weight) + self.bias


def _csr(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    sparse = weight.to_sparse_csr()
    return sparse.crow_indices(), sparse.col_indices(), sparse.values()


def pruned(model: nn.Module, keep_fraction: float, block: tuple[int, int] = (1, 1)) -> nn.Module:
    """Return the model with random blocks of its weights set to zero: speed does not depend on which."""
    draw = torch.Generator().manual_seed(0)
    for layer in model.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            flat = layer.weight.data.flatten(1)
            rows, columns = (-(-flat.shape[i] // block[i]) for i in (0, 1))
            kept = (torch.rand(rows, columns, generator=draw) < keep_fraction).float()
            mask = kept.repeat_interleave(block[0], 0).repeat_interleave(block[1], 1)
            layer.weight.data = (flat * mask[: flat.shape[0], : flat.shape[1]]).reshape(layer.weight.shape)
    return model.eval()


def mlp(hidden: int = 1024) -> nn.Module:
    return nn.Sequential(
        nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 10)
    )


def cnn(channels: int = 64) -> nn.Module:
    def stage(inner: int, outer: int, stride: int) -> list[nn.Module]:
        return [nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer), nn.ReLU()]

    return nn.Sequential(
        *stage(1, channels, 1), *stage(channels, channels, 2), *stage(channels, 2 * channels, 2),
        *stage(2 * channels, 2 * channels, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * channels, 10),
    )  # fmt: skip


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def half(make: Callable[[int], nn.Module], width: int) -> nn.Module:
    """Return the model of the greatest width, a multiple of 4, with at most half the parameters."""
    target = parameters(make(width)) / 2
    return next(make(w) for w in range(width - 4, 0, -4) if parameters(make(w)) <= target).eval()


def layers(batch: int, threads: int) -> None:
    print("layer (out x in)  zeros  chosen  speed-up over dense       F.linear(x, W_csr) over dense")
    for rows, columns in SHAPES:
        for keep_fraction in (0.1, 0.05, 0.02):
            layer = pruned(nn.Linear(columns, rows), keep_fraction)
            inputs = (torch.randn(batch, columns),)
            execution = fastest(layer, inputs)
            models = {"dense": layer, "chosen": execution.model, "plain": PlainCsr(layer)}
            found = measure_latency(models, inputs, threads=threads)
            own, peer = found["chosen"].speedup, found["plain"].speedup
            print(
                f"{rows:5d} x {columns:<5d}     {1 - keep_fraction:.0%}    {execution.choices[0].kind:6s}"
                f"{own.median:6.2f} ({own.low:.2f}-{own.high:.2f})        {peer.median:6.2f}"
                f" ({peer.low:.2f}-{peer.high:.2f})",
                flush=True,
            )


def strips(batch: int, _: int) -> None:
    print("\none thread, microseconds: tiles / torch's transpose, strips / torch's CSR; then ns a kept weight")
    torch.set_num_threads(1)
    for rows, columns in SHAPES:
        for keep_fraction in (0.1, 0.05):
            layer, x = pruned(nn.Linear(columns, rows), keep_fraction), torch.randn(batch, columns)
            samples = -(-batch // LANES) * LANES
            parts, csr = strips_of(layer.weight.detach().numpy()), SparseLinear(layer).weight
            tiles, out = np.empty(samples * columns, np.float32), np.empty((rows, samples), np.float32)
            bias, array, flipped = layer.bias.detach().numpy(), x.numpy(), x.t().contiguous()
            calls: dict[str, Callable[[], object]] = {
                "tiles": partial(tiled_rows, array, tiles),
                "transpose": lambda x=x: x.t().contiguous(),
                "strips": partial(product, *parts, tiles, bias, out),
                "CSR": partial(csr, flipped),
            }
            with torch.inference_mode():
                took = {name: 1e6 * float(np.median(t)) for name, t in timed_in_turns(calls, 31).items()}
            per_weight = [1e3 * took[name] / csr.stored for name in ("strips", "CSR")]
            print(
                f"{rows:5d} x {columns:<5d} {1 - keep_fraction:.0%}   {took['tiles']:6.1f} / {took['transpose']:6.1f}"
                f"   {took['strips']:7.1f} / {took['CSR']:7.1f}   {per_weight[0]:.1f} / {per_weight[1]:.1f}",
                flush=True,
            )


def half_of_the_time(model: nn.Module, inputs: Tensor, both: bool = False) -> nn.Module:
    """Return the model under a budget of half the latency (and weights), with the widths that `compare` chooses.

    Which neurons of a group go does not matter here.
    """
    calibration, structure = Calibration(model, [inputs]), trace(model, inputs)
    plan = UnitPlan(calibration, structure, None, LatencyTable(model, inputs, calibration.order).of_widths(), both)
    with Stopwatch(model, (inputs,), torch.get_num_threads()) as stopwatch:
        counts = planned_widths(plan, structure, 0.5, stopwatch.latency_left)
    return first_units(model, structure, counts)


def neurons(batch: int, threads: int) -> None:
    print("\nmodel, budget              parameters kept  speed-up over dense")
    torch.set_num_threads(threads)
    for name, make, width, shape in (("MLP", mlp, 1024, (784,)), ("CNN", cnn, 64, (1, 28, 28))):
        dense, inputs = make(width).eval(), torch.randn(batch, *shape)
        for widths, small in (
            ("half the parameters", half(make, width)),
            ("half the latency", half_of_the_time(dense, inputs)),
            ("half of both", half_of_the_time(dense, inputs, both=True)),
        ):
            found = measure_latency({"dense": dense, "small": small}, (inputs,), threads=threads)
            ratio, kept = found["small"].speedup, parameters(small) / parameters(dense)
            print(
                f"{name}, {widths:20s}  {kept:14.1%}   {ratio.median:.2f} ({ratio.low:.2f}-{ratio.high:.2f})"
                f"  dense {1e3 * found['dense'].seconds.median:.1f} ms",
                flush=True,
            )


def never_slower(batch: int, threads: int) -> None:
    print("\nmodel  block   zeros  sparse layers  speed-up over dense")
    worst = 1e9
    for name, make, shape in (("MLP", mlp, (784,)), ("CNN", cnn, (1, 28, 28))):
        for block in ((1, 1), (1, 4), (4, 4)):
            for keep_fraction in (0.5, 0.3, 0.1, 0.05):
                model, inputs = pruned(make(), keep_fraction, block), (torch.randn(batch, *shape),)
                execution = fastest(model, inputs)
                found = measure_latency({"dense": model, "chosen": execution.model}, inputs, threads=threads)
                ratio = found["chosen"].speedup
                worst = min(worst, ratio.median)
                sparse = sum(c.kind != "dense" for c in execution.choices)
                print(
                    f"{name}    {block[0]} x {block[1]}   {1 - keep_fraction:.0%}    {sparse} of "
                    f"{len(execution.choices)}        {ratio.median:6.2f} ({ratio.low:.2f}-{ratio.high:.2f})",
                    flush=True,
                )
    print(f"slowest: {worst:.2f} times dense")


def graphs() -> None:
    print("\ntiny model at batch 2  speed of the graph over the module's")
    small = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(4 * 49, 16), nn.ReLU(), nn.Linear(16, 4),
    )  # fmt: skip
    models = {
        "MLP 64-64-64": (nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64)), (64,)),
        "CNN of 4 channels": (small, (1, 14, 14)),
        "ViT of width 16": (ViT(16, 4, 2), (1, 8, 8)),
    }
    for name, (model, shape) in models.items():
        inputs = torch.randn(2, *shape)
        graph = cut(model.eval(), trace(model, (inputs,)), {}).eval()
        calls = {"module": partial(model, inputs), "graph": partial(graph, inputs)}
        with torch.inference_mode():
            seconds = timed_in_turns(calls, turns=101)
        ratio = Span.of([a / b for a, b in zip(seconds["module"], seconds["graph"], strict=True)])
        print(f"{name:20s}  {ratio.median:.2f} ({ratio.low:.2f}-{ratio.high:.2f})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tables", default="layers,neurons,strips,never_slower,graphs")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {platform.platform()}, batch {asked.batch}, {asked.threads} threads")
    for name in asked.tables.split(","):
        if name == "graphs":
            graphs()
            continue
        tables = {"layers": layers, "neurons": neurons, "strips": strips, "never_slower": never_slower}
        tables[name](asked.batch, asked.threads)


if __name__ == "__main__":
    main()
