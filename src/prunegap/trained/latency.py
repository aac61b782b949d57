"""Measured latency: every model in a process of its own, all of them in turns.

A process of its own, since a second threading runtime in one process can slow the first a hundredfold; in turns,
since a machine that slows down must slow all models down. Only one process works at a time: a turn ends when the
threads of its process sleep (`trained.timed_process`). The speed-up is the
median over turns of baseline / model, each quotient from neighbouring turns.
"""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO, cast

import torch
from torch import Tensor, nn
from torch.utils import _pytree

from prunegap.model.errors import BadInputError
from prunegap.trained.calibrate import Batch, batch_of, run
from prunegap.trained.timed_call import timed_call
from prunegap.trained.timed_process import timed_environment
from prunegap.trained.timing import LEAST_SECONDS, Span, calls_per_turn, timed_turn

Turn = Callable[[], float]

LONGER = 3
"""How many times as long a comparison may take whose outcome is open."""
GPU_TURN_SECONDS = 5e-3
"""A turn on a GPU lasts at least this long: processes share it by turns of about a millisecond."""
TURN = b"turn"
"""The message that asks for one turn; any other message is a model with its inputs."""


@dataclass(frozen=True)
class Latency:
    """Seconds of one forward pass and how much faster than the baseline that is, with 95 % intervals of medians."""

    seconds: Span
    speedup: Span
    batch: int
    threads: int
    device: str
    turns: int
    isolated: bool
    """Whether each model had a process of its own; not so where its class cannot be imported by name."""


def measure_latency(
    models: Mapping[str, nn.Module],
    inputs: Batch,
    baseline: str = "dense",
    threads: int | None = None,
    turns: int = 31,
    warm_up: float = 0.3,
    graphs: bool = False,
) -> dict[str, Latency]:
    """Return the latency of every model on the same inputs, evaluation mode, no gradients.

    `threads` (default: torch's own number) holds for every process; `warm_up` is seconds a model. On CUDA each call
    is followed by a synchronisation; with `graphs` it is a replayed CUDA graph. Raises BadInputError where
    `baseline` is not one of the models, or one fails.
    """
    if baseline not in models:
        raise BadInputError(f"baseline {baseline!r}", f"must be one of {', '.join(models)}", "name a measured model")
    if turns < 1:
        raise BadInputError(f"turns {turns}", "must be at least 1", "use 31")
    threads = threads or torch.get_num_threads()
    with ExitStack() as stack:
        workers = {name: stack.enter_context(_Worker(threads)) for name in models}
        ready = [worker.load(models[name], inputs, warm_up, graphs) for name, worker in workers.items()]
        isolated = all(ready)
        if isolated:
            seconds = _in_turns({name: worker.turn for name, worker in workers.items()}, turns)
    if not isolated:
        seconds = _in_turns(_turns_here(models, inputs, threads, warm_up, graphs), turns)
    return {
        name: _latency(taken, seconds[baseline], inputs, threads, turns, isolated) for name, taken in seconds.items()
    }


def _latency(
    own: list[float], baseline: list[float], inputs: Batch, threads: int, turns: int, isolated: bool
) -> Latency:
    return Latency(
        Span.of(own),
        Span.of([base / mine for base, mine in zip(baseline, own, strict=True)]),
        batch_of(inputs),
        threads,
        device_of(tensors_of(inputs)),
        turns,
        isolated,
    )


class Stopwatch:
    """Two processes that stay: one holds the baseline, the other whatever is compared with it, model after model.

    The same measurement as `measure_latency`, without starting processes anew for every model. Use it as a context
    manager. Raises BadInputError where a model fails on the inputs.
    """

    def __init__(
        self,
        baseline: nn.Module,
        inputs: Batch,
        threads: int | None = None,
        turns: int = 31,
        warm_up: float = 0.1,
        graphs: bool = False,
    ) -> None:
        self.baseline, self.inputs, self.turns = baseline, inputs, turns
        self.warm_up, self.graphs = warm_up, graphs
        self.threads = threads or torch.get_num_threads()
        self._stack = ExitStack()
        self._first: _Worker | None = None
        self._second: _Worker | None = None
        self._ready: bool | None = None

    def __enter__(self) -> Stopwatch:
        # Both start at once and load torch while the caller does something else.
        self._first, self._second = (self._stack.enter_context(_Worker(self.threads)) for _ in range(2))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self._first = self._second = None

    def measure(self, model: nn.Module, undecided: bool = False) -> Latency:
        """Return the latency of a model and its speed-up over the baseline, both timed now, in turns.

        `undecided`: go on, up to three times as long, while the interval of the speed-up holds 1.
        """
        if self._first is None:
            self.__enter__()
        assert self._first is not None
        if self._second is None or not self._second.is_alive:
            self._second = self._stack.enter_context(_Worker(self.threads))
        if self._ready is None:
            self._ready = self._first.load(self.baseline, self.inputs, self.warm_up, self.graphs)
        isolated = self._ready and self._second.load(model, self.inputs, self.warm_up, self.graphs)
        if isolated:
            self._first.turn()  # it was idle: its caches are cold
            turn_of = {"dense": self._first.turn, "model": self._second.turn}
        else:
            both = {"dense": self.baseline, "model": model}
            turn_of = _turns_here(both, self.inputs, self.threads, self.warm_up, self.graphs)
        seconds: dict[str, list[float]] = {"dense": [], "model": []}
        while True:
            for name, taken in _in_turns(turn_of, self.turns).items():
                seconds[name] += taken
            count = len(seconds["dense"])
            found = _latency(seconds["model"], seconds["dense"], self.inputs, self.threads, count, isolated)
            if not undecided or count >= LONGER * self.turns or not found.speedup.low <= 1.0 <= found.speedup.high:
                return found

    def latency_left(self, model: nn.Module) -> float:
        """Return what part of the baseline's latency a model is left with."""
        return 1.0 / self.measure(model).speedup.median


