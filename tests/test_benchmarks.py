"""The benchmark of the cold start, done quickly and without valgrind: it works, and its table names every target."""

import os
import subprocess
import sys
from pathlib import Path
from typing import List

from scheduler.deploy.runtimes import find_runtime

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "cold_start.py"
RESULTS = BENCHMARK.with_name("RESULTS.md")


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
    assert {row[5].strip() for row in rows if row[2].strip().startswith("calls, ")} == {"met"}
    assert {row[5].strip() for row in rows if "NOT MEASURED" in row[3]} == {"-"}
    assert sorted(row[2].strip() for row in rows) == names("--quick")


def test_the_results_have_the_rows_that_would_be_measured_today() -> None:
    """Where this fails, the benchmark was changed and not run: ``make bench``."""
    lines = [line for line in RESULTS.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert sorted(line.split("|")[2].strip() for line in lines[1:]) == names()


def names(*options: str) -> List[str]:
    """Return what the benchmark says that its rows are called, sorted."""
    command = [sys.executable, str(BENCHMARK), "--names", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own script
    return sorted(done.stdout.splitlines())
