"""``init``, and what a new user does after it, with the real SDK over HTTP against a simulated cloud."""

import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Iterator, List

import pytest
import yaml
from freezegun import freeze_time
from hypothesis import given
from hypothesis import strategies as st

from scheduler.cli.starter import Discovered, choose_names, write_starter
from scheduler.config import load_config, parse_config
from scheduler.model import CceCluster, ClusterId
from scheduler.simulated import SIMULATED_AK, SIMULATED_SK, SimulatedCloud, serve
from scheduler.simulated.calls import Call
from tests.cli_runner import Ended, check_golden, isolate, run

NOW = datetime(2026, 11, 23, 14, tzinfo=timezone.utc)
PROJECT = "0123456789abcdef0123456789abcdef"
OTHER = "07e4000000000000000000000000c7ed"
DEV = "3f1c9d2e-0a4b-11ef-9d2a-0255ac10023b"
HOSTILE = [
    pytest.param('de"v', id="quote"),
    pytest.param("dev'", id="apostrophe"),
    pytest.param("dev\nenabled: true", id="newline"),
    pytest.param("dev\u2028  enabled: true", id="line separator"),
    pytest.param("dev\x85\x00\ufeff\u200b", id="controls"),
    pytest.param("dev: {a: b} # c", id="syntax"),
    pytest.param("- dev", id="list"),
    pytest.param("&dev *dev !!python/object:x", id="anchor and tag"),
    pytest.param("| dev", id="block"),
    pytest.param("true", id="boolean"),
    pytest.param("null", id="null"),
    pytest.param("1e5", id="number"),
    pytest.param("2026-12-05", id="date"),
    pytest.param("\\x41\\", id="escapes"),
    pytest.param("ทดสอบ 😀", id="other scripts"),
    pytest.param("\ud800", id="surrogate"),
    pytest.param("   ", id="blanks"),
    pytest.param("", id="empty"),
    pytest.param("x" * 300, id="long"),
]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", SIMULATED_AK)
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", SIMULATED_SK)
    monkeypatch.setenv("HUAWEICLOUD_SDK_PROJECT_ID", PROJECT)


@pytest.fixture
def cloud() -> SimulatedCloud:
    return SimulatedCloud(NOW)


@pytest.fixture
def endpoint(cloud: SimulatedCloud) -> Iterator[str]:
    with serve(cloud) as url:
        yield url


def init(endpoint: str, *arguments: str) -> Ended:
    return run("init", "--region", "ap-southeast-2", "--cce-endpoint", endpoint, *arguments)


def starter(*names: str) -> str:
    found = [CceCluster(ClusterId(f"{DEV[:-1]}{number}"), name) for number, name in enumerate(names)]
    chosen = choose_names(cluster.name for cluster in found)
    return write_starter([Discovered(name, c, "ap-southeast-2", PROJECT) for name, c in zip(chosen, found)])


