"""A little of the search for input that a reader cannot take; ``make fuzz`` searches long."""

import contextlib
from typing import Iterator, List

import pytest
from hypothesis import strategies as st

from tests.fuzz.hunt import Check, HangError, Target, hunt
from tests.fuzz.targets import TARGETS

FEW = {"schedules": 250, "functiongraph": 100}


@pytest.mark.parametrize("target", [pytest.param(target, id=target.name) for target in TARGETS])
def test_whatever_comes_from_outside_ends_as_it_must(target: Target) -> None:
    number = FEW.get(target.name, 400)
    assert hunt(target, number, seed=0) == number


def target_of(check: Check) -> Target:
    @contextlib.contextmanager
    def opened() -> Iterator[Check]:
        yield check

    return Target("sketch", st.binary(), opened, 1)


def test_a_seed_gives_the_same_inputs_again() -> None:
    found: List[List[bytes]] = []
    for seed in (1, 1, 2):
        inputs: List[bytes] = []
        hunt(target_of(inputs.append), 50, seed=seed)
        found.append(inputs)
    assert found[0] == found[1] != found[2]


def test_an_input_that_never_ends_is_a_failure_that_shows_it() -> None:
    def check(_: object) -> None:
        while True:
            pass

    with pytest.raises(HangError, match="no end after 0 s with the input b''"):
        hunt(target_of(check), 1, seed=1, hang_s=0.2)


def test_an_input_that_fails_is_found() -> None:
    def check(found: bytes) -> None:
        assert len(found) < 3

    with pytest.raises(AssertionError):
        hunt(target_of(check), 100, seed=1)
