"""A state for every instant, and the spans in which it stays the same.

Says how the changes of a state are found, and leaves to its subclasses what the state is at an instant and where it
can change. What was found is remembered, so that a neighbouring question needs no search.

A search goes from candidate to candidate. Windows that meet all week, or a stop every ten minutes, have thousands of
candidates and no change. Where the rules repeat every week, a state that has lasted for some weeks therefore counts
as lasting until something irregular happens: the clocks change, or a dated exception begins or ends. What has more
candidates than that, such as a start every ten minutes from January to November, is searched as far as is bearable:
a change beyond that is not known, while the state always is.
"""

from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Iterable, List, Optional, Sequence, Tuple

from scheduler.localtime import first_change, last_change
from scheduler.model import State

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

TEN_YEARS = timedelta(days=3653)
"""How far a change is looked for."""
INSTANT = timedelta(microseconds=1)
_MOST_CANDIDATES = 4_000
"""How many candidates a search looks at before it gives up: what lies further is not known then."""
_MOST_SPANS = 10_000


class Span:
    """A stretch of instants, ``low`` and ``high`` included, in which a line has one state.

    ``since`` and ``until`` are the changes that bound it. Where one is None, ``low`` or ``high`` is how far
    the line was searched for it, on behalf of questions about ``asked_low`` and later, or ``asked_high`` and earlier.
    """

    __slots__ = ("asked_high", "asked_low", "high", "low", "since", "state", "until")

    def __init__(self, at: datetime, state: State) -> None:
        self.state = state
        self.low = self.high = at
        self.since: Optional[datetime] = None
        self.until: Optional[datetime] = None
        self.asked_low: Optional[datetime] = None
        self.asked_high: Optional[datetime] = None


class Line:
    """A state for every instant, constant between changes."""

    _newest: Optional[Tuple[datetime, State]] = None
    """The newest answer that is part of no span."""
    given_up_at: Optional[datetime] = None
    """A candidate that is none: so far a part of the line was searched, and no further."""

    def __init__(self, zone: "ZoneInfo") -> None:
        self.zone = zone
        self._spans: List[Span] = []
        self._lows: List[datetime] = []

    def find_state(self, at: datetime) -> State:
        """Work out the state at an instant."""
        raise NotImplementedError

    def next_candidate(self, at: datetime) -> Optional[datetime]:
        """Return an instant after ``at`` before which the state surely lasts; None: it does for ten years."""
        raise NotImplementedError

    def last_candidate(self, at: datetime) -> Optional[datetime]:
        """Return an instant up to ``at`` since which the state has surely lasted; None: it has for ten years."""
        raise NotImplementedError

    @cached_property
    def irregular(self) -> Sequence[datetime]:
        """The instants, sorted, at which a dated exception begins or ends."""
        raise NotImplementedError

    @cached_property
    def settling(self) -> Optional[timedelta]:
        """How long after an exception, or a change of the clocks, the line has surely repeated itself once.

        None: it does not, by the day or by the week.
        """
        raise NotImplementedError

    def state_at(self, at: datetime) -> State:
        """Return the state at an instant, without a search for its bounds."""
        place = bisect_right(self._lows, at)
        if place and at <= self._spans[place - 1].high:
            return self._spans[place - 1].state
        if self._newest is None or self._newest[0] != at:
            self._newest = (at, self.find_state(at))
        return self._newest[1]

    def span_at(self, at: datetime) -> Span:
        """Return the span that contains an instant, searched for ten years to either side, or until it is given up."""
        place = bisect_right(self._lows, at)
        before = self._spans[place - 1] if place else None
        if before is not None and at <= before.high:
            span = before
        else:
            span = Span(at, self.find_state(at))
            if before is not None and before.until == at:
                span.since = at
        # What was given up is not searched on for the same question: that would cost as much each time it is asked.
        if span.until is None and span.high < at + TEN_YEARS and (not span.asked_high or at > span.asked_high):
            span.asked_high = at
            self._search_forward(span, at + TEN_YEARS)
        if span.since is None and span.low > at - TEN_YEARS and (not span.asked_low or at < span.asked_low):
            span.asked_low = at
            self._search_backward(span, at - TEN_YEARS)
        if span is not before:
            self._remember(span)
        return span

    def _search_forward(self, span: Span, horizon: datetime) -> None:
        settled_from = span.high
        for _ in range(_MOST_CANDIDATES):
            candidate = self.next_candidate(span.high)
            if candidate is None or candidate > horizon:
                span.high = horizon
                return
            if self.find_state(candidate) is not span.state:
                span.until, span.high = candidate, candidate - INSTANT
                return
            span.high = candidate
            if candidate == self.given_up_at:
                return
            settling = self.settling
            if settling is not None and candidate - settled_from > settling:
                settled_from = self._regular_until(settled_from, horizon)
                span.high = max(candidate, settled_from - INSTANT)

    def _search_backward(self, span: Span, horizon: datetime) -> None:
        settled_to = span.low
        for _ in range(_MOST_CANDIDATES):
            candidate = self.last_candidate(span.low)
            if candidate is None or candidate < horizon:
                span.low = horizon
                return
            moment = candidate - INSTANT
            if self.find_state(moment) is not span.state:
                span.since = span.low = candidate
                return
            span.low = moment
            if candidate == self.given_up_at:
                return
            settling = self.settling
            if settling is not None and settled_to - moment > settling:
                begin = self._regular_since(settled_to, horizon)
                span.low = min(moment, begin + settling)
                settled_to = begin - INSTANT

    def _regular_until(self, at: datetime, horizon: datetime) -> datetime:
        """Return the first irregular instant after ``at``, or the horizon."""
        change = first_change(self.zone, at, horizon)
        return min(change.at if change else horizon, first_after(self.irregular, at) or horizon)

    def _regular_since(self, at: datetime, horizon: datetime) -> datetime:
        """Return the newest irregular instant up to ``at``, or the horizon."""
        change = last_change(self.zone, horizon, at)
        return max(change.at if change else horizon, last_until(self.irregular, at) or horizon)

    def _remember(self, span: Span) -> None:
        if len(self._spans) >= _MOST_SPANS:
            self._spans, self._lows = [], []
        place = bisect_left(self._lows, span.low)
        self._spans.insert(place, span)
        self._lows.insert(place, span.low)


def lasts_until(span: Span, at: datetime) -> Optional[datetime]:
    """Return until when the state at ``at`` surely lasts: to a change, or as far as was searched; None: ten years."""
    return span.until or (span.high if span.high < at + TEN_YEARS else None)


def lasts_since(span: Span, at: datetime) -> Optional[datetime]:
    """Return since when the state at ``at`` has surely lasted, as `lasts_until` does."""
    return span.since or (span.low if span.low > at - TEN_YEARS else None)


def first_after(instants: Sequence[datetime], at: datetime) -> Optional[datetime]:
    """Return the first of sorted instants that is after ``at``."""
    place = bisect_right(instants, at)
    return instants[place] if place < len(instants) else None


def last_until(instants: Sequence[datetime], at: datetime) -> Optional[datetime]:
    """Return the last of sorted instants that is not after ``at``."""
    place = bisect_right(instants, at)
    return instants[place - 1] if place else None


def earliest(instants: Iterable[Optional[datetime]]) -> Optional[datetime]:
    """Return the earliest of those instants that there are."""
    return min((instant for instant in instants if instant is not None), default=None)


def latest(instants: Iterable[Optional[datetime]]) -> Optional[datetime]:
    """Return the latest of those instants that there are."""
    return max((instant for instant in instants if instant is not None), default=None)
