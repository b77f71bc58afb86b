"""The schema by itself: what editors show and check, before this program reads a file."""

import json
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, Set, Tuple, Union

import pytest
from jsonschema import Draft202012Validator

from scheduler.config import parse_config
from scheduler.document import load_schema, parse_document, schema_path
from scheduler.evaluate import cron_problem
from scheduler.hours import parse_hours

SCHEMA = load_schema()
CHECKOUT = Path(__file__).parent.parent
VALID = sorted((Path(__file__).parent / "examples" / "valid").glob("*.yaml"))

Schema = Dict[str, Any]


def _walk(schema: Schema, path: str = "") -> Iterator[Tuple[str, Schema]]:
    """Yield every schema in a schema, with its path; references are not followed, what they name is there too."""
    yield path, schema
    for keyword in ("properties", "$defs"):
        for name, inner in schema.get(keyword, {}).items():
            yield from _walk(inner, f"{path}/{keyword}/{name}")
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            yield from _walk(schema[keyword], f"{path}/{keyword}")


ALL = dict(_walk(SCHEMA))
PROPERTIES = {path: s for path, s in ALL.items() if re.search("/properties/[^/]*$", path)}
OBJECTS = {path: s for path, s in ALL.items() if s.get("type") == "object"}
EXAMPLES = [
    pytest.param(s, e, id=f"{path}-{n}") for path, s in ALL.items() for n, e in enumerate(s.get("examples", ()))
]


def _follow(schema: Schema) -> List[Schema]:
    """Return a schema and those that it refers to."""
    chain = [schema]
    while "$ref" in chain[-1]:
        chain.append(ALL[chain[-1]["$ref"].lstrip("#")])
    return chain


def test_is_a_schema_of_2020_12() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["$id"] == "urn:cce-scheduler:schedules:1"
    Draft202012Validator.check_schema(SCHEMA)


def test_has_no_key_twice() -> None:
    def refuse_twice(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
        assert len({key for key, _ in pairs}) == len(pairs), pairs
        return dict(pairs)

    json.loads(schema_path().read_text(encoding="utf-8"), object_pairs_hook=refuse_twice)


def test_says_everything_in_words_that_this_program_explains() -> None:
    known = {"$schema", "$id", "$ref", "$defs", "title", "description", "examples", "x-write", "properties", "items"}
    known |= {"type", "const", "enum", "pattern", "minLength", "maxLength", "minItems", "minProperties", "minimum"}
    known |= {"maximum", "maxItems", "default", "required", "additionalProperties"}
    assert {key for schema in ALL.values() for key in schema} <= known


@pytest.mark.parametrize("schema", ALL.values(), ids=ALL)
def test_describes_everything(schema: Schema) -> None:
    description = next((s["description"] for s in _follow(schema) if "description" in s), "")
    assert re.fullmatch(r"[A-Z`k].+\.", description), description


@pytest.mark.parametrize("schema", OBJECTS.values(), ids=OBJECTS)
def test_knows_every_key_of_every_object(schema: Schema) -> None:
    others = schema["additionalProperties"]
    assert others is False if "properties" in schema else isinstance(others, dict)
    assert set(schema.get("required", ())) <= set(schema.get("properties", ()))


@pytest.mark.parametrize("path", PROPERTIES)
def test_keys_are_words_in_lower_case(path: str) -> None:
    assert re.fullmatch("[a-z]+(_[a-z]+)*", path.rsplit("/", 1)[1])


@pytest.mark.parametrize("schema", ALL.values(), ids=ALL)
def test_every_value_has_a_type_or_a_list_of_what_it_may_be(schema: Schema) -> None:
    assert any({"type", "enum"} & set(s) for s in _follow(schema))


@pytest.mark.parametrize("schema", ALL.values(), ids=ALL)
def test_a_pattern_spans_the_whole_value_and_says_what_to_write(schema: Schema) -> None:
    if "pattern" in schema:
        assert schema["pattern"].startswith("^")
        assert schema["pattern"].endswith("$") or schema["pattern"] == "^[^=]"
        assert schema["x-write"]


def test_every_reference_is_there_and_every_definition_is_used() -> None:
    used = {s["$ref"].lstrip("#") for s in ALL.values() if "$ref" in s}
    assert used == {f"/$defs/{name}" for name in SCHEMA["$defs"]}


@pytest.mark.parametrize(("schema", "example"), EXAMPLES)
def test_examples_are_valid_where_they_stand(schema: Schema, example: object) -> None:
    Draft202012Validator(SCHEMA).evolve(schema=schema).validate(example)


@pytest.mark.parametrize(
    ("schema", "default"), [pytest.param(s, s["default"], id=path) for path, s in ALL.items() if "default" in s]
)
def test_a_default_is_valid_where_it_stands(schema: Schema, default: object) -> None:
    Draft202012Validator(SCHEMA).evolve(schema=schema).validate(default)


def test_writing_the_defaults_changes_nothing() -> None:
    def defaults_of(path: str) -> Schema:
        properties = ALL[path]["properties"]
        found = {key: [s["default"] for s in _follow(inner) if "default" in s] for key, inner in properties.items()}
        return {key: values[0] for key, values in found.items() if values}

    when = {"windows": [{"hours": "daily 08:00-20:00"}]}
    minimal = {"version": 1, "clusters": [{"name": "dev", "cluster_id": "a", **when}]}
    written: Schema = {**minimal, **defaults_of(""), "function": defaults_of("/properties/function")}
    own = defaults_of("/properties/clusters/items")
    assert set(own) > {"stop_type", "enforce", "overdue_after", "members", "enabled"}
    assert set(own) == set(defaults_of("/properties/defaults"))
    written["clusters"] = [{**minimal["clusters"][0], **own}]  # type: ignore[index]
    assert parse_config(json.dumps(written).encode(), "f.yaml") == parse_config(json.dumps(minimal).encode(), "f.yaml")


@pytest.mark.parametrize("expression", ALL["/$defs/cron"]["examples"])
def test_examples_of_cron_expressions_fire(expression: str) -> None:
    assert cron_problem(expression) is None


@pytest.mark.parametrize("text", ALL["/$defs/windows/items/properties/hours"]["examples"])
def test_examples_of_hours_can_be_read(text: str) -> None:
    assert parse_hours(text)


@pytest.mark.parametrize("file", VALID, ids=lambda f: f.stem)
def test_example_files_are_valid(file: Path) -> None:
    Draft202012Validator(SCHEMA).validate(parse_document(file.read_bytes(), SCHEMA).data)


def test_every_key_stands_in_an_example_file() -> None:
    used: Set[str] = set()
    for file in VALID:
        used |= {_schema_of(path) for path in parse_document(file.read_bytes(), SCHEMA).keys}
    assert {path for path in PROPERTIES if path not in used} == set()


def _schema_of(path: Tuple[Union[str, int], ...]) -> str:
    """Return the path, in the schema, of what is said about a path of a file."""
    schema = SCHEMA
    for part in path:
        schema = _follow(schema)[-1]
        known = schema.get("properties", {})
        schema = schema["items"] if isinstance(part, int) else known.get(part) or schema["additionalProperties"]
    return next(place for place, known in ALL.items() if known is schema)


def test_the_file_of_the_repository_names_the_schema_for_editors() -> None:
    text = (CHECKOUT / "schedules.yaml").read_text(encoding="utf-8")
    found = re.match("# yaml-language-server: [$]schema=(.+)\n", text)
    assert found
    assert (CHECKOUT / found[1]).samefile(schema_path())
    assert parse_config(text.encode(), "schedules.yaml")
