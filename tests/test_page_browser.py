"""The page in a real browser: Debian's Chromium, driven by Playwright. Says NOT RUN where there is none.

``UPDATE_GOLDEN=1`` in the environment writes the pictures in docs/screenshots anew.
"""

import os
import shutil
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Callable, Iterator, List, Literal, NamedTuple, Tuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from scheduler.cli.page import render_page
from scheduler.config import load_config
from scheduler.evaluate import desired_state
from scheduler.model import Action, ClusterPlan, Hold, HoldKind, Plan, Power, Schedules, Server, ServerId, State, Timing
from tests.test_page import HOSTILE, PRINTED, cluster, span

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SCREENSHOTS = Path(__file__).parent.parent / "docs" / "screenshots"
NOW = datetime(2026, 10, 27, 9, 30, tzinfo=timezone.utc)
IDS = [f"0000000{number}-0a4b-11ef-9d2a-0255ac10023b" for number in range(9)]
SCHEDULES = f"""\
version: 1
timezone: Asia/Bangkok
calendars:
  public-holidays: {{dates: [2026-10-23, 2026-11-11]}}
schedules:
  office-hours: {{windows: [{{hours: "Mon-Fri 08:00-20:00"}}]}}
clusters:
  - name: dev
    cluster_id: {IDS[0]}
    schedule: office-hours
    exclude: {{dates: [public-holidays]}}
    overrides:
      - {{state: running, from: 2026-11-07T09:00, until: 2026-11-08T18:00, reason: release weekend}}
      - {{state: running, from: 2026-11-10T12:00, until: 2026-11-10T23:00, reason: load test}}
  - {{name: test, cluster_id: {IDS[1]}, schedule: office-hours}}
  - {{name: night-batch, cluster_id: {IDS[2]}, windows: [{{hours: "Mon-Fri 22:00-06:00"}}]}}
  - {{name: hands-off, cluster_id: {IDS[3]}, windows: [{{hours: "Mon-Fri 08:00-18:00"}}], enforce: 2h}}
  - name: demo
    cluster_id: {IDS[4]}
    state: running
    exclude: {{dates: [public-holidays]}}
    on_excluded_dates: stopped
  - {{name: retired, cluster_id: {IDS[5]}, state: stopped, enabled: false}}
  - name: london-web
    cluster_id: {IDS[6]}
    timezone: Europe/London
    windows: [{{hours: "daily 07:00-19:00"}}]
  - name: newyork
    cluster_id: {IDS[7]}
    timezone: America/New_York
    windows: [{{hours: "daily 07:00-19:00"}}]
"""
SPAN = span("Asia/Bangkok", date(2026, 10, 19), 28)

TICKS = """zone => {
  const ticks = document.querySelector(`[data-zone="${zone}"] .ticks`);
  const width = ticks.parentElement.getBoundingClientRect().width;
  return [...ticks.querySelectorAll("span")].map((tick) => [tick.textContent, parseFloat(tick.style.left) / width]);
}"""
"""What stands above a zone's clusters, and at which fraction of the page's time."""


class Opened(NamedTuple):
    """A page, and what it did that it should not."""

    page: Page
    url: str
    complaints: List[str]
    requests: List[str]


Open = Callable[[str], Opened]


def test_the_browser_is_there_or_it_is_said_that_it_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    if CHROMIUM is None:
        with capsys.disabled():
            print("\nNOT RUN: the page in a browser: no chromium; apt-get install chromium")  # noqa: T201
    assert TestInBrowser.__test__ is (CHROMIUM is not None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def schedules(tmp_path_factory: pytest.TempPathFactory) -> Schedules:
    file = tmp_path_factory.mktemp("page") / "schedules.yaml"
    file.write_text(SCHEDULES, encoding="utf-8")
    return load_config(file)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, timezone_id="America/New_York")
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def open_page(context: BrowserContext, tmp_path: Path) -> Open:
    """Return what opens a page from disk at the time `NOW`, and writes down what it says and asks for."""
    file = tmp_path / "page.html"

    def open_page(text: str) -> Opened:
        file.write_text(text, encoding="utf-8")
        page = context.new_page()
        opened = Opened(page, file.as_uri(), [], [])
        page.on("console", lambda message: opened.complaints.append(message.text))
        page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        page.on("dialog", lambda dialog: opened.complaints.append(dialog.message))
        context.on("request", lambda request: opened.requests.append(request.url))
        page.clock.set_fixed_time(NOW)
        page.goto(opened.url)
        return opened

    return open_page