def tensors_of(inputs: Batch) -> list[Tensor]:
    """Return the tensors of a batch, in order."""
    return [x for x in _pytree.tree_leaves(inputs) if isinstance(x, Tensor)]


def device_of(tensors: Sequence[Tensor]) -> str:
    """Return the device of the first tensor."""
    return str(tensors[0].device) if tensors else "cpu"


def _in_turns(turn_of: Mapping[str, Turn], turns: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in turn_of}
    for _ in range(turns):
        for name, turn in turn_of.items():
            seconds[name].append(turn())
    return seconds


def _turns_here(
    models: Mapping[str, nn.Module], inputs: Batch, threads: int, warm_up: float, graphs: bool
) -> dict[str, Turn]:
    torch.set_num_threads(threads)
    return {name: prepared(model, inputs, warm_up, graphs) for name, model in models.items()}


def prepared(model: nn.Module, inputs: Batch, warm_up: float, graphs: bool = False) -> Turn:
    """Return, once the model is warm, a function that runs one turn and returns the seconds of one call."""
    model.eval()

    def forward() -> object:
        with torch.inference_mode():
            return run(model, inputs)

    tensors = tensors_of(inputs)
    call = timed_call(forward, tensors, graphs)
    on_gpu = any(tensor.is_cuda for tensor in tensors)
    count = calls_per_turn(call, warm_up, GPU_TURN_SECONDS if on_gpu else LEAST_SECONDS)

    def turn() -> float:
        # The turn before was another process's: its caches, and on a GPU its context, are not this model's fault.
        if on_gpu or count > 1:
            call()
        return timed_turn(call, count)

    return turn


class _Worker:
    """A process that holds one model and times it when it is told to."""

    def __init__(self, threads: int) -> None:
        paths = [p for p in sys.path if p]
        environment = {**timed_environment(os.environ), "PYTHONPATH": os.pathsep.join([os.getcwd(), *paths])}
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            environment[name] = str(threads)
        command = [sys.executable, "-m", "prunegap.trained.latency_worker", str(threads)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def __enter__(self) -> _Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def is_alive(self) -> bool:
        """Whether the process still answers."""
        return self._process.poll() is None

    def load(self, model: nn.Module, inputs: Batch, warm_up: float, graphs: bool) -> bool:
        """Return whether the process could make the model; raises BadInputError if the model itself fails."""
        try:
            whole = pickle.dumps((model, inputs, warm_up, graphs))
        except Exception:  # what cannot be sent is timed here instead
            return False
        answer, problem = self._ask(whole)
        if answer == "failed":
            raise BadInputError("model", f"fails on the given inputs ({problem})", "give inputs that it accepts")
        return bool(answer == "ready")

    def turn(self) -> float:
        """Return the seconds of one call, averaged over one turn."""
        answer, value = self._ask(TURN)
        if answer != "seconds":
            raise BadInputError("model", f"fails while it is timed ({value})", "run it with fewer threads or inputs")
        return float(value)

    def _ask(self, message: bytes) -> tuple[str, Any]:
        try:
            send(cast(BinaryIO, self._process.stdin), message)
            return cast(tuple[str, Any], pickle.loads(receive(cast(BinaryIO, self._process.stdout))))
        except (OSError, EOFError):
            return "died", f"its process ended with code {self._process.poll()}"


def send(stream: BinaryIO, message: bytes) -> None:
    """Write one message: its length in 8 bytes, then itself."""
    stream.write(struct.pack(">Q", len(message)) + message)
    stream.flush()


def receive(stream: BinaryIO) -> bytes:
    """Return the next message; raises EOFError where the stream ends before it does."""
    header = stream.read(8)
    if len(header) < 8:
        raise EOFError
    (length,) = struct.unpack(">Q", header)
    message = stream.read(length)
    if len(message) < length:
        raise EOFError
    return message
