"""docs/schedules.md: its table of properties is made from the schema, and its examples are files that can be used.

UPDATE_GOLDEN=1 rewrites the table.
"""

import json
import os
import re
from datetime import date
from pathlib import Path
from typing import Any, Dict, Iterator, List, Set

from scheduler import config, document
from scheduler.caution import find_cautions
from scheduler.config import parse_checked
from scheduler.document import MAX_BYTES, load_schema
from scheduler.public_holidays import HolidayCalendar, HolidayLock, write_lock
from tests.oracle_cases import utc

PAGE = Path(__file__).parent.parent / "docs" / "schedules.md"
TABLE = re.compile(r"(<!-- begin of the table -->\n).*?(<!-- end of the table -->)", re.DOTALL)
SCHEMA = load_schema()
WORDS = {"string": "text", "integer": "whole number", "boolean": "`true` or `false`", "null": "`null`"}
LOCK = write_lock(
    HolidayLock("holidays 0.83", {"TH": HolidayCalendar(date(2025, 1, 1), date(2029, 12, 31), {"2026-12-10": "A day"})})
)

Schema = Dict[str, Any]


class Row:
    """One property: where it stands, and what the schema says of it, references followed."""

    def __init__(self, path: str, schema: Schema, *, is_required: bool) -> None:
        self.path = path
        self.says = followed(schema)
        self.is_required = is_required

    def __str__(self) -> str:
        default = json.dumps(self.says["default"]).strip('"') if "default" in self.says else ""
        shown = "required" if self.is_required else f"`{default}`" if default else ""
        return f"| `{self.path}` | {kind_of(self.says)} | {shown} | {self.says['description']} |"


def followed(schema: Schema) -> Schema:
    """Return a schema with what it refers to; its own words come first."""
    if "$ref" not in schema:
        return schema
    return {**followed(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]), **schema}


def kind_of(says: Schema) -> str:
    if "const" in says or "enum" in says:
        return " or ".join(f"`{value}`" for value in says.get("enum", [says.get("const")]))
    if says["type"] == "array":
        items = kind_of(followed(says["items"]))
        return f"list of at most {says['maxItems']}: {items}" if "maxItems" in says else f"list: {items}"
    if says["type"] == "object":
        return "mapping"
    if "x-write" in says:
        return str(says["x-write"])
    if says["type"] == "string" and "examples" in says:
        return f"text, such as {says['examples'][0]}"
    names = [says["type"]] if isinstance(says["type"], str) else says["type"]
    return " or ".join(WORDS[name] for name in names)


def rows(schema: Schema, path: str, seen: Set[str]) -> Iterator[Row]:
    """Yield what may stand in a mapping; what was described before is not described again."""
    for key, inner in schema.get("properties", {}).items():
        yield Row(f"{path}{key}", inner, is_required=key in schema.get("required", ()))
        yield from inside(inner, f"{path}{key}", seen)
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        yield Row(f"{path}<name>", others, is_required=False)
        yield from inside(others, f"{path}<name>", seen)


def inside(schema: Schema, path: str, seen: Set[str]) -> Iterator[Row]:
    if path == "defaults" or schema.get("$ref", "") in seen:
        return
    seen.add(schema.get("$ref", path))
    says = followed(schema)
    if says.get("type") == "array":
        yield from rows(followed(says["items"]), f"{path}[].", seen)
    elif says.get("type") == "object":
        yield from rows(says, f"{path}.", seen)


def table() -> List[str]:
    head = ["| property | what to write | default | meaning |", "|---|---|---|---|"]
    return [*head, *map(str, rows(SCHEMA, "", set()))]


def test_the_table_is_what_the_schema_says() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(TABLE.findall(text)) == 1
    body = "".join(f"{line}\n" for line in table())
    fresh = TABLE.sub(lambda found: f"{found[1]}{body}{found[2]}", text)
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(fresh, encoding="utf-8")
    assert fresh == text


def test_the_table_has_every_property() -> None:
    text = "\n".join(table())
    for schema in (SCHEMA, *walk(SCHEMA)):
        for key in schema.get("properties", {}):
            assert re.search(rf"[`.]{key}`", text), key


def walk(schema: Schema) -> Iterator[Schema]:
    for keyword in ("properties", "$defs"):
        for inner in schema.get(keyword, {}).values():
            yield inner
            yield from walk(inner)
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            yield schema[keyword]
            yield from walk(schema[keyword])


def test_the_examples_of_whole_files_can_be_used() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    files = [block for block in blocks if "\nclusters:" in block]
    assert files
    for file in files:
        checked = parse_checked(file.encode(), "schedules.md", lambda: LOCK)
        assert [str(found) for found in find_cautions(checked, utc("2026-11-20T12:00:00+00:00"))] == []


def test_every_limit_stands_on_the_page() -> None:
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    limits = [MAX_BYTES, document._MAX_VALUES, document._MAX_ALIASED, document._MAX_DEPTH, config._MOST_EXPRESSIONS]
    limits += [config._MOST_LISTED, config._MOST_OVERRIDES, config._MOST_DATES, config._MOST_DATES_IN_ALL]
    limits += [config._MOST_PROBLEMS]
    written = [f"{limit:,}".replace(",", " ") if limit >= 10_000 else str(limit) for limit in limits]
    assert [limit for limit in written if not re.search(rf"(?<!\d ){limit}\b", text)] == []
