"""The text of a schedules file as plain data with places, held against the schema.

Decides what is YAML, what has the right shape, and where in the text everything stands; what the values mean
is left to ``config``. Every scalar stays the text that was written, but for booleans and whole numbers where
the schema asks for them: ``country: NO`` is Norway and ``22:00`` is not 1320.
"""

import json
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Set, Tuple, Union

import yaml

from scheduler.errors import Problem

MAX_BYTES = 1 << 20
_MAX_DEPTH = 32
_MAX_ALIASED = 100_000
"""How many nodes the aliases of a file may add to it."""
_TOO_DEEP = "nested too deeply to be a schedules file"

Path_ = Tuple[Union[str, int], ...]
"""Keys and list indexes from the top of the document."""
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_KINDS = {str: "text", bool: "true or false", int: "a number", list: "a list", dict: "a mapping", type(None): "nothing"}
_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}


class Document(NamedTuple):
    """Plain data, and for every path in it the line and column (from 1) of its value and of its key."""

    data: Any
    values: Mapping[Path_, Tuple[int, int]]
    keys: Mapping[Path_, Tuple[int, int]]
    problems: Sequence[Problem] = ()
    """What was passed over while reading: keys that stand twice, tags, keys that are not text."""

    def problem(self, path: Path_, message: str, *, at_key: bool = False) -> Problem:
        """Make a problem at a path, or at the nearest place above it that is in the text."""
        places = self.keys if at_key else self.values
        known = next((path[:n] for n in range(len(path), -1, -1) if path[:n] in places), ())
        line, column = places.get(known, (1, 1))
        return Problem(write_path(path), line, column, message)


class NotADocumentError(Exception):
    """The text is not one YAML document that can be read safely."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


def schema_path() -> Path:
    """Return the schema's file: beside the package in a checkout and in the function's zip, in it in a wheel."""
    package = Path(__file__).parent
    inside = package / "schema" / "schedules.schema.json"
    return inside if inside.exists() else package.parent / "schema" / "schedules.schema.json"


def load_schema() -> Dict[str, Any]:
    """Read the schema of schedules files."""
    schema: Dict[str, Any] = json.loads(schema_path().read_text(encoding="utf-8"))
    return schema


def write_path(path: Path_) -> str:
    """Write a path as people do: ``clusters[0].exclude.tags``."""
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)
    return text[1:] if text.startswith(".") else text


def quote(value: object) -> str:
    """Write a value of a document into a message, shortened where it is long."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    text = text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004
    return f'"{text}"' if isinstance(value, str) else text


def suggest(word: str, known: Sequence[str]) -> str:
    """Return what to write instead of a word that is not known."""
    lowered = {k.lower(): k for k in known}
    close = get_close_matches(word.lower(), lowered, n=1)
    return f'did you mean "{lowered[close[0]]}"?' if close else f"known are {', '.join(known) or 'none'}"


def parse_document(content: bytes, schema: Mapping[str, Any]) -> Document:
    """Read one YAML document; raises `NotADocumentError`."""
    if len(content) > MAX_BYTES:
        raise NotADocumentError(Problem("", 1, 1, f"the file has {len(content)} bytes: keep it under {MAX_BYTES}"))
    try:
        text = content.decode("utf-8-sig")
        _check_depth(text)
        node = yaml.compose(text, Loader=_Loader)
    except UnicodeDecodeError as e:
        line = content[: e.start].count(b"\n") + 1
        raise NotADocumentError(Problem("", line, 1, "not UTF-8 text: save the file as UTF-8")) from e
    except yaml.reader.ReaderError as e:
        raise NotADocumentError(Problem("", 1, 1, f"not text: character #x{e.character:04x} is not allowed")) from e
    except yaml.MarkedYAMLError as e:
        raise NotADocumentError(_yaml_problem(e, text)) from e
    if node is None:
        raise NotADocumentError(Problem("", 1, 1, "the file is empty: begin with `version: 1`"))
    reader = _Reader(schema)
    data = reader.read(node, schema, ())
    return Document(data, reader.values, reader.keys, reader.problems)


def schema_problems(document: Document, schema: Mapping[str, Any]) -> Iterator[Tuple[Path_, Problem]]:
    """Yield everything in a document that does not fit the schema, with the path that it spoils."""
    # Imported here: a run of a packaged file needs no schema.
    from jsonschema import Draft202012Validator

    for error in Draft202012Validator(schema).iter_errors(document.data):
        path: Path_ = tuple(error.absolute_path)
        if error.validator == "additionalProperties":
            known = sorted(error.schema["properties"])
            for key in sorted(set(error.instance) - set(known)):
                message = f'unknown key "{key}": {suggest(key, known)}'
                yield (*path, key), document.problem((*path, key), message, at_key=True)
        elif error.validator == "required":
            missing = next(k for k in error.validator_value if f"'{k}'" in error.message and k not in error.instance)
            yield path, document.problem(path, f'lacks "{missing}": {_describe(error.schema, missing)}')
        else:
            yield path, document.problem(path, _explain(error.validator, error.validator_value, error))


def _describe(schema: Mapping[str, Any], key: str) -> str:
    wanted = schema["properties"][key]
    while "$ref" in wanted and "description" not in wanted:
        wanted = _definition(load_schema(), wanted["$ref"])
    description: str = wanted.get("description", "it is required")
    return description[0].lower() + description[1:].rstrip(".")


