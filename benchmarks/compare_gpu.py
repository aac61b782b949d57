"""Claim: on a GPU half the neurons run faster where a layer is large, 2:4 only at large batches and as a CUDA graph.

Three tables on an NVIDIA GPU, each ratio against the dense layer or model beside it in the same turns:
layers: one Linear layer dense, with half its neurons, 2:4 (as prunegap runs it, torch.sparse), in blocks (torch's
Triton kernels for BSR) and in CSR; as calls, and as replayed CUDA graphs. The GPU's own clock, calls queued.
models: an MLP and a CNN with half their neurons and 2:4, as `fastest` and `measure_latency` see them.
compare: a small MLP trained on scikit-learn's digits through `prunegap.compare` on the GPU.

    python benchmarks/compare_gpu.py [--tables layers,models,compare]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

import prunegap
from prunegap.trained.compare.measure import accuracy
from prunegap.trained.execute.choose import fastest
from prunegap.trained.execute.semi_structured import SemiStructuredLinear
from prunegap.trained.latency import measure_latency
from prunegap.trained.timed_call import captured

SHAPES = (
    (1024, 1024, 64), (1024, 1024, 8192), (4096, 1024, 512), (4096, 1024, 8192), (4096, 4096, 64), (4096, 4096, 512),
    (4096, 4096, 4096), (4096, 4096, 16384), (8192, 8192, 512), (8192, 8192, 8192),
)  # fmt: skip
KINDS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
TURNS, TURN_SECONDS = 9, 2e-3
BLOCK, BLOCKS_KEPT, WEIGHTS_KEPT = 64, 0.1, 0.02

Call = Callable[[], object]


def two_of_four(weight: Tensor) -> Tensor:
    """Return the weight with the two greatest of each four kept."""
    groups = weight.reshape(-1, 4).clone()
    return groups.scatter_(1, groups.abs().argsort(dim=1)[:, :2], 0.0).reshape(weight.shape)


def layer_of(weight: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device, dtype=weight.dtype)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    return layer.requires_grad_(False)


def forms(rows: int, columns: int, inputs: Tensor) -> Iterator[tuple[str, Call]]:
    """Yield the calls of a layer's forms: dense first."""
    weight = torch.randn(rows, columns, device="cuda", dtype=torch.float32).mul_(columns**-0.5).to(inputs.dtype)
    dense, half = layer_of(weight), layer_of(weight[: rows // 2].contiguous())
    yield "dense", lambda: dense(inputs)
    yield "half", lambda: half(inputs)
    if inputs.dtype != torch.float32:
        packed = SemiStructuredLinear(layer_of(two_of_four(weight)))
        yield "2:4", lambda: packed(inputs)
        kept = torch.rand(rows // BLOCK, columns // BLOCK, device="cuda") < BLOCKS_KEPT
        blocks = (weight * kept.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)).to_sparse_bsr((BLOCK, BLOCK))
        yield "blocks", lambda: functional.linear(inputs, blocks)
    single = (weight * (torch.rand_like(weight) < WEIGHTS_KEPT)).to_sparse_csr()
    flipped = inputs.t().contiguous()
    yield "CSR", lambda: single @ flipped


@contextmanager
def clock() -> Iterator[list[float]]:
    """Yield a list that gets the seconds the GPU spends inside."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    taken: list[float] = []
    begin.record()
    yield taken
    end.record()
    torch.cuda.synchronize()
    taken.append(begin.elapsed_time(end) / 1e3)


def in_turns(calls: dict[str, Call]) -> dict[str, list[float]]:
    """Return the seconds of every call, one number a turn; a turn is as many queued calls as fill 2 ms."""
    counts: dict[str, int] = {}
    for name, call in calls.items():
        call()
        with clock() as taken:
            for _ in range(3):
                call()
        counts[name] = max(1, min(200, round(TURN_SECONDS / (taken[0] / 3))))
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(TURNS):
        for name, call in calls.items():
            call()
            with clock() as taken:
                for _ in range(counts[name]):
                    call()
            seconds[name].append(taken[0] / counts[name])
    return seconds


def layers(kinds: list[str]) -> None:
    print(
        f"CSR: {WEIGHTS_KEPT:.0%} of the weights; blocks: {BLOCKS_KEPT:.0%} of the {BLOCK} x {BLOCK} blocks, no bias"
    )
    print("out x in, batch            dense us, call and graph    speed-up as calls / as graphs")
    for kind in kinds:
        for rows, columns, batch in SHAPES:
            inputs = torch.randn(batch, columns, device="cuda", dtype=KINDS[kind])
            calls: dict[str, Call] = {}
            failed: dict[str, str] = {}
            for name, call in forms(rows, columns, inputs):
                try:
                    call()
                    calls[name] = call
                    calls[f"{name} graph"] = captured(call)
                except RuntimeError as error:
                    failed[name] = str(error).splitlines()[0][:60]
            seconds = in_turns(calls)
            told = []
            for name in [n for n in calls if "graph" not in n and n != "dense"]:
                ratios = [
                    statistics.median(a / b for a, b in zip(seconds[f"dense{g}"], seconds[f"{name}{g}"], strict=True))
                    if f"{name}{g}" in seconds
                    else float("nan")
                    for g in ("", " graph")
                ]
                told.append(f"{name} {ratios[0]:.2f} / {ratios[1]:.2f}")
            dense = [1e6 * statistics.median(seconds[f"dense{g}"]) for g in ("", " graph")]
            print(
                f"{kind:8s} {rows:5d} x {columns:<5d} {batch:6d}   {dense[0]:8.1f} {dense[1]:8.1f}    "
                f"{', '.join(told)} {failed or ''}",
                flush=True,
            )


def mlp(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(1024, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1024)
    )


def cnn(width: int) -> nn.Module:
    def stage(inner: int, outer: int, stride: int) -> list[nn.Module]:
        return [nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer), nn.ReLU()]

    return nn.Sequential(
        *stage(3, width, 1), *stage(width, width, 2), *stage(width, 2 * width, 2), *stage(2 * width, 2 * width, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * width, 10),
    )  # fmt: skip


def models() -> None:
    print("\nmodel, batch, timing     dense again        half the neurons   2:4: layers, speed-up")
    for name, make, width, shape, batch in (
        ("MLP 4096", mlp, 4096, (1024,), 64), ("MLP 4096", mlp, 4096, (1024,), 8192),
        ("CNN 64", cnn, 64, (3, 32, 32), 64), ("CNN 128", cnn, 128, (3, 32, 32), 1024),
    ):  # fmt: skip
        for graphs in (False, True):
            torch.manual_seed(0)
            dense = make(width).cuda().half().eval()
            half = make(width // 2).cuda().half().eval()
            sparse = make(width).cuda().half().eval()
            for layer in sparse.modules():
                if isinstance(layer, nn.Linear):
                    layer.weight.data = two_of_four(layer.weight.data)
            inputs = (torch.randn(batch, *shape, device="cuda").half(),)
            execution = fastest(sparse, inputs, turns=9, judged=False, graphs=graphs)
            found = measure_latency(
                {"dense": dense, "again": dense, "half": half, "2:4": execution.model},
                inputs,
                turns=15,
                graphs=graphs,
            )
            ran = sum(c.kind == "2:4" for c in execution.choices)
            again, half_of, packed = (
                "{0.median:.2f} ({0.low:.2f}-{0.high:.2f})".format(found[n].speedup) for n in ("again", "half", "2:4")
            )
            print(
                f"{name:9s} {batch:5d}  {'graphs' if graphs else 'calls ':6s}"
                f"  {again}   {half_of}   {ran} of {len(execution.choices)}, {packed}",
                flush=True,
            )


def small(width: int = 1024) -> nn.Module:
    """Return the MLP of the digits; a name at the top of this file, so that it can be timed in its own process."""
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 64))


def compare() -> None:
    from sklearn.datasets import load_digits

    data = load_digits()
    x, y = torch.from_numpy(data.data).float() / 16.0, torch.from_numpy(data.target)
    torch.manual_seed(0)
    model = small().cuda()
    x, y = x.cuda(), y.cuda()
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(60):
        for part in torch.randperm(1200, device="cuda").split(100):
            optimiser.zero_grad()
            functional.cross_entropy(model(x[part]), y[part]).backward()
            optimiser.step()
    model, x = model.half().eval(), x.half()
    print()
    for graphs in (False, True):
        options = prunegap.CompareOptions(
            repeats=1, turns=9, cuda_graphs=graphs, measure="accuracy", model_name="MLP"
        )
        with tempfile.TemporaryDirectory() as out:
            print(prunegap.compare(
                model, list(x[:1200].split(100)), accuracy(x[1200:], y[1200:]), (0.5, 0.1), out=out, options=options,
                inputs=x[:1024].repeat(8, 1),
            ))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", default="layers,models,compare")
    parser.add_argument("--kinds", default=",".join(KINDS))
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("an NVIDIA GPU is needed; benchmarks/compare_speed.py measures the CPU")
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    card = torch.cuda.get_device_properties(0)
    print(f"{card.name}, torch {torch.__version__}, CUDA {torch.version.cuda}")
    with torch.inference_mode():
        if "layers" in asked.tables:
            layers(asked.kinds.split(","))
        if "models" in asked.tables:
            models()
    if "compare" in asked.tables:
        compare()


if __name__ == "__main__":
    main()
