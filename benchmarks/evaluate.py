"""What evaluating schedules costs, as ratios in one process: run by ``make bench``.

The targets: the states of 10,000 clusters of three windows each in at most a hundredth of the time of asking croniter
for each window, and a year's transitions in a time that goes with their number, not with the minutes.
"""

import random
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from statistics import median
from zoneinfo import ZoneInfo

from croniter import croniter

from scheduler import evaluate
from scheduler.model import Cluster, ClusterId, Timing, Window

AT = datetime(2026, 11, 24, 3, 17, tzinfo=timezone.utc)
ZONE = "Asia/Bangkok"
STARTS = [f"{minute} {hour} * * mon-fri" for hour, minute in zip(range(5, 15), (0, 30) * 5)]
STOPS = [f"{minute} {hour} * * mon-fri" for hour, minute in zip(range(15, 24), (30, 0) * 5)] + ["0 2 * * tue-sat"]
CLUSTERS = 10_000
SAMPLE = 500
ROUNDS = 5
TARGET = 100


def make_clusters() -> "list[Cluster]":
    """Return clusters whose windows repeat and whose timings do not: about 145 distinct pairs in two zones."""
    rng = random.Random(1)  # noqa: S311
    pairs = [(zone, Window(start, stop)) for zone in (ZONE, "UTC") for start in STARTS for stop in STOPS]
    chosen = rng.sample(pairs, 145)
    by_zone = {zone: [window for z, window in chosen if z == zone] for zone in (ZONE, "UTC")}
    zones = [rng.choice((ZONE, "UTC")) for _ in range(CLUSTERS)]
    return [
        Cluster(f"c{i}", ClusterId(f"c{i}"), Timing(timezone=zone, windows=tuple(rng.choices(by_zone[zone], k=3))))
        for i, zone in enumerate(zones)
    ]


def forget() -> None:
    """Bring the evaluator back to where a cold start finds it."""
    evaluate._schedules.clear()
    evaluate._known.clear()
    for value in vars(evaluate).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def ask_croniter(clusters: "list[Cluster]") -> None:
    for cluster in clusters:
        local = AT.astimezone(ZoneInfo(cluster.timing.timezone)).replace(tzinfo=None) + timedelta(microseconds=1)
        for window in cluster.timing.windows:
            croniter(window.start, local).get_prev(datetime)
            croniter(window.stop, local).get_prev(datetime)


def ask_states(clusters: "list[Cluster]") -> None:
    forget()
    for cluster in clusters:
        evaluate.state_at(cluster, AT)


def ask_everything(clusters: "list[Cluster]") -> None:
    forget()
    for cluster in clusters:
        evaluate.desired_state(cluster, AT)


def compare_with_croniter() -> float:
    """Print the table of one instant; return how many times faster the states are than croniter for each window."""
    clusters = make_clusters()
    times: "list[tuple[float, float, float]]" = []
    for _ in range(ROUNDS):  # alternated, so that a busy machine slows all alike
        for_each = seconds(lambda: ask_croniter(clusters[:SAMPLE])) * CLUSTERS / SAMPLE
        times.append((for_each, seconds(lambda: ask_states(clusters)), seconds(lambda: ask_everything(clusters))))
    for_each, states, everything = (median(column) for column in zip(*times))
    windows = {(c.timing.timezone, window) for c in clusters for window in c.timing.windows}
    kinds = f"{len(windows)} distinct, of {len(STARTS + STOPS)} expressions"
    print(f"{CLUSTERS:,} clusters x 3 windows ({kinds}), one instant")
    print(f"{'':44}{'CPU':>12}{'ratio':>10}")
    print(f"{f'croniter for each window (from {SAMPLE} clusters)':44}{for_each * 1000:9.0f} ms{'1':>10}")
    for name, taken in (("state_at, cold", states), ("desired_state, cold: reason, since, until", everything)):
        print(f"{name:44}{taken * 1000:9.1f} ms{f'1/{for_each / taken:.0f}':>10}")
    return for_each / states


def time_transitions() -> None:
    """Print the table of a year: the time of one transition, for few and for many of them."""
    timings = {
        "one day a month": [("0 8 1 * *", "0 20 1 * *")],
        "working hours": [("0 8 * * mon-fri", "0 20 * * mon-fri")],
        "working hours, three windows that overlap": [
            ("0 8 * * mon-fri", "0 12 * * mon-fri"),
            ("0 11 * * mon-fri", "0 18 * * mon-fri"),
            ("0 22 * * mon-fri", "0 6 * * tue-sat"),
        ],
        "every hour": [("0 * * * *", "30 * * * *")],
        "every ten minutes": [("*/10 * * * *", "5-59/10 * * * *")],
        "always: windows that meet": [("0 0 * * *", "0 12 * * *"), ("0 12 * * *", "0 0 * * *")],
    }
    print(f"\na year's transitions of one cluster in America/New_York, {366 * 24 * 60:,} minutes")
    print(f"{'':44}{'number':>12}{'CPU':>12}{'each':>12}")
    for name, pairs in timings.items():
        timing = Timing(timezone="America/New_York", windows=tuple(Window(start, stop) for start, stop in pairs))
        cluster = Cluster("c", ClusterId("c"), timing)
        taken, number = [], 0
        for _ in range(3):
            forget()
            began = time.process_time()
            number = sum(1 for _ in evaluate.transitions(cluster, AT, AT + timedelta(days=366)))
            taken.append(time.process_time() - began)
        each = f"{median(taken) / number * 1e6:9.0f} us" if number else ""
        print(f"{name:44}{number:12,}{median(taken) * 1000:9.1f} ms{each:>12}")


if __name__ == "__main__":
    ratio = compare_with_croniter()
    time_transitions()
    verdict = "met" if ratio >= TARGET else "MISSED"
    print(f"\ntarget: state_at in at most 1/{TARGET} of croniter for each window: {verdict}")
    sys.exit(0 if ratio >= TARGET else 1)
