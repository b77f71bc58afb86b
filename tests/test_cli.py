"""The command line as a whole: exit codes, streams, help, and what it needs to run."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

import pytest
import typer

from scheduler.cli.application import Commands, application
from scheduler.cli.output import line, show, table
from scheduler.errors import PermanentCloudError
from tests.cli_runner import GOLDEN, Ended, check_golden, heed_interrupts, isolate, run

ROOT = Path(__file__).parent.parent
needs_terminal = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
COMMANDS = (
    *("init", "doctor", "validate", "evaluate", "explain", "calendar", "savings", "holidays", "plan", "apply"),
    "simulate",
    *("override", "package", "deploy", "status", "undeploy"),
)


@pytest.fixture(autouse=True)
def _in_golden(monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch)


def start(*arguments: str, **environ: str) -> Ended:
    """Run a command as a process of its own."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, *arguments], check=False, capture_output=True, cwd=GOLDEN, env=environment(environ)
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def on_terminal(*arguments: str) -> "Tuple[subprocess.Popen[bytes], int]":
    """Start a command whose stderr is a terminal, and return our end of it."""
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "scheduler", *arguments],
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=GOLDEN,
        preexec_fn=heed_interrupts,  # noqa: PLW1509 - it takes no lock
        env=environment({"TERM": "xterm"}),
    )
    os.close(theirs)
    return process, ours


def environment(environ: Dict[str, str]) -> Dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "COVERAGE_PROCESS_START")}
    return {**kept, "PYTHONPATH": str(ROOT), **environ}


def test_runs_as_a_module() -> None:
    ended = start("-m", "scheduler", "evaluate", "--at", "2026-11-23T08:00:00+07:00", "--json")
    assert (ended.code, ended.stderr) == (0, "")
    assert [found["state"] for found in ended.json] == ["running", "running", "stopped", "running", "unmanaged"]


def test_a_known_failure_is_1_and_leaves_stdout_empty() -> None:
    ended = start("-m", "scheduler", "plan", "--file", "seven-mistakes.yaml", "--json")
    assert (ended.code, ended.stdout) == (1, "")
    assert 'seven-mistakes.yaml:2:11: timezone: unknown zone "Mars/Olympus"' in ended.stderr


def test_wrong_usage_is_64() -> None:
    ended = start("-m", "scheduler", "plan", "--nonsense")
    assert (ended.code, ended.stdout) == (64, "")
    assert "No such option" in ended.stderr


@needs_terminal
def test_an_interrupt_is_130() -> None:
    process, terminal = on_terminal("simulate", "--days", "300")  # it would take minutes
    seen = b""
    while b"simulating" not in seen:
        seen += os.read(terminal, 1 << 16)
    process.send_signal(signal.SIGINT)
    try:
        stdout, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    seen += os.read(terminal, 1 << 16)
    os.close(terminal)
    assert (process.returncode, stdout) == (130, b"")
    assert b"interrupted" in seen
    assert b"Traceback" not in seen


@pytest.mark.parametrize("missing", ["typer", "rich", "werkzeug"])
def test_says_what_to_install_where_a_library_is_missing(missing: str) -> None:
    script = f"import sys; sys.modules[{missing!r}] = None; from scheduler.cli import main; main()"
    ended = start("-c", script)
    assert (ended.code, ended.stdout) == (1, "")
    assert ended.stderr == f'the command line needs {missing}: install the extra "cli"\n'


