"""The process that times one model for `measure_latency`: it answers messages on standard input, one by one.

Messages are pickles, between this process and the parent that started it only; no file is written or read.
"""

from __future__ import annotations

import os
import pickle
import sys
import warnings

import torch

from prunegap.trained.latency import prepared, receive, send


def main() -> None:
    """Answer "ready" (or why not) to a model, then "seconds" to every turn, until the parent goes away."""
    answers, questions = os.fdopen(os.dup(1), "wb"), os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)  # whatever the user's code prints must not look like an answer
    torch.set_num_threads(int(sys.argv[1]))
    warnings.simplefilter("ignore")
    try:
        whole = receive(questions)
        try:
            model, inputs, warm_up = pickle.loads(whole)
        except Exception as error:
            send(answers, pickle.dumps(("unknown", str(error))))
            return
        try:
            turn = prepared(model, inputs, warm_up)
        except Exception as error:
            send(answers, pickle.dumps(("failed", f"{type(error).__name__}: {error}")))
            return
        send(answers, pickle.dumps(("ready", None)))
        while True:
            receive(questions)
            try:
                answer: tuple[str, object] = ("seconds", turn())
            except Exception as error:
                answer = ("failed", f"{type(error).__name__}: {error}")
            send(answers, pickle.dumps(answer))
    except (EOFError, BrokenPipeError):
        return


if __name__ == "__main__":
    main()
