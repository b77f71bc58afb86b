"""Faults by chance: what a cloud does to a client on a bad day, the same for the same seed.

`random_faults` makes a ``faults`` hook. Whether a call is spoilt, and how, depends on the seed and on which call it
is: the same one for the n-th time. Threads that call at once therefore change nothing.

Most faults hide or replace an answer. Some are things that happen in the cloud meanwhile: a server is deleted between
the listing and the action, the capacity is gone, a guest does not shut down. `Kind.SILENT` keeps a client waiting until
it gives up, in real time; it is not among `EVERY_DAY`, so that a month can pass in seconds.
"""

import json
from collections import Counter
from datetime import timedelta
from enum import Enum
from random import Random
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence

from scheduler.simulated.calls import (
    Answer,
    Call,
    Fault,
    FaultKind,
    answering,
    failing,
    html,
    meanwhile,
    reset,
    silent,
    truncated,
)

if TYPE_CHECKING:
    from scheduler.simulated.cloud import SimulatedCloud

_THROTTLED = "The throttling threshold has been reached: policy user over ratelimit,limit:200,time:5 minute"
_SKEWED = "Incorrect IAM authentication information: verify aksk signature fail, x-sdk-date is more than 15 minutes off"


class Kind(str, Enum):
    """What goes wrong; the value is what a person is told."""

    THROTTLED = "throttled"
    THROTTLED_S = "throttled with Retry-After"
    THROTTLED_FRACTION = "throttled with a fractional Retry-After"
    INTERNAL = "internal error (500)"
    BAD_GATEWAY = "web page (502)"
    UNAVAILABLE = "unavailable (503)"
    GATEWAY_TIMEOUT = "gateway timeout (504)"
    RESET = "connection reset"
    RESET_AFTER = "connection reset after the action"
    SILENT = "no answer"
    SLOW = "slow answer"
    TRUNCATED = "answer cut off"
    WEB_PAGE = "web page (200)"
    DUPLICATES = "page with duplicates"
    REORDERED = "page in another order"
    VANISHED = "server deleted before the action"
    SKEWED = "clock off by 15 minutes"
    NO_CAPACITY = "no capacity for a start"
    HANGING = "SOFT stop that hangs"
    DELAYED = "delayed (202)"


EVERY_DAY = tuple(kind for kind in Kind if kind is not Kind.SILENT)
"""The kinds that take no real time."""
_OF_LISTINGS = {Kind.DUPLICATES, Kind.REORDERED}
_OF_ACTIONS = {Kind.RESET_AFTER}
_OF_SERVERS = {Kind.VANISHED, Kind.DELAYED}


