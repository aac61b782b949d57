"""`prunegap status`: how a study stands and which drivers work on it, from another terminal."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from prunegap.cli.progress import duration, row_in_words
from prunegap.study.presence import Driver, bounds, drivers
from prunegap.study.row import Row
from prunegap.study.store import Store
from prunegap.study.width import WidthStatus

SCHEMA = 1
"""Version of the object that --json prints; docs/json-schema.md is the promise."""


def run(study: Path, as_json: bool) -> None:
    """Read and print; raises BadInputError where `study` is none."""
    with Store(study, read_only=True) as store:
        cells: Counter[str] = Counter()
        seconds = 0.0
        for count in store.counts():
            cells[count.status] += count.cells
            seconds += count.seconds
        worst = [*store.worst(1, WidthStatus.CENSORED), *store.worst(1, WidthStatus.OPEN)]
    found = drivers(study)
    if as_json:
        print(json.dumps(_as_object(cells, seconds, worst, found)))
        return
    total = sum(cells.values())
    kinds = ", ".join(f"{cells[status]} {status.value}" for status in WidthStatus)
    print(f"{total} cells: {kinds}; {duration(seconds)} of measuring")
    if worst:
        print(f"worst cell: {row_in_words(worst[0])}")
    for driver in found:
        print(_in_words(driver))
    if not found:
        print("no driver is at work")


def _as_object(cells: Counter[str], seconds: float, worst: list[Row], found: list[Driver]) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "cells": sum(cells.values()),
        **{status.value: cells[status] for status in WidthStatus},
        "seconds": seconds,
        "worst": bounds(worst[0]) if worst else None,
        "drivers": [
            {**driver.said, "alive": driver.alive, "seconds_since_beat": driver.seconds_since_beat}
            for driver in found
        ],
    }


def _in_words(driver: Driver) -> str:
    said = driver.said
    who = f"driver {driver.pid} on {driver.host} ({said['executor']}, {said['slots']} at once)"
    if not driver.alive:
        return f"{who} ended without a word {duration(driver.seconds_since_beat)} ago; the same command goes on"
    told = [f"{said['done']} of {said['total']} cells done", f"{len(said['running'])} running"]
    if said["cells_per_minute"] is not None:
        told.append(f"{said['cells_per_minute']:.3g} a minute")
    if said["seconds_left"] is not None:
        told.append(f"about {duration(said['seconds_left'])} left")
    return f"{who}: {', '.join(told)}"
