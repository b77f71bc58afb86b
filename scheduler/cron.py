"""What the text of a cron expression tells, without working out when it fires.

croniter accepts more than power should hang on: what means another thing than it seems to is refused here, by name.
"""

import re
from datetime import timedelta
from functools import lru_cache
from typing import Optional

_FIELDS = 5
_TIME_OF_DAY = re.compile(r"[0-9]{1,2}([:.][0-9]{2}){1,2}( ?[ap]m)?|[0-9]{1,2} ?[ap]m", re.IGNORECASE)
_RANDOM = re.compile(r"[rh](\(|/|$)", re.IGNORECASE)
_RANGE = re.compile(r"(\w+)-(\w+)(/\d+)?")
_SOME_WEEKS = re.compile("[l#]", re.IGNORECASE)  # "l5" is the last Friday of a month, "fri#1" the first
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NUMBERS = {
    **{name: str(number) for number, name in enumerate(_DAYS)},
    **{name: str(number) for number, name in enumerate(_MONTHS, 1)},
}


def notation_problem(expression: str) -> Optional[str]:
    """Say what is wrong with the way an expression is written, None if nothing is."""
    if expression.strip().startswith("@"):
        return 'is an alias: write its five fields, such as "0 0 * * *"'
    if _TIME_OF_DAY.fullmatch(expression.strip()):
        return (
            'is a time of day: write five cron fields such as "0 8 * * mon-fri", or in place of start and stop '
            '`hours: "Mon-Fri 08:00-20:00"`'
        )
    fields = expression.split()
    if len(fields) != _FIELDS:
        count = f"{len(fields)} field{'' if len(fields) == 1 else 's'}"
        return f"has {count}: write five (minute hour day month weekday), no seconds, no year"
    parts = [part for field in fields for part in field.split(",")]
    if any(_RANDOM.match(part) for part in parts):
        return 'is random or hashed: write the times, such as "0 8 * * mon-fri"'
    return next((problem for problem in map(_range_problem, parts) if problem), None) or _sunday_problem(fields[-1])


@lru_cache(maxsize=4096)
def repeats_after(expression: str) -> Optional[timedelta]:
    """Return how long after each firing an expression surely fires again: a day, a week, or None, if neither."""
    fields = expression.split()
    if fields[2:4] != ["*", "*"] or _SOME_WEEKS.search(fields[4]):
        return None
    return timedelta(days=1 if fields[4] == "*" else 7)


def _range_problem(part: str) -> Optional[str]:
    """Say why a range does not mean what it seems to.

    croniter 7 takes ``1-1`` for every value, and counts the steps of ``10-6/2`` from the wrong place.
    """
    found = _RANGE.fullmatch(part.lower())
    if not found:
        return None
    first, last = (_NUMBERS.get(end, end) for end in found.group(1, 2))
    if not (first.isdigit() and last.isdigit()):
        return None
    if int(first) == int(last):
        return _itself(part)
    if found[3] and int(first) > int(last):
        return f'has a range that runs backwards in steps, "{part}": write its values'
    return None


def _sunday_problem(weekdays: str) -> Optional[str]:
    return _itself("7-0") if "7-0" in weekdays.split(",") else None


def _itself(part: str) -> str:
    return f'has a range from a value to itself, "{part}": write the value alone'
