"""The process that times one model at a time: it answers messages on standard input, one by one.

Messages are pickles, between this process and the parent that started it only; no file is written or read.
"""

from __future__ import annotations

import os
import pickle
import sys
import warnings

import torch

from prunegap.trained.latency import TURN, Turn, prepared, receive, send
from prunegap.trained.timed_process import wait_until_quiet

Answer = tuple[str, object]


def main() -> None:
    """Answer "ready" (or why not) to a model and "seconds" to a turn, until the parent goes away."""
    answers, questions = os.fdopen(os.dup(1), "wb"), os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)  # whatever the user's code prints must not look like an answer
    torch.set_num_threads(int(sys.argv[1]))
    warnings.simplefilter("ignore")
    turn: Turn | None = None
    try:
        while True:
            message = receive(questions)
            if message == TURN and turn is not None:
                answer = _timed(turn)
            else:
                turn = None  # the model before is let go first
                turn, answer = _loaded(message)
            wait_until_quiet()  # the next turn is another process's
            send(answers, pickle.dumps(answer))
    except (EOFError, BrokenPipeError):
        return


def _loaded(message: bytes) -> tuple[Turn | None, Answer]:
    try:
        model, inputs, warm_up, graphs = pickle.loads(message)
    except Exception as error:
        return None, ("unknown", str(error))
    try:
        return prepared(model, inputs, warm_up, graphs), ("ready", None)
    except Exception as error:
        return None, ("failed", f"{type(error).__name__}: {error}")


def _timed(turn: Turn) -> Answer:
    try:
        return ("seconds", turn())
    except Exception as error:
        return ("failed", f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
