"""What a schedule saves against servers that are always on: hours from the schedule alone, money where it is known.

Pure. Hours are true elapsed time, so a day on which clocks change has 23 or 25. Unmanaged time counts as on: nobody
stops anything then. A server saves only what is certain: one that is never stopped, that is prepaid, or whose flavor
is billed while stopped saves nothing, and where no price is given there is no money. Disks, addresses and bandwidth
cost the same while a server is stopped; they are in no figure here.
"""

import re
from collections import Counter
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple

from scheduler.errors import SchedulerError
from scheduler.evaluate import state_at, transitions
from scheduler.model import BARE_METAL_TAG, Cluster, ClusterPlan, ControlPlane, HoldKind, Prices, Server, State

NOT_INCLUDED = ("disks", "addresses", "bandwidth")
"""What costs the same while a server is stopped."""
_HOUR = timedelta(hours=1)
_CENT = Decimal("0.01")
_STOPPED_SOONER_OR_LATER = frozenset({HoldKind.ALREADY, HoldKind.STOPPING, HoldKind.IN_TRANSITION})
_PAY_PER_USE, _PREPAID, _SPOT = "0", "1", "2"
_BILLED_WHEN_STOPPED = (
    ("disk-intensive", re.compile(r"k?d\d\w*")),
    ("ultra-high I/O", re.compile(r"k?ir?\d\w*")),
    ("with local disks", re.compile(r"h2|p1|p2")),
    ("with FPGAs", re.compile(r"fp1c?")),
    ("bare metal", re.compile(r"physical")),
)
"""Families of flavors that are billed in full while stopped (price-ecs, ecs_billing_11106), by what they are."""
_MOST_FLAVORS = 3


class Hours(NamedTuple):
    """How long a cluster is in each desired state during a span."""

    running: timedelta
    stopped: timedelta
    unmanaged: timedelta

    @property
    def on(self) -> timedelta:
        """How long the cluster's servers are taken to be on."""
        return self.running + self.unmanaged

    @property
    def whole(self) -> timedelta:
        """How long the span is."""
        return self.on + self.stopped

    @property
    def off_percent(self) -> float:
        """The part of the span in which the cluster is stopped."""
        return 100 * (self.stopped / self.whole) if self.whole else 0.0


class ServerSavings(NamedTuple):
    """What one server saves in each stopped hour of its cluster.

    ``nothing`` is why it saves nothing, None if it does; ``price`` is None where it is not given.
    """

    server: Server
    is_stopped: bool
    nothing: Optional[str] = None
    price: Optional[Decimal] = None


class Savings(NamedTuple):
    """What one cluster saves during a span. ``servers`` is None where they were not read; ``error`` is why."""

    cluster: Cluster
    hours: Hours
    servers: Optional[Tuple[ServerSavings, ...]] = None
    currency: Optional[str] = None
    control_plane_price: Optional[Decimal] = None
    error: Optional[SchedulerError] = None

    @property
    def saving(self) -> Tuple[ServerSavings, ...]:
        """The servers that save something."""
        return tuple(found for found in self.servers or () if found.nothing is None)

    @property
    def server_time_off(self) -> timedelta:
        """The stopped time of all servers that save something."""
        return len(self.saving) * self.hours.stopped

    @property
    def is_hibernated(self) -> bool:
        """Whether the control plane sleeps while the cluster is stopped: a server that stays up keeps it up."""
        is_asked = self.cluster.control_plane is ControlPlane.HIBERNATE
        return is_asked and bool(self.servers) and all(found.is_stopped for found in self.servers or ())

    @property
    def money(self) -> Optional[Decimal]:
        """What is saved, as far as prices are known; None where none is."""
        prices = [found.price for found in self.saving if found.price is not None]
        if self.is_hibernated and self.control_plane_price is not None:
            prices.append(self.control_plane_price)
        is_known = bool(prices) or (self.currency is not None and self.servers is not None and not self.saving)
        return _cost(sum(prices, Decimal()), self.hours.stopped) if is_known else None

    @property
    def unpriced(self) -> Mapping[str, int]:
        """How many of the saving servers have a flavor without a price, by flavor; none if no prices are given."""
        if self.currency is None:
            return {}
        return Counter(found.server.flavor or "" for found in self.saving if found.price is None)

    @property
    def nothing(self) -> Mapping[str, int]:
        """How many servers save nothing, by reason."""
        return Counter(found.nothing for found in self.servers or () if found.nothing is not None)


def find_hours(cluster: Cluster, start: datetime, end: datetime) -> Hours:
    """Add up the desired states of a cluster from ``start`` (included) to ``end`` (not)."""
    lengths: Dict[State, timedelta] = dict.fromkeys(State, timedelta())
    at, end = start.astimezone(timezone.utc), end.astimezone(timezone.utc)
    state = state_at(cluster, at)
    for transition in transitions(cluster, at, end):
        lengths[state] += transition.at - at
        at, state = transition.at, transition.after
    lengths[state] += end - at
    return Hours(lengths[State.RUNNING], lengths[State.STOPPED], lengths[State.UNMANAGED])


