"""`prunegap ticket`: strong tickets for whole trained networks. torch is imported when a command runs."""

from __future__ import annotations

import json as js
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prunegap.cli.bar import Bar
from prunegap.model.errors import BadInputError

if TYPE_CHECKING:
    from prunegap.nn import InputSet, Making, NetworkTicket, Target

ticket = typer.Typer(
    help="Strong tickets for whole trained networks: a masked random network that computes what yours computes.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
State = Annotated[Path | None, typer.Option("--target", help="The target's safetensors state.")]
Spec = Annotated[str, typer.Option(help='How the state is wired, for example "fc1 relu fc2".')]
Data = Annotated[Path | None, typer.Option(help="A safetensors file: inputs x (n, ...) and maybe classes y (n,).")]
Inputs = Annotated[
    str,
    typer.Option(
        help="The inputs certified: box:LOW:HIGH, pixels:MEAN:SPREAD (pixels in [0, 1], normalised) or ball:RADIUS; "
        "numbers for each channel with commas."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")]
File = Annotated[Path, typer.Argument(help="A ticket file.", show_default=False)]


@ticket.command()
def make(
    state: Annotated[Path, typer.Argument(help="The target's safetensors state.", show_default=False)],
    spec: Spec,
    input_shape: Annotated[str, typer.Option("--input", help="Shape of one input, for example 784 or 1x28x28.")],
    out: Annotated[Path, typer.Option(help="The ticket file to write.")],
    epsilon: Annotated[float, typer.Option(help="Greatest error of a weight.")] = 0.01,
    size_budget: Annotated[
        float | None, typer.Option(help="Bits a weight the file may take; chooses epsilon.", show_default="none")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random network.")] = 0,
    width: Annotated[
        int | None, typer.Option(help="Hidden neurons an input has.", show_default="as many as needed")
    ] = None,
    price: Annotated[float, typer.Option(help="What a path costs, in epsilon^2; 0 is most exact.")] = 2.0,
    share: Annotated[
        str, typer.Option(help="layers: small layers get less than epsilon; even: all the same.")
    ] = "layers",
    inputs: Inputs = "box:0:1",
    two_sided: Annotated[
        bool, typer.Option("--two-sided", help="Paths for negative inputs, instead of a shift and a bias.")
    ] = False,
    near: Annotated[
        float | None,
        typer.Option(
            help="Prove a bound within this distance, entry by entry, of the data too.", show_default="none"
        ),
    ] = None,
    near_count: Annotated[int, typer.Option(help="How many of the data --near takes.")] = 20,
    device: Annotated[
        str, typer.Option(help="cpu or cuda: where subsets are found. The ticket is the same.")
    ] = "cpu",
    patience: Annotated[
        float, typer.Option(help="Seconds that searches over all subsets may be expected to take.")
    ] = 3600.0,
    data: Data = None,
    json: Json = False,
) -> None:
    """Cut a ticket for a trained network out of a random one, certify it, and write it to one small file."""
    nn = _nn()
    nn.refuse_to_overwrite(out)
    allowed = nn.InputSet.parse(inputs)
    target = _target(nn, state, spec, _shape(input_shape), None if two_sided else allowed)
    if near is not None and data is None:
        raise BadInputError("--near without --data", "has nothing to be near to", "give --data")
    if near is not None:
        nn.check_near(target, near, near_count)
    arrays = None if data is None else nn.read_data(data)
    if arrays is not None:
        nn.checked_inputs(arrays[0], target.graph, allowed)
    began = time.perf_counter()
    with Bar() as bar:
        options = {
            "seed": seed, "width": width, "price": price, "share": nn.Share.parse(share), "inputs": allowed,
            "device": device, "patience": patience,
            "progress": lambda layer, done, total: bar(f"weights, in layer {layer}", done, total),
        }  # fmt: skip
        if size_budget is None:
            making = nn.make_ticket(target, epsilon, **options)
        else:
            making = nn.make_to_size(target, size_budget, **options)
    seconds = time.perf_counter() - began
    if making.ticket is None:
        print(js.dumps(_impossible_object(making)) if json else _impossible_lines(making))
        return
    measured = None if arrays is None else nn.measure_ticket(making.ticket, target, *arrays)
    cut = nn.with_claim(making.ticket, target, measured)
    if near is not None and arrays is not None:
        with Bar() as bar:
            cut = nn.with_near(cut, nn.certify_near(cut, target, arrays[0], near, near_count, bar))
    size = nn.save_ticket(out, cut)
    told = {"status": "found", **_as_object(cut, size), "seconds": seconds}
    print(js.dumps(told) if json else f"found in {seconds:.1f} s: {out}\n{_lines(cut, size)}")


@ticket.command()
def show(file: File, json: Json = False) -> None:
    """Show what a ticket file holds: its recipe, what it keeps, its claim and its size; digests are checked."""
    cut = _nn().read_ticket(file)
    size = file.stat().st_size
    print(js.dumps(_as_object(cut, size)) if json else _lines(cut, size))


@ticket.command()
def verify(
    file: File,
    target: State = None,
    spec: Spec = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Regenerate a ticket from its file; with --target and --spec prove its certificate again; --data measures."""
    nn = _nn()
    cut = nn.read_ticket(file)
    told: dict[str, Any] = {"status": "undamaged"}
    if target is not None:
        network = nn.as_in(cut, nn.read_target(target, spec, cut.graph.input_shape))
        nn.verify_claim(cut, network)
        told["status"] = "verified"
        if data is not None:
            arrays = nn.read_data(data)
            told["measured"] = nn.measure_ticket(cut, network, *arrays).as_object()
            if "near" in cut.claim:
                with Bar() as bar:
                    told["near"] = nn.verify_near(cut, network, arrays[0], bar).as_object()
    elif data is not None:
        raise BadInputError("--data without --target", "leaves nothing to compare with", "give --target and --spec")
    if json:
        print(js.dumps(told))
        return
    words = "undamaged: every digest matches" if target is None else "verified: every digest and every proven bound"
    print("\n".join([f"{file}: {words}", *_near_lines(told.get("near")), *_measured_lines(told.get("measured"))]))


@ticket.command()
def load(
    file: File,
    out: Annotated[Path, typer.Option(help="The safetensors state to write.")],
    form: Annotated[str, typer.Option(help="collapsed: one layer a layer; masked: two random layers.")] = "collapsed",
) -> None:
    """Write a ticket's network as an ordinary safetensors state, in float32."""
    count = _nn().export_state(file, out, form)
    print(f"{out}: {count} arrays, {form}")


def _target(nn: Any, state: Path, spec: str, shape: tuple[int, ...], shift_on: InputSet | None) -> Target:
    """Return the target of a state, its input shifted to be non-negative on the set given."""
    target: Target = nn.read_target(state, spec, shape)
    return target if shift_on is None else nn.shifted(target, shift_on)


def _nn() -> Any:
    try:
        import prunegap.nn as nn
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise BadInputError("prunegap ticket", "needs torch", "pip install 'prunegap[torch]'") from None
    return nn


def _shape(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(size) for size in text.split("x"))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise BadInputError(f"input {text!r}", "must be sizes above 0 with x between", "use --input 1x28x28")
    return sizes


def _as_object(cut: NetworkTicket, size: int) -> dict[str, Any]:
    count = cut.weight_count
    layers = [
        {
            "name": step.name,
            "weights": step.shape.weight_count,
            "width": layer.source.width,
            "scale": layer.source.scale,
            "sides": len(layer.sides),
            "kept_first": layer.kept[0],
            "kept_second": layer.kept[1],
            "bytes": len(layer.code),
        }
        for step in cut.graph.layers
        for layer in [cut.layers[step.name]]
    ]
    return {
        "seed": cut.seed,
        "epsilon": cut.epsilon,
        "inputs": str(cut.inputs),
        "weights": count,
        "kept_weights": cut.kept_weights,
        "path_weights": cut.path_weights,
        "bytes": size,
        "bits_per_weight": 8.0 * size / count,
        "layers": layers,
        **cut.claim,
    }


def _lines(cut: NetworkTicket, size: int) -> str:
    told = _as_object(cut, size)
    count = cut.weight_count
    lines = [
        f"{count} weights in {len(told['layers'])} layers, seed {cut.seed}, epsilon {cut.epsilon:g}",
        f"keeps {told['kept_weights'] / count:.3f} random weights a weight, both layers; "
        f"{told['path_weights'] / count:.3f} if no two paths shared their first",
        f"file {size} bytes, {told['bits_per_weight']:.2f} bits a weight: 1/{4 * count / size:.1f} of fp32, "
        f"1/{2 * count / size:.1f} of fp16, 1/{count / size:.1f} of int8",
    ]
    lines += [
        f"  {layer['name']}: {layer['weights']} weights, width {layer['width']}, scale {layer['scale']:g}, "
        f"{layer['sides']} side{'s' * (layer['sides'] > 1)}, {8 * layer['bytes'] / layer['weights']:.2f} bits"
        + _proven(cut.claim, layer["name"])
        for layer in told["layers"]
    ]
    if proof := cut.claim.get("certificate"):
        lines.append(f"proven on {proof['inputs']}: every output within {_up(proof['output_error'])} of the target's")
    return "\n".join([*lines, *_near_lines(cut.claim.get("near")), *_measured_lines(cut.claim.get("measured"))])


def _near_lines(near: dict[str, Any] | None) -> list[str]:
    if near is None:
        return []
    return [
        f"proven within {near['radius']:g} of each of {near['count']} inputs: every output within "
        f"{_up(near['output_error'])}, in the mean {_up(near['mean_error'])}"
    ]


def _proven(claim: Any, name: str) -> str:
    if "certificate" not in claim:
        return ""
    error, residual, norm = claim["certificate"]["layers"][name]
    return f"; every weight within {_up(error)}, residual norm {_up(residual)} of {_up(norm)}"


def _up(bound: float) -> str:
    """Return a bound in four digits, rounded up."""
    digits = f"{bound:.4g}"
    return digits if float(digits) >= bound else f"{bound + 0.5 * 10.0 ** (math.floor(math.log10(bound)) - 3):.4g}"


def _measured_lines(measured: dict[str, Any] | None) -> list[str]:
    if measured is None:
        return []
    line = (
        f"measured on {measured['count']} inputs: greatest error {measured['greatest_error']:.4g}, mean "
        f"{measured['mean_error']:.4g}, same class {100 * measured['agreement']:.2f} %"
    )
    if measured["accuracy"] is not None:
        line += f", accuracy {100 * measured['accuracy']:.2f} % (target {100 * measured['target_accuracy']:.2f} %)"
    return [line]


def _impossible_object(making: Making) -> dict[str, Any]:
    layers = [
        {"name": part.layer, "impossible": part.count, "weights": part.of, "width": part.width}
        for part in making.impossible
    ]
    return {"status": "impossible", "layers": layers, "epsilon_expected_to_do": making.enough}


def _impossible_lines(making: Making) -> str:
    lines = [
        f"impossible: layer {part.layer}: {part.count} of {part.of} sums tried are met by no subset at width "
        f"{part.width}, the first for input {part.first[1]}, weight {part.first[2]}"
        for part in making.impossible
    ]
    remedy = f"use --epsilon {making.enough:.2g} (an estimate), or a greater --width"
    return "\n".join([*lines, f"nothing was written; {remedy}"])
