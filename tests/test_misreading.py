"""What a file seems to say and does not: each with its place and its words, and the nearest thing that is clear."""

from datetime import datetime
from typing import List, Optional
from zoneinfo import ZoneInfo

import pytest

from scheduler.config import parse_checked
from scheduler.misreading import find_misreadings

UID = "3f1c9d2e-0a4b-11ef-9d2a-0255ac10023b"


def misreadings(text: str) -> List[str]:
    checked = parse_checked(f"version: 1\n{text}".encode(), "f.yaml")
    return [str(checked.document.problem(path, message)) for path, message in find_misreadings(checked)]


def of_cluster(settings: str, top: str = "") -> List[str]:
    return misreadings(f"{top}clusters:\n  - {{name: dev, cluster_id: {UID}, {settings}}}\n")


@pytest.mark.parametrize(
    ("zone", "means", "write"),
    [
        ("Etc/GMT+7", "UTC-7", "Etc/GMT-7 for UTC+7"),
        ("Etc/GMT-14", "UTC+14", "Etc/GMT+14 for UTC-14"),
        ("Etc/GMT+0", None, ""),
        ("Etc/GMT", None, ""),
        ("Etc/UTC", None, ""),
        ("Asia/Bangkok", None, ""),
    ],
)
def test_the_sign_of_these_zones_is_reversed(zone: str, means: Optional[str], write: str) -> None:
    message = (
        f'timezone: "{zone}" means {means}, in these names the sign is reversed: write {write}, or a place such as'
    )
    expected = [f"{message} Asia/Bangkok"] if means else []
    assert of_cluster("state: running", f"timezone: {zone}\n") == expected
    assert of_cluster(f"state: running, timezone: {zone}") == [f"clusters[0].{text}" for text in expected]
    assert of_cluster("state: running", f"defaults: {{timezone: {zone}}}\n") == [
        f"defaults.{text}" for text in expected
    ]
    top = f"schedules: {{s: {{timezone: {zone}, state: running}}}}\n"
    assert of_cluster("schedule: s", top) == [f"schedules.s.{text}" for text in expected]


@pytest.mark.parametrize(
    ("zone", "offset", "place"),
    [
        ("EST", "UTC-5", "America/New_York"),
        ("MST", "UTC-7", "America/Denver"),
        ("GMT", "UTC", "Europe/London"),
        ("CET", None, "Europe/Paris"),
        ("UTC", None, "Europe/London"),
    ],
)
def test_a_zone_named_after_winter_has_no_summer(zone: str, offset: Optional[str], place: str) -> None:
    expected = f'timezone: "{zone}" is {offset} all year, its clocks never change: write a place such as {place}'
    assert of_cluster("state: running", f"timezone: {zone}\n") == ([expected] if offset else [])
    winter, summer = (datetime(2026, month, 1) for month in (1, 7))  # noqa: DTZ001 - local times
    assert ZoneInfo(zone).utcoffset(winter) == ZoneInfo(place).utcoffset(winter)
    if offset:
        assert ZoneInfo(zone).utcoffset(summer) == ZoneInfo(zone).utcoffset(winter)
        assert ZoneInfo(place).utcoffset(summer) != ZoneInfo(place).utcoffset(winter)


@pytest.mark.parametrize(("tag", "sign"), [("keep*", "*"), ("owner=plat?orm", "?"), ("[ab]", "[")])
def test_a_tag_is_no_pattern(tag: str, sign: str) -> None:
    exclude = f'exclude: {{tags: [keep, owner=platform, "{tag}"], servers: ["bastion-*"]}}'
    message = f'exclude.tags[2]: "{tag}" is compared as it stands, {sign} is no pattern in tags: write the tag in full'
    assert of_cluster(f"state: running, {exclude}") == [f"clusters[0].{message}"]
    assert of_cluster("state: running", f"defaults: {{{exclude}}}\n") == [f"defaults.{message}"]


