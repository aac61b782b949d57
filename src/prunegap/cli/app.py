"""The commands and their options; what they do is imported when they are called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="What does structure cost? Proven minimal widths of neuron and weight pruning in random networks.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from prunegap import __version__

        typer.echo(f"prunegap {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """What does structure cost? Proven minimal widths of neuron and weight pruning in random networks."""


@app.command()
def measure(
    dimension: Annotated[str, typer.Option(help="Input dimensions, for example 2,3.")] = "2",
    epsilon: Annotated[
        str, typer.Option(help="Errors allowed, for example 0.2,0.1.")
    ] = "0.2,0.1,0.05,0.02,0.01,0.005,0.002",
    granularity: Annotated[
        str, typer.Option(help="weight, neuron, N:M or block:K, several by comma.")
    ] = "weight,neuron",
    readout: Annotated[str, typer.Option(help="relu or linear, or both by comma.")] = "relu",
    init: Annotated[str, typer.Option(help="uniform or normal, or both by comma.")] = "uniform",
    seeds: Annotated[str, typer.Option(help="5 for seeds 0 to 4, 7-11, or 0,3,9.")] = "5",
    max_width: Annotated[int, typer.Option(help="The widest network to try.")] = 4096,
    time_limit: Annotated[float, typer.Option(help="Seconds a cell may take; inf for no limit.")] = 60.0,
    workers: Annotated[int | None, typer.Option(help="Processes, one cell each.", show_default="all cores")] = None,
    out: Annotated[Path, typer.Option(help="Directory of the study; an existing study goes on.")] = Path(
        "prunegap-study"
    ),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
) -> None:
    """Measure the minimal width of every cell of a grid, as a proven interval.

    Writes to --out: study.sqlite (one row a cell; the same command again computes nothing anew), width.svg,
    width.png and tickets/ (check them with prunegap verify).
    """
    from prunegap.cli.measure import Asked, run

    asked = Asked(dimension, epsilon, granularity, readout, init, seeds)
    run(asked, max_width, time_limit, workers, out, json)


@app.command()
def search(
    network: Annotated[Path, typer.Option(help="A .npz file with arrays W (n, d), v (n,) and target (d,).")],
    epsilon: Annotated[float, typer.Option(help="Error allowed on the unit ball.")],
    granularity: Annotated[str, typer.Option(help="weight, neuron, N:M or block:K.")] = "neuron",
    readout: Annotated[str, typer.Option(help="relu or linear.")] = "relu",
    time_limit: Annotated[float, typer.Option(help="Seconds the search may take; inf for no limit.")] = 60.0,
    workers: Annotated[int, typer.Option(help="Threads the search may use.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Write the ticket to this file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a sentence.")] = False,
) -> None:
    """Find a ticket in a network of your own, or prove that it holds none."""
    from prunegap.cli.search import run

    run(network, epsilon, granularity, readout, time_limit, workers, out, json)


@app.command()
def verify(files: Annotated[list[Path], typer.Argument(help="Ticket files.", show_default=False)]) -> None:
    """Prove saved tickets again, each from its file alone; fails loudly on one that was tampered with."""
    from prunegap.cli.verify import run

    raise typer.Exit(run(files))


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(help="The --out directory of a study.", show_default=False)],
) -> None:
    """Write the page of a study: report.html, one file that needs no network, and its figures as SVG, PNG and PDF."""
    from prunegap.cli.report import run

    run(directory)
