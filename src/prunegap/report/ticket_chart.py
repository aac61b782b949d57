"""The figure of one ticket at d = 2: where its kinks lie on the circle, and its error all the way round.

Every input direction is an angle from the target w*, clockwise. A hidden neuron bends the function on the line
orthogonal to its weights: two kinks, half a turn apart. The error f - g is homogeneous, so its value on the unit
circle says everything, and a ticket is a curve that stays between -eps and +eps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal

import numpy as np
from numpy.typing import NDArray

from prunegap.model.outcome import Certificate
from prunegap.report.axes import Plot, Scale, label, line, polyline
from prunegap.report.figure import Drawing, Figure
from prunegap.report.markup import Markup, element, joined, number
from prunegap.study.ticket import Ticket

STEPS = 720
"""Directions at which the error is drawn, beside the kinks."""
TOUCHING = 0.9
"""A peak of at least this part of eps is marked; the greatest one always is."""

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Portrait:
    """What is drawn of a ticket: kinks and strengths of kept and dropped neurons, the error by angle, its peaks.

    Angles are in degrees, clockwise from w*, in [-180, 180); `error` is f - g on the unit circle in units of eps.
    """

    kept: Vector
    strengths: Vector
    dropped: Vector
    angles: Vector
    error: Vector
    peaks: Vector

    @classmethod
    def of(cls, ticket: Ticket) -> Portrait:
        """Return the portrait of a ticket at d = 2."""
        problem, mask = ticket.problem, ticket.mask
        width = mask.least_width
        pruned, alive = mask.apply(problem.network), mask.alive
        towards = math.atan2(problem.target[1], problem.target[0])
        kinks = _turned(_across(pruned.weights[alive]), towards)
        strengths = np.abs(pruned.outputs[alive]) * np.linalg.norm(pruned.weights[alive], axis=1)
        gone = problem.network.weights[:width][~alive[:width]]
        even = np.linspace(-180.0, 180.0, STEPS + 1)
        angles = np.unique(np.concatenate([even, kinks, kinks - 180.0 * np.sign(kinks), [-90.0, 90.0]]))
        radians = towards - np.radians(angles)
        inputs = np.stack([np.cos(radians), np.sin(radians)], axis=1)
        goal = np.maximum(inputs @ problem.target, 0.0)
        error = (pruned(inputs, problem.readout) - goal) / problem.epsilon
        return cls(kinks, strengths, _turned(_across(gone), towards), angles, error, _peaks(angles, error))


def _across(rows: Vector) -> Vector:
    """Return the angle of the line orthogonal to every row."""
    return np.arctan2(rows[:, 0], -rows[:, 1])


def _turned(angles: Vector, towards: float) -> Vector:
    """Return angles as degrees clockwise from `towards`, in [-180, 180)."""
    return (np.degrees(towards - angles) + 180.0) % 360.0 - 180.0


def _peaks(angles: Vector, error: Vector) -> Vector:
    """Return, shape (k, 2), angle and error where |error| peaks and comes near 1, the greatest first."""
    size = np.abs(error)
    top = (size[1:-1] >= size[:-2]) & (size[1:-1] > size[2:]) & (size[1:-1] >= TOUCHING)
    greatest = int(size.argmax())
    chosen = [greatest, *[i for i in (np.flatnonzero(top) + 1).tolist() if i != greatest]]
    return np.stack([angles[chosen], error[chosen]], axis=1)


def ticket_figure(ticket: Ticket, certificate: Certificate, place: int) -> Figure:
    """Return the figure of a verified ticket at d = 2."""
    problem, mask = ticket.problem, ticket.mask
    name, width = problem.granularity.name, mask.least_width
    seed = "" if ticket.draw is None else f", seed {ticket.draw.seed}"
    kept = f"{mask.kept_neurons} of {width} neurons keep {mask.kept_weight_count} of {2 * width} weights"
    portrait = Portrait.of(ticket)
    return Figure(
        f"ticket-{name.replace(':', '-')}",
        f"One ticket of {name} pruning",
        f"ε = {problem.epsilon:g}{seed}: {kept}. Proven error at most {_rounded_up(certificate.error_upper)}.",
        f"A circle of input directions with {mask.kept_neurons} kept neurons, each bending the function at two "
        "opposite places. Beside it, the error of the ticket over all directions: it stays between -epsilon and "
        f"+epsilon and is greatest, {100 * abs(portrait.peaks[0, 1]):.1f} % of epsilon, at "
        f"{portrait.peaks[0, 0]:.0f} degrees from w*.",
        _drawing(portrait, place, problem.epsilon, is_wide=True),
        _drawing(portrait, place, problem.epsilon, is_wide=False),
    )


def _rounded_up(bound: float) -> str:
    """Return six digits that are no less than the bound: rounded down, it would claim more than is proven."""
    rounded = Decimal(bound).normalize(Context(prec=6, rounding=ROUND_CEILING))
    return f"{rounded:f}"


def _drawing(portrait: Portrait, place: int, epsilon: float, is_wide: bool) -> Drawing:
    if is_wide:
        width, height = 720.0, 286.0
        plot = Plot(Scale(-180, 180, 318, width - 14), Scale(-1.5, 1.5, height - 56, 40))
        circle = _circle(portrait, place, 118, 142, 84)
    else:
        width, height = 330.0, 520.0
        plot = Plot(Scale(-180, 180, 46, width - 14), Scale(-1.5, 1.5, height - 56, 312))
        circle = _circle(portrait, place, width / 2, 122, 84)
    ticks = [(-1.0, f"−{epsilon:g}"), (0.0, "0"), (1.0, f"+{epsilon:g}")]
    angles = [(-180.0, "−180°"), (-90.0, "−90°"), (0.0, "w*"), (90.0, "90°"), (180.0, "180°")]
    return Drawing(width, height, joined([circle, _error(portrait, place, plot, ticks, angles)]))


def _circle(portrait: Portrait, place: int, x: float, y: float, radius: float) -> Markup:
    """Return the circle: w* on top, dropped kinks inside it, kept ones outside, as long as they are strong."""
    greatest = float(portrait.strengths.max()) if portrait.strengths.size else 1.0
    dropped = "".join(_tick(x, y, angle, radius - 9, radius - 2) for angle in _both(portrait.dropped))
    lengths = 8.0 + 20.0 * portrait.strengths / greatest
    kept = "".join(
        _tick(x, y, angle, radius + 2, radius + 2 + length)
        for kink, length in zip(portrait.kept, lengths, strict=True)
        for angle in _both(np.array([kink]))
    )
    return joined(
        [
            element("circle", cx=float(x), cy=float(y), r=float(radius), class_="axis"),
            line(x - radius, y, x + radius, y, class_="grid"),
            element("path", d=dropped or "M0 0", class_="dropped", stroke_width="1"),
            element("path", d=kept or "M0 0", class_=f"s{place}", stroke_width="1.8", stroke_linecap="round"),
            element("path", d=f"M{x} {y}V{y - radius + 14}", class_="ink", stroke_width="1.8"),
            element("path", d=f"M{x - 4.5} {y - radius + 22}L{x} {y - radius + 12}L{x + 4.5} {y - radius + 22}Z",
                    class_="inkfill"),
            label(x + 9, y - 26, "w*", class_="strong"),
            label(x, y + 22, "target = 0 here", class_="muted", text_anchor="middle"),
            label(x, y + radius + 52, "kinks: kept outside, removed inside", class_="muted", text_anchor="middle"),
        ]
    )  # fmt: skip


def _both(kinks: Vector) -> list[float]:
    return [float(angle) for kink in kinks for angle in (kink, kink + 180.0)]


def _tick(x: float, y: float, degrees: float, inner: float, outer: float) -> str:
    along, across = math.sin(math.radians(degrees)), -math.cos(math.radians(degrees))
    start, end = (x + inner * along, y + inner * across), (x + outer * along, y + outer * across)
    return f"M{number(start[0])} {number(start[1])}L{number(end[0])} {number(end[1])}"


def _error(
    portrait: Portrait, place: int, plot: Plot, ticks: list[tuple[float, str]], angles: list[tuple[float, str]]
) -> Markup:
    points = [(plot.x(a), plot.y(e)) for a, e in zip(portrait.angles, portrait.error, strict=True)]
    touching = [
        element("circle", cx=plot.x(a), cy=plot.y(e), r=4.0, class_=f"f{place} halo")
        for a, e in portrait.peaks.tolist()
    ]
    angle, greatest = portrait.peaks[0].tolist()
    anchor = "middle" if abs(angle) < 130.0 else "end" if angle > 0.0 else "start"
    beyond = plot.y(1.0) - 8.0 if greatest > 0 else plot.y(-1.0) + 17.0
    said = f"nearest to ±ε: {100 * abs(greatest):.1f} % of it"
    worst = label(plot.x(angle), beyond, said, class_=f"t{place}", text_anchor=anchor)
    limits = [
        line(plot.left, plot.y(e), plot.right, plot.y(e), class_="ink", stroke_dasharray="2 4") for e in (-1, 1)
    ]
    return joined(
        [
            plot.horizontal(ticks, "error f − g, by direction"),
            plot.vertical(angles, "angle from w*, clockwise"),
            *limits,
            polyline(points, class_=f"s{place}", stroke_width="1.7", stroke_linejoin="round"),
            *touching,
            worst,
        ]
    )
