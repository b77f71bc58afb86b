"""Inputs that are almost right, and inputs that are nothing at all.

Most are made by spoiling a good one a few times: what is wrong everywhere is refused at the door, and reaches little.
A spoiled input is known by the number it was made from, so that its text shows in no report longer than it must.
"""

import json
from pathlib import Path
from random import Random
from typing import Any, Callable, Dict, List, Sequence, Tuple

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from scheduler.document import load_schema, parse_document

EXAMPLES = Path(__file__).parent.parent / "examples"

HOSTILE_TEXTS = (
    *(
        "",
        " ",
        "~",
        "null",
        "true",
        "-0",
        "1e999",
        "0x7f",
        "9" * 5000,
        "NaN",
        "...",
        "---",
        "%TAG",
        "&a",
        "*a",
        "!!python",
    ),
    *("\x00", "\t", "\r", "\x1b[2J", "\u2028", "\ufeff", "\ud800", "\U0010ffff", "\u202e", "\u0661", "ﬀ", "İ", "\x85"),
    *("[" * 20_000, "{a: " * 5_000, "- " * 5_000, "? " * 5_000, "? [a]: b", "{[a]: b}", "&x [*x, *x]"),
    *("a" * 70_000, "{{}}", "%s%n", "../../etc/passwd", "\\", '"', "'", "$(id)", "<<", "__class__", "constructor"),
    *("0 0 31 2 *", "* * * * * *", "*/0 * * * *", "59-1 * * * *", "0 0 * * mon#6", "0 0 L * *", "0 0 1-99999999 * *"),
    *("@reboot", "R R * * *", "0 0 29 2 *", "0,1,2,3,4,5,6/99 * * * *", "0 8 * * sun-sat", "H * * * *", "0 0 ? * 8"),
    *("Mon-Fri 08:00-20:00", "Mon 24:00-00:00", "Sun-Sun 00:00-24:00", "2026-02-30", "0000-00-00", "9999-12-31"),
    *("2026-12-28..2027-01-02", "0001-01-01..9999-12-31", "2026-12-01T18:00", "2026-12-01T18:00+24:00", "2026-W01-1"),
    *(
        "2026-12-01T18:00:00.000000001Z",
        "2026-12-01T18:00-23:59:59.999999",
        "0001-01-01T00:00+14:00",
        "24:00",
        "1d",
        "0s",
    ),
    *(
        "999999d",
        "always",
        "Asia/Bangkok",
        "../UTC",
        "posixrules",
        "UTC\x00",
        "Etc/GMT+12",
        "a/b/c",
        "CON",
        "tzdata.zi",
    ),
)
HOSTILE_VALUES: Tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 10**400, -(10**19), float("nan"), float("inf"), [], {}, [[]], {"": {}}, [None]),
    *({"id": None}, {"a": [1, {"b": "c"}]}, ["x"] * 300),
)

any_text: SearchStrategy[str] = st.one_of(
    st.sampled_from(HOSTILE_TEXTS), st.text(st.characters(exclude_categories=()), max_size=40)
)
scalars: SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), any_text, st.sampled_from(HOSTILE_VALUES)
)


def json_values(keys: SearchStrategy[str] = any_text) -> SearchStrategy[Any]:
    """Return values of any shape that JSON can write."""
    return st.recursive(
        scalars, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4))
    )


def spoiled(spoil: Callable[[Random], Any]) -> SearchStrategy[Any]:
    """Return what a function makes of many sources of chance."""
    return st.integers(0, 2**64 - 1).map(lambda number: spoil(Random(number)))  # noqa: S311 - no secret


def spoil_value(rng: Random, value: Any) -> Any:
    """Return a value of JSON with one thing in it changed, removed or added; the value itself stays as it is."""
    parts: Sequence[Any] = list(value) if isinstance(value, (dict, list)) else ()
    if isinstance(value, list):
        parts = range(len(value))
    if not parts or rng.random() < 0.15:
        return _replace(rng, value)
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    chosen = rng.choice(parts)
    deed = rng.random()
    if deed < 0.15:
        del copy[chosen]
    elif deed < 0.25:
        _add(rng, copy, chosen)
    else:
        copy[chosen] = spoil_value(rng, copy[chosen])
    return copy


def _add(rng: Random, copy: Any, chosen: Any) -> None:
    if isinstance(copy, list):
        copy.insert(chosen, copy[chosen])
    else:
        copy[rng.choice((*HOSTILE_TEXTS, *copy, str(chosen).upper()))] = copy[chosen]


def _replace(rng: Random, value: Any) -> Any:
    deed = rng.random()
    if deed < 0.4:
        return rng.choice(HOSTILE_TEXTS)
    if deed < 0.75:
        return rng.choice(HOSTILE_VALUES)
    if isinstance(value, str) and value:
        return spoil_bytes(rng, value.encode(errors="surrogatepass")).decode("utf-8", "surrogateescape")
    return rng.choice(([value], {"value": value}, str(value), [value, value]))


