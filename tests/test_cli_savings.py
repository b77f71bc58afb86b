"""``savings``: from the schedules alone, and with the servers of a simulated cloud."""

from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from freezegun import freeze_time

from scheduler.cli.access import Target
from scheduler.cli.options import Span
from scheduler.cli.output import show
from scheduler.cli.savings import describe_all, find_all
from scheduler.config import load_config
from scheduler.model import Prices
from scheduler.simulated import SIMULATED_AK, SIMULATED_SK, SimulatedCloud, serve
from tests.cli_runner import GOLDEN, SIMULATED, check_golden, isolate, run

DECEMBER = ("savings", "--from", "2026-12-01", "--days", "31")
NOW = datetime(2026, 12, 1, tzinfo=timezone.utc)
PROJECT = "0123456789abcdef0123456789abcdef"
DEV = "3f1c9d2e-0a4b-11ef-9d2a-0255ac10023b"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AK", "SK", "SECURITY_TOKEN", "PROJECT_ID", "CREDENTIALS_FILE"):
        monkeypatch.delenv(f"HUAWEICLOUD_SDK_{name}", raising=False)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> SimulatedCloud:
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", SIMULATED_AK)
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", SIMULATED_SK)
    return SimulatedCloud(NOW)


def test_without_credentials_there_are_only_hours() -> None:
    ended = run(*DECEMBER)
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[:8] == [
        "From Tue 2026-12-01 00:00 to Fri 2027-01-01 00:00 Asia/Bangkok: 744.0 hours",
        "",
        "CLUSTER     ON    OFF  OFF %",
        "dev      276.0  468.0   63 %",
        "test     276.0  468.0   63 %",
        "batch    184.0  560.0   75 %",
        "demo     744.0    0.0    0 %",
        "old      744.0    0.0    0 %",
    ]
    assert "old: 744.0 h are unmanaged and count as on" in ended.stdout
    assert "No servers were read, so there are only hours of clusters: no credentials: set" in ended.stdout


def test_incomplete_credentials_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", "a")
    ended = run(*DECEMBER)
    assert (ended.code, ended.stdout) == (1, "")
    assert "the credentials are incomplete" in ended.stderr


def test_servers_are_listed_even_where_nothing_is_to_be_done(cloud: SimulatedCloud) -> None:
    """The cluster runs at that moment, and of its servers one is prepaid, one has local disks."""
    cloud.add_server("node-1", project_id=PROJECT, cluster_id=DEV)
    cloud.add_server("node-2", project_id=PROJECT, cluster_id=DEV, flavor="d3.xlarge.8")
    cloud.add_server("node-3", project_id=PROJECT, cluster_id=DEV, charging_mode="1")
    with serve(cloud) as endpoint, freeze_time("2026-12-01T03:00:00Z"):
        ended = run(*DECEMBER, "--cluster", "dev", "--endpoint", endpoint, "--json")
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.json == {
        "from": "2026-12-01T00:00:00+07:00",
        "to": "2027-01-01T00:00:00+07:00",
        "hours": 744.0,
        "currency": None,
        "servers_read": True,
        "clusters": [
            {
                "name": "dev",
                "hours_on": 276.0,
                "hours_off": 468.0,
                "hours_unmanaged": 0.0,
                "servers": 3,
                "servers_saving": 1,
                "server_hours_off": 468.0,
                "control_plane_hours_off": 0.0,
                "saved": None,
                "saves_nothing": {
                    "billed when stopped: disk-intensive (d3.xlarge.8)": 1,
                    "prepaid: stopping saves nothing": 1,
                },
                "unpriced": {},
                "error": None,
            }
        ],
        "saved": None,
        "not_included": ["disks", "addresses", "bandwidth"],
    }
    assert {record.method for record in cloud.ledger} == {"GET"}


def test_servers_of_a_cluster_that_is_unmanaged_for_now_are_listed_too() -> None:
    with freeze_time("2026-12-24T05:00:00Z"):
        assert run("evaluate", "--file", "year-end.yaml", "--json").json[1]["state"] == "unmanaged"
        ended = run("savings", "--file", "year-end.yaml", "--cluster", "hands-off", "--simulated", "--json")
    assert ended.stderr == SIMULATED
    (found,) = ended.json["clusters"]
    assert (found["servers"], found["servers_saving"], found["hours_off"]) == (3, 3, 60.0)


def test_a_control_plane_that_follows_the_schedule_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    text = (GOLDEN / "prices.yaml").read_text(encoding="utf-8")
    text = text.replace("prices:\n", "prices:\n  control_plane_per_hour: 0.1\n")
    text = text.replace("  - name: batch\n", "  - name: batch\n    control_plane: hibernate\n")
    file.write_text(text, encoding="utf-8")
    ended = run(*DECEMBER, "--file", str(file), "--cluster", "batch", "--simulated", "--json")
    (found,) = ended.json["clusters"]
    assert (found["control_plane_hours_off"], found["saved"]) == (560.0, str(Decimal("0.25") * 560))


@pytest.mark.usefixtures("cloud")
def test_a_cluster_that_cannot_be_read_is_named_and_fails(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    text = (GOLDEN / "schedules.yaml").read_text(encoding="utf-8")
    file.write_text(text.replace("name: dev\n", "name: dev\n    region: nowhere\n"), encoding="utf-8")
    ended = run(*DECEMBER, "--file", str(file), "--cluster", "dev")
    assert ended.code == 1
    assert '! dev: its servers are not known: unknown region "nowhere"' in ended.stdout
    assert "dev      276.0  468.0   63 %        -       -                 -\n" in ended.stdout


def test_money_is_counted_where_there_are_prices(capsys: pytest.CaptureFixture[str]) -> None:
    """In December dev is off for 468 hours, and 3 of its 4 servers are stopped: 468 * 3 * 0.05 = 70.20."""
    prices = Prices("USD", {"s6.large.2": Decimal("0.05")})
    zone = ZoneInfo("Asia/Bangkok")
    span = Span(datetime(2026, 11, 30, 17, tzinfo=timezone.utc), datetime(2026, 12, 31, 17, tzinfo=timezone.utc), zone)
    schedules = load_config("schedules.yaml")._replace(prices=prices)
    found = find_all(schedules, span, Target(None, None, True), now=NOW, environ={})
    show(*describe_all(found))
    shown = capsys.readouterr().out
    check_golden("savings-money", shown)
    assert "dev      276.0  468.0   63 %        4       3           1,404.0      70.20\n" in shown
    other = Prices("EUR", {"c7.large.2": Decimal("0.05")})
    show(
        *describe_all(
            found._replace(
                clusters=find_all(
                    schedules._replace(prices=other), span, Target(None, None, True), now=NOW, environ={}
                ).clusters
            )
        )
    )
    assert "No price is given for s6.large.2 (12 servers): their hours are counted, no money." in " ".join(
        capsys.readouterr().out.split()
    )
