"""Measure the page: how long it takes to write, how large it is, how soon it is there and how smoothly it scrolls.

The figures of the browser are its own: it scrolls by itself and says in its trace when it drew each frame.
Prints NOT RUN where there is no Chromium.
"""

import json
import shutil
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from statistics import median
from zoneinfo import ZoneInfo

from playwright.sync_api import Browser, Page, sync_playwright

from scheduler.cli.options import Span
from scheduler.cli.page import render_page
from scheduler.model import Cluster, ClusterId, Override, Schedules, State, Timing, Window

CLUSTERS, DAYS = 200, 56
START = datetime(2026, 10, 4, 17, tzinfo=timezone.utc)
ZONES = ("Asia/Bangkok", "Europe/London", "America/New_York", "UTC")
MOST_BYTES, MOST_FRAME_MS = 3_000_000, 33.0
PIXELS, SPEED = 5_000, 1_600
ROUNDS = 3
BLANK = "<!DOCTYPE html><title>blank</title><body style='height: 8000px; background: linear-gradient(white, grey)'>"
"""What the machine itself can do: a page with nothing on it."""


def make_schedules() -> Schedules:
    """Return clusters of which no two share a timing, so that nothing on the page is there twice."""
    clusters = []
    for number in range(CLUSTERS):
        minute, hour = number % 60, 6 + number // 60
        windows = (
            Window(f"{minute} {hour} * * *", f"{minute} {hour + 6} * * *"),
            Window(f"{minute} {hour + 8} * * mon-fri", f"30 {hour + 11} * * mon-fri"),
        )
        at = START + timedelta(days=number % DAYS)
        timing = Timing(
            timezone=ZONES[number % len(ZONES)],
            windows=windows,
            excluded_dates={f"2026-11-{day:02}": "holidays" for day in range(1 + number % 20, 4 + number % 20)},
            overrides=(Override(State.RUNNING, at, at + timedelta(hours=30), f"release {number}"),),
        )
        clusters.append(Cluster(f"cluster-{number:03}", ClusterId(f"c{number}"), timing))
    return Schedules(tuple(clusters))


def open_ms(browser: Browser, url: str) -> float:
    """Return how long it takes until the page is drawn and can be used, by the page's own clock."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(url)
    taken = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    page.close()
    return float(taken)


def frames_ms(browser: Browser, url: str) -> "list[float]":
    """Return the time between frames while the browser scrolls down, from its trace."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(url)
    session = page.context.new_cdp_session(page)
    browser.start_tracing(page=page, categories=["disabled-by-default-devtools.timeline.frame", "blink.user_timing"])
    page.evaluate("performance.mark('begin')")
    session.send(
        "Input.synthesizeScrollGesture",
        {"x": 640, "y": 400, "yDistance": -PIXELS, "speed": SPEED, "gestureSourceType": "mouse"},
    )
    page.evaluate("performance.mark('end')")
    events = json.loads(browser.stop_tracing())["traceEvents"]
    check_scrolled(page)
    page.close()
    marks = {event["name"]: event["ts"] for event in events if event["name"] in {"begin", "end"}}
    drawn = sorted(e["ts"] for e in events if e["name"] == "DrawFrame" and marks["begin"] <= e["ts"] <= marks["end"])
    return [(later - earlier) / 1000 for earlier, later in zip(drawn, drawn[1:])]


def check_scrolled(page: Page) -> None:
    moved = page.evaluate("scrollY")
    if moved < PIXELS * 0.9:
        raise SystemExit(f"the page scrolled by {moved} pixels instead of {PIXELS}: the frames say nothing")


def measure(chromium: str, directory: Path) -> "list[tuple[str, str, bool]]":
    """Return a line for each figure, and whether it is what it should be."""
    schedules, span = make_schedules(), Span(START, START + timedelta(days=DAYS), ZoneInfo(ZONES[0]))
    began = time.process_time()
    content = render_page(schedules, span, START + timedelta(days=9)).encode()
    taken = time.process_time() - began
    file, blank = directory / "page.html", directory / "blank.html"
    file.write_bytes(content)
    blank.write_text(BLANK, encoding="utf-8")
    frames: "list[float]" = []
    others: "list[float]" = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        opened = median(open_ms(browser, file.as_uri()) for _ in range(ROUNDS))
        for _ in range(ROUNDS):  # alternated, so that a busy machine slows both alike
            frames += frames_ms(browser, file.as_uri())
            others += frames_ms(browser, blank.as_uri())
        browser.close()
    late, other = (sorted(times)[int(len(times) * 0.95)] for times in (frames, others))
    return [
        ("written in", f"{taken:.2f} s of CPU", True),
        ("size", f"{len(content) / 1e6:.2f} MB of at most {MOST_BYTES / 1e6:.0f}", len(content) <= MOST_BYTES),
        ("open and drawn after", f"{opened:.0f} ms", True),
        ("frames while it scrolls", f"{len(frames)}, median {median(frames):.1f} ms", bool(frames)),
        ("95th percentile", f"{late:.1f} ms of at most {MOST_FRAME_MS:.0f}", late <= MOST_FRAME_MS),
        ("a blank page's", f"{other:.1f} ms", True),
    ]


def main() -> int:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    print(f"the page: {CLUSTERS} clusters, {DAYS} days, no two clusters alike")
    if chromium is None:
        print("NOT RUN: no chromium; apt-get install chromium")
        return 0
    with tempfile.TemporaryDirectory() as directory:
        found = measure(chromium, Path(directory))
    for name, text, is_met in found:
        print(f"{name:28}{text}{'' if is_met else '  MISSED'}")
    return 0 if all(is_met for *_, is_met in found) else 1


if __name__ == "__main__":
    sys.exit(main())
