"""The tutorial on digits runs, quotes its own script, and shows what its text claims."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn")
FOLDER = Path(__file__).parents[2] / "docs" / "tutorials"


def lines(text: str) -> list[str]:
    """Return the lines without indentation."""
    return [line.strip() for line in text.splitlines()]


def test_every_block_of_the_text_stands_in_the_script() -> None:
    script = "\n".join(lines((FOLDER / "digits.py").read_text()))
    blocks = re.findall(r"```python\n(.*?)```", (FOLDER / "digits.md").read_text(), re.DOTALL)
    assert len(blocks) >= 5
    for block in blocks:
        assert "\n".join(lines(block)) in script


def test_the_script_makes_tickets_at_every_granularity_and_the_picture(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, FOLDER / "digits.py", "--quick", "--out", tmp_path],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    rows = [
        line.split() for line in done.stdout.splitlines() if re.match(r" *(subset sums|neuron sel|edge-popup)", line)
    ]
    assert len(rows) == 8 + 6
    # At the weight ticket's own width it is nearer than every rival, and within half a point of the target.
    errors = [float(row[5]) for row in rows[:8]]
    assert errors[0] < 0.02
    assert errors[0] < 0.1 * min(errors[1:])
    target = float(re.search(r"in fp32, accuracy ([\d.]+)%", done.stdout)[1])
    accuracy = float(rows[0][-3].rstrip("%"))
    assert abs(accuracy - target) <= 0.5
    names = {path.name for path in tmp_path.iterdir()}
    assert {"digits.ticket", "digits.svg", "digits.png", "neuron-selection-neuron-64.rival"} <= names
    assert "whole neurons" in (tmp_path / "digits.svg").read_text()
