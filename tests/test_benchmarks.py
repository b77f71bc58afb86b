"""The benchmark of the cold start, done quickly and without valgrind: it works, and its table names every target."""

import os
import subprocess
import sys
from pathlib import Path

from scheduler.deploy.runtimes import find_runtime

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "cold_start.py"


def test_the_benchmark_measures_and_writes_its_table(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, str(BENCHMARK), "--quick", "--output", str(tmp_path / "table.md")],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if find_runtime(f"Python3.{sys.version_info.minor}") is None:
        assert "the platform has no runtime" in done.stderr
        return
    assert (done.returncode, done.stderr) == (0, "")
    assert "instructions are NOT MEASURED" in done.stdout
    rows = [line.split("|") for line in (tmp_path / "table.md").read_text(encoding="utf-8").splitlines()[6:]]
    assert {row[1].strip() for row in rows} == {"1", "2", "3", "4", "5", "6", "8", "9"}
    decided = {row[2].strip(): row[5].strip() for row in rows if "peak memory" in row[2] or "calls" in row[2]}
    assert len(decided) >= 4
    assert set(decided.values()) <= {"met", "MISSED"}
    assert {result for what, result in decided.items() if "calls" in what} == {"met"}