class TestFile:
    def test_is_shown_on_a_page(self) -> None:
        ended = run("init", "--simulated")
        assert ended.code == 0
        assert ended.stderr == "simulated cloud: its clusters are made up; yours are not read\n"
        check_golden("init", ended.stdout)
        check_golden("init-file", Path("schedules.yaml").read_text(encoding="utf-8"))

    def test_takes_a_new_user_to_a_plan(
        self, cloud: SimulatedCloud, endpoint: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dev = cloud.clusters.add("dev", project_id=PROJECT, cluster_id=DEV)
        cloud.clusters.add("prod", project_id=PROJECT)
        cloud.clusters.add_node(dev, "dev-node-1")
        monkeypatch.setenv("COLUMNS", "200")
        endpoints = ("--endpoint", endpoint, "--cce-endpoint", endpoint)
        assert init(endpoint).code == 0
        file = Path("schedules.yaml")
        assert run("validate").stdout.startswith("schedules.yaml is valid: 2 clusters on 1 schedule, 2 of them not")
        with freeze_time(NOW):
            assert run("plan", *endpoints).stdout.endswith("Plan: 0 to start, 0 to stop, 0 held, 0 failed.\n")
            edited = file.read_text(encoding="utf-8").replace("enabled: false", "enabled: true", 1)
            file.write_text(edited.replace("Mon-Fri 08:00-20:00", "Mon-Fri 07:00-13:30"), encoding="utf-8")
            assert run("validate").code == 0
            planned = run("plan", *endpoints)
        assert (planned.code, planned.stderr) == (0, "")
        assert "dev: stopped since Mon 2026-11-23 13:30\n" in planned.stdout
        assert "  - stop   dev-node-1" in planned.stdout
        assert "prod: unmanaged\n" in planned.stdout
        assert planned.stdout.endswith("Plan: 0 to start, 1 to stop, 0 held, 0 failed.\n")

    @pytest.mark.parametrize("name", HOSTILE)
    def test_is_safe_from_names(self, name: str) -> None:
        text = starter(name, name)
        schedules = parse_config(text.encode(), "s.yaml")
        assert [c.enabled for c in schedules.clusters] == [False, False]
        assert len({c.name for c in schedules.clusters}) == 2
        assert [c["name"] for c in yaml.safe_load(text)["clusters"]] == [c.name for c in schedules.clusters]

    def test_keeps_names_that_are_names(self) -> None:
        assert choose_names(["dev", "dev", "dev-2", None, "a b", "x" * 101]) == [
            *("dev", "dev-2", "dev-2-2", "cluster", "a b", "x" * 100)
        ]

    def test_has_the_place_of_each_cluster_where_they_differ(self, cloud: SimulatedCloud, endpoint: str) -> None:
        cloud.clusters.add("dev", project_id=PROJECT)
        cloud.clusters.add("dev", project_id=OTHER)
        ended = init(endpoint, "--project-id", PROJECT, "--project-id", OTHER, "--file", "new.yaml")
        assert ended.code == 0
        found = [(c.name, c.region, c.project_id) for c in load_config("new.yaml").clusters]
        assert found == [("dev", "ap-southeast-2", PROJECT), ("dev-2", "ap-southeast-2", OTHER)]
        assert "cce-scheduler validate --file new.yaml\n" in ended.stdout


@given(st.lists(st.text(max_size=120), min_size=1, max_size=4))
def test_is_safe_from_any_names(names: List[str]) -> None:
    schedules = parse_config(starter(*names).encode(), "s.yaml")
    assert len({c.name for c in schedules.clusters}) == len(names)
    assert not any(c.enabled for c in schedules.clusters)


class TestExistingFile:
    def test_is_kept_and_nothing_is_asked(self, cloud: SimulatedCloud, endpoint: str) -> None:
        Path("schedules.yaml").write_text("mine", encoding="utf-8")
        ended = init(endpoint)
        assert (ended.code, ended.stdout) == (1, "")
        assert ended.stderr.startswith("error: schedules.yaml exists and is kept: ")
        assert Path("schedules.yaml").read_text(encoding="utf-8") == "mine"
        assert cloud.ledger == ()

    def test_is_kept_if_it_is_a_link_to_nowhere(self, endpoint: str) -> None:
        Path("schedules.yaml").symlink_to("nowhere")
        assert init(endpoint).code == 1
        assert not Path("nowhere").exists()

    def test_is_kept_if_it_came_meanwhile(self, cloud: SimulatedCloud, endpoint: str) -> None:
        cloud.clusters.add("dev", project_id=PROJECT)

        def write(_: Call) -> None:
            Path("schedules.yaml").write_text("mine", encoding="utf-8")

        cloud.faults = write
        assert init(endpoint) == (1, "", "error: schedules.yaml cannot be written (File exists)\n")
        assert Path("schedules.yaml").read_text(encoding="utf-8") == "mine"

    def test_is_overwritten_if_asked(self, cloud: SimulatedCloud, endpoint: str) -> None:
        cloud.clusters.add("dev", project_id=PROJECT)
        Path("schedules.yaml").write_text("mine", encoding="utf-8")
        assert init(endpoint, "--force").code == 0
        assert [c.name for c in load_config("schedules.yaml").clusters] == ["dev"]

    def test_is_kept_if_nothing_is_found(self, endpoint: str) -> None:
        Path("schedules.yaml").write_text("mine", encoding="utf-8")
        ended = init(endpoint, "--force")
        assert (ended.code, ended.stderr.startswith("error: no cluster was found, so nothing is written")) == (1, True)
        assert Path("schedules.yaml").read_text(encoding="utf-8") == "mine"

    def test_that_cannot_be_written_is_a_known_failure(self, cloud: SimulatedCloud, endpoint: str) -> None:
        cloud.clusters.add("dev", project_id=PROJECT)
        ended = init(endpoint, "--file", "no/folder.yaml")
        assert ended == (1, "", "error: no/folder.yaml cannot be written (No such file or directory)\n")


class TestSearch:
    def test_tells_machines_what_was_found_and_where_it_could_not_look(
        self, cloud: SimulatedCloud, endpoint: str
    ) -> None:
        cloud.add_credentials(SIMULATED_AK, SIMULATED_SK, projects=[PROJECT])
        cloud.clusters.add("dev", project_id=PROJECT, cluster_id=DEV, phase="Hibernation", is_prepaid=True)
        ended = init(endpoint, "--project-id", PROJECT, "--project-id", OTHER, "--json")
        assert ended.code == 0
        assert re.match(rf"! ap-southeast-2, project {OTHER}: .*cce:cluster:list", " ".join(ended.stderr.split()))
        (failed,) = ended.json["failed"]
        assert (failed["project_id"], failed["error"]["status_code"]) == (OTHER, 403)
        assert ended.json["file"] == "schedules.yaml"
        assert ended.json["clusters"] == [
            {
                "name": "dev",
                "cluster_id": DEV,
                "cce_name": "dev",
                "region": "ap-southeast-2",
                "project_id": PROJECT,
                "phase": "Hibernation",
                "prepaid": True,
            }
        ]

    def test_names_a_cluster_once_however_often_it_is_listed(self, cloud: SimulatedCloud, endpoint: str) -> None:
        cloud.clusters.add("dev", project_id=PROJECT)
        assert len(init(endpoint, "--region", "ap-southeast-3", "--json").json["clusters"]) == 1

    def test_says_that_a_region_is_unknown(self) -> None:
        ended = run("init", "--region", "nowhere", "--json")
        assert (ended.code, ended.stdout) == (1, "")
        assert '! nowhere, project 0123456789abcdef0123456789abcdef: unknown region "nowhere"' in " ".join(
            ended.stderr.split()
        )

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            pytest.param((), 64, "name the regions to look in", id="no region"),
            pytest.param(("--simulated", "--region", "x"), 64, "it uses no account", id="simulated region"),
        ],
    )
    def test_says_what_is_missing(self, arguments: "tuple[str, ...]", code: int, message: str) -> None:
        ended = run("init", *arguments)
        assert (ended.code, message in " ".join(ended.stderr.split())) == (code, True)

    def test_says_that_there_is_no_project(self, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("HUAWEICLOUD_SDK_PROJECT_ID")
        assert "error: no project id: give --project-id" in init(endpoint).stderr

    def test_says_that_there_are_no_keys(self, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("HUAWEICLOUD_SDK_AK")
        monkeypatch.delenv("HUAWEICLOUD_SDK_SK")
        assert "error: no credentials: " in init(endpoint).stderr
