"""The commands and their options; what they do is imported when they are called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prunegap.cli.ticket import ticket
from prunegap.cli.ticket_compare import compare as compare_tickets

app = typer.Typer(
    help="What does structure cost? Proven minimal widths of neuron and weight pruning in random networks.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
ticket.command("compare")(compare_tickets)
app.add_typer(ticket, name="ticket")


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
    cluster: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler, tcp://HOST:PORT, to run the cells on.")
    ] = None,
    refine: Annotated[
        bool, typer.Option("--refine", help="Then spend --time-limit again on every open cell, weightiest first.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Nothing on standard error but errors.")] = False,
    log_file: Annotated[Path | None, typer.Option(help="Append plain lines with the time to this file.")] = None,
    out: Annotated[Path, typer.Option(help="Directory of the study; an existing study goes on.")] = Path(
        "prunegap-study"
    ),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
) -> None:
    """Measure the minimal width of every cell of a grid, as a proven interval.

    Writes to --out: study.sqlite (one row a cell; the same command again computes nothing anew), width.svg,
    width.png and tickets/ (check them with prunegap verify).
    """
    from prunegap.cli.measure import Asked, Manner, run

    asked = Asked(dimension, epsilon, granularity, readout, init, seeds)
    run(asked, max_width, time_limit, Manner(workers, cluster, refine, quiet, log_file), out, json)


@app.command()
def status(
    study: Annotated[Path, typer.Argument(help="Directory of a study.", show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")] = False,
) -> None:
    """Say how a study stands and who works on it; reads only, so it may be asked while a run goes on."""
    from prunegap.cli.status import run

    run(study, json)


@app.command()
def search(
    epsilon: Annotated[float, typer.Option(help="Error allowed on the unit ball.")],
    network: Annotated[
        Path | None, typer.Option(help="A .npz file with arrays W (n, d), v (n,) and target (d,).")
    ] = None,
    dimension: Annotated[int | None, typer.Option(help="Without --network: inputs of a random network.")] = None,
    width: Annotated[int | None, typer.Option(help="Without --network: its hidden neurons.")] = None,
    seed: Annotated[int | None, typer.Option(help="Without --network: which draw it is.", show_default="0")] = None,
    init: Annotated[
        str | None, typer.Option(help="Without --network: uniform or normal.", show_default="uniform")
    ] = None,
    granularity: Annotated[str, typer.Option(help="weight, neuron, N:M or block:K.")] = "neuron",
    readout: Annotated[str, typer.Option(help="relu or linear.")] = "relu",
    time_limit: Annotated[float, typer.Option(help="Seconds the search may take; inf for no limit.")] = 60.0,
    workers: Annotated[int, typer.Option(help="Threads the search may use.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Write the ticket to this file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a sentence.")] = False,
) -> None:
    """Find a ticket in a network of your own or in a random one, or prove that it holds none."""
    from prunegap.cli.search import Asked, run

    source = (network, dimension, width, seed, init)
    run(Asked(*source, epsilon, granularity, readout), time_limit, workers, out, json)


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


@app.command()
def merge(
    studies: Annotated[list[Path], typer.Argument(help="Directories of studies, two or more.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The new directory.", show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a sentence.")] = False,
) -> None:
    """Put several studies together in a new one; rows that contradict each other are named and refused."""
    from prunegap.cli.merge import run

    run(studies, out, json)


@app.command()
def export(
    study: Annotated[Path, typer.Argument(help="Directory of a study.", show_default=False)],
    csv: Annotated[Path | None, typer.Option(help="Write this CSV file.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="Write this Parquet file; needs prunegap[parquet].")] = None,
) -> None:
    """Write a study as one table, one row a cell; the columns are listed in docs/export.md."""
    from prunegap.cli.export import run

    run(study, csv, parquet)


@app.command()
def audit(
    study: Annotated[Path, typer.Argument(help="Directory of a study.", show_default=False)],
    sample: Annotated[int, typer.Option(help="Proofs of impossibility to make again, by another engine.")] = 20,
    seed: Annotated[int, typer.Option(help="Which proofs are sampled.")] = 0,
    time_limit: Annotated[float, typer.Option(help="Seconds a proof may take; inf for no limit.")] = 60.0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")] = False,
) -> None:
    """Verify every ticket of a study, prove a sample of its lower ends again; exit code 1 if anything disagrees."""
    from prunegap.cli.audit import run

    raise typer.Exit(run(study, sample, seed, time_limit, json))


@app.command()
def recover(
    study: Annotated[Path, typer.Argument(help="Directory of a damaged study.", show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")] = False,
) -> None:
    """Save every row of a damaged study that can still be read; the damaged files are kept."""
    from prunegap.cli.recover import run

    run(study, json)


@app.command()
def bounds(
    dimension: Annotated[str, typer.Option(help="Input dimension.")] = "2",
    epsilon: Annotated[str, typer.Option(help="Error allowed on the unit ball.")] = "0.01",
    granularity: Annotated[
        str, typer.Option(help="weight, neuron, N:M or block:K, several by comma.")
    ] = "weight,neuron",
    readout: Annotated[str, typer.Option(help="relu or linear.")] = "relu",
    init: Annotated[str, typer.Option(help="uniform or normal.")] = "uniform",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """List what theory says: every published and own bound, with hypotheses, source, and its constant if known."""
    from prunegap.cli.bounds import run

    run(dimension, epsilon, granularity, readout, init, json)


@app.command()
def compare(
    model: Annotated[str, typer.Argument(help="module:factory, called without arguments.", show_default=False)],
    data: Annotated[
        str,
        typer.Option(
            help="A .npz or .safetensors file with inputs x (and labels y), or module:function that returns "
            "(calibration batches, evaluate or None).",
            show_default=False,
        ),
    ],
    budgets: Annotated[str, typer.Option(help="Fractions of the weights that may stay.")] = "0.7,0.5,0.3,0.1",
    budget_of: Annotated[
        str, typer.Option(help="What budgets are fractions of: the layers' weights, their measured latency, or both.")
    ] = "weights",
    granularity: Annotated[
        str, typer.Option(help="weight, neuron, N:M or block:K, several by comma.")
    ] = "weight,2:4,block:4,neuron",
    measure: Annotated[
        str | None,
        typer.Option(
            help="accuracy, agreement or fidelity (to the dense model).", show_default="what the data allow"
        ),
    ] = None,
    repeats: Annotated[int | None, typer.Option(help="Calibration samples a point.", show_default="2")] = None,
    seed: Annotated[int, typer.Option(help="Which calibration samples are drawn.")] = 0,
    threads: Annotated[
        int | None, typer.Option(help="Threads that run the model.", show_default="torch's own")
    ] = None,
    batch: Annotated[int, typer.Option(help="Rows of a batch of the data file, timed as one call.")] = 64,
    device: Annotated[
        str | None,
        typer.Option(
            help="cpu, cuda or cuda:INDEX: where the model runs.", show_default="where the factory leaves it"
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="float32, float16 or bfloat16, of the model and its data.", show_default="as the factory makes it"
        ),
    ] = None,
    cuda_graphs: Annotated[
        bool, typer.Option("--cuda-graphs", help="On a GPU, time every model, the dense one too, as a CUDA graph.")
    ] = False,
    finetune_steps: Annotated[int, typer.Option(help="Steps of fine-tuning, the same for every point.")] = 0,
    out: Annotated[Path, typer.Option(help="Directory of the comparison; an existing one goes on.")] = Path(
        "prunegap-compare"
    ),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would be pruned and what it takes.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
) -> None:
    """Prune your own model at every granularity, at equal budgets, and measure what each costs and gains.

    Writes to --out: comparison.json, models/ (prunegap.load gives them back) and compare.html.
    """
    from prunegap.cli.compare import Asked, Manner, run

    asked = Asked(model, data, budgets, granularity, batch, measure, device, precision)
    run(asked, Manner(repeats, seed, threads, finetune_steps, budget_of, cuda_graphs), out, dry_run, json)
