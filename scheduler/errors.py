"""What can go wrong, as types: one for each thing a caller does about it.

Every message says what, where, and what to do. The SDK's own exceptions never leave
``cloud/sdk.py``; they become a `CloudError` that keeps the API's code, status and request id.
"""

from typing import NamedTuple, Optional, Sequence


class SchedulerError(Exception):
    """Base of every failure that this program foresees."""


class Problem(NamedTuple):
    """One thing that is wrong in a file, with its place: ``line`` and ``column`` count from 1; 0 where it has none."""

    path: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message

    def place_in(self, file: object) -> str:
        """Return ``file:line:column``, as editors follow it."""
        return f"{file}:{self.line}:{self.column}" if self.line else str(file)


class ConfigError(SchedulerError):
    """A schedules file that cannot be used, with all of its problems at once."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        self.file = file
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{p.place_in(file)}: {p}" for p in self.problems))


class InputError(SchedulerError):
    """A setting, an event or an argument that cannot be used; nothing was done."""


class UnsafePlanError(SchedulerError):
    """A guard refused a plan; the message names the guard and the figures that tripped it."""


class StaleCalendarError(SchedulerError):
    """Public holidays are not known any more. A run does its work without them, and fails by name."""


class OverdueError(SchedulerError):
    """Servers or a control plane have not been as desired for too long. The run does its work, and fails by name."""


class CloudError(SchedulerError):
    """The cloud did not do what was asked.

    ``code``, ``status_code`` and ``request_id`` are the API's own, and so is ``retry_after_s``, for how long it asks
    to be left alone; None where it gave none.
    """

    def __init__(
        self,
        message: str,
        *,
        code: Optional[str] = None,
        status_code: Optional[int] = None,
        request_id: Optional[str] = None,
        retry_after_s: Optional[float] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status_code = status_code
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class TemporaryCloudError(CloudError):
    """May work later: a network failure or a server error. Retry, or leave it to the next run."""


class ThrottledCloudError(TemporaryCloudError):
    """The platform's own limit; more calls now make it worse."""


class NoAnswerError(TemporaryCloudError):
    """Nothing came back in time. Asking the same service again in this run would take the time of what does answer."""


class OutOfTimeError(TemporaryCloudError):
    """What is left of the run is too short for another call; nothing was sent."""


class UnknownOutcomeError(TemporaryCloudError):
    """An action was sent and its answer lost. List again before anything else; never send it again unseen."""


class PermanentCloudError(CloudError):
    """Will fail the same way again until a person changes something: credentials, rights, ids."""


class RefusedError(PermanentCloudError):
    """Refused because of the state of what it names: one or more servers of a batch, or a cluster; others may act."""


class UntrustedAnswerError(TemporaryCloudError):
    """The cloud answered, but not with what it documents. Nothing may be decided from it."""
