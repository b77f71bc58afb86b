"""Runs commands in this process and holds what they print against files."""

import contextlib
import io
import json
import os
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from scheduler.cli.application import application

GOLDEN = Path(__file__).parent / "golden" / "cli"
SIMULATED = "simulated cloud: its servers are made up from the file; yours are not touched\n"
"""What every command with --simulated says on stderr."""


class Ended(NamedTuple):
    """How a command ended."""

    code: object
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


def run(*arguments: str) -> Ended:
    """Run a command as the console script does, its output going to pipes."""
    stdout, stderr = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    code: object = None
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            application(list(arguments), prog_name="cce-scheduler")
        except SystemExit as e:
            code = e.code
    return Ended(code, *(_text(stream) for stream in (stdout, stderr)))


def isolate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in the folder of the golden files, and keep the person's terminal out of the test."""
    monkeypatch.chdir(GOLDEN)
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def check_golden(name: str, text: str) -> None:
    """Compare with a file; ``UPDATE_GOLDEN=1`` in the environment writes it instead."""
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def _text(stream: io.TextIOWrapper) -> str:
    raw = stream.buffer
    assert isinstance(raw, io.BytesIO)
    return raw.getvalue().decode()


def heed_interrupts() -> None:
    """Let a child process be interrupted, whoever started this one: a job in the background ignores interrupts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
