"""The state of the simulated FunctionGraph: functions, their triggers, and what was invoked.

What the calls mean on the wire is left to ``functiongraph.py``. Timers do not fire by themselves: a scene calls
`Functions.fire`, so that a test decides when. What a function does is the scene's `Runner`; without one it does
nothing and returns null.
"""

import base64
import hashlib
import traceback
from dataclasses import dataclass, field
from datetime import datetime
from typing import Callable, Collection, Dict, List, Mapping, NamedTuple, Optional

from scheduler.simulated.calls import ApiError

DEFAULT_INSTANCES = 400
RUNTIMES = ("Python2.7", "Python3.6", "Python3.9", "Python3.10", "Python3.12")
"""The Python runtimes of a region that has them all."""
MOST_TRIGGERS = 10
MOST_FUNCTIONS = 400


class Invocation(NamedTuple):
    """One asynchronous invocation, as the platform remembers it."""

    request_id: str
    at: datetime
    status: str
    error_message: str = ""


@dataclass
class SimulatedTrigger:
    """A trigger of a function; ``event_data`` is what its creator sent."""

    trigger_id: str
    kind: str
    status: str
    event_data: Dict[str, object]
    created: datetime


@dataclass
class SimulatedFunction:
    """A function: ``settings`` are what the API takes and shows of its configuration."""

    project_id: str
    name: str
    urn: str
    settings: Dict[str, object]
    code: bytes
    max_instances: int = DEFAULT_INSTANCES
    asynchronous: Optional[Dict[str, object]] = None
    triggers: List[SimulatedTrigger] = field(default_factory=list)
    invocations: List[Invocation] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """What the API says of the code."""
        return hashlib.sha512(self.code).hexdigest()


Runner = Callable[[SimulatedFunction, object], object]
"""Runs a function with an event and returns its JSON result; what it raises is the function's own failure."""


class Executed(NamedTuple):
    """How an invocation ended: the function's result, or what the platform makes of what it raised."""

    result: object
    has_failed: bool


class Functions:
    """FunctionGraph in memory: all functions of all projects of one region.

    The keyword arguments are attributes and may change at any time. ``agencies`` are the ones that exist and trust
    FunctionGraph, None for any. ``shows_code``: by value (``file``), by a ``link``, or not at all (None).
    """

    def __init__(
        self,
        *,
        runtimes: Collection[str] = RUNTIMES,
        agencies: Optional[Collection[str]] = None,
        runner: Optional[Runner] = None,
        shows_code: Optional[str] = "file",
    ) -> None:
        self.runtimes = runtimes
        self.agencies = agencies
        self.runner = runner
        self.shows_code = shows_code
        self._functions: Dict[str, SimulatedFunction] = {}

    @property
    def all(self) -> List[SimulatedFunction]:
        """Every function, in the order they were made."""
        return list(self._functions.values())

    def find(self, project_id: str, urn_or_name: str) -> Optional[SimulatedFunction]:
        """Return a function by its URN, with or without version, or by its bare name."""
        parts = urn_or_name.split(":")
        name = parts[6] if len(parts) > 6 else parts[-1]  # noqa: PLR2004 - urn:fss:region:project:function:package:name
        return self._functions.get(f"{project_id}/{name}")

    def add(self, function: SimulatedFunction) -> None:
        """Add a function."""
        self._functions[f"{function.project_id}/{function.name}"] = function

    def remove(self, function: SimulatedFunction) -> None:
        """Remove a function with everything that belongs to it."""
        del self._functions[f"{function.project_id}/{function.name}"]

    def count(self, project_id: str) -> int:
        """Return how many functions a project has."""
        return sum(function.project_id == project_id for function in self._functions.values())

    def execute(self, function: SimulatedFunction, event: object) -> Executed:
        """Run a function now."""
        if self.runner is None:
            return Executed(None, has_failed=False)
        try:
            return Executed(self.runner(function, event), has_failed=False)
        except ApiError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the function raises is its failure, not the platform's
            frames = traceback.format_exception(type(error), error, error.__traceback__)
            shown: Mapping[str, object] = {
                "errorMessage": str(error),
                "errorType": type(error).__name__,
                "stackTrace": [line.rstrip() for line in frames[-5:]],
            }
            return Executed(shown, has_failed=True)

    def fire(self, function: SimulatedFunction, at: datetime) -> Optional[Executed]:
        """Let the function's timer fire once, if it has an active one."""
        timer = next((t for t in function.triggers if t.kind == "TIMER" and t.status == "ACTIVE"), None)
        if timer is None or function.max_instances == 0:
            return None
        event = {
            "version": "v1.0",
            "time": at.isoformat(),
            "trigger_type": "TIMER",
            "trigger_name": timer.event_data.get("name"),
            "user_event": timer.event_data.get("user_event", ""),
        }
        done = self.execute(function, event)
        request_id = hashlib.sha256(f"{function.urn}/{len(function.invocations)}".encode()).hexdigest()[:32]
        message = str(done.result)[:200] if done.has_failed else ""
        status = "FAIL" if done.has_failed else "SUCCESS"
        function.invocations.append(Invocation(request_id, at, status, message))
        return done


def encode(code: bytes) -> str:
    """Return a zip as the API carries it."""
    return base64.b64encode(code).decode()
