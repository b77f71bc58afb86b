"""``holidays``: the public holidays that a file's calendars need, written out for runs that cannot look them up."""

import contextlib
import os
from collections import Counter
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Annotated, Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

import typer
from rich.console import RenderableType

from scheduler.caution import find_ends
from scheduler.cli.exits import ExitCode
from scheduler.cli.options import DEFAULT_FILE, AsJson, File
from scheduler.cli.output import count, line, note, show, show_json, table
from scheduler.config import Checked, find_countries, parse_config, read_schedules
from scheduler.document import quote, suggest
from scheduler.errors import ConfigError, InputError
from scheduler.model import Schedules
from scheduler.public_holidays import (
    LOCK_FILE,
    REFRESH,
    HolidayCalendar,
    HolidayLock,
    lock_key,
    parse_lock,
    was_edited,
    write_lock,
)

_MOST_YEARS = 20
_MOST_SHOWN = 5
_ENGLISH = "en_US"

Years = Annotated[
    int, typer.Option("--years", metavar="N", min=1, max=_MOST_YEARS, help="How many years after this one.")
]
Check = Annotated[bool, typer.Option("--check", help="Write nothing; exit with 1 if something would change.")]


class UnknownPlaceError(Exception):
    """The library has no holidays for a place; ``key`` is what to change in the calendar."""

    def __init__(self, key: str, message: str) -> None:
        self.key = key
        super().__init__(message)


class DateChange(NamedTuple):
    """A date whose name differs between two files; None where it is no holiday."""

    calendar: str
    day: str
    before: Optional[str]
    after: Optional[str]


class _Outcome(NamedTuple):
    """The lock file before and after; ``before`` is None where there is none that can be read."""

    path: Path
    before: Optional[HolidayLock]
    after: HolidayLock
    is_same: bool
    is_check: bool


def holidays(*, file: File = DEFAULT_FILE, years: Years = 3, check: Check = False, as_json: AsJson = False) -> int:
    """Write the public holidays of calendars to holidays.json.

    It lies beside the schedules file and belongs to it: commit both. Runs and validate say in time before it ends.
    """
    path = file.parent / LOCK_FILE
    old = _read(path)
    lock = make_lock(file, datetime.now(timezone.utc).year, years)
    content: Optional[bytes] = write_lock(lock)
    if old is None and not lock.calendars:
        content = None
    outcome = _Outcome(path, _parse(path, old), lock, old == content, check)
    if old is not None and outcome.before is not None and was_edited(old):
        raise InputError(_explain_edited(outcome))
    if content is not None and not outcome.is_same and not check:
        _replace(path, content)
    if as_json:
        show_json(_outcome_json(outcome))
    else:
        show(*_describe(outcome))
    if check and not outcome.is_same:
        note(f"{path} is not what would be written: {REFRESH} and commit it", "red")
        return ExitCode.FAILED
    return ExitCode.DONE


def make_lock(file: Path, year: int, years: int) -> HolidayLock:
    """Return the holidays that a schedules file needs, from the year before ``year`` to ``years`` after it.

    Raises `ConfigError` if there is any problem in the file that these holidays do not solve.
    """
    content = read_schedules(file)
    document, wanted = find_countries(content, str(file))
    problems = []
    calendars: Dict[str, HolidayCalendar] = {}
    for path, country, subdivision in wanted:
        try:
            calendars[lock_key(country, subdivision)] = expand(country, subdivision, year - 1, year + years)
        except UnknownPlaceError as e:
            problems.append(document.problem((*path, e.key), str(e)))
    if problems:
        raise ConfigError(str(file), problems)
    lock = HolidayLock(f"holidays {_library().__version__}", calendars)
    parse_config(content, str(file), lambda: write_lock(lock))
    return lock


def expand(country: str, subdivision: Optional[str], first_year: int, last_year: int) -> HolidayCalendar:
    """Return the public holidays of a place in the years that the library has. Raises `UnknownPlaceError`."""
    library = _library()
    _check_place(library, country, subdivision)
    known = library.country_holidays(country, subdiv=subdivision)
    first_year, last_year = max(first_year, known.start_year), min(last_year, known.end_year)
    if last_year < first_year:
        message = f"holidays {library.__version__} knows those of {country} only until {known.end_year}: write `dates:`"
        raise UnknownPlaceError("country", message)
    language = _ENGLISH if _ENGLISH in known.supported_languages else known.default_language
    found = library.country_holidays(
        country,
        subdiv=subdivision,
        years=range(first_year, last_year + 1),
        expand=False,
        language=language,  # else the person's own
        categories="public",
    )
    dates = {day.isoformat(): name for day, name in sorted(found.items())}
    return HolidayCalendar(date(first_year, 1, 1), date(last_year, 12, 31), dates)


def note_unknown(checked: Checked, schedules: Schedules, at: datetime) -> None:
    """Warn of what may make the states at an instant others than those that the file alone can tell."""
    if schedules.remote_overrides:
        note("warning: override tags of CCE clusters are not read here: `cce-scheduler plan` does", "yellow")
    for name, end in find_ends(checked, [cluster.name for cluster in schedules.clusters]).items():
        if at >= end.at:
            note(
                f"warning: the dates of {name} are not known after {end.last}: what is shown for later does without "
                f"them, {REFRESH}",
                "yellow",
            )