@pytest.fixture
def opened(open_page: Open, schedules: Schedules) -> Iterator[Opened]:
    opened = open_page(render_page(schedules, SPAN, NOW))
    yield opened
    assert opened.complaints == []
    assert set(opened.requests) - {"about:blank"} == {opened.url}


def point_at(page: Page, name: str, at: str) -> None:
    """Put the pointer on a cluster's row at an instant."""
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name, exact=True))
    track = row.locator(".track")
    track.scroll_into_view_if_needed()
    box = track.bounding_box()
    assert box is not None
    share = (datetime.fromisoformat(at) - SPAN.start) / (SPAN.end - SPAN.start)
    page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)


def facts(page: Page) -> List[Tuple[str, str]]:
    """Return the details that are shown."""
    tip = page.get_by_role("tooltip")
    expect(tip).to_be_visible()
    return list(zip(tip.locator("dt").all_text_contents(), tip.locator("dd").all_text_contents()))


def focused(page: Page) -> str:
    name: str = page.evaluate("document.activeElement.getAttribute('aria-label') ?? ''")
    return name


def to_grid(page: Page) -> None:
    """Press Tab until the grid has the focus: once after the last of the choices."""
    page.locator("input[name=theme]:checked").focus()
    page.keyboard.press("Tab")


def plan_of(schedules: Schedules) -> Plan:
    """Return a plan with every kind of line on the page."""
    servers = [Server(ServerId(f"9d3c41f0-{number}"), name=f"node-{number}") for number in range(3)]
    return Plan(
        NOW,
        tuple(
            ClusterPlan(
                one,
                desired_state(one, NOW),
                actions=(Action(Power.START, servers[0]), Action(Power.STOP_HARD, servers[1])),
                holds=(Hold(HoldKind.LOCKED, servers[2], "locked"),),
                warnings=("a warning",),
            )
            for one in schedules.clusters
        ),
        warnings=("a warning for all",),
    )