@pytest.mark.parametrize(
    ("cluster_id", "is_clear"),
    [(UID, True), (UID.upper(), True), ("3f1c", False), (UID[:-1], False), (f"{UID}0", False), ("dev-cluster", False)],
)
def test_an_id_that_looks_like_none_is_told(cluster_id: str, is_clear: bool) -> None:  # noqa: FBT001
    message = (
        f'clusters[0].cluster_id: "{cluster_id}" is not what ids of clusters look like, such as {UID}: '
        "copy the id from the console"
    )
    found = misreadings(f"clusters: [{{name: dev, cluster_id: {cluster_id}, state: running}}]\n")
    assert found == ([] if is_clear else [message])


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        pytest.param("*/40 * * * *", ("*/40", 20, 40, "hour", "minute", 60), id="minutes"),
        pytest.param("*/7 8-20 * * *", ("*/7", 4, 7, "hour", "minute", 60), id="in some hours"),
        pytest.param("5,0/25 * * * *", ("0/25", 10, 25, "hour", "minute", 60), id="one of a list"),
        pytest.param("30/20 * * * *", ("30/20", 40, 20, "hour", "minute", 60), id="begun too late to be even"),
        pytest.param("0 */5 * * *", ("*/5", 4, 5, "day", "hour", 24), id="hours"),
        pytest.param("0 0 1 */5 *", ("*/5", 2, 5, "year", "month", 12), id="months"),
        pytest.param("0 0 1 2/5 *", ("2/5", 2, 5, "year", "month", 12), id="months from February"),
        pytest.param("0 0 * */5 1", ("*/5", 2, 5, "year", "month", 12), id="months, on Mondays"),
        pytest.param("*/15 * * * *", None, id="a quarter of an hour"),
        pytest.param("5/20 * * * *", None, id="even from another minute"),
        pytest.param("*/40 8 * * *", None, id="in one hour only"),
        pytest.param("0 */5 1 * *", None, id="on one day only"),
        pytest.param("0 8-20/5 * * *", None, id="within a range"),
        pytest.param("0 0 */1 * *", None, id="every day of the month"),
        pytest.param("*/1 */6 * 1/3 *", None, id="all even"),
    ],
)
@pytest.mark.parametrize("side", ["start", "stop"])
def test_a_step_that_is_uneven_is_told(side: str, cron: str, message: "Optional[tuple[object, ...]]") -> None:
    found = of_cluster(f'windows: [{{{side}: "{cron}"}}]')
    text = (
        'clusters[0].windows[0].{}: "{}" begins anew with every {}, so {} {}s and not {} are between its last time and '
        "the next: write a step that divides {}, or leave it if that is right"
    )
    if message is None:
        assert found == []
    else:
        part, last, step, whole, unit, length = message
        assert found == [text.format(side, part, whole, last, unit, step, length)]


@pytest.mark.parametrize(
    ("cron", "part", "first"), [("0 8 */2 * *", "*/2", 1), ("0 8 1,3/10 * *", "3/10", 3), ("0 8 */31 * 1", "*/31", 1)]
)
def test_a_step_of_days_is_uneven_in_every_month(cron: str, part: str, first: int) -> None:
    (found,) = (text for text in of_cluster(f'windows: [{{stop: "{cron}"}}]') if "anew" in text)
    assert found == (
        f'clusters[0].windows[0].stop: "{part}" begins anew on day {first} of every month, which has 28 to 31 days: '
        "leave it if that is right"
    )


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("*/90 * * * *", '"*/90" comes once in every hour, which has 60 minutes: write one value'),
        ("*/90 8 * * *", '"*/90" comes once in every hour, which has 60 minutes: write one value'),
        ("50/15 * * * *", '"50/15" comes once in every hour, which has 60 minutes: write one value'),
        ("0 */24 * * *", '"*/24" comes once in every day, which has 24 hours: write one value'),
        ("0 0 1 */12 *", '"*/12" comes once in every year, which has 12 months: write one value'),
    ],
)
def test_a_step_that_never_gets_anywhere_is_told(cron: str, message: str) -> None:
    top = f'schedules: {{s: {{windows: [{{stop: "{cron}"}}]}}}}\n'
    assert of_cluster("state: running", top) == [f"schedules.s.windows[0].stop: {message}"]