def find_changes(before: HolidayLock, after: HolidayLock) -> Iterator[DateChange]:
    """Yield the dates that were added, removed or renamed in the calendars that both have."""
    for key in sorted(before.calendars.keys() & after.calendars.keys()):
        old, new = before.calendars[key].dates, after.calendars[key].dates
        for day in sorted(old.keys() | new.keys()):
            if old.get(day) != new.get(day):
                yield DateChange(key, day, old.get(day), new.get(day))


def _library() -> Any:
    try:
        import holidays as library
    except ModuleNotFoundError as e:
        raise InputError('the command needs holidays: install the extra "cli"') from e
    return library


def _check_place(library: Any, country: str, subdivision: Optional[str]) -> None:
    known: Dict[str, List[str]] = library.list_supported_countries()
    if country not in known:
        near = sorted(code for code in known if code[0] == country[0] and len(code) == len(country))
        hint = f"known with {country[0]} are {', '.join(near) or 'none'}"
        raise UnknownPlaceError("country", f"holidays {library.__version__} knows no country {quote(country)}: {hint}")
    codes = known[country]
    if subdivision is None or subdivision in codes:
        return
    if not codes:
        raise UnknownPlaceError("subdivision", f"{country} has no subdivisions here: write null, or leave it out")
    meant = {name.lower(): code for name, code in library.country_holidays(country).subdivisions_aliases.items()}
    meant.update({f"{country}-{code}".lower(): code for code in codes})
    hint = suggest(subdivision, codes)
    if subdivision.lower() in meant:
        hint = f'did you mean "{meant[subdivision.lower()]}"?'
    raise UnknownPlaceError("subdivision", f"{country} has no subdivision {quote(subdivision)}: {hint}")


def _read(path: Path) -> Optional[bytes]:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as e:
        raise InputError(f"{path} cannot be read ({getattr(e, 'strerror', None) or e}): remove it") from e


def _parse(path: Path, content: Optional[bytes]) -> Optional[HolidayLock]:
    if content is None:
        return None
    try:
        return parse_lock(content)
    except ValueError as e:
        note(f"{path} is damaged ({e})", "yellow")
        return None


def _replace(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(target)
    except OSError as e:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise InputError(f"{path} cannot be written ({e.strerror or type(e).__name__})") from e


def _describe(outcome: _Outcome) -> Iterator[RenderableType]:
    after, path = outcome.after, outcome.path
    if outcome.is_same and outcome.before is None:
        yield "No calendar names a country: there is nothing to write."
        return
    did = "is up to date" if outcome.is_same else "would change" if outcome.is_check else "written"
    until = _until(after)
    what = f"public holidays of {', '.join(sorted(after.calendars))} until {until}" if until else "no calendars"
    yield line(f"{path} {did}: {what} ({after.library})", "bold")
    rows = list(_rows(outcome))
    if rows:
        yield table(("CALENDAR", "DATE", "CHANGE"), rows)


def _explain_edited(outcome: _Outcome) -> str:
    before, after = outcome.before or outcome.after, outcome.after
    lost = [
        f"{key} {day}"
        for key, day, _, _ in find_changes(before, after)
        if _covers(before.calendars[key], day) and _covers(after.calendars[key], day)
    ]
    some = f" ({', '.join(lost[:_MOST_SHOWN])}{', ...' if len(lost) > _MOST_SHOWN else ''})" if lost else ""
    return (
        f"{outcome.path} was edited since it was written, and the changes would be lost{some}: write days off under "
        "`dates:` of a calendar and holidays on which you work as overrides, then delete it and run this again"
    )


def _rows(outcome: _Outcome) -> Iterator[Tuple[str, str, str]]:
    """Yield what changed: calendars and years that only one file has in one row each, else every date."""
    before, after = outcome.before or HolidayLock("", {}), outcome.after
    for key in sorted(before.calendars.keys() - after.calendars.keys()):
        yield key, _span(before.calendars[key]), "removed: no calendar names it"
    for key in sorted(after.calendars.keys() - before.calendars.keys()):
        yield key, _span(after.calendars[key]), f"added: {count(len(after.calendars[key].dates), 'public holiday')}"
    years: "Counter[Tuple[str, str, str]]" = Counter()
    for key, day, old, new in find_changes(before, after):
        verb = "removed" if new is None else "added" if old is None else "renamed"
        if not _covers(before.calendars[key], day) or not _covers(after.calendars[key], day):
            years[key, day[:4], verb] += 1
        else:
            yield key, day, f"{verb}: {new or old}{f', was {old}' if new and old else ''}"
    for (key, year, verb), number in years.items():
        yield key, year, f"{verb}: {count(number, 'public holiday')}"


def _covers(calendar: HolidayCalendar, day: str) -> bool:
    return calendar.first.isoformat() <= day <= calendar.last.isoformat()


def _span(calendar: HolidayCalendar) -> str:
    return f"{calendar.first}..{calendar.last}"


def _until(lock: HolidayLock) -> Optional[date]:
    return min((calendar.last for calendar in lock.calendars.values()), default=None)


def _outcome_json(outcome: _Outcome) -> Dict[str, Any]:
    before, after = outcome.before or HolidayLock("", {}), outcome.after
    until = _until(after)
    return {
        "file": str(outcome.path),
        "changed": not outcome.is_same,
        "library": after.library,
        "until": until.isoformat() if until else None,
        "added": sorted(after.calendars.keys() - before.calendars.keys()),
        "removed": sorted(before.calendars.keys() - after.calendars.keys()),
        "changes": [change._asdict() for change in find_changes(before, after)],
    }
