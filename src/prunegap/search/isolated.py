"""Rows of several weights that no ticket can keep, because nothing mends their kink (F4 in any dimension).

Let a column be a neuron i with a support S, w its row, u = w / ||w||, kappa = v_i ||w||, and x a unit vector on its
hyperplane. With x_+- = x cos h +- u sin h, a row w' with output v' adds

    v' max(0, |<w', u>| sin h - |<w', x>| cos h)

to the second difference p(x_+) + p(x_-) - 2 cos h p(x), and any linear function adds 0. Where <w*, .> > epsilon at
all three, a ticket's p is within epsilon of a linear function there, so the second difference is at most
(2 + 2 cos h) epsilon. So a kept column needs others, of other neurons and of the opposite sign, that mend
|kappa| sin h - (2 + 2 cos h) epsilon: at every x and every h. A neuron keeps one support, and counts with its best.
What fails is removed, which may leave others without help: repeat. Any x and h will do; they are drawn at random.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from prunegap.kernels.jit import compiled
from prunegap.model.network import Matrix, Vector
from prunegap.model.problem import Problem
from prunegap.search.base import Deadline
from prunegap.search.program import Columns

Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

POINTS = 256
LENGTHS = np.array([1.02, 1.1, 1.25, 1.5, 1.9, 2.6, 4.0, 8.0])
"""Arcs are tried at these multiples of 4 epsilon / |kappa|, the length at which a kink begins to tell."""
ROUNDING = 1e-12
MOST_LOOKED_AT = 5000
"""Sets of columns of one cluster up to which all are looked at."""
MOST_CHOICES = 2000
"""Sets of columns, of all clusters together, up to which they are listed."""


@compiled
def tells(
    column: int,
    x: Vector,
    sine: float,
    weights: Matrix,
    outputs: Vector,
    neurons: Integers,
    alive: Bools,
    target: Vector,
    epsilon: float,
) -> bool:
    """Return whether the arc of this sine around `x` proves that the column is in no ticket of the columns alive."""
    size = np.sqrt((weights[column] ** 2).sum())
    u = weights[column] / size
    cosine = np.sqrt(1.0 - sine * sine)
    middle, side = (target * x).sum(), (target * u).sum()
    if min(middle, middle * cosine - abs(side) * sine) <= epsilon * (1.0 + ROUNDING) + ROUNDING:
        return False
    rest = abs(outputs[column]) * size * sine * (1.0 - ROUNDING) - (2.0 + 2.0 * cosine) * epsilon * (1.0 + ROUNDING)
    best, last = 0.0, -1
    for c in range(neurons.shape[0]):
        if rest <= 0.0:
            return False
        if neurons[c] != last:
            rest -= best
            best, last = 0.0, neurons[c]
        if alive[c] and neurons[c] != neurons[column] and outputs[c] * outputs[column] < 0.0:
            over, along = 0.0, 0.0
            for j in range(x.shape[0]):
                over += weights[c, j] * x[j]
                along += weights[c, j] * u[j]
            best = max(best, abs(outputs[c]) * (abs(along) * sine - abs(over) * cosine + ROUNDING))
    told: bool = rest - best > ROUNDING * abs(outputs[column])
    return told


@compiled
def leave_out(
    points: NDArray[np.float64],
    lengths: Vector,
    several: Integers,
    weights: Matrix,
    outputs: Vector,
    neurons: Integers,
    alive: Bools,
    target: Vector,
    epsilon: float,
) -> None:
    """Take out of `alive` all columns of `several` that are in no ticket; `points` (s, k, m) lie on their planes."""
    changed = True
    while changed:
        changed = False
        for s in range(several.shape[0]):
            c = several[s]
            if not alive[c]:
                continue
            kappa = abs(outputs[c]) * np.sqrt((weights[c] ** 2).sum())
            for length in lengths:
                sine = 4.0 * epsilon / kappa * length
                if sine >= 0.7:
                    break
                for k in range(points.shape[1]):
                    if tells(c, points[s, k], sine, weights, outputs, neurons, alive, target, epsilon):
                        alive[c] = False
                        changed = True
                        break
                if not alive[c]:
                    break


class Kinks:
    """The columns of a problem (neurons ascending), and which of those with several weights may be in a ticket."""

    def __init__(self, problem: Problem, seed: int = 0) -> None:
        self.problem = problem
        self.columns = Columns.of(problem)
        weights = self.columns.weights
        self.alive = np.ones(self.columns.neurons.size, dtype=np.bool_)
        self.several = np.flatnonzero(np.count_nonzero(weights, axis=1) > 1)
        self.points = self._points(weights[self.several], np.random.default_rng(seed))
        self._thin(self.alive, self.several)

    def _points(self, rows: Matrix, random: np.random.Generator) -> NDArray[np.float64]:
        """Return unit vectors on the planes of the rows, on the target's side, shape (rows, k, m)."""
        dimension = rows.shape[1]
        if dimension == 2:
            points = np.stack([-rows[:, 1], rows[:, 0]], axis=1)[:, None, :]
        else:
            points = random.standard_normal((rows.shape[0], POINTS, dimension)) + self.problem.target
            normals = rows / np.linalg.norm(rows, axis=1)[:, None]
            points -= np.einsum("skm,sm->sk", points, normals)[:, :, None] * normals[:, None, :]
        points = points / np.linalg.norm(points, axis=2)[:, :, None]
        side = np.where(points @ self.problem.target < 0.0, -1.0, 1.0)
        return np.ascontiguousarray(points * side[:, :, None])

    def _thin(self, alive: Bools, several: Integers) -> None:
        columns, problem = self.columns, self.problem
        points = self.points[np.searchsorted(self.several, several)]
        arrays = (columns.weights, columns.outputs, columns.neurons)
        leave_out(points, LENGTHS, several, *arrays, alive, problem.target, problem.epsilon)

    def left(self) -> Integers:
        """Return the columns with several weights that may be in a ticket."""
        return self.several[self.alive[self.several]]

    def _consistent(self, chosen: Integers) -> bool:
        """Return whether the kinks of these columns, one a neuron, and of single weights of others may mend."""
        neurons = self.columns.neurons
        alive = np.ones(neurons.size, dtype=np.bool_)
        alive[self.several] = False
        alive &= ~np.isin(neurons, neurons[chosen])
        alive[chosen] = True
        self._thin(alive, chosen)
        return bool(alive[chosen].all())

    def choices(self, deadline: Deadline) -> list[Integers] | None:
        """Return all sets of columns with several weights that a ticket may keep, or None: too many, or no time."""
        sets = [np.zeros(0, dtype=np.int64)]
        for cluster in self._clusters():
            neurons = self.columns.neurons[cluster]
            options = [[-1, *cluster[neurons == neuron].tolist()] for neuron in np.unique(neurons)]
            if math.prod(map(len, options)) > MOST_LOOKED_AT:
                return None
            subsets = (np.array(part, dtype=np.int64) for part in itertools.product(*options))
            allowed = []
            for part in subsets:
                if deadline.expired:
                    return None
                if self._consistent(part[part >= 0]):
                    allowed.append(part[part >= 0])
            sets = [np.concatenate([one, other]) for one in sets for other in allowed]
            if len(sets) > MOST_CHOICES:
                return None
        return sorted(sets, key=len)

    def _clusters(self) -> list[Integers]:
        """Return the columns left in clusters: kinks of two clusters never meet on an arc that is looked at."""
        left, columns = self.left(), self.columns
        rows, outputs = columns.weights[left], columns.outputs[left]
        points = self.points[np.searchsorted(self.several, left)]
        norms = np.linalg.norm(rows, axis=1)
        longest = np.minimum(4.0 * LENGTHS[-1] * self.problem.epsilon / (np.abs(outputs) * norms), 0.7)
        # |<w', x>| is at most |<w', u>| tan h somewhere on the arc's plane, with the longest arc that is tried.
        over = np.abs(np.einsum("skm,cm->skc", points, rows)).min(axis=1)
        along = np.abs((rows / norms[:, None]) @ rows.T)
        meets = over <= along * np.tan(np.arcsin(longest))[:, None] * (1.0 + 1e-9) + ROUNDING
        meets |= columns.neurons[left][:, None] == columns.neurons[left][None, :]
        count, label = connected_components(meets, directed=False)
        return [left[label == k] for k in range(count)]
