"""Points pruned side by side: solvers are small steps of one thread each, so two points take two cores well.

Each hand has its own copy of the dense model, since calibration hooks it, and shares nothing that is written. What
the first hand does is done by the caller, so that Ctrl-C reaches it; the others end with the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

import torch

from prunegap.trained.calibrate import Calibration
from prunegap.trained.compare.question import own_copy

T = TypeVar("T")

MOST_HANDS = 2
"""Each holds a model, its calibration and the matrices of a layer."""


class Hands:
    """As many hands as there are threads, two at most; one where the model is not on the CPU."""

    def __init__(self, calibration: Calibration, threads: int) -> None:
        on_cpu = all(p.device.type == "cpu" for p in calibration.model.parameters())
        self.count = min(MOST_HANDS, threads) if on_cpu else 1
        self.threads = threads
        self._calibrations = [calibration]

    def work(self, jobs: Sequence[Callable[[Calibration], T]]) -> list[Future[T]]:
        """Do up to `count` jobs at the same time and return their results, or what they raised."""
        while len(self._calibrations) < len(jobs):
            first = self._calibrations[0]
            self._calibrations.append(Calibration(own_copy(first.model), first.batches))
        results: list[Future[T]] = [Future() for _ in jobs]
        share = max(1, self.threads // max(1, len(jobs)))

        def do(place: int) -> None:
            torch.set_num_threads(share)
            try:
                results[place].set_result(jobs[place](self._calibrations[place]))
            except Exception as error:
                results[place].set_exception(error)

        others = [threading.Thread(target=do, args=(place,), daemon=True) for place in range(1, len(jobs))]
        for other in others:
            other.start()
        try:
            if jobs:
                do(0)
            for other in others:
                other.join()
        finally:
            torch.set_num_threads(self.threads)
        return results
