"""Masks of planar neurons whose sum is close to linear on the whole circle: a sweep that keeps a beam of states.

Write the sum of kept neurons at angle t as its odd part, which is linear, and its even part E. Each kept kink bends
E: E'' + E = sum_i s_i delta(t - t_i) with s_i = v_i ||w_i||, whatever the side on which the neuron is active. So over
half a turn, kinks in order, a mask is a path of states (E, E'), turned between kinks and kicked by s_i at kept ones,
and the sum is near linear where |E| stays in a tube. Beside them a state carries the linear part, half the sum of
kept v_i w_i. Where more states survive than the beam holds, a fair sample goes on: survivors are plentiful soon after
the width at which there are any. Pure functions of bare arrays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.jit import compiled

Floats = NDArray[np.float64]
Words = NDArray[np.uint64]


@compiled
def _branch(
    states: Floats, kept: Words, count: int, turn: float, kink: int, kick: Floats, into: Floats, kept_into: Words
) -> int:
    """Turn states to the next kink and write those inside a tube of height 1, without and with it; return how many.

    `kick` (4,) is what keeping the kink adds to a state; `kink` -1 is the end, where nothing is kept.
    """
    cosine, sine = np.cos(turn), np.sin(turn)
    size = 0
    for k in range(count):
        value, slope = states[k, 0], states[k, 1]
        turned, steep = cosine * value + sine * slope, cosine * slope - sine * value
        # Between two kinks the even part is one arch of height sqrt(E^2 + E'^2).
        arched = slope * steep < 0.0 and value * value + slope * slope > 1.0
        if abs(turned) > 1.0 or arched:
            continue
        for keep in range(1 if kink < 0 else 2):
            into[size, 0], into[size, 1] = turned, steep
            into[size, 2], into[size, 3] = states[k, 2], states[k, 3]
            for word in range(kept.shape[1]):
                kept_into[size, word] = kept[k, word]
            if keep == 1:
                for axis in range(1, 4):
                    into[size, axis] += kick[axis]
                kept_into[size, kink >> 6] |= np.uint64(1) << np.uint64(kink & 63)
            size += 1
    return size


@compiled
def _sample(
    states: Floats, kept: Words, count: int, turn: float, into: Floats, kept_into: Words, random: np.random.Generator
) -> int:
    """Copy a fair sample of the states that `turn` leaves inside the tube, as there is room; return its size."""
    cosine, sine = np.cos(turn), np.sin(turn)
    left = 0
    for k in range(count):
        left += abs(cosine * states[k, 0] + sine * states[k, 1]) <= 1.0
    room = min(left, into.shape[0])
    size = 0
    for k in range(count):
        if abs(cosine * states[k, 0] + sine * states[k, 1]) <= 1.0:
            if random.random() * left < room - size:
                for axis in range(4):
                    into[size, axis] = states[k, axis]
                for word in range(kept.shape[1]):
                    kept_into[size, word] = kept[k, word]
                size += 1
            left -= 1
    return size


@compiled
def swept_states(
    angles: Floats, kicks: Floats, linear: Floats, end: float, tube: float, most: int, random: np.random.Generator
) -> tuple[Floats, Words]:
    """Return at most `most` states at `end`, (c, 4): E, E' and the linear part; and their masks, bit i of kink i.

    `angles` (k,) ascending in [0, end] with `kicks` (k,) and `linear` (k, 2), what each kept kink adds to E' and to
    the linear part; every path starts from E = E' = 0 at angle 0 and stays within |E| <= `tube`.
    """
    count = angles.shape[0]
    words = count // 64 + 1
    states, kept = np.zeros((most, 4)), np.zeros((most, words), dtype=np.uint64)
    children, kept_children = np.zeros((2 * most, 4)), np.zeros((2 * most, words), dtype=np.uint64)
    kick = np.zeros(4)
    size, here = 1, 0.0
    for i in range(count):
        following = angles[i + 1] if i + 1 < count else end
        # States are in units of the tube, so that its height is 1.
        kick[1], kick[2], kick[3] = kicks[i] / tube, linear[i, 0] / tube, linear[i, 1] / tube
        born = _branch(states, kept, size, angles[i] - here, i, kick, children, kept_children)
        size = _sample(children, kept_children, born, following - angles[i], states, kept, random)
        here = angles[i]
    size = _branch(states, kept, size, end - here, -1, kick, children, kept_children)
    return children[:size] * tube, kept_children[:size].copy()
