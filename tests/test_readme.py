"""The README's Python example runs, and says what its comments say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_example_runs_and_prints_what_it_says() -> None:
    code = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert code is not None
    run = subprocess.run([sys.executable, "-c", code[1]], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert lines[0] == "found 99 98"
    assert float(lines[1]) <= 0.01
    assert lines[2].startswith("weight")
    assert lines[2].endswith("closed")
    assert lines[3] == "neuron (61, 62) closed"
