"""Several sums met at once from one pool of neurons that they share: meeting in the middle, in a few dimensions.

Every neuron of the pool serves one of the sums or none. The pool is cut in two; each half is listed with the vector
that it reaches, sorted by its first entry; then for every vector of one half only those of the other are visited
whose first entry can still beat the best found. `mend` strings such joint solutions together: it takes a sum that
is badly met and a few others, and meets them again with their own neurons and some that are free.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.jit import compiled

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST_LISTED = 2048
"""Vectors listed for each half."""
REACH = 3.0
"""A free neuron is of use to a sum up to this multiple of the greatest goal among the sums met together."""


DRAWING = 10
"""Work of drawing the pool, for each neuron."""
SORTING = 60
"""Work of listing and sorting one vector, where visiting a pair of them is 1 (some 2 ns)."""
HEAT = 3.0
"""Mean cost that every third step may add, in shares of the squared error: the neurons have to keep moving."""


@compiled
def listed(contributions: Floats, neurons: Integers, places: Integers) -> tuple[Floats, Integers]:
    """Return what every assignment of `neurons` to `places` or to none reaches, (c, k), with its code, (c,).

    `contributions` has shape (sums, width); c is the product over neurons of 1 + the non-zero contributions. Digit i
    of the code in base k + 1 is 0 for none, or 1 + the index in `places` that neuron i serves.
    """
    base = places.shape[0] + 1
    count = 1
    for neuron in neurons:
        options = 1
        for place in places:
            options += contributions[place, neuron] != 0.0
        count *= options
    vectors = np.zeros((count, places.shape[0]))
    codes = np.zeros(count, dtype=np.int64)
    size, digit = 1, 1
    for neuron in neurons:
        old = size
        for k in range(places.shape[0]):
            value = contributions[places[k], neuron]
            if value != 0.0:
                for c in range(old):
                    vectors[size + c] = vectors[c]
                    vectors[size + c, k] += value
                    codes[size + c] = codes[c] + (k + 1) * digit
                size += old
        digit *= base
    return vectors, codes


@compiled
def nearest_join(
    one: Floats, other: Floats, goal: Floats, prices: tuple[Floats, Floats], enough: float, bound: float
) -> tuple[int, int, int]:
    """Return rows i, j whose cost is below `bound`, the least or the first <= `enough`; else (-1, -1).

    The cost is |one_i + other_j - goal|^2 plus the prices of both rows, which are at least 0. Third comes the number
    of pairs visited.
    `other` is ascending in its first column.
    """
    first, second, visited = -1, -1, 0
    width = goal.shape[0]
    for i in range(one.shape[0]):
        rest = goal[0] - one[i, 0]
        if prices[0][i] >= bound:
            continue
        radius = np.sqrt(bound - prices[0][i])
        j = np.searchsorted(other[:, 0], rest - radius)
        while j < other.shape[0] and other[j, 0] <= rest + radius:
            visited += 1
            distance = (other[j, 0] - rest) ** 2 + prices[0][i] + prices[1][j]
            for k in range(1, width):
                distance += (one[i, k] + other[j, k] - goal[k]) ** 2
            if distance < bound:
                bound, radius = distance, np.sqrt(distance - prices[0][i])
                first, second = i, j
                if bound <= enough:
                    return first, second, visited
            j += 1
    return first, second, visited


@compiled
def error_of(residuals: Floats) -> float:
    """Return the closed form of the error for the residuals of the sums (0, +), ..., (d - 1, +), (0, -), ..."""
    dimension = residuals.shape[0] // 2
    over = under = 0.0
    for j in range(dimension):
        r, s = residuals[j], residuals[j + dimension]
        over += max(r, s, 0.0) ** 2
        under += max(-r, -s, 0.0) ** 2
    return float(np.sqrt(max(over, under)))


@compiled
def drawn_places(residuals: Floats, count: int, worst: bool, random: np.random.Generator) -> Integers:
    """Return `count` distinct sums at random, the first with a chance that grows with its residual if `worst`."""
    size = residuals.shape[0]
    places = np.empty(count, dtype=np.int64)
    first = int(random.random() * size)
    if worst:
        weights = np.cumsum(residuals**2)
        first = min(np.searchsorted(weights, random.random() * weights[-1]), size - 1)
    places[0] = first
    k = 1
    while k < count:
        place = int(random.random() * size)
        if not (places[:k] == place).any():
            places[k] = place
            k += 1
    return places


@compiled
def drawn_pool(
    contributions: Floats, goals: Floats, owner: Integers, places: Integers, random: np.random.Generator
) -> tuple[Integers, Integers, bool]:
    """Return two halves of a pool: the neurons of the sums in `places`, then free ones at random, while room is left.

    The last entry tells whether all the neurons of the sums are among them.
    """
    reach = REACH * np.abs(goals[places]).max()
    halves = np.empty((2, owner.shape[0]), dtype=np.int64)
    filled = np.zeros(2, dtype=np.int64)
    sizes = np.ones(2)
    order = np.arange(owner.shape[0])
    for last in range(owner.shape[0] - 1, 0, -1):
        other = int(random.random() * (last + 1))
        order[last], order[other] = order[other], order[last]
    for own in (True, False):
        for i in order:
            if (owner[i] >= 0) != own or (own and not (places == owner[i]).any()):
                continue
            options = 1
            for place in places:
                value = contributions[place, i]
                options += value != 0.0 and (own or abs(value) <= reach)
            if options == 1:
                continue
            half = 0 if sizes[0] <= sizes[1] else 1
            # `listed` also offers what is out of reach, so the bound counts every non-zero contribution.
            options = 1
            for place in places:
                options += contributions[place, i] != 0.0
            if sizes[half] * options > MOST_LISTED or filled[half] == 24:
                if own:
                    return halves[0, :0], halves[1, :0], False
                return halves[0, : filled[0]], halves[1, : filled[1]], True
            sizes[half] *= options
            halves[half, filled[half]] = i
            filled[half] += 1
    return halves[0, : filled[0]], halves[1, : filled[1]], True


@compiled
def priced(codes: Integers, base: int, price: float) -> Floats:
    """Return the price of every code of `listed`: one `price` for each neuron that serves a sum."""
    prices = np.zeros(codes.shape[0])
    for c in range(codes.shape[0]):
        code = codes[c]
        while code > 0:
            prices[c] += price * (code % base > 0)
            code //= base
    return prices


@compiled
def meet_jointly(
    contributions: Floats,
    goals: Floats,
    owner: Integers,
    residuals: Floats,
    places: Integers,
    price: float,
    heat: float,
    random: np.random.Generator,
) -> int:
    """Meet the sums in `places` again at a lower cost, or at one up to `heat` above where heat is > 0.

    The cost is the sum of squares of the residuals and a price for every neuron: others could use it. Returns the
    work done.
    """
    left, right, whole = drawn_pool(contributions, goals, owner, places, random)
    if not whole:
        return int(DRAWING * owner.shape[0])
    base = places.shape[0] + 1
    one, one_codes = listed(contributions, left, places)
    other, other_codes = listed(contributions, right, places)
    order = np.argsort(other[:, 0])
    other, other_codes = other[order], other_codes[order]
    prices = (priced(one_codes, base, price), priced(other_codes, base, price))
    used = 0
    for neuron in left:
        used += owner[neuron] >= 0
    for neuron in right:
        used += owner[neuron] >= 0
    bound = (residuals[places] ** 2).sum() + price * used
    bound = bound + heat if heat > 0.0 else bound * (1.0 - 1e-9)
    i, j, visited = nearest_join(one, other, goals[places], prices, bound if heat > 0.0 else 0.0, bound)
    work: int = DRAWING * owner.shape[0] + SORTING * (one.shape[0] + other.shape[0]) + visited
    if i < 0:
        return work
    for half in range(2):
        neurons = left if half == 0 else right
        code = one_codes[i] if half == 0 else other_codes[j]
        for neuron in neurons:
            choice = code % base
            owner[neuron] = places[choice - 1] if choice > 0 else -1
            code //= base
    for k in range(places.shape[0]):
        residuals[places[k]] = one[i, k] + other[j, k] - goals[places[k]]
    return work


@compiled
def mend(
    contributions: Floats,
    goals: Floats,
    owner: Integers,
    residuals: Floats,
    epsilon: float,
    work: int,
    price: float,
    random: np.random.Generator,
) -> float:
    """Change `owner` and `residuals` by joint solutions until the closed form is at most epsilon or `work` is done.

    `owner` (width,) names the sum that a neuron serves, or -1; `residuals` (2d,) what is reached beyond the goals.
    A unit of `work` takes some 2 ns; the `price` of a neuron is in shares of epsilon times the error. Returns the
    closed form of the error. Repeats with `random`.
    """
    count = goals.shape[0]
    error = error_of(residuals)
    step = 0
    while work > 0 and error > epsilon:
        step += 1
        most = min(2 + (random.random() < 0.5), count)
        places = drawn_places(residuals, most, step % 3 != 0, random)
        heat = -HEAT * error**2 / count * np.log(1.0 - random.random()) if step % 3 == 0 else 0.0
        cost = price * epsilon * error / count
        work -= 100 + meet_jointly(contributions, goals, owner, residuals, places, cost, heat, random)
        error = error_of(residuals)
    return float(error)
