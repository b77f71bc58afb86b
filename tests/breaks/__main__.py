"""Break one rule at a time and see that a test notices: ``make breaks``.

Each ``*.patch`` beside this file begins with the rule that it breaks. It is applied to a copy of the tree, in which
the tests of time must then fail. A patch that does not apply any more is a failure too: write it anew.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List, NamedTuple

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parent.parent
_TREE = ("scheduler", "schema", "tests", "pyproject.toml")
_TESTS = ("hours", "localtime", "evaluate")
_TIMEOUT_S = 900


class Verdict(NamedTuple):
    """What became of one patch."""

    name: str
    rule: str
    is_good: bool
    text: str


def main() -> int:
    """Try every patch, or those named on the command line; return 1 if one survives or does not apply."""
    patches = [path for path in sorted(_HERE.glob("*.patch")) if not sys.argv[1:] or path.stem in sys.argv[1:]]
    began = time.monotonic()
    unbroken = run_tests(None)
    if not unbroken.startswith("survived"):
        _say(f"The tests fail without any patch: {unbroken}\n")
        return 1
    verdicts: List[Verdict] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for verdict in pool.map(try_patch, patches):
            verdicts.append(verdict)
            _say(f"{'ok  ' if verdict.is_good else 'FAIL'}  {verdict.name:26}{verdict.rule}\n{'':32}{verdict.text}\n")
    bad = [verdict.name for verdict in verdicts if not verdict.is_good]
    caught, seconds = len(verdicts) - len(bad), time.monotonic() - began
    _say(f"{caught} of {len(verdicts)} breaks caught in {seconds:.0f} s{': not ' + ', '.join(bad) if bad else ''}\n")
    return 1 if bad or not verdicts else 0


def try_patch(patch: Path) -> Verdict:
    """Return whether the tests notice a patch."""
    rule = patch.read_text(encoding="utf-8").splitlines()[0]
    text = run_tests(patch)
    return Verdict(patch.stem, rule, text.startswith("caught"), text)


def run_tests(patch: "Path | None") -> str:
    """Run the tests in a copy of the tree, with a patch applied or without, and say what they found."""
    with tempfile.TemporaryDirectory() as copy:
        for name in _TREE:
            source = _ROOT / name
            if source.is_dir():
                shutil.copytree(source, Path(copy, name), ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy)
        if patch is not None:
            applied = _run(["git", "apply", str(patch)], copy)
            if applied.returncode:
                return f"does not apply: {applied.stderr.strip()}"
        files = [f"tests/test_{name}.py" for name in _TESTS]
        try:
            found = _run([sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *files], copy)
        except subprocess.TimeoutExpired:
            return f"did not end within {_TIMEOUT_S} s"
        if found.returncode == 0:
            return "survived"
        failed = re.search(r"^FAILED (\S+)", found.stdout, re.MULTILINE)
        if found.returncode == 1 and failed:
            return f"caught by {failed[1].split('::')[-1]}"
        return f"pytest stopped with {found.returncode}: {found.stdout[-300:]}{found.stderr[-300:]}"


def _run(command: List[str], folder: str) -> "subprocess.CompletedProcess[str]":
    # The copy comes first on the path: the installed package is the tree that was copied.
    environment = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1", "ORACLE_CASES": "1200"}
    return subprocess.run(  # noqa: S603 - our own commands
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
