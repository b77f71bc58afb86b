"""What users put into their own repositories: the hook for pre-commit, the sample of a CI job, and valid examples."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest
import yaml
from packaging.requirements import Requirement

from scheduler.document import schema_path
from tests.cli_runner import GOLDEN, run
from tests.test_cli import COMMANDS

ROOT = Path(__file__).parent.parent
HOOKS = ROOT / ".pre-commit-hooks.yaml"
JOB = ROOT / "docs" / "ci" / "github-actions.yaml"
ONLY_TEXT_FOR_US = "scalars-stay-text.yaml"
"""Its scalars are numbers and booleans to every reader of YAML but ours."""
VALID = [
    ROOT / "schedules.yaml",
    *(GOLDEN / f"{name}.yaml" for name in ("schedules", "prices", "year-end")),
    *(path for path in sorted((ROOT / "tests/examples/valid").glob("*.yaml")) if path.name != ONLY_TEXT_FOR_US),
]


def check_jsonschema(*arguments: str) -> str:
    """Run the independent validator, and return what is wrong by it."""
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "check_jsonschema", *arguments], check=False, capture_output=True, text=True
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def steps(job: str) -> List[Dict[str, Any]]:
    found: List[Dict[str, Any]] = yaml.safe_load(JOB.read_text(encoding="utf-8"))["jobs"][job]["steps"]
    return found


def environment(**further: str) -> Dict[str, str]:
    """Return an environment in which the console script of this interpreter is found."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return {"PATH": path, "HOME": os.environ.get("HOME", "/"), **further}


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main")
    command = ["git", *identity, *arguments]
    subprocess.run(command, check=True, cwd=folder, capture_output=True)  # noqa: S603 - in a folder of the test


def test_the_schema_accepts_the_examples_by_an_independent_validator() -> None:
    assert len(VALID) > 10
    assert check_jsonschema("--schemafile", str(schema_path()), *map(str, VALID)) == ""


def test_the_independent_validator_refuses_what_the_schema_does() -> None:
    assert "exlude" in check_jsonschema("--schemafile", str(schema_path()), str(GOLDEN / "seven-mistakes.yaml"))


def test_the_sample_of_a_ci_job_is_one() -> None:
    assert check_jsonschema("--builtin-schema", "vendor.github-workflows", str(JOB)) == ""


def test_the_sample_installs_a_commit_of_ones_own_copy() -> None:
    """The name alone would be anybody's who takes it on an index of packages."""
    sample = yaml.safe_load(JOB.read_text(encoding="utf-8"))
    scripts = [step["run"] for job in ("check", "deploy") for step in steps(job) if step.get("name") == "Install"]
    assert scripts == ['pip install "$CCE_SCHEDULER"'] * 2
    asked = Requirement(sample["env"]["CCE_SCHEDULER"])
    assert (asked.name, asked.extras) == ("cce-scheduler", {"cli"})
    assert re.fullmatch(r"git\+https://\S+/cce-scheduler@[0-9a-f]{40}", asked.url or "")


def test_nothing_tells_to_install_by_the_name_alone() -> None:
    told = [ROOT / "README.md", HOOKS, *(ROOT / "docs").rglob("*.*ml"), *(ROOT / "docs").rglob("*.md")]
    told += (ROOT / "scheduler").rglob("*.py")
    by_name = re.compile(r"pip3? install ['\"]?cce-scheduler(?!\S* @)")
    assert [path.name for path in told if by_name.search(path.read_text(encoding="utf-8"))] == []


def test_the_commands_of_the_sample_exist_with_their_options() -> None:
    scripts = "\n".join(step["run"] for job in ("check", "deploy") for step in steps(job) if "run" in step)
    asked = re.findall(r"cce-scheduler (?!\[)([a-z].*)", scripts)
    assert [words.split()[0] for words in asked] == ["validate", "deploy", "deploy"]
    for words in asked:
        command, *options = shlex.split(words)
        assert command in COMMANDS
        shown = run(command, "--help").stdout
        assert all(option in shown for option in options)


@pytest.mark.parametrize("has_base", [True, False], ids=["an edit", "the first file"])
def test_the_sample_shows_what_a_pull_request_changes(has_base: bool, tmp_path: Path) -> None:  # noqa: FBT001
    text = (GOLDEN / "schedules.yaml").read_text(encoding="utf-8")
    git(tmp_path, "init")
    (tmp_path / "schedules.yaml" if has_base else tmp_path / "README").write_text(text, encoding="utf-8")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "base")
    (tmp_path / "schedules.yaml").write_text(text.replace("state: running", "state: stopped"), encoding="utf-8")
    (script,) = (step["run"] for step in steps("check") if step.get("name") == "Show what changes")
    summary = tmp_path / "summary"
    subprocess.run(  # noqa: S603
        ["bash", "-e", "-o", "pipefail", "-c", script],  # noqa: S607
        check=True,
        cwd=tmp_path,
        env=environment(BASE="main", GITHUB_STEP_SUMMARY=str(summary), TMPDIR=str(tmp_path), COLUMNS="120"),
    )
    shown = summary.read_text(encoding="utf-8")
    assert shown.startswith("```\nFrom ")
    assert shown.endswith("```\n")
    assert ("demo begins stopped, was running" in shown) is has_base


@pytest.mark.parametrize(("file", "code"), [("schedules.yaml", 0), ("seven-mistakes.yaml", 1)])
def test_the_hook_validates_the_schedules_file(file: str, code: int, tmp_path: Path) -> None:
    (hook,) = yaml.safe_load(HOOKS.read_text(encoding="utf-8"))
    assert {"id", "name", "entry", "language"} <= hook.keys()
    assert (hook["language"], hook["additional_dependencies"], hook["pass_filenames"]) == ("python", [".[cli]"], False)
    assert re.search(hook["files"], "schedules.yaml")
    assert re.search(hook["files"], "dev/holidays.json")
    assert not re.search(hook["files"], "old-schedules.yaml")
    (tmp_path / "schedules.yaml").write_bytes((GOLDEN / file).read_bytes())
    done = subprocess.run(  # noqa: S603 - our own program
        shlex.split(hook["entry"]), check=False, cwd=tmp_path, env=environment(), capture_output=True
    )
    assert done.returncode == code
