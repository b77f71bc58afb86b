"""What the page says: pieces of time, totals, and text from outside that stays text. A browser's part is elsewhere."""

import base64
import hashlib
import json
import re
import sys
from datetime import date, datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from typing import Any, Dict, List, Mapping, Optional, Tuple
from zoneinfo import ZoneInfo

import pytest

from scheduler.cli.options import Span
from scheduler.cli.page import Timeline, make_timeline, render_page
from scheduler.config import load_config
from scheduler.deploy.sources import own_files
from scheduler.errors import CloudError
from scheduler.evaluate import desired_state
from scheduler.model import (
    Action,
    Cluster,
    ClusterId,
    ClusterPlan,
    ControlPlanePlan,
    Hold,
    HoldKind,
    OnExcludedDates,
    Overdue,
    Override,
    Plan,
    Power,
    Schedules,
    Server,
    ServerId,
    State,
    Timing,
    Window,
)
from scheduler.savings import describe_hours, find_hours
from tests.cli_runner import GOLDEN, SIMULATED, isolate, run
from tests.oracle_cases import to_cluster
from tests.schedule_strategies import interesting_instants, random_spec

HOUR = timedelta(hours=1)
OFFICE = Window("0 8 * * mon-fri", "0 20 * * mon-fri")
HOSTILE = "</script><script>alert(1)</script><!--\u2028\"'&\u202e\x00{{ 7 * 7 }}"
PRINTED = "</script><script>alert(1)</script><!--\\u2028\"'&\\u202e\\x00{{ 7 * 7 }}"


def cluster(timing: Timing, name: str = "dev", *, enabled: bool = True) -> Cluster:
    return Cluster(name, ClusterId(f"id-{name}"), timing, enabled=enabled)


def span(zone: str, first: date, days: int) -> Span:
    """Return whole local days."""
    found = ZoneInfo(zone)
    begin = datetime(first.year, first.month, first.day, tzinfo=found)
    return Span(begin.astimezone(timezone.utc), (begin + timedelta(days=days)).astimezone(timezone.utc), found)


def shown(timeline: Timeline, zone: str) -> List[Tuple[str, str, str, str]]:
    return [
        (f"{p.start.astimezone(ZoneInfo(zone)):%a %H:%M}", p.state.value, p.reason, p.rule) for p in timeline.pieces
    ]


