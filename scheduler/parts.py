"""What each part of an evaluation says at an instant. A run never needs these: they are for who explains its result."""

from datetime import date, datetime
from typing import TYPE_CHECKING, NamedTuple, Optional, Tuple

from scheduler.model import State, Window

if TYPE_CHECKING:
    from scheduler.evaluate import Event


class WindowPart(NamedTuple):
    """What one window says at an instant, and the events around it; ``state`` is None where it never had one.

    ``skipped`` is the newest start, where an excluded date kept it from happening.
    """

    window: Window
    state: Optional[State]
    newest_start: Optional[datetime]
    newest_stop: Optional[datetime]
    next_start: Optional[datetime]
    next_stop: Optional[datetime]
    skipped: "Optional[Event]"


class Parts(NamedTuple):
    """What each part of an evaluation says at an instant.

    ``base`` is the constant state or what the windows come to; ``excluded`` the local date of the instant, where it is
    an excluded one, and ``forced`` the state that it forces; ``overrides`` the positions of those that are active;
    ``clock`` the instant from which ``enforce`` counts, and ``is_given_up`` whether it has run out.
    """

    windows: Tuple[WindowPart, ...]
    base: State
    excluded: Optional[date]
    forced: Optional[State]
    overrides: Tuple[int, ...]
    clock: Optional[datetime]
    is_given_up: bool