def test_a_name_that_stdout_cannot_write_ends_no_command(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    text = (GOLDEN / "schedules.yaml").read_text(encoding="utf-8").replace("name: dev", "name: büro")
    file.write_text(text, encoding="utf-8")
    ended = start("-m", "scheduler", "calendar", "--file", str(file), PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert ended.code == 0
    assert "b\\xfcro" in ended.stdout
    assert "# running   . stopped   + partly   - unmanaged" in ended.stdout


@pytest.mark.parametrize("arguments", [("calendar",), ("evaluate", "--json"), ("calendar", "--ics", "-"), ("--help",)])
def test_a_closed_pipe_is_no_bug(arguments: Sequence[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "scheduler", *arguments],
        check=False,
        stdout=writer,
        stderr=subprocess.PIPE,
        cwd=GOLDEN,
        env=environment({}),
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"error: the output cannot be written (Broken pipe)\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
@pytest.mark.parametrize(
    "arguments", [("calendar",), ("evaluate", "--json"), ("calendar", "--ics", "-"), ("plan", "--help"), ("--version",)]
)
def test_a_full_disk_is_no_bug(arguments: Sequence[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "scheduler", *arguments],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=GOLDEN,
            env=environment({}),
        )
    message = b"error: the output cannot be written (No space left on device)\n"
    assert (done.returncode, done.stderr) == (1, message)


@pytest.mark.parametrize("arguments", [("evaluate",), ("evaluate", "--json"), ("calendar", "--ics", "-"), ("--help",)])
def test_a_closed_stdout_is_no_bug(arguments: Sequence[str]) -> None:
    done = subprocess.run(  # noqa: S603 - our own program
        ["/bin/sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "scheduler", *arguments],
        check=False,
        stderr=subprocess.PIPE,
        cwd=GOLDEN,
        env=environment({}),
    )
    message = b"error: stdout is closed, so nothing was done: send it to a file, or to /dev/null\n"
    assert (done.returncode, done.stderr) == (1, message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["nope"], "No such command 'nope'", id="command"),
        pytest.param(["evaluate", "--at", "noon"], 'Invalid value for --at: "noon" is not an instant', id="instant"),
        pytest.param(["calendar", "--from", "soon"], 'Invalid value for --from: "soon" is not a date', id="date"),
        pytest.param(["calendar", "--from", "0001-01-01"], '"0001-01-01" is out of range', id="year"),
        pytest.param(["calendar", "--days", "0"], "--days", id="days"),
        pytest.param(["simulate", "--every", "7m"], '"7m" does not divide an hour or a day evenly', id="period"),
        pytest.param(["simulate", "--every", "30s"], '"30s" does not divide', id="short period"),
        pytest.param(["apply", "--timeout", "long"], '"long" is not a duration', id="duration"),
        pytest.param(["plan", "--simulated", "--region", "x"], "it uses no account", id="simulated region"),
    ],
)
def test_wrong_values_are_wrong_usage(arguments: Sequence[str], message: str) -> None:
    ended = run(*arguments)
    assert (ended.code, ended.stdout) == (64, "")
    assert message in " ".join(ended.stderr.split())


def test_an_unknown_cluster_is_a_known_failure() -> None:
    assert run("evaluate", "--cluster", "dve") == (1, "", 'error: no cluster "dve" in the file: did you mean "dev"?\n')


def test_a_file_that_is_not_there_is_a_known_failure() -> None:
    ended = run("evaluate", "--file", "none.yaml")
    advice = (
        "name another file (--file, in the function the setting schedulesPath), or make one with `cce-scheduler init`"
    )
    assert ended == (1, "", f"none.yaml: cannot be read (No such file or directory): {advice}\n")


def test_without_a_command_it_shows_its_help() -> None:
    ended = run()
    assert ended.code == 64
    assert all(f"\n  {command} " in ended.stdout for command in COMMANDS)


def test_shows_its_version() -> None:
    ended = run("--version")
    assert ended.code == 0
    assert ended.stdout.startswith("cce-scheduler ")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example(command: str) -> None:
    ended = run(command, "--help")
    assert (ended.code, ended.stderr) == (0, "")
    assert f"Examples:\n    cce-scheduler {command}" in ended.stdout


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        pytest.param("cce-scheduler ev", ["evaluate"], id="command"),
        pytest.param("cce-scheduler explain --se", ["--servers"], id="option"),
        pytest.param("cce-scheduler explain d", ["dev", "demo"], id="cluster"),
        pytest.param("cce-scheduler explain --file year-end.yaml l", ["london"], id="cluster of a file"),
        pytest.param("cce-scheduler plan --cluster te", ["test"], id="cluster of an option"),
        pytest.param("cce-scheduler override --clear ba", ["batch"], id="cluster to clear"),
        pytest.param("cce-scheduler override o", ["old"], id="cluster to override"),
        pytest.param("cce-scheduler override old un", ["unmanaged"], id="state"),
        pytest.param("cce-scheduler explain --file none.yaml d", [], id="no file"),
        pytest.param("cce-scheduler explain --file seven-mistakes.yaml d", [], id="a file with mistakes"),
    ],
)
def test_a_shell_can_complete_commands_options_and_clusters(words: str, completed: List[str]) -> None:
    asked = {"_CCE_SCHEDULER_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    ended = start("-c", "from scheduler.cli import main; main()", **asked)
    assert (ended.code, ended.stdout.split(), ended.stderr) == (0, completed, "")


def broken() -> typer.Typer:
    """Return a program whose commands end in every way that is not of their own making."""
    program = typer.Typer(cls=Commands, rich_markup_mode=None)

    @program.command()
    def bug(secret: str = "") -> None:
        raise KeyError(secret)

    @program.command()
    def cloud() -> None:
        raise PermanentCloudError("Ecs.0003 no permission: grant it", code="Ecs.0003")

    @program.command()
    def interrupt() -> None:
        raise KeyboardInterrupt

    return program


def test_a_bug_is_70_and_says_how_to_report_it_without_any_value(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        broken()(["bug", "--secret=hunter2"])
    shown = capsys.readouterr()
    assert ended.value.code == 70
    assert shown.out == ""
    assert "this is a bug in cce-scheduler: KeyError at " in shown.err
    assert "test_cli.py:" in shown.err
    assert "please report it with these lines:\n  cce-scheduler " in shown.err
    assert "  command: bug --secret\n" in shown.err
    assert "hunter2" not in shown.err


def test_a_failure_of_the_cloud_is_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        broken()(["cloud"])
    assert (ended.value.code, capsys.readouterr().err) == (1, "error: Ecs.0003 no permission: grant it\n")


def test_an_interrupted_command_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        broken()(["interrupt"])
    assert (ended.value.code, capsys.readouterr().err) == (130, "interrupted\n")


def test_a_pipe_gets_plain_lines_that_are_not_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    show(line("word " * 60, "red"), table(("A", "B"), [("x", "word " * 60)]))
    assert [len(text) for text in capsys.readouterr().out.splitlines()] == [299, 4, 302]


def test_what_would_steer_a_terminal_is_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    show(line("a\x1b[2Jb"), table(("NAME",), [("[red]\x07",)]))
    assert capsys.readouterr().out == "a\\x1b[2Jb\nNAME\n[red]\\x07\n"


def test_a_terminal_gets_colour_unless_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    show(line("x", "red"))
    assert "\x1b[31mx" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    show(line("x", "red"))
    assert capsys.readouterr().out == "x\n"


@needs_terminal
def test_a_terminal_sees_a_progress_bar_and_a_pipe_does_not() -> None:
    process, terminal = on_terminal("simulate", "--days", "1", "--every", "1h")
    stdout, _ = process.communicate(timeout=60)
    seen = os.read(terminal, 1 << 16)
    os.close(terminal)
    assert process.returncode == 0
    assert b"simulating" in seen
    assert b"\x1b" not in stdout


class TestValidate:
    def test_shows_every_problem_with_its_place(self) -> None:
        ended = run("validate", "--file", "seven-mistakes.yaml")
        assert (ended.code, ended.stdout) == (1, "")
        check_golden("validate-problems", ended.stderr)

    def test_shows_what_it_found(self) -> None:
        ended = run("validate")
        assert (ended.code, ended.stderr) == (0, "")
        check_golden("validate", ended.stdout)

    def test_problems_are_the_result_for_machines(self) -> None:
        ended = run("validate", "--file", "seven-mistakes.yaml", "--json")
        assert (ended.code, ended.stderr) == (1, "")
        assert ended.json["valid"] is False
        assert len(ended.json["problems"]) == 7
        assert ended.json["problems"][0] == {
            "path": "timezone",
            "line": 2,
            "column": 11,
            "message": 'unknown zone "Mars/Olympus": write an IANA name such as Asia/Bangkok',
        }

    def test_shows_machines_what_hours_became(self) -> None:
        ended = run("validate", "--json")
        assert (ended.code, ended.json["valid"], ended.json["problems"], ended.json["warnings"]) == (0, True, [], [])
        batch = next(c for c in ended.json["clusters"] if c["name"] == "batch")
        assert batch["windows"] == [{"start": "0 22 * * mon-fri", "stop": "0 6 * * tue-sat"}]

    def test_warnings_are_told_with_their_places_and_fail_nothing(self, tmp_path: Path) -> None:
        file = tmp_path / "s.yaml"
        text = (GOLDEN / "schedules.yaml").read_text(encoding="utf-8")
        file.write_text(text.replace('"0 8 * * mon-fri"', '"0 8 1 * mon-fri"'), encoding="utf-8")
        message = (
            '"0 8 1 * mon-fri" names days of the month and weekdays, and cron fires on either, not only where both '
            "meet: write * for one of them, or leave it if that is right"
        )
        path = "schedules.office-hours.windows[0].start"
        ended = run("validate", "--file", str(file))
        quoted = '   11 |       - start: "0 8 1 * mon-fri"\n      |                ^\n'
        assert (ended.code, ended.stderr) == (0, f"{file}:11:16: warning: {path}: {message}\n{quoted}")
        assert ended.stdout.startswith(f"{file} is valid: 5 clusters on ")
        ended = run("validate", "--file", str(file), "--json")
        assert (ended.code, ended.stderr, ended.json["valid"], ended.json["problems"]) == (0, "", True, [])
        assert ended.json["warnings"] == [{"path": path, "line": 11, "column": 16, "message": message}]

    @pytest.mark.parametrize(
        ("settings", "runs"),
        [
            pytest.param("state: running", "always running", id="always"),
            pytest.param(
                "state: running, on_excluded_dates: stopped, exclude: {dates: [2020-12-05, 2098-12-05..2098-12-06]}",
                "running, but stopped on 2 excluded dates",
                id="dates",
            ),
            pytest.param(
                "state: stopped, on_excluded_dates: unmanaged, exclude: {dates: [2098-12-05]}",
                "stopped, but unmanaged on 1 excluded date",
                id="one date",
            ),
            pytest.param(
                "state: running, overrides: [{state: stopped, from: 2020-01-01T00:00, until: 2098-01-01T00:00}]",
                "running, with 1 override",
                id="override",
            ),
            pytest.param(
                "state: stopped, on_excluded_dates: running, exclude: {dates: [2098-12-05]}, overrides: ["
                "{state: running, from: 2020-01-01T00:00, until: 2098-01-01T00:00}, "
                "{state: running, from: 2021-01-01T00:00, until: 2098-01-01T00:00}]",
                "stopped, but running on 1 excluded date, with 2 overrides",
                id="both",
            ),
            pytest.param("state: running, exclude: {dates: [2098-12-05]}", "always running", id="no_start"),
            pytest.param(
                "state: running, on_excluded_dates: running, exclude: {dates: [2098-12-05]}",
                "always running",
                id="the same state",
            ),
            pytest.param(
                "state: running, on_excluded_dates: stopped, exclude: {dates: [2020-12-05]}",
                "always running",
                id="a date that is past",
            ),
            pytest.param(
                "state: running, overrides: [{state: stopped, from: 2020-01-01T00:00, until: 2020-01-02T00:00}]",
                "always running",
                id="an override that ended",
            ),
            pytest.param(
                "state: running, overrides: [{state: running, from: 2020-01-01T00:00, until: 2098-01-01T00:00}]",
                "always running",
                id="an override to the same state",
            ),
        ],
    )
    def test_always_is_said_only_where_no_date_and_no_override_changes_it(
        self, tmp_path: Path, settings: str, runs: str
    ) -> None:
        file = tmp_path / "s.yaml"
        home = "region: ap-southeast-2, project_id: 0123456789abcdef0123456789abcdef"
        file.write_text(f"version: 1\nclusters:\n  - {{name: prod, cluster_id: a, {home}, {settings}}}\n")
        assert run("validate", "--file", str(file)).stdout.splitlines()[-1] == f"prod     {runs}"


class TestEvaluate:
    def test_shows_a_block_for_each_instant(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        ended = run("evaluate", "--at", "2026-11-23T08:00:00+07:00", "--at", "2026-11-23T00:59:59Z")
        assert (ended.code, ended.stderr) == (0, "")
        check_golden("evaluate", ended.stdout)

    @pytest.mark.parametrize("columns", ["", "0", "00"])
    def test_a_width_of_nothing_is_no_width(self, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
        at = ("evaluate", "--at", "2026-11-23T08:00:00+07:00")
        expected = run(*at)
        monkeypatch.setenv("COLUMNS", columns)
        assert run(*at) == expected
        assert expected.stdout

    @pytest.mark.parametrize(
        "command",
        [
            ("evaluate",),
            ("explain", "dev"),
            ("calendar",),
            ("savings",),
            ("explain", "dev", "--servers", "--simulated"),
        ],
    )
    def test_the_tags_that_are_not_read_are_named(self, tmp_path: Path, command: Tuple[str, ...]) -> None:
        file = tmp_path / "s.yaml"
        text = Path("schedules.yaml").read_text(encoding="utf-8")
        file.write_text(f"{text}remote_overrides: true\n", encoding="utf-8")
        ended = run(*command, "--file", str(file))
        warning = "warning: override tags of CCE clusters are not read here: `cce-scheduler plan` does\n"
        assert ended.stderr.count(warning) == ("--servers" not in command)

    def test_the_edge_of_a_window_falls_between_two_seconds(self) -> None:
        instants = ("2026-11-23T08:00:00+07:00", "2026-11-23T07:59:59+07:00")
        ended = run("evaluate", "--cluster", "dev", "--json", *(a for t in instants for a in ("--at", t)))
        assert [(found["at"], found["state"]) for found in ended.json] == [
            ("2026-11-23T08:00:00+07:00", "running"),
            ("2026-11-23T07:59:59+07:00", "stopped"),
        ]
        assert ended.json[1] == {
            "cluster": "dev",
            "at": "2026-11-23T07:59:59+07:00",
            "state": "stopped",
            "reason": "outside window 1 (mon-fri 08:00-20:00 Asia/Bangkok), until Mon 08:00",
            "rule": {"kind": "window", "index": 0},
            "since": "2026-11-20T20:00:00+07:00",
            "until": "2026-11-23T08:00:00+07:00",
        }

    def test_clusters_are_narrowed_by_name(self) -> None:
        ended = run("evaluate", "--cluster", "demo", "--cluster", "dev", "--json")
        assert [found["cluster"] for found in ended.json] == ["dev", "demo"]


def test_the_program_has_the_commands_that_are_tested_here() -> None:
    assert tuple(command.callback.__name__ for command in application.registered_commands if command.callback) == (
        COMMANDS
    )