def spoil_bytes(rng: Random, content: bytes) -> bytes:
    """Return bytes with one place changed, in a way that files are spoiled: cut, doubled, flipped, or filled."""
    start = rng.randrange(len(content) + 1)
    end = min(len(content), start + rng.choice((0, 1, 1, 2, 8, 60)))
    filling = rng.choice(
        (
            b"",
            bytes([rng.randrange(256)]),
            content[start:end] * 2,
            rng.choice(HOSTILE_TEXTS).encode(errors="surrogatepass"),
            bytes(rng.randrange(256) for _ in range(rng.randrange(12))),
        )
    )
    if rng.random() < 0.03:
        return content[:start]
    return content[:start] + filling + content[end:]


def spoil_lines(rng: Random, text: str) -> str:
    """Return a text of lines with one of them moved, removed, doubled, indented, or given another value."""
    lines = text.splitlines()
    if not lines:
        return text
    number = rng.randrange(len(lines))
    line = lines[number]
    key, colon, _ = line.partition(":")
    other = rng.randrange(len(lines))
    changed: List[List[str]] = [
        [],
        [line, line],
        [lines[other]],
        [" " * rng.randrange(8) + line.lstrip()],
        [f"{key}{colon} {rng.choice(HOSTILE_TEXTS)}"],
        [f"{key}{colon} {json.dumps(rng.choice(HOSTILE_TEXTS))}"],
        [f"{key}{colon} {json.dumps(rng.choice(HOSTILE_VALUES))}"],
        [f"{key}{colon}{lines[other].partition(':')[2]}"],
        [f"{lines[other].partition(':')[0]}{colon}{line.partition(':')[2]}"],
    ]
    return "\n".join([*lines[:number], *rng.choice(changed), *lines[number + 1 :], ""])


def repeat(rng: Random, spoil: Callable[[Random, Any], Any], value: Any, most: int = 4) -> Any:
    """Spoil a value one to ``most`` times, mostly once."""
    for _ in range(min(rng.randrange(1, most + 1), rng.randrange(1, most + 1))):
        value = spoil(rng, value)
    return value


def _shape(rng: Random) -> bytes:
    """Return a good file, written as JSON, with values of it replaced."""
    return json.dumps(repeat(rng, spoil_value, rng.choice(_DATA))).encode()


def _schedules(rng: Random) -> bytes:
    file = rng.choice(_VALID if rng.random() < 0.8 else _INVALID)
    text: str = repeat(rng, spoil_lines, file, 6) if rng.random() < 0.8 else file
    content = text.encode(errors="surrogatepass")
    return bytes(repeat(rng, spoil_bytes, content)) if rng.random() < 0.5 else content


_VALID = [file.read_text(encoding="utf-8") for file in sorted((EXAMPLES / "valid").glob("*.yaml"))]
_DATA = [parse_document(text.encode(), load_schema()).data for text in _VALID]
_INVALID = [
    file.read_bytes().decode("utf-8", "surrogateescape")
    for file in sorted((EXAMPLES / "invalid").glob("*.yaml"))
    if file.stat().st_size < 10_000
]
_KEYS = st.sampled_from(
    [
        *(
            "version",
            "timezone",
            "defaults",
            "calendars",
            "schedules",
            "clusters",
            "limits",
            "function",
            "name",
            "dates",
        ),
        *(
            "cluster_id",
            "schedule",
            "windows",
            "start",
            "stop",
            "hours",
            "state",
            "exclude",
            "overrides",
            "from",
            "until",
        ),
        *("country", "subdivision", "enforce", "region", "every", "settings", "servers", "tags", "on_excluded_dates"),
    ]
)


def _shaped(rng_keys: SearchStrategy[str]) -> SearchStrategy[bytes]:
    """Return JSON, which is YAML, of any shape under the keys that the file knows."""
    bodies = st.fixed_dictionaries(
        {"version": st.just(1)},
        optional={
            key: json_values(rng_keys)
            for key in ("timezone", "defaults", "calendars", "schedules", "clusters", "limits", "function")
        },
    )
    return bodies.map(lambda data: json.dumps(data, allow_nan=True).encode())


schedules_files: SearchStrategy[bytes] = st.one_of(
    spoiled(_schedules),
    spoiled(_schedules),
    spoiled(_shape),
    spoiled(_shape),
    _shaped(st.one_of(_KEYS, any_text)),
    st.binary(max_size=200),
)
"""The bytes of a schedules file."""

_LOCK = json.loads((EXAMPLES / "valid" / "holidays.json").read_bytes())
_SMALL_LOCK: Dict[str, Any] = {
    **_LOCK,
    "calendars": {
        key: {**calendar, "dates": dict(list(calendar["dates"].items())[:2])}
        for key, calendar in _LOCK["calendars"].items()
    },
}


def _lock(rng: Random) -> bytes:
    data = repeat(rng, spoil_value, _SMALL_LOCK)
    content = json.dumps(data, ensure_ascii=rng.random() < 0.5).encode(errors="surrogatepass")
    return bytes(repeat(rng, spoil_bytes, content)) if rng.random() < 0.3 else content


lock_files: SearchStrategy[bytes] = st.one_of(spoiled(_lock), spoiled(_lock), st.binary(max_size=100))
"""The bytes of a lock file of public holidays."""
