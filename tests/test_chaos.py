"""Worlds in which everything goes wrong, for a few seconds; ``make chaos`` looks for longer."""

from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scheduler.model import Power
from tests.chaos import EVERY, POWERS, World, kill, storm

_numbers = st.integers(0, 99)


class Chaos(RuleBasedStateMachine):
    """A world, and what may happen in it in any order."""

    world: World

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.world = World(seed)

    @rule(by=st.sampled_from([EVERY, timedelta(minutes=1), timedelta(minutes=23), timedelta(seconds=7)]))
    def a_run_comes(self, by: timedelta) -> None:
        self.world.pass_time(by)
        self.world.run()

    @rule(number=_numbers, seconds=st.sampled_from([0, -1, 1, 59, 200, 400]))
    def a_run_comes_at_a_transition(self, number: int, seconds: int) -> None:
        self.world.approach(number, seconds)
        self.world.run()

    @rule()
    def a_run_comes_twice(self) -> None:
        self.world.run()
        self.world.run()

    @rule()
    def two_runs_overlap(self) -> None:
        self.world.overlap()

    @rule(by=st.sampled_from([EVERY, 10 * EVERY]))
    def a_run_is_lost(self, by: timedelta) -> None:
        self.world.pass_time(by)

    @rule(number=_numbers, power=st.sampled_from(POWERS))
    def a_person_starts_or_stops_a_server(self, number: int, power: Power) -> None:
        self.world.by_hand(number, power)

    @rule(number=_numbers)
    def a_server_falls_into_an_odd_state_or_comes_back(self, number: int) -> None:
        self.world.disturb(number)

    @rule(number=_numbers)
    def a_person_writes_an_override(self, number: int) -> None:
        self.world.override(number)

    @rule(probability=st.sampled_from([0.0, 0.1, 0.3, 0.6]))
    def the_cloud_gets_worse_or_better(self, probability: float) -> None:
        self.world.worsen(probability)

    @rule(seconds=st.sampled_from([0, 45, -45, 600]))
    def the_clock_goes_wrong(self, seconds: int) -> None:
        self.world.skew(seconds)

    @precondition(lambda self: hasattr(self, "world"))
    @invariant()
    def no_law_is_broken(self) -> None:
        assert not self.world.broken

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                self.world.finish()
            finally:
                self.world.close()
            self.no_law_is_broken()


TestChaos = Chaos.TestCase
TestChaos.settings = settings(max_examples=8, stateful_step_count=12)


@pytest.mark.parametrize("seed", range(4))
def test_a_storm_breaks_no_law_and_passes(seed: int) -> None:
    tally, broken = storm(seed, 20)
    assert not broken
    assert tally.runs > 0


@pytest.mark.parametrize("seed", range(2))
def test_what_follows_a_run_that_was_killed_converges(seed: int) -> None:
    tally, broken = kill(seed)
    assert not broken
    assert tally.killed == 1
