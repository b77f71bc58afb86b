"""Faults by chance: the same for the same seed, each kind in the calls that it can befall, and what the client sees."""

import contextlib
from collections import Counter
from datetime import timedelta
from typing import Dict, List, Optional, Tuple, Type

import pytest

from scheduler.cloud.huawei import HuaweiCloud
from scheduler.errors import (
    CloudError,
    PermanentCloudError,
    TemporaryCloudError,
    ThrottledCloudError,
    UnknownOutcomeError,
    UntrustedAnswerError,
)
from scheduler.model import ServerId, StopType
from scheduler.simulated import SimulatedCloud, serve
from scheduler.simulated.calls import Call
from scheduler.simulated.chaos import EVERY_DAY, Kind, random_faults
from tests.scenes import DEV, KEYS, NOW, PROJECT, REGION, open_cloud

LIST = Call(NOW, "GET", f"/v1/{PROJECT}/cloudservers/detail", {"limit": "1000"})
START = Call(NOW, "POST", f"/v1/{PROJECT}/cloudservers/action", {}, {"os-start": {"servers": [{"id": "a"}]}})
STOP = START._replace(body={"os-stop": {"servers": [{"id": "a"}], "type": "SOFT"}})
HARD = START._replace(body={"os-stop": {"servers": [{"id": "a"}], "type": "HARD"}})
HIBERNATE = Call(NOW, "POST", f"/api/v3/projects/{PROJECT}/clusters/{DEV}/operation/hibernate", {})


def befallen(call: Call, count: int = 400) -> "Counter[Kind]":
    faults = random_faults("a", 1.0, tuple(Kind))
    for _ in range(count):
        faults(call)
    return faults.counts


def test_the_same_seed_makes_the_same_faults_whatever_comes_between() -> None:
    first, second, other = random_faults("a", 0.3), random_faults("a", 0.3), random_faults("b", 0.3)
    for _ in range(50):
        first(LIST)
        first(STOP)
    for call in (STOP, LIST):
        for _ in range(50):
            second(call)
            other(call)
    assert first.counts == second.counts != other.counts


@pytest.mark.parametrize(("probability", "least", "most"), [(0.0, 0, 0), (0.2, 140, 260), (1.0, 1000, 1000)])
def test_the_probability_is_the_share_of_calls(probability: float, least: int, most: int) -> None:
    faults = random_faults("a", probability)
    assert least <= sum(faults(LIST) is not None for _ in range(1000)) <= most