def fill_slots(slots: List[timedelta], slot: timedelta, first: datetime, start: datetime, end: datetime) -> None:
    """Add a time to the slots that it touches: a row of them, each as long as ``slot``, from ``first`` on."""
    at = max(start, first)
    while at < end:
        number = (at - first) // slot
        until = min(end, first + (number + 1) * slot)
        slots[number] += until - at
        at = until


def find_savings(planned: ClusterPlan, hours: Hours, prices: Optional[Prices]) -> Savings:
    """Return what a cluster saves, from the servers of a plan: one for ``stopped`` knows the most of them."""
    cluster = planned.cluster
    if planned.error is not None or planned.desired.state is State.UNMANAGED:  # then no server was read
        return Savings(cluster, hours, error=planned.error)
    servers = [_stopped(action.server, prices) for action in planned.actions]
    for hold in planned.holds:
        if hold.kind in _STOPPED_SOONER_OR_LATER:
            servers.append(_stopped(hold.server, prices))
        else:
            servers.append(ServerSavings(hold.server, is_stopped=False, nothing=hold.reason))
    if prices is None:
        return Savings(cluster, hours, tuple(servers))
    return Savings(cluster, hours, tuple(servers), prices.currency, prices.control_plane_per_hour)


def money_of_each(time: timedelta, prices: Prices) -> Dict[str, Decimal]:
    """Return what a server saves that is off for some time, by flavor; flavors that are billed when stopped save none.

    For where the schedules are known and the servers are not.
    """
    return {flavor: _cost(price, time) for flavor, price in prices.per_hour.items() if not _billed_kind(flavor)}


def add_money(savings: Iterable[Savings]) -> Optional[Decimal]:
    """Return the money of several clusters, None where none of it is known."""
    known = [found.money for found in savings if found.money is not None]
    return sum(known, Decimal()) if known else None


def billed_when_stopped(server: Server) -> Optional[str]:
    """Say why a stopped server is billed as before, as far as its flavor and tags tell; None if it is not."""
    if server.flavor is None:
        return "its flavor is missing from the answer"
    kind = _billed_kind(server.flavor)
    if any(tag.partition("=")[0] == BARE_METAL_TAG for tag in server.tags or ()):
        kind = "bare metal"
    return f"billed when stopped: {kind} ({server.flavor})" if kind else None


def _billed_kind(flavor: str) -> Optional[str]:
    """Return what a flavor is that is billed when stopped; None if it is not, as far as its name tells."""
    family = flavor.partition(".")[0].lower()
    return next((kind for kind, pattern in _BILLED_WHEN_STOPPED if pattern.fullmatch(family)), None)


def _cost(price: Decimal, time: timedelta) -> Decimal:
    """Return what some time costs at a price per hour."""
    microsecond = timedelta(microseconds=1)
    return (price * Decimal(time // microsecond) / Decimal(_HOUR // microsecond)).quantize(_CENT)


def describe_hours(hours: Hours) -> str:
    """Write hours in a line: ``60.0 h on, 108.0 h off (64 %)``."""
    if hours.unmanaged == hours.whole:
        return "unmanaged"
    unmanaged = f" ({write_hours(hours.unmanaged)} h of it unmanaged)" if hours.unmanaged else ""
    off = f"{write_hours(hours.stopped)} h off ({hours.off_percent:.0f} %)"
    return f"{write_hours(hours.on)} h on{unmanaged}, {off}"


def describe_savings(savings: Savings) -> str:
    """Write hours, and money where it is known, in a line."""
    text = describe_hours(savings.hours)
    if savings.money is None:
        return text
    partly = " at least" if savings.unpriced else ""
    return f"{text}, saves{partly} {savings.money:,} {savings.currency}"


def describe_each(each: Mapping[str, Decimal], currency: str) -> str:
    """Write money by flavor in a line: ``12.96 USD (c7n.xlarge.2), 5.40 USD (s6.large.2)``."""
    if not each:
        return "nothing: the flavors that have a price are billed when stopped"
    more = len(each) - _MOST_FLAVORS
    texts = [f"{money:,} {currency} ({flavor})" for flavor, money in list(each.items())[:_MOST_FLAVORS]]
    return ", ".join([*texts, *([f"{more} more flavors" if more > 1 else "1 more flavor"] if more > 0 else [])])


def describe_not_included() -> str:
    """Say what no sum of money holds."""
    return f"Not included: {', '.join(NOT_INCLUDED)}; they cost the same while servers are stopped."


def write_hours(time: timedelta) -> str:
    """Write a time in hours, with one decimal."""
    return f"{time / _HOUR:,.1f}"


def _stopped(server: Server, prices: Optional[Prices]) -> ServerSavings:
    """Return what a server saves that is stopped with its cluster."""
    nothing = _charged_anyway(server) or billed_when_stopped(server)
    price = prices.per_hour.get(server.flavor or "") if prices else None
    return ServerSavings(server, is_stopped=True, nothing=nothing, price=None if nothing else price)


def _charged_anyway(server: Server) -> Optional[str]:
    if server.charging_mode == _PAY_PER_USE:
        return None
    if server.charging_mode == _PREPAID:
        return "prepaid"
    if server.charging_mode == _SPOT:
        return "spot: it may be a spot block, which is billed when stopped"
    return "how it is charged is missing from the answer"