class Reader(HTMLParser):
    """What a browser would see: elements, attributes, and the text of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: List[str] = []
        self.attributes: List[Tuple[str, Optional[str]]] = []
        self.scripts: List[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: "list[tuple[str, str | None]]") -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data
        elif self.cdata_elem is None:
            self.text += f"{data} "

    @property
    def data(self) -> Dict[str, Any]:
        found: Dict[str, Any] = json.loads(self.scripts[0])
        return found


NOVEMBER = span("Asia/Bangkok", date(2026, 11, 23), 7)
NOW = datetime(2026, 11, 25, 9, tzinfo=timezone.utc)


def page_of(*clusters: Cluster, money: Optional[Mapping[str, str]] = None, shown: Span = NOVEMBER) -> Reader:
    return Reader(render_page(Schedules(clusters), shown, NOW, money=money))


class TestPieces:
    def test_an_override_is_a_piece_of_its_own_even_where_it_changes_no_state(self) -> None:
        override = Override(
            State.RUNNING,
            datetime(2026, 11, 23, 12, tzinfo=timezone.utc),
            datetime(2026, 11, 23, 15, tzinfo=timezone.utc),
            "release",
        )
        timing = Timing(timezone="Asia/Bangkok", windows=(OFFICE,), overrides=(override,))
        timeline = make_timeline(cluster(timing), span("Asia/Bangkok", date(2026, 11, 23), 1))
        office = "window 1 (mon-fri 08:00-20:00 Asia/Bangkok)"
        assert shown(timeline, "Asia/Bangkok") == [
            ("Mon 00:00", "stopped", f"outside {office}", "window 1"),
            ("Mon 08:00", "running", office, "window 1"),
            ("Mon 19:00", "running", 'override "release"', "override 1"),
            ("Mon 22:00", "stopped", f"outside {office}", "window 1"),
        ]
        zone = ZoneInfo("Asia/Bangkok")
        assert timeline.since == datetime(2026, 11, 20, 20, tzinfo=zone)
        assert timeline.until == datetime(2026, 11, 24, 8, tzinfo=zone)

    def test_a_start_that_an_excluded_date_prevents_is_seen(self) -> None:
        timing = Timing(timezone="Asia/Bangkok", windows=(OFFICE,), excluded_dates={"2026-11-24": "holidays"})
        timeline = make_timeline(cluster(timing), span("Asia/Bangkok", date(2026, 11, 24), 1))
        assert [(start, reason) for start, _, reason, _ in shown(timeline, "Asia/Bangkok")][1] == (
            "Tue 08:00",
            "excluded date 2026-11-24 (holidays): no start",
        )
        assert [e.label for e in timeline.excluded] == ["2026-11-24 (holidays)"]

    def test_of_windows_that_overlap_each_has_its_own_piece(self) -> None:
        windows = (Window("0 8 * * *", "0 12 * * *"), Window("0 10 * * *", "0 18 * * *"))
        timeline = make_timeline(cluster(Timing(timezone="UTC", windows=windows)), span("UTC", date(2026, 11, 24), 1))
        assert [(start, rule) for start, _, _, rule in shown(timeline, "UTC")][1:3] == [
            ("Tue 08:00", "window 1"),
            ("Tue 12:00", "window 2"),
        ]

    def test_of_one_sided_windows_the_newest_event_decides(self) -> None:
        windows = (Window(None, "0 18 * * *"), Window(None, "0 20 * * *"))
        timing = Timing(timezone="UTC", windows=windows, excluded_dates={"2026-11-24": ""}, enforce_s=3 * 3600)
        timeline = make_timeline(cluster(timing), span("UTC", date(2026, 11, 24), 1))
        assert [(start, state, rule) for start, state, _, rule in shown(timeline, "UTC")] == [
            ("Tue 00:00", "unmanaged", "enforce"),
            ("Tue 18:00", "stopped", "window 1"),
            ("Tue 20:00", "stopped", "window 2"),
            ("Tue 23:00", "unmanaged", "enforce"),
        ]

    def test_a_cluster_that_is_not_enabled_is_unmanaged_all_the_time(self) -> None:
        timing = Timing(timezone="UTC", windows=(OFFICE,), excluded_dates={"2026-11-24": ""})
        timeline = make_timeline(cluster(timing, enabled=False), NOVEMBER)
        assert [(p.state, p.rule) for p in timeline.pieces] == [(State.UNMANAGED, "enabled: false")]
        assert timeline.excluded == ()

    def test_every_instant_has_the_state_and_the_rule_that_a_run_would_find(self) -> None:
        """A piece has the reason too, but what it says of a distant moment depends on from where it is seen."""
        rng = Random(7)  # noqa: S311
        for _ in range(40):
            spec = random_spec(rng)
            asked, instants = to_cluster(spec), sorted(interesting_instants(rng, spec, 12))
            start = instants[0].replace(microsecond=0)
            timeline = make_timeline(asked, Span(start, instants[-1] + HOUR, ZoneInfo(spec.zone)))
            for at in instants:
                piece = [p for p in timeline.pieces if p.start <= at][-1]
                desired = desired_state(asked, at)
                number = "" if desired.rule.position is None else f" {desired.rule.position + 1}"
                assert piece.state is desired.state
                if desired.rule.kind in {"window", "override", "enforce"}:
                    assert piece.rule == f"{desired.rule.kind}{number}"
                if desired.rule.kind != "enforce":
                    assert desired.reason.startswith(piece.reason)
                    # Until when is said beside it, in the reader's zone: what says so in the reason is cut off.
                    assert (piece.reason == desired.reason) is (desired.until is None)


class TestTotals:
    @pytest.mark.parametrize(
        ("zone", "day", "on", "off"),
        [
            pytest.param("UTC", date(2026, 10, 25), 5.5, 18.5, id="a day of 24 hours"),
            pytest.param("Europe/London", date(2026, 10, 25), 6.5, 18.5, id="clocks go back inside the window"),
            pytest.param("Europe/London", date(2026, 3, 29), 4.5, 18.5, id="clocks go forward inside the window"),
            pytest.param("America/New_York", date(2026, 11, 1), 6.5, 18.5, id="the same in New York"),
        ],
    )
    def test_are_elapsed_time(self, zone: str, day: date, on: float, off: float) -> None:
        timing = Timing(timezone=zone, windows=(Window("30 0 * * *", "0 6 * * *"),))
        one = span(zone, day, 1)
        text = " ".join(page_of(cluster(timing), shown=one).text.split())
        assert f"Hours on {on:g} Hours off {off:g} Saved" in text

    def test_unmanaged_time_is_on_as_a_terminal_says(self) -> None:
        timing = Timing(timezone="Asia/Bangkok", windows=(OFFICE,), enforce_s=3600)
        hours = find_hours(cluster(timing), NOVEMBER.start, NOVEMBER.end)
        text = " ".join(page_of(cluster(timing)).text.split())
        assert describe_hours(hours) == "163.0 h on (158.0 h of it unmanaged), 5.0 h off (3 %)"
        assert "Hours on 163 Of these unmanaged 158 Hours off 5 Saved 3 %" in text
        assert "dev 163 5 3 %" in text

    def test_halves_of_hours_are_not_rounded_away(self) -> None:
        timing = Timing(timezone="Asia/Bangkok", windows=(Window("0 8 * * mon", "30 9 * * mon"),))
        assert "dev 1.5 166.5 99 %" in " ".join(page_of(cluster(timing)).text.split())

    def test_stand_beside_each_cluster_and_above_all(self) -> None:
        office, always = Timing(timezone="Asia/Bangkok", windows=(OFFICE,)), Timing(timezone="UTC", state=State.RUNNING)
        text = " ".join(page_of(cluster(office), cluster(always, "demo")).text.split())
        assert "Hours on 228 Hours off 108 Saved 32 %" in text
        assert "dev 60 108 64 %" in text
        assert "demo 168 0 0 %" in text

    def test_money_stands_there_only_if_somebody_knows_it(self) -> None:
        timing = Timing(timezone="UTC", state=State.STOPPED)
        two = (cluster(timing), cluster(timing, "demo"))
        assert "money" not in page_of(*two).text
        text = " ".join(page_of(*two, money={"demo": "saves 12.30 EUR"}).text.split())
        assert "demo 0 168 100 % saves 12.30 EUR" in text


class TestText:
    def test_from_outside_never_becomes_markup_or_script(self) -> None:
        override = Override(State.RUNNING, NOVEMBER.start, NOVEMBER.end, HOSTILE)
        timing = Timing(
            timezone="Asia/Bangkok",
            state=State.STOPPED,
            overrides=(override,),
            excluded_dates={"2026-11-24": HOSTILE},
            on_excluded_dates=OnExcludedDates.STOPPED,
        )
        tame = page_of(cluster(timing._replace(overrides=(), excluded_dates={})))
        hostile = page_of(cluster(timing, HOSTILE), money={HOSTILE: HOSTILE})
        assert len(hostile.scripts) == len(tame.scripts) == 2
        assert set(hostile.tags) == set(tame.tags)
        assert hostile.data["clusters"][0][0] == PRINTED
        assert f'override "{PRINTED}"' in hostile.data["texts"]
        assert f"2026-11-24 ({PRINTED})" in hostile.data["texts"]
        assert hostile.text.count(PRINTED) == 2
        assert ("title", PRINTED) in hostile.attributes
        assert not [name for name, _ in hostile.attributes if name.startswith("on")]

    def test_is_no_way_out_of_the_data(self) -> None:
        page = render_page(Schedules((cluster(Timing(timezone="UTC", state=State.STOPPED), HOSTILE),)), NOVEMBER, NOW)
        inside = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
        assert len(inside) == 1
        assert not re.search(r"[<>&\u2028\u2029]", inside[0])

    def test_of_a_plan_is_text_too(self) -> None:
        one = cluster(Timing(timezone="UTC", state=State.STOPPED), HOSTILE)
        server, error = Server(ServerId(HOSTILE), name=HOSTILE), CloudError(HOSTILE)
        planned = ClusterPlan(
            one,
            desired_state(one, NOW),
            actions=(Action(Power.STOP_SOFT, server),),
            holds=(Hold(HoldKind.LOCKED, server, HOSTILE),),
            warnings=(HOSTILE,),
            error=error,
            control_plane=ControlPlanePlan(HOSTILE, None, HOSTILE),
            overdue=(Overdue(HOSTILE, 3600),),
        )
        plan = Plan(NOW, (planned,), refusal=error, warnings=(HOSTILE,), failure=error)
        found = Reader(render_page(Schedules((one,)), NOVEMBER, NOW, plan=plan))
        assert len(found.scripts) == 2
        assert found.text.count(PRINTED) == 14
        assert "Overdue for 60 min" in found.text
        assert not {"\u2028", "\u202e", "\x00"} & set(found.text)


class TestPolicy:
    def test_allows_this_script_and_this_style_and_nothing_else(self) -> None:
        found = page_of(cluster(Timing(timezone="UTC", state=State.STOPPED)))
        policy = next(v for _, v in found.attributes if v and v.startswith("default-src"))
        script = base64.b64encode(hashlib.sha256(found.scripts[1].encode()).digest()).decode()
        assert policy.startswith("default-src 'none'; ")
        assert f"script-src 'sha256-{script}'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy

    def test_the_page_names_no_other_file(self) -> None:
        found = page_of(cluster(Timing(timezone="UTC", state=State.STOPPED)))
        assert not {"link", "img", "iframe", "object", "base"} & set(found.tags)
        assert not [value for name, value in found.attributes if name in {"src", "href", "action", "style"}]


class TestCommands:
    @pytest.fixture(autouse=True)
    def _in_golden(self, monkeypatch: pytest.MonkeyPatch) -> None:
        isolate(monkeypatch)

    def test_calendar_writes_the_page_beside_what_it_prints(self, tmp_path: Path) -> None:
        file = tmp_path / "a.html"
        plain = run("calendar", "--from", "2026-11-23", "--days", "3", "--json")
        ended = run("calendar", "--from", "2026-11-23", "--days", "3", "--json", "--html", str(file))
        assert (ended.code, ended.stdout, ended.stderr) == (0, plain.stdout, f"{file} written\n")
        data = Reader(file.read_text(encoding="utf-8")).data
        assert [name for name, *_ in data["clusters"]] == [
            c.name for c in load_config(GOLDEN / "schedules.yaml").clusters
        ]
        assert data["end"] - data["start"] == 3 * 86400

    def test_plan_writes_what_each_server_would_get_and_why(self, tmp_path: Path) -> None:
        file = tmp_path / "a.html"
        ended = run("plan", "--simulated", "--at", "2026-11-23T21:00:00+07:00", "--html", str(file))
        assert (ended.code, ended.stderr) == (0, f"{SIMULATED}{file} written\n")
        text = " ".join(Reader(file.read_text(encoding="utf-8")).text.split())
        counts = re.search(r"would start (\d+) servers?, stop (\d+) and leave (\d+) alone", text)
        assert counts is not None
        assert f"Plan: {counts[1]} to start, {counts[2]} to stop, {counts[3]} held" in ended.stdout
        assert re.search(r"stop SOFT ?dev-node-3 ?\S+ ?outside window 1 \(mon-fri 08:00-20:00", text)
        assert 'excluded by server "bastion-*"' in text

    @pytest.mark.parametrize("command", [["calendar"], ["plan", "--simulated"]], ids=["calendar", "plan"])
    def test_the_schedules_file_is_not_overwritten(self, command: List[str], tmp_path: Path) -> None:
        file, link = tmp_path / "schedules.yaml", tmp_path / "link.html"
        file.write_bytes((GOLDEN / "schedules.yaml").read_bytes())
        link.symlink_to(file)
        ended = run(*command, "--file", str(file), "--html", str(link))
        assert ended.code == 1
        assert f"error: {link} is the schedules file itself: name another file with --html\n" in ended.stderr
        assert file.read_bytes() == (GOLDEN / "schedules.yaml").read_bytes()

    def test_without_the_template_library_it_is_said_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setitem(sys.modules, "jinja2", None)
        ended = run("calendar", "--html", str(tmp_path / "a.html"))
        assert (ended.code, ended.stderr) == (1, 'error: --html needs jinja2: install the extra "cli"\n')

    def test_a_file_that_cannot_be_written_is_a_known_failure(self, tmp_path: Path) -> None:
        ended = run("calendar", "--html", str(tmp_path / "none" / "a.html"))
        assert (ended.code, ended.stdout) == (1, "")
        assert "cannot be written (No such file or directory): name another file" in ended.stderr


def test_the_function_carries_nothing_of_the_page() -> None:
    assert not [name for name in own_files() if "cli" in name or name.endswith((".html", ".css", ".js"))]
