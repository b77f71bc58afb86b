"""What is tried again, how often and after how long; and what never is."""

from typing import Callable, List, NoReturn

import pytest

from scheduler.cloud.huawei import HuaweiCloud
from scheduler.cloud.patience import TRIES, PatientCloud, patiently
from scheduler.errors import (
    CloudError,
    NoAnswerError,
    OutOfTimeError,
    PermanentCloudError,
    RefusedError,
    TemporaryCloudError,
    ThrottledCloudError,
    UnknownOutcomeError,
    UntrustedAnswerError,
)
from scheduler.model import Clock, ClusterId, ServerId
from tests.scenes import NOW


class Time:
    """A minute of time that only passes while somebody waits."""

    def __init__(self, left_s: float = 58.0, chance: float = 0.0) -> None:
        self.slept: List[float] = []
        self.clock = Clock(lambda: NOW, lambda: left_s - sum(self.slept), self.slept.append, lambda: chance)


def failing(error: CloudError, times: int = 99) -> "tuple[Callable[[], str], List[int]]":
    calls: List[int] = []

    def call() -> str:
        calls.append(1)
        if len(calls) <= times:
            raise error
        return "done"

    return call, calls


@pytest.mark.parametrize(
    ("error", "acts", "slept"),
    [
        pytest.param(TemporaryCloudError("busy"), False, [0.5, 1.0], id="a reading fails for now"),
        pytest.param(UntrustedAnswerError("html"), False, [0.5, 1.0], id="a reading is answered with something else"),
        pytest.param(TemporaryCloudError("refused"), True, [0.5, 1.0], id="an action never left"),
        pytest.param(ThrottledCloudError("429"), False, [], id="a limit that does not say until when"),
        pytest.param(ThrottledCloudError("429", retry_after_s=1.25), False, [1.25, 1.25], id="a limit that says"),
        pytest.param(ThrottledCloudError("429", retry_after_s=1.25), True, [], id="an action meets a limit"),
        pytest.param(TemporaryCloudError("503", retry_after_s=7), False, [7, 7], id="a failure that says until when"),
        pytest.param(TemporaryCloudError("503", retry_after_s=-1), False, [0, 0], id="until before now"),
        pytest.param(TemporaryCloudError("503", retry_after_s=48.5), False, [], id="longer than the run has"),
        pytest.param(TemporaryCloudError("503", retry_after_s=47.5), False, [47.5], id="almost as long as the run has"),
        pytest.param(UnknownOutcomeError("lost"), True, [], id="an action that may have acted"),
        pytest.param(OutOfTimeError("late"), False, [], id="no time"),
        pytest.param(NoAnswerError("silence"), False, [], id="nothing came back in time"),
        pytest.param(PermanentCloudError("401"), False, [], id="no right"),
        pytest.param(RefusedError("400"), True, [], id="refused"),
    ],
)
def test_tries_again(error: CloudError, acts: bool, slept: List[float]) -> None:  # noqa: FBT001
    time = Time()
    call, calls = failing(error)
    with pytest.raises(type(error)) as raised:
        patiently(call, time.clock, acts=acts)
    assert raised.value is error
    assert time.slept == slept
    assert len(calls) == 1 + len(slept) <= TRIES


@pytest.mark.parametrize("times", [0, 1, 2])
def test_returns_what_a_later_try_returns(times: int) -> None:
    time = Time()
    call, calls = failing(TemporaryCloudError("busy"), times)
    assert patiently(call, time.clock, acts=False) == "done"
    assert (len(calls), len(time.slept)) == (times + 1, times)


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_chance_spreads_the_tries_of_many(chance: float) -> None:
    time = Time(chance=chance)
    with pytest.raises(TemporaryCloudError):
        patiently(failing(TemporaryCloudError("busy"))[0], time.clock, acts=False)
    assert time.slept == [0.5 * (1 + chance), 1.0 * (1 + chance)]


@pytest.mark.parametrize(("left_s", "tries"), [(10.4, 1), (10.6, 2), (11.4, 2), (11.6, 3)])
def test_a_pause_leaves_the_run_time_for_what_follows(left_s: float, tries: int) -> None:
    call, calls = failing(TemporaryCloudError("busy"))
    with pytest.raises(TemporaryCloudError):
        patiently(call, Time(left_s).clock, acts=False)
    assert len(calls) == tries


class Failing(HuaweiCloud):
    """A client whose readings all fail the same way, and which counts them."""

    def __init__(self, error: CloudError) -> None:
        self.asked: List[str] = []
        self._error = error

    def list_page(self, **_: object) -> NoReturn:
        self._fail("ECS")

    def list_by_ids(self, _: object) -> NoReturn:
        self._fail("ECS")

    def list_clusters(self) -> NoReturn:
        self._fail("CCE")

    def list_nodes(self, _: object) -> NoReturn:
        self._fail("CCE")

    def list_node_pools(self, _: object) -> NoReturn:
        self._fail("CCE")

    def _fail(self, service: str) -> NoReturn:
        self.asked.append(service)
        raise self._error


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        pytest.param(NoAnswerError("silence"), ["CCE", "ECS"], id="silence, of each service once"),
        pytest.param(PermanentCloudError("401", status_code=401), ["CCE"], id="refused credentials, of the place once"),
        pytest.param(PermanentCloudError("403", status_code=403), [*["CCE"] * 3, *["ECS"] * 2], id="a missing right"),
    ],
)
def test_is_not_asked_again_after(error: CloudError, asked: List[str]) -> None:
    failing = Failing(error)
    cloud = PatientCloud(failing, Time().clock)
    cluster_id = ClusterId("c")
    for read in (
        cloud.list_clusters,
        lambda: cloud.list_nodes(cluster_id),
        lambda: cloud.list_node_pools(cluster_id),
        cloud.list_page,
        lambda: cloud.list_by_ids([ServerId("s")]),
    ):
        with pytest.raises(CloudError) as raised:
            read()
        assert raised.value is error
    assert failing.asked == asked
