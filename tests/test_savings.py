"""Hours and money that a schedule saves, held against what was worked out by hand."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import Any, Optional
from zoneinfo import ZoneInfo

import pytest

from scheduler.errors import InputError
from scheduler.evaluate import desired_state, state_at
from scheduler.model import (
    Action,
    Cluster,
    ClusterId,
    ClusterPlan,
    ControlPlane,
    Exclude,
    Prices,
    Server,
    State,
    Timing,
    Window,
)
from scheduler.plan import Members, plan_cluster
from scheduler.savings import (
    Hours,
    Savings,
    add_money,
    billed_when_stopped,
    describe_each,
    describe_hours,
    describe_savings,
    find_hours,
    find_savings,
    money_of_each,
)
from tests.oracle_cases import to_cluster
from tests.scenes import make_cluster, make_server
from tests.schedule_strategies import interesting_instants, random_spec

LONDON = ZoneInfo("Europe/London")
NIGHTS = Timing("Europe/London", windows=(Window("0 0 * * *", "0 4 * * *"),))
PRICES = Prices("USD", {"s6.large.2": Decimal("0.05"), "c7.large.2": Decimal("0.10")}, Decimal("0.10"))
WEEK = Hours(timedelta(hours=60), timedelta(hours=108), timedelta())


def london(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=LONDON)


def stopped_plan(*servers: Server, **settings: Any) -> ClusterPlan:
    cluster: Cluster = make_cluster(**settings)
    members = Members({cluster.cluster_id: servers}, {server.server_id: [cluster.cluster_id] for server in servers})
    return plan_cluster(cluster, desired_state(cluster, london("2026-12-01")), members)


class TestHours:
    """Each span has three nights of running from 0 to 4; on the middle one the clocks change between 1 and 2."""

    @pytest.mark.parametrize(
        ("first", "last", "on", "off"),
        [
            pytest.param("2026-03-28", "2026-03-31", 4 + 3 + 4, 60, id="clocks go forward: 71 hours"),
            pytest.param("2026-10-24", "2026-10-27", 4 + 5 + 4, 60, id="clocks go back: 73 hours"),
            pytest.param("2026-11-24", "2026-11-27", 4 + 4 + 4, 60, id="clocks stay: 72 hours"),
        ],
    )
    def test_are_elapsed_time_where_clocks_change(self, first: str, last: str, on: int, off: int) -> None:
        cluster = Cluster("dev", ClusterId("a"), NIGHTS)
        hours = find_hours(cluster, london(first), london(last))
        assert hours == Hours(timedelta(hours=on), timedelta(hours=off), timedelta())

    def test_that_nobody_manages_count_as_on(self) -> None:
        cluster = Cluster("dev", ClusterId("a"), Timing("UTC", windows=(Window(None, "0 20 * * *"),), enforce_s=7200))
        start = datetime(2026, 11, 23, tzinfo=timezone.utc)
        hours = find_hours(cluster, start, start + timedelta(days=7))
        assert hours == Hours(timedelta(), timedelta(hours=14), timedelta(hours=154))
        assert (hours.on, hours.whole) == (timedelta(hours=154), timedelta(days=7))
        assert describe_hours(hours) == "154.0 h on (154.0 h of it unmanaged), 14.0 h off (8 %)"

    def test_of_a_cluster_that_is_not_enabled_are_unmanaged(self) -> None:
        cluster = Cluster("dev", ClusterId("a"), NIGHTS, enabled=False)
        hours = find_hours(cluster, london("2026-03-28"), london("2026-03-31"))
        assert (hours.on, hours.stopped, describe_hours(hours)) == (timedelta(hours=71), timedelta(), "unmanaged")

    def test_of_no_time_are_none(self) -> None:
        hours = find_hours(Cluster("dev", ClusterId("a"), NIGHTS), london("2026-03-28"), london("2026-03-28"))
        assert (hours.whole, hours.off_percent) == (timedelta(), 0.0)

    def test_are_found_past_more_events_than_one_search_looks_at(self) -> None:
        timing = Timing("UTC", windows=(Window("*/5 * * 1-11 *", "*/5 * * * *"),))
        start = datetime(2026, 11, 1, tzinfo=timezone.utc)
        hours = find_hours(Cluster("dev", ClusterId("a"), timing), start, start + timedelta(days=40))
        # The last start of November is at 23:55, and the stop of midnight stands alone.
        assert hours == Hours(timedelta(days=30), timedelta(days=10), timedelta())

    def test_are_the_minutes_of_each_state_on_random_schedules(self) -> None:
        rng = Random(21)  # noqa: S311 - a reproducible search
        for _ in range(25):
            spec = random_spec(rng)
            cluster = to_cluster(spec)
            start = interesting_instants(rng, spec, 1)[0].replace(second=0, microsecond=0)
            states = [state_at(cluster, start + timedelta(minutes=minute)) for minute in range(24 * 60)]
            lengths = [states.count(state) * timedelta(minutes=1) for state in State]
            assert find_hours(cluster, start, start + timedelta(days=1)) == Hours(*lengths), spec


class TestServers:
    @pytest.mark.parametrize(
        ("fields", "nothing"),
        [
            pytest.param({}, None, id="pay per use"),
            pytest.param({"status": "SHUTOFF"}, None, id="off already"),
            pytest.param({"status": "REBOOT"}, None, id="on its way"),
            pytest.param({"charging_mode": "1"}, "prepaid: stopping saves nothing", id="prepaid"),
            pytest.param({"charging_mode": "1", "status": "SHUTOFF"}, "prepaid", id="prepaid and off"),
            pytest.param(
                {"charging_mode": "2"}, "spot: it may be a spot block, which is billed when stopped", id="spot"
            ),
            pytest.param(
                {"charging_mode": None},
                "how it is charged is missing from the answer: it may be prepaid",
                id="charging not known",
            ),
            pytest.param({"locked": True}, "locked", id="locked"),
            pytest.param({"status": "ERROR"}, "status ERROR", id="broken"),
            pytest.param({"name": "bastion-1"}, 'excluded by server "bastion-*"', id="excluded"),
            pytest.param({"tags": ("cce-scheduler=off",)}, 'excluded by its tag "cce-scheduler=off"', id="tagged off"),
            pytest.param(
                {"flavor": "d3.xlarge.8"}, "billed when stopped: disk-intensive (d3.xlarge.8)", id="disk-intensive"
            ),
            pytest.param({"flavor": None}, "its flavor is missing from the answer", id="flavor not known"),
        ],
    )
    def test_that_are_not_surely_cheaper_when_stopped_save_nothing(
        self, fields: "dict[str, Any]", nothing: Optional[str]
    ) -> None:
        server = make_server(**{"flavor": "s6.large.2", **fields})
        (found,) = find_savings(stopped_plan(server, exclude=Exclude(("bastion-*",))), WEEK, PRICES).servers or ()
        assert found.nothing == nothing
        assert found.price == (None if nothing else Decimal("0.05"))

    def test_that_are_prepaid_save_nothing_though_they_are_stopped(self) -> None:
        planned = stopped_plan(make_server(flavor="s6.large.2", charging_mode="1"), stop_prepaid=True)
        (found,) = find_savings(planned, WEEK, PRICES).servers or ()
        assert (found.is_stopped, found.nothing) == (True, "prepaid")

    @pytest.mark.parametrize(
        ("flavor", "kind"),
        [
            *((name, "disk-intensive") for name in ("d1.xlarge", "d2.xlarge.8", "d3ne.large.8", "d7.xlarge", "kd1.x")),
            *((name, "ultra-high I/O") for name in ("i3.2xlarge.8", "ir3.large.4", "i7n.4xlarge.4", "ki1.xlarge.4")),
            *((name, "with local disks") for name in ("h2.3xlarge.10", "p1.2xlarge.8", "P2.2xlarge.8")),
            *((name, "with FPGAs") for name in ("fp1.2xlarge.11", "fp1c.2xlarge.11")),
            ("physical.kc1.large", "bare metal"),
        ],
    )
    def test_of_some_flavors_are_billed_when_stopped(self, flavor: str, kind: str) -> None:
        assert billed_when_stopped(make_server(flavor=flavor)) == f"billed when stopped: {kind} ({flavor})"

    @pytest.mark.parametrize(
        "flavor",
        ["s6.large.2", "c7.large.2", "c7n.2xlarge.4", "m7.large.8", "kc1.large.2", "pi2.2xlarge.4", "p2v.2xlarge.8"],
    )
    def test_of_other_flavors_are_not(self, flavor: str) -> None:
        assert billed_when_stopped(make_server(flavor=flavor)) is None

    def test_of_bare_metal_are_known_by_their_tag_too(self) -> None:
        server = make_server(flavor="s6.large.2", tags=("__type_baremetal",))
        assert billed_when_stopped(server) == "billed when stopped: bare metal (s6.large.2)"


class TestMoney:
    def test_is_what_was_worked_out_by_hand_over_both_changes_of_the_clocks(self) -> None:
        """60 hours off, three servers at 0.05 and one at 0.10, and the control plane at 0.10: 60 * 0.35 = 21.00."""
        servers = [make_server(n, flavor="s6.large.2") for n in range(3)] + [make_server(3, flavor="c7.large.2")]
        planned = stopped_plan(*servers, control_plane=ControlPlane.HIBERNATE)
        for first, last in (("2026-03-28", "2026-03-31"), ("2026-10-24", "2026-10-27")):
            hours = find_hours(Cluster("dev", ClusterId("a"), NIGHTS), london(first), london(last))
            found = find_savings(planned, hours, PRICES)
            assert (found.money, found.server_time_off) == (Decimal("21.00"), timedelta(hours=240))
        assert describe_savings(found) == "13.0 h on, 60.0 h off (82 %), saves 21.00 USD"

    def test_is_not_there_without_prices(self) -> None:
        found = find_savings(stopped_plan(make_server(flavor="s6.large.2")), WEEK, None)
        assert (found.money, dict(found.unpriced), found.server_time_off) == (None, {}, timedelta(hours=108))
        assert describe_savings(found) == "60.0 h on, 108.0 h off (64 %)"

    def test_of_a_flavor_without_a_price_is_never_invented(self) -> None:
        servers = [make_server(1, flavor="s6.large.2"), make_server(2, flavor="x1.large.2")]
        found = find_savings(stopped_plan(*servers), WEEK, PRICES)
        assert (found.money, dict(found.unpriced)) == (Decimal("5.40"), {"x1.large.2": 1})
        assert describe_savings(found).endswith(", saves at least 5.40 USD")
        only = find_savings(stopped_plan(*servers[1:]), WEEK, PRICES)
        assert (only.money, dict(only.unpriced)) == (None, {"x1.large.2": 1})

    def test_is_nothing_where_no_server_saves_any(self) -> None:
        found = find_savings(stopped_plan(make_server(flavor="d3.xlarge.8")), WEEK, PRICES)
        assert (found.money, dict(found.nothing)) == (
            Decimal("0.00"),
            {"billed when stopped: disk-intensive (d3.xlarge.8)": 1},
        )

    def test_of_a_flavor_that_is_free_is_known_to_be_nothing(self) -> None:
        free = PRICES._replace(per_hour={"s6.large.2": Decimal(0)})
        found = find_savings(stopped_plan(make_server(flavor="s6.large.2")), WEEK, free)
        assert (found.money, dict(found.unpriced)) == (Decimal("0.00"), {})

    def test_of_a_control_plane_that_a_server_keeps_up_is_none(self) -> None:
        servers = [make_server(1, flavor="s6.large.2"), make_server(2, flavor="s6.large.2", locked=True)]
        found = find_savings(stopped_plan(*servers, control_plane=ControlPlane.HIBERNATE), WEEK, PRICES)
        assert (found.is_hibernated, found.money) == (False, Decimal("5.40"))

    def test_of_a_control_plane_without_nodes_is_none(self) -> None:
        found = find_savings(stopped_plan(control_plane=ControlPlane.HIBERNATE), WEEK, PRICES)
        assert (found.is_hibernated, found.money) == (False, Decimal("0.00"))

    def test_of_a_cluster_that_could_not_be_read_is_not_known(self) -> None:
        failed = stopped_plan(make_server(flavor="s6.large.2"))._replace(error=InputError("no"))
        found = find_savings(failed, WEEK, PRICES)
        assert (found.money, found.servers, str(found.error)) == (None, None, "no")
        assert add_money([found]) is None

    def test_of_an_unmanaged_cluster_is_not_known(self) -> None:
        found = find_savings(stopped_plan(make_server(), enabled=False), WEEK, PRICES)
        assert (found.money, found.servers) == (None, None)

    def test_of_several_clusters_is_what_is_known_of_each(self) -> None:
        one = find_savings(stopped_plan(make_server(flavor="s6.large.2")), WEEK, PRICES)
        unknown = Savings(one.cluster, WEEK)
        assert add_money([one, unknown, one]) == Decimal("10.80")


def test_money_of_each_flavor_is_there_without_servers_but_not_of_one_that_is_billed_when_stopped() -> None:
    prices = Prices("EUR", {name: Decimal(price) for name, price in (("s6.a", "0.125"), ("d3.b", "9"), ("c7.c", "1"))})
    each = money_of_each(timedelta(hours=10, minutes=30), prices)
    assert each == {"s6.a": Decimal("1.31"), "c7.c": Decimal("10.50")}
    assert describe_each(each, "EUR") == "1.31 EUR (s6.a), 10.50 EUR (c7.c)"
    five = {f"flavor-{number}": Decimal(number) for number in range(5)}
    assert describe_each(five, "EUR").endswith("2 EUR (flavor-2), 2 more flavors")
    assert describe_each({}, "EUR") == "nothing: the flavors that have a price are billed when stopped"


def test_a_plan_for_running_knows_the_servers_too() -> None:
    cluster = make_cluster(state=State.RUNNING)
    server = make_server(flavor="s6.large.2", status="SHUTOFF")
    planned = plan_cluster(
        cluster,
        desired_state(cluster, london("2026-12-01")),
        Members({cluster.cluster_id: [server]}, {server.server_id: [cluster.cluster_id]}),
    )
    assert isinstance(planned.actions[0], Action)
    assert find_savings(planned, WEEK, PRICES).money == Decimal("5.40")