def _explain(validator: object, wanted: Any, error: Any) -> str:
    """Say what is wrong with one value and what to write instead."""
    value, hint = error.instance, error.schema.get("x-write")
    write = f": write {hint}" if hint else ""
    if validator == "type":
        names = [_TYPES[t] for t in ([wanted] if isinstance(wanted, str) else wanted)]
        found = f"{quote(value)} is {_KINDS[type(value)]}" if isinstance(value, (str, int)) else _KINDS[type(value)]
        if value is None:
            return f"nothing is written here{write or f': write {names[0]}'}"
        return f"must be {' or '.join(names)}, but {found}{write}"
    if validator == "const":
        return f"{quote(value)} is not known: write {wanted}"
    if validator == "enum":
        return f"{quote(value)} is not known: {suggest(str(value), wanted)}"
    if validator in ("minItems", "minLength", "minProperties"):
        return f"is empty{write or ': write at least one'}"
    if validator == "minimum":
        return f"{quote(value)} is too small: write {wanted} or more"
    if validator in ("maxLength", "maxItems"):
        return f"is too long: write at most {wanted}"
    return f"{quote(value)} cannot be used here{write}"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Only composes nodes, and takes every plain scalar for text."""

    yaml_implicit_resolvers: Dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own attribute


def _check_depth(text: str) -> None:
    """Refuse deep nesting before composing: libyaml composes by recursion and would crash the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                raise NotADocumentError(Problem("", *_place(event.start_mark), _TOO_DEEP))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _place(mark: Any) -> Tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _yaml_problem(error: yaml.MarkedYAMLError, text: str) -> Problem:
    line, column = _place(error.problem_mark or error.context_mark)
    what = error.problem or "cannot be read"
    lines = text.splitlines()
    if "tab" in what or (lines[line - 1 : line] and lines[line - 1][column - 1 : column] == "\t"):
        what = "a tab cannot indent: use spaces"
    elif "undefined alias" in what or "duplicate anchor" in what:
        what = f"{what}: name an anchor that stands above"
    elif "single document" in (error.context or ""):
        what = "a second document begins here: keep one document in the file"
    else:
        what = f"not YAML: {what}{f' ({error.context})' if error.context else ''}"
    return Problem("", line, column, what)


def _definition(schema: Mapping[str, Any], reference: str) -> Dict[str, Any]:
    found: Any = schema
    for part in reference.lstrip("#/").split("/"):
        found = found[part]
    result: Dict[str, Any] = found
    return result


class _Reader:
    """Turns nodes into data, noting places; aliases are followed within a limit."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._aliased = 0
        self._seen: Set[int] = set()
        self._open: Set[int] = set()
        self.problems: List[Problem] = []
        self.values: Dict[Path_, Tuple[int, int]] = {}
        self.keys: Dict[Path_, Tuple[int, int]] = {}

    def read(self, node: yaml.Node, wanted: Any, path: Path_) -> Any:
        """Return the data of a node at a path where the schema wants what ``wanted`` says."""
        self._aliased += id(node) in self._seen
        self._seen.add(id(node))
        if self._aliased > _MAX_ALIASED:
            raise NotADocumentError(self._at(node, path, "aliases make the file explode: write the values out"))
        if id(node) in self._open:
            raise NotADocumentError(self._at(node, path, "an alias contains itself: write the values out"))
        if len(path) > _MAX_DEPTH:
            raise NotADocumentError(self._at(node, path, _TOO_DEEP))
        self.values[path] = _place(node.start_mark)
        while isinstance(wanted, dict) and "$ref" in wanted:
            wanted = _definition(self._schema, wanted["$ref"])
        wanted = wanted if isinstance(wanted, dict) else {}
        if node.tag not in _PLAIN_TAGS:
            self.problems.append(self._at(node, path, f"the tag {node.tag} is not allowed: write plain values"))
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node, wanted.get("type"))
        self._open.add(id(node))
        result = self._sequence(node, wanted, path) if isinstance(node, yaml.SequenceNode) else None
        if isinstance(node, yaml.MappingNode):
            result = self._mapping(node, wanted, path)
        self._open.discard(id(node))
        return result

    def _sequence(self, node: yaml.SequenceNode, wanted: Mapping[str, Any], path: Path_) -> Any:
        return [self.read(child, wanted.get("items"), (*path, n)) for n, child in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, wanted: Mapping[str, Any], path: Path_) -> Any:
        result: Dict[str, Any] = {}
        properties = wanted.get("properties", {})
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(self._at(key_node, path, "a key must be text"))
                continue
            key: str = key_node.value
            if key == "<<":
                self.problems.append(self._at(key_node, path, "merge keys are not read: use `defaults:` instead"))
                continue
            if key in result:
                message = f'the key "{key}" stands twice, first on line {self.keys[(*path, key)][0]}: keep one'
                self.problems.append(self._at(key_node, (*path, key), message))
                continue
            self.keys[(*path, key)] = _place(key_node.start_mark)
            result[key] = self.read(value_node, properties.get(key, wanted.get("additionalProperties")), (*path, key))
        return result

    def _at(self, node: yaml.Node, path: Path_, message: str) -> Problem:
        return Problem(write_path(path), *_place(node.start_mark), message)


_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))


def _scalar(node: yaml.ScalarNode, wanted: Any) -> Union[str, bool, int, None]:
    text: str = node.value
    if node.style:  # quoted or a block: text, whatever it looks like
        return text
    if text in _NULLS:
        return None
    if wanted == "boolean" and text in ("true", "false"):
        return text == "true"
    if wanted == "integer" and text.lstrip("-").isdigit() and text.isascii() and len(text) < 10:  # noqa: PLR2004
        return int(text)
    return text


def sort_problems(problems: List[Problem]) -> List[Problem]:
    """Order problems as a reader meets them in the file, each once."""
    return sorted(set(problems), key=lambda p: (p.line, p.column, p.path, p.message))