class RandomFaults:
    """A ``faults`` hook; ``counts`` are the faults so far, by kind. ``probability`` may be changed at any time."""

    def __init__(self, seed: str, probability: float, kinds: Sequence[Kind]) -> None:
        self.counts: Counter[Kind] = Counter()
        self._seed = seed
        self.probability = probability
        self._kinds = kinds
        self._seen: Counter[str] = Counter()
        self._without_capacity: List[Any] = []

    def __call__(self, call: Call) -> Optional[Fault]:
        """Decide about one call."""
        key = json.dumps([call.method, call.path, dict(call.query), call.body], sort_keys=True)
        self._seen[key] += 1
        chance = Random(f"{self._seed}/{self._seen[key]}/{key}")  # noqa: S311 - a game of chance, not a secret
        self._return_capacity(call)
        kinds = [kind for kind in self._kinds if _fits(kind, call)]
        if not kinds or chance.random() >= self.probability:
            return None
        kind = chance.choice(kinds)
        self.counts[kind] += 1
        return self._make(kind, chance)

    def _make(self, kind: Kind, chance: Random) -> Fault:
        whole, fraction = str(chance.randint(1, 60)), f"{chance.uniform(1, 60):.3f}"
        makers: Dict[Kind, Callable[[], Fault]] = {
            Kind.THROTTLED: lambda: failing(429, "APIGW.0308", _THROTTLED),
            Kind.THROTTLED_S: lambda: failing(429, "APIGW.0308", _THROTTLED, headers={"Retry-After": whole}),
            Kind.THROTTLED_FRACTION: lambda: failing(429, "APIGW.0308", _THROTTLED, headers={"Retry-After": fraction}),
            Kind.INTERNAL: lambda: failing(500, "Ecs.0000", "Internal error.", carried_out=chance.random() < 0.5),  # noqa: PLR2004
            Kind.BAD_GATEWAY: lambda: html(502),
            Kind.UNAVAILABLE: lambda: failing(503, "APIGW.0201", "Backend unavailable."),
            Kind.GATEWAY_TIMEOUT: lambda: failing(504, "APIGW.0201", "Backend timeout.", carried_out=True),
            Kind.RESET: reset,
            Kind.RESET_AFTER: lambda: reset(carried_out=True),
            Kind.SILENT: lambda: silent(carried_out=chance.random() < 0.5),  # noqa: PLR2004
            Kind.SLOW: lambda: meanwhile(lambda cloud, _: _let_pass(cloud, chance.randint(5, 15))),
            Kind.TRUNCATED: truncated,
            Kind.WEB_PAGE: html,
            Kind.DUPLICATES: lambda: _altering(lambda entries: [*entries, *entries[: len(entries) // 2 + 1]]),
            Kind.REORDERED: lambda: _altering(lambda entries: chance.sample(entries, len(entries))),
            Kind.VANISHED: lambda: meanwhile(lambda cloud, call: _vanish(cloud, call, chance)),
            Kind.SKEWED: lambda: failing(401, "APIGW.0301", _SKEWED),
            Kind.NO_CAPACITY: lambda: meanwhile(lambda cloud, call: self._take_capacity(cloud, call, chance)),
            Kind.HANGING: lambda: meanwhile(lambda cloud, call: _hang(cloud, call, chance)),
            Kind.DELAYED: lambda: answering(202, "{}"),
        }
        return makers[kind]()

    def _take_capacity(self, cloud: "SimulatedCloud", call: Call, chance: Random) -> None:
        for server in _named(cloud, call, chance):
            server.start_fails = True
            self._without_capacity.append(server)

    def _return_capacity(self, call: Call) -> None:
        """Let what was not started for lack of capacity start now: there is room again."""
        if _action(call) == "os-start":
            for server in self._without_capacity:
                server.start_fails = False
            self._without_capacity.clear()


def random_faults(seed: str, probability: float, kinds: Sequence[Kind] = EVERY_DAY) -> RandomFaults:
    """Return a ``faults`` hook that spoils this share of the calls in one of these ways."""
    if not 0 <= probability <= 1:
        raise ValueError(f"a probability is from 0 to 1: {probability}")
    return RandomFaults(seed, probability, kinds)


def _fits(kind: Kind, call: Call) -> bool:
    """Whether a fault can befall a call."""
    if kind in _OF_LISTINGS:
        return call.method == "GET"
    if kind in _OF_ACTIONS:
        return call.method == "POST"
    if kind in _OF_SERVERS:
        return _action(call) is not None
    if kind is Kind.NO_CAPACITY:
        return _action(call) == "os-start"
    return kind is not Kind.HANGING or (_action(call) == "os-stop" and _stop_type(call) == "SOFT")


def _action(call: Call) -> Optional[str]:
    """Return what a call asks of servers: ``os-start`` or ``os-stop``."""
    body = call.body if isinstance(call.body, dict) else {}
    return next((name for name in ("os-start", "os-stop") if name in body), None)


def _stop_type(call: Call) -> object:
    return call.body["os-stop"].get("type", "SOFT") if isinstance(call.body, dict) else None


def _named(cloud: "SimulatedCloud", call: Call, chance: Random) -> List[Any]:
    """Return one of the servers that an action names, if it is still there."""
    known = {server.server_id: server for server in cloud.servers}
    asked = call.body[_action(call)]["servers"] if isinstance(call.body, dict) else []
    found = [known[entry["id"]] for entry in asked if entry.get("id") in known]
    return [chance.choice(found)] if found else []


def _vanish(cloud: "SimulatedCloud", call: Call, chance: Random) -> None:
    for server in _named(cloud, call, chance):
        cloud.remove(server)


def _hang(cloud: "SimulatedCloud", call: Call, chance: Random) -> None:
    for server in _named(cloud, call, chance):
        server.soft_stop_hangs = True


def _let_pass(cloud: "SimulatedCloud", seconds: int) -> None:
    cloud.advance_to(cloud.now + timedelta(seconds=seconds))


def _altering(alter: Callable[[List[Any]], List[Any]]) -> Fault:
    """Change the entries of a page, if the answer is one."""

    def change(answer: Answer) -> Answer:
        page = json.loads(answer.text) if answer.text else None
        for key in ("servers", "items"):
            if isinstance(page, dict) and isinstance(page.get(key), list):
                page[key] = alter(page[key])
                return answer._replace(text=json.dumps(page))
        return answer

    return Fault(FaultKind.ALTERED, carried_out=True, alter=change)