class TestInBrowser:
    __test__ = CHROMIUM is not None

    def test_the_pointer_shows_since_until_reason_and_rule(self, opened: Opened) -> None:
        point_at(opened.page, "dev", "2026-11-07T12:00:00+07:00")
        expect(opened.page.get_by_role("tooltip").get_by_role("heading")).to_have_text("dev: running")
        assert facts(opened.page) == [
            ("Since", "Sat 7 Nov 2026 09:00 +07:00"),
            ("Until", "Sun 8 Nov 2026 18:00 +07:00"),
            ("Lasts", "33 h"),
            ("Reason", 'override "release weekend"'),
            ("Rule", "override 1"),
            ("Times in", "Asia/Bangkok"),
        ]
        opened.page.keyboard.press("Escape")
        expect(opened.page.get_by_role("tooltip")).to_be_hidden()

    def test_the_pointer_shows_the_excluded_date(self, opened: Opened) -> None:
        point_at(opened.page, "dev", "2026-11-11T12:00:00+07:00")
        found = facts(opened.page)
        assert ("Reason", "excluded date 2026-11-11 (public-holidays): no start") in found
        assert ("Excluded date", "2026-11-11 (public-holidays)") in found
        assert ("For this reason", "from Wed 11 Nov 2026 08:00 +07:00 until Wed 11 Nov 2026 20:00 +07:00") in found

    def test_the_keyboard_goes_everywhere_and_says_the_same(self, opened: Opened) -> None:
        page = opened.page
        to_grid(page)
        assert focused(page).startswith(
            "dev: running. Since: Tue 27 Oct 2026 08:00 +07:00. Until: Tue 27 Oct 2026 20:00"
        )
        page.keyboard.press("ArrowRight")
        assert focused(page).startswith("dev: stopped. Since: Tue 27 Oct 2026 20:00 +07:00")
        assert ("Reason", "outside window 1 (mon-fri 08:00-20:00 Asia/Bangkok)") in facts(page)
        page.keyboard.press("ArrowDown")
        assert focused(page).startswith("test: stopped. Since: Tue 27 Oct 2026 20:00 +07:00")
        page.keyboard.press("Control+End")
        assert focused(page).startswith("newyork: running. Since: Tue 27 Oct 2026 07:00 -04:00")
        page.keyboard.press("End")
        assert "Since: Sun 15 Nov 2026 07:00 -05:00" in focused(page)
        page.keyboard.press("Home")
        assert "Since: Sun 18 Oct 2026 07:00 -04:00" in focused(page)
        page.keyboard.press("n")
        assert "Since: Mon 26 Oct 2026 19:00 -04:00" in focused(page)
        page.keyboard.press("Escape")
        expect(page.get_by_role("tooltip")).to_be_hidden()

    def test_the_grid_is_one_stop_for_tab(self, opened: Opened) -> None:
        to_grid(opened.page)
        assert focused(opened.page)
        opened.page.keyboard.press("Tab")
        assert not focused(opened.page)
        assert opened.page.locator("[role=grid] [tabindex]").count() == 1

    @pytest.mark.parametrize(
        ("choice", "before", "after", "shown"),
        [
            pytest.param(
                "Own zone", "Sat 24 Oct 2026 07:00 +01:00", "Sun 25 Oct 2026 07:00 +00:00", "Europe/London", id="own"
            ),
            pytest.param("UTC", "Sat 24 Oct 2026 06:00 +00:00", "Sun 25 Oct 2026 07:00 +00:00", "UTC", id="utc"),
            pytest.param(
                "Your zone",
                "Sat 24 Oct 2026 02:00 -04:00",
                "Sun 25 Oct 2026 03:00 -04:00",
                "America/New_York",
                id="reader",
            ),
        ],
    )
    def test_the_zone_switch_heeds_the_end_of_summer_time_in_london(
        self, opened: Opened, choice: str, before: str, after: str, shown: str
    ) -> None:
        opened.page.get_by_label(choice).check()
        for instant, since in (("2026-10-24T12:00:00+00:00", before), ("2026-10-25T12:00:00+00:00", after)):
            point_at(opened.page, "london-web", instant)
            found = dict(facts(opened.page))
            assert (found["Since"], found["Lasts"], found["Times in"]) == (since, "12 h", shown)

    def test_a_stretch_over_a_clock_change_lasts_as_long_as_it_takes(self, opened: Opened) -> None:
        point_at(opened.page, "london-web", "2026-10-25T01:30:00+00:00")
        assert ("Lasts", "13 h") in facts(opened.page)
        point_at(opened.page, "newyork", "2026-11-01T05:30:00+00:00")
        assert ("Lasts", "13 h") in facts(opened.page)

    @pytest.mark.parametrize(
        ("zone", "choice", "expected"),
        [
            pytest.param(
                "Europe/London",
                "Own zone",
                [("00:00", "2026-10-24T23:00"), ("03:00", "2026-10-25T03:00"), ("06:00", "2026-10-25T06:00")],
                id="london, its own: 00:00 to 03:00 takes four hours",
            ),
            pytest.param(
                "Europe/London",
                "UTC",
                [("00:00", "2026-10-25T00:00"), ("03:00", "2026-10-25T03:00"), ("06:00", "2026-10-25T06:00")],
                id="london, utc",
            ),
            pytest.param(
                "America/New_York",
                "Own zone",
                [("00:00", "2026-11-01T04:00"), ("03:00", "2026-11-01T08:00"), ("06:00", "2026-11-01T11:00")],
                id="new york, its own",
            ),
            pytest.param(
                "Asia/Bangkok",
                "Your zone",
                [("00:00", "2026-11-01T04:00"), ("03:00", "2026-11-01T08:00"), ("06:00", "2026-11-01T11:00")],
                id="bangkok, as new york reads it",
            ),
        ],
    )
    def test_labels_stand_at_their_instants_over_a_clock_change(
        self, opened: Opened, zone: str, choice: str, expected: List[Tuple[str, str]]
    ) -> None:
        opened.page.get_by_label(choice).check()
        opened.page.get_by_label("2 days").check()
        seconds = (SPAN.end - SPAN.start).total_seconds()
        found = [
            (text, SPAN.start + timedelta(seconds=round(share * seconds / 60) * 60))
            for text, share in opened.page.evaluate(TICKS, zone)
        ]
        for text, instant in expected:
            assert (text, datetime.fromisoformat(f"{instant}+00:00")) in found

    def test_a_day_of_another_length_is_marked(self, opened: Opened) -> None:
        opened.page.get_by_label("1 week").check()
        london = [text for text, _ in opened.page.evaluate(TICKS, "Europe/London")]
        assert "Sun 25, 25 h" in london
        assert not [text for text, _ in opened.page.evaluate(TICKS, "Asia/Bangkok") if " h" in text]
        changes = opened.page.get_by_role("region", name="Clock changes")
        expect(changes.get_by_role("listitem")).to_have_text(
            [
                "Europe/London: Sun 25 Oct 2026: 02:00 becomes 01:00, 25 hours that day",
                "America/New_York: Sun 1 Nov 2026: 02:00 becomes 01:00, 25 hours that day",
            ]
        )

    def test_now_has_its_line(self, opened: Opened) -> None:
        share = (NOW - SPAN.start) / (SPAN.end - SPAN.start)
        line, grid = opened.page.locator(".backdrop .now").first, opened.page.locator(".backdrop").first
        box, whole = line.bounding_box(), grid.bounding_box()
        assert box is not None
        assert whole is not None
        assert abs(box["x"] + box["width"] / 2 - whole["x"] - share * whole["width"]) < 2

    def test_the_filter_keeps_names_and_says_how_many(self, opened: Opened) -> None:
        page = opened.page
        page.get_by_label("Filter by name").fill("LON")
        expect(page.get_by_role("rowheader")).to_have_text(["london-web"])
        expect(page.get_by_role("status")).to_have_text("1 of 8 clusters, times in each cluster's own zone.")
        to_grid(page)
        assert focused(page).startswith("london-web: ")
        page.get_by_label("Filter by name").fill("")
        expect(page.get_by_role("rowheader")).to_have_count(8)

    def test_the_tables_say_the_same_in_text(self, opened: Opened) -> None:
        page = opened.page
        page.get_by_label("Tables").check()
        page.locator("summary", has_text="london-web").click()
        line = page.get_by_role("row").filter(has_text="Sun 25 Oct 2026 07:00 +00:00").last
        expect(line.get_by_role("cell")).to_have_text(
            [
                "Sun 25 Oct 2026 07:00 +00:00",
                "Sun 25 Oct 2026 19:00 +00:00",
                "running",
                "window 1 (daily 07:00-19:00 Europe/London)",
                "window 1",
            ]
        )
        page.get_by_label("UTC").check()
        expect(page.get_by_role("row").filter(has_text="Sat 24 Oct 2026 06:00 +00:00")).to_have_count(2)

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_colours_follow_the_system_until_they_are_chosen(
        self, opened: Opened, scheme: Literal["light", "dark"]
    ) -> None:
        page = opened.page
        other = "Dark" if scheme == "light" else "Light"
        page.emulate_media(color_scheme=scheme)
        expect(page.locator("html")).to_have_attribute("data-theme", scheme)
        page.get_by_label(other).check()
        expect(page.locator("html")).to_have_attribute("data-theme", other.lower())

    @pytest.mark.parametrize("scheme", ["Light", "Dark"])
    @pytest.mark.parametrize(
        ("width", "view"), [(390, "Timeline"), (1280, "Timeline"), (390, "Tables"), (1280, "Tables")]
    )
    def test_nothing_keeps_people_out(
        self, open_page: Open, schedules: Schedules, scheme: str, width: int, view: str
    ) -> None:
        text = render_page(schedules, SPAN, NOW, plan=plan_of(schedules), money={"dev": "saves 12.30 EUR"})
        opened = open_page(text)
        page = opened.page
        page.set_viewport_size({"width": width, "height": 800})
        page.get_by_label(scheme).check()
        page.get_by_label(view).check()
        if view == "Timeline":
            to_grid(page)
            facts(page)
        else:
            page.locator("#tables summary").first.click()
        found = Axe().run(page).response
        assert [(violation["id"], violation["nodes"]) for violation in found["violations"]] == []
        assert len(found["passes"]) > 20
        assert opened.complaints == []

    def test_names_from_outside_are_only_text(self, open_page: Open) -> None:
        timing = Timing(timezone="UTC", state=State.RUNNING)
        text = render_page(Schedules((cluster(timing, HOSTILE),)), SPAN, NOW, money={HOSTILE: HOSTILE})
        opened = open_page(text)
        expect(opened.page.get_by_role("rowheader")).to_have_text(PRINTED)
        to_grid(opened.page)
        expect(opened.page.get_by_role("tooltip").get_by_role("heading")).to_contain_text(PRINTED)
        opened.page.get_by_label("Tables").check()
        expect(opened.page.locator("#tables summary")).to_contain_text(PRINTED)
        assert opened.page.locator("script").count() == 2
        assert opened.complaints == []

    def test_the_policy_forbids_the_network(self, open_page: Open, schedules: Schedules) -> None:
        opened = open_page(render_page(schedules, SPAN, NOW))
        refused = opened.page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => String(error))")
        assert "TypeError" in refused
        assert any("Content Security Policy" in complaint for complaint in opened.complaints)
        assert opened.requests == [opened.url]

    @pytest.mark.parametrize("width", [390, 1280])
    def test_the_page_is_no_wider_than_the_screen_unless_asked(self, opened: Opened, width: int) -> None:
        opened.page.set_viewport_size({"width": width, "height": 800})
        opened.page.get_by_label("All").check()
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width

    def test_prints_all_of_the_time_on_the_paper(self, opened: Opened) -> None:
        opened.page.get_by_label("2 days").check()
        opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        opened.page.emulate_media(media="print")
        box = opened.page.locator("[data-cluster] .track").last.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 1040
        expect(opened.page.locator("#controls")).to_be_hidden()

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize(("name", "width"), [("phone", 390), ("desktop", 1280)])
    def test_looks_as_in_the_documents(
        self, opened: Opened, scheme: Literal["light", "dark"], name: str, width: int, tmp_path: Path
    ) -> None:
        page = opened.page
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 860})
        page.goto("about:blank")
        page.goto(opened.url)  # anew, at this size
        if name == "desktop":
            point_at(page, "dev", "2026-11-07T12:00:00+07:00")
        kept = SCREENSHOTS / f"calendar-{name}-{scheme}.png"
        directory = SCREENSHOTS if os.environ.get("UPDATE_GOLDEN") else tmp_path
        directory.mkdir(exist_ok=True)
        taken = directory / kept.name
        page.screenshot(path=taken)
        assert size(kept) == size(taken) == (width, 860)


def size(file: Path) -> Tuple[int, int]:
    """Return the width and height that a PNG says it has."""
    header = file.read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    return int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")
