"""`prunegap ticket compare`: the weight ticket beside whole neurons and learned masks, on one source."""

from __future__ import annotations

import json as js
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prunegap.cli.bar import Bar
from prunegap.cli.ticket import Inputs, Json, Spec, _nn, _shape, _target, _up
from prunegap.model.errors import BadInputError

if TYPE_CHECKING:
    from prunegap.nn import Comparison, Row

_COLUMNS = ("method", "keeps", "width", "kept of source", "error", "greatest", "proven", "same class", "accuracy")
_WIDE = 140


def compare(
    state: Annotated[Path, typer.Argument(help="The target's safetensors state.", show_default=False)],
    spec: Spec,
    input_shape: Annotated[str, typer.Option("--input", help="Shape of one input, for example 784 or 1x28x28.")],
    data: Annotated[Path, typer.Option(help="A safetensors file: inputs x (n, ...) and maybe classes y (n,).")],
    epsilon: Annotated[float, typer.Option(help="Greatest error of a weight of the weight ticket.")] = 0.01,
    finest: Annotated[bool, typer.Option("--finest", help="The least epsilon of each width instead.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the random network, the split and the training.")] = 0,
    widths: Annotated[
        str, typer.Option(help="Hidden neurons an input has, for example 8,16,32; own: the weight ticket's.")
    ] = "own",
    learned: Annotated[
        str, typer.Option(help="Granularities of edge-popup; none leaves it out.")
    ] = "weight,2:4,neuron",
    learn: Annotated[
        str, typer.Option(help="What edge-popup learns: labels (where there are any), target, or both with a comma.")
    ] = "labels",
    keep_fraction: Annotated[float, typer.Option(help="What edge-popup keeps of an array.")] = 0.5,
    steps: Annotated[int, typer.Option(help="Steps of edge-popup.")] = 300,
    inputs: Inputs = "box:0:1",
    seconds: Annotated[float | None, typer.Option(help="Time limit of a rival.", show_default="none")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write every row's masks to.")] = None,
    json: Json = False,
) -> None:
    """Prune one random network in every way; a quarter of the data is held out to measure all of them."""
    nn = _nn()
    wide = _widths(widths, finest)
    allowed = nn.InputSet.parse(inputs)
    target = _target(nn, state, spec, _shape(input_shape), allowed)
    x, y = nn.read_data(data)
    with Bar() as bar:
        comparison = nn.compare_rivals(
            target,
            x,
            y,
            epsilon=None if finest else epsilon,
            seed=seed,
            widths=wide,
            learned=() if learned == "none" else learned.split(","),
            learn=learn.split(","),
            training=nn.Training(keep_fraction=keep_fraction, steps=steps, seed=seed),
            input_set=allowed,
            seconds=float("inf") if seconds is None else seconds,
            progress=bar,
        )
    if out is not None:
        comparison.save(out)
    if json:
        print(js.dumps(comparison.as_object()))
    else:
        print_table(comparison)


def _widths(text: str, finest: bool) -> list[int | None]:
    try:
        wide = [None if width == "own" else int(width) for width in text.split(",")]
    except ValueError:
        wide = []
    if not wide or (finest and None in wide):
        raise BadInputError(f"widths {text!r}", "must be whole numbers with commas between", "use --widths 8,16,32")
    return wide


def print_table(comparison: Comparison) -> None:
    """Print the table, and below it why a row has no numbers."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*_COLUMNS, "bytes", "seconds", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns[2:]:
        column.justify = "right"
    for row in comparison.rows:
        table.add_row(*_cells(row))
    console = Console()
    (console if console.is_terminal else Console(width=_WIDE)).print(table)
    told = f"target: {comparison.target_weights} weights, {4 * comparison.target_weights} bytes in fp32"
    if comparison.target_accuracy is not None:
        told += f", accuracy {comparison.target_accuracy:.2%}"
    print(f"{told}; fitted on {comparison.fitted_on} inputs, measured on {comparison.measured_on} others")
    for row in comparison.rows:
        if row.reason:
            print(f"{row.method}, {row.granularity}, width {row.width}: {row.status}: {row.reason}")


def _cells(row: Row) -> list[str]:
    begin, end = [row.method, row.granularity, str(row.width)], f"{row.seconds:.1f}"
    if row.relative_error is None or row.agreement is None:
        return [*begin, row.status.value, *[""] * 6, end]
    return [
        *begin,
        f"{row.kept_fraction:.3g}",
        f"{row.relative_error:.3g}",
        f"{row.greatest_error:.3g}",
        "" if row.proven_error is None else _up(row.proven_error),
        f"{row.agreement:.2%}",
        "" if row.accuracy is None else f"{row.accuracy:.2%}",
        str(row.bytes),
        end,
    ]