@pytest.mark.parametrize("probability", [-0.1, 1.1])
def test_a_probability_that_is_none_is_refused(probability: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        random_faults("a", probability)


@pytest.mark.parametrize(
    ("call", "never"),
    [
        pytest.param(
            LIST, {Kind.RESET_AFTER, Kind.VANISHED, Kind.NO_CAPACITY, Kind.HANGING, Kind.DELAYED}, id="listing"
        ),
        pytest.param(START, {Kind.DUPLICATES, Kind.REORDERED, Kind.HANGING}, id="start"),
        pytest.param(STOP, {Kind.DUPLICATES, Kind.REORDERED, Kind.NO_CAPACITY}, id="stop"),
        pytest.param(HARD, {Kind.DUPLICATES, Kind.REORDERED, Kind.NO_CAPACITY, Kind.HANGING}, id="HARD stop"),
        pytest.param(
            HIBERNATE,
            {Kind.DUPLICATES, Kind.REORDERED, Kind.VANISHED, Kind.NO_CAPACITY, Kind.HANGING, Kind.DELAYED},
            id="hibernation",
        ),
    ],
)
def test_every_kind_befalls_the_calls_that_it_can(call: Call, never: "set[Kind]") -> None:
    assert set(befallen(call)) == set(Kind) - never


def test_no_kind_of_every_day_takes_real_time() -> None:
    assert set(Kind) - set(EVERY_DAY) == {Kind.SILENT}


def outcome(
    kind: Kind, *, remaining_s: float = 60.0
) -> Tuple[Optional[Type[CloudError]], Optional[Type[CloudError]], SimulatedCloud]:
    """Return how a listing of three servers and a stop of one fail under a kind of fault, and the cloud after it."""
    cloud = SimulatedCloud(NOW)
    servers = [ServerId(cloud.add_server().server_id) for _ in range(3)]
    cloud.faults = random_faults("a", 1.0, [kind])
    failed: List[Optional[Type[CloudError]]] = []
    with serve(cloud) as endpoint:
        client = HuaweiCloud(KEYS, REGION, PROJECT, endpoint=endpoint, remaining_s=lambda: remaining_s)
        with contextlib.closing(client):
            for call in (client.list_page, lambda: client.stop(servers[:1], StopType.SOFT)):
                try:
                    call()
                    failed.append(None)
                except CloudError as e:
                    failed.append(type(e))
    return failed[0], failed[1], cloud


T, P, U, L = TemporaryCloudError, PermanentCloudError, UnknownOutcomeError, ThrottledCloudError
SEEN: Dict[Kind, Tuple[Optional[Type[CloudError]], Optional[Type[CloudError]]]] = {
    Kind.THROTTLED: (L, L),
    Kind.THROTTLED_S: (L, L),
    Kind.THROTTLED_FRACTION: (L, L),
    Kind.INTERNAL: (T, U),
    Kind.BAD_GATEWAY: (T, U),
    Kind.UNAVAILABLE: (T, U),
    Kind.GATEWAY_TIMEOUT: (T, U),
    Kind.RESET: (T, U),
    Kind.RESET_AFTER: (None, U),
    Kind.SLOW: (None, None),
    Kind.TRUNCATED: (T, U),
    Kind.WEB_PAGE: (UntrustedAnswerError, U),
    Kind.DUPLICATES: (None, None),
    Kind.REORDERED: (None, None),
    Kind.SKEWED: (P, P),
    Kind.NO_CAPACITY: (None, None),
    Kind.HANGING: (None, None),
    Kind.DELAYED: (None, L),
}


@pytest.mark.parametrize("kind", SEEN)
def test_a_client_sees_what_it_would_of_the_real_cloud(kind: Kind) -> None:
    listed, stopped, _ = outcome(kind)
    assert (listed, stopped) == SEEN[kind]


def test_a_client_that_is_never_answered_gives_up() -> None:
    """With 3 s left a client waits 2 s for an answer: real ones, as it is the client's own clock that must run out."""
    listed, stopped, _ = outcome(Kind.SILENT, remaining_s=3.0)
    assert (listed, stopped) == (T, U)


def test_a_server_that_is_deleted_before_the_action_refuses_its_batch() -> None:
    _, stopped, cloud = outcome(Kind.VANISHED)
    assert (stopped.__name__ if stopped else None) == "RefusedError"
    assert len(cloud.servers) == 2


def test_an_action_whose_answer_is_lost_may_have_been_carried_out() -> None:
    _, _, cloud = outcome(Kind.RESET_AFTER)
    assert [server.task_state for server in cloud.servers] == ["powering-off", None, None]
    _, _, cloud = outcome(Kind.RESET)
    assert [server.task_state for server in cloud.servers] == [None, None, None]


def test_slow_answers_take_simulated_time() -> None:
    _, _, cloud = outcome(Kind.SLOW)
    assert timedelta(seconds=10) <= cloud.now - NOW <= timedelta(seconds=30)


@pytest.mark.parametrize(("kind", "entries"), [(Kind.DUPLICATES, 5), (Kind.REORDERED, 3)])
def test_pages_come_with_duplicates_or_in_another_order(kind: Kind, entries: int) -> None:
    cloud = SimulatedCloud(NOW)
    ids = [cloud.add_server().server_id for _ in range(3)]
    cloud.faults = random_faults("a", 1.0, [kind])
    with serve(cloud) as endpoint, contextlib.closing(open_cloud(endpoint)) as client:
        pages = [[server.server_id for server in client.list_page()] for _ in range(5)]
    assert {len(page) for page in pages} == {entries}
    assert {frozenset(page) for page in pages} == {frozenset(ids)}
    assert any(page[:3] != ids[::-1] for page in pages) or kind is Kind.DUPLICATES


def test_a_hanging_stop_stays_and_a_start_without_capacity_works_the_next_time() -> None:
    _, _, cloud = outcome(Kind.HANGING)
    cloud.advance_to(NOW + timedelta(days=1))
    assert [server.status for server in cloud.servers] == ["ACTIVE"] * 3
    assert [server.task_state for server in cloud.servers] == ["powering-off", None, None]

    cloud = SimulatedCloud(NOW)
    off = cloud.add_server(status="SHUTOFF")
    with serve(cloud) as endpoint, contextlib.closing(open_cloud(endpoint)) as client:
        faults = random_faults("a", 1.0, [Kind.NO_CAPACITY])
        cloud.faults = faults
        client.start([ServerId(off.server_id)])
        cloud.advance_to(cloud.now + timedelta(minutes=1))
        assert (off.status, bool(off.fault)) == ("SHUTOFF", True)
        faults.probability = 0.0
        client.start([ServerId(off.server_id)])
        cloud.advance_to(cloud.now + timedelta(minutes=1))
        assert off.status == "ACTIVE"
