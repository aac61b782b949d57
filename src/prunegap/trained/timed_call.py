"""A call as it is timed on the device of its tensors: finished when it returns.

Work on a GPU goes on after a call returns, so a timed call waits for it. With `graphs` the kernels of a call are
captured once as a CUDA graph and replayed: what is left is the GPU's own time, without the 5 to 15 microseconds that
the processor takes to start each kernel, which is all the time that small layers take (decision 0015).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

WARM_UP = 3
"""Calls before a capture: libraries choose their kernels and take their memory in the first ones."""


def timed_call(call: Callable[[], object], tensors: Iterable[Tensor], graphs: bool = False) -> Callable[[], None]:
    """Return `call`, which reads `tensors`, as something whose return means that its work is done.

    On CUDA it is followed by a synchronisation, with `graphs` it is a replay of the captured kernels, which read the
    same memory each time. Raises what a capture raises: not every operation can be captured.
    """
    if not any(tensor.is_cuda for tensor in tensors):

        def plain() -> None:
            call()

        return plain
    work = captured(call) if graphs else call

    def finished() -> None:
        work()
        torch.cuda.synchronize()

    return finished


def captured(call: Callable[[], object]) -> Callable[[], object]:
    """Return the replay of a call as a CUDA graph, which does not wait for the GPU.

    Its results stay alive, and are overwritten by each replay.
    """
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = call()

    def replay() -> object:
        graph.replay()
        return results

    return replay
