"""The text of a schedules file as plain data with places, held against the schema.

Decides what is YAML, what has the right shape, and where in the text everything stands; what the values mean
is left to ``config``. Every scalar stays the text that was written, but for booleans and whole numbers where
the schema asks for them: ``country: NO`` is Norway and ``22:00`` is not 1320.
"""

import json
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple, Union

import yaml

from scheduler.describe import printable
from scheduler.errors import Problem

MAX_BYTES = 1 << 20
_MAX_DEPTH = 32
_MAX_VALUES = 100_000
"""How many keys and values a file may have: ten thousand clusters that say no more than who they are have 50 000.

The worst such file takes some 3 s of a core to be refused, or read.
"""
_MAX_ALIASED = 25_000
"""How many nodes the aliases of a file may add to it; a long text counts as several."""
_MOST_SHOWN = 60
"""The most characters of the file that a message repeats in one place, and of a value that it offers."""
_MOST_KNOWN = 100
"""How many words a wrong one is compared with: comparing is slow, and a file can be full of both."""
_TOO_DEEP = "nested too deeply to be a schedules file: write the values less deep"
_TOO_LARGE = f"the file is larger than {MAX_BYTES} bytes: write what clusters share once, in defaults and schedules"
_TOO_MANY = (
    f"from here on the file has more than {_MAX_VALUES} keys and values: "
    "write what clusters share once, in defaults and schedules"
)
_EMPTY = "the file is empty: begin with `version: 1`"
_NOT_TEXT = re.compile(r"[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""What YAML allows in no file, as itself."""
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What would break a line of a log or command a terminal. Quoted text can bring it in by escapes."""
_INTEGER = re.compile("-?(0|[1-9][0-9]{0,17})")
_LOOK_ALIKES = (
    ("[\u2010-\u2015\u2212\uff0d]", "-"),
    ("[\u2018-\u201b\uff07]", "'"),
    ("[\u201c-\u201f\uff02]", '"'),
    ("[\uff1a]", ":"),
    ("[\uff0c]", ","),
    ("[\xa0\u2000-\u200a\u202f\u205f\u3000]", "space"),
)
"""What web pages and word processors write in place of plain characters, and these."""
_LOOK_ALIKE = re.compile("|".join(f"({characters})" for characters, _ in _LOOK_ALIKES))
_COMMENT = re.compile(r"(?:^|\s)#")
_FREE_TEXT = frozenset({"name", "reason"})
"""Keys whose text may have any character."""
_LINES_BEFORE = 3
"""How far above the place that a parser of YAML gives what confused it may stand."""

Path_ = Tuple[Union[str, int], ...]
"""Keys and list indexes from the top of the document."""
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}
_NAMES = {list: "array", dict: "object", bool: "boolean", int: "integer"}


class Document(NamedTuple):
    """Plain data, and for every path in it the line and column (from 1) of its value and of its key."""

    data: Any
    values: Mapping[Path_, Tuple[int, int]]
    keys: Mapping[Path_, Tuple[int, int]]
    problems: Sequence[Tuple[Path_, Problem]] = ()
    """What was passed over while reading, with the path it spoils: tags, keys that stand twice or are not text."""

    def problem(self, path: Path_, message: str, *, at_key: bool = False) -> Problem:
        """Make a problem at a path, or at the nearest place above it that is in the text."""
        places = self.keys if at_key else self.values
        known = next((path[:n] for n in range(len(path), -1, -1) if path[:n] in places), ())
        line, column = places.get(known, (1, 1))
        text = "" if path[-1:] and path[-1] in _FREE_TEXT else path[-1] if at_key and path else self._find(path)
        hint = _name_look_alike(text) if isinstance(text, str) else None
        return Problem(write_path(path), line, column, printable(message) + (f"; it has {hint}" if hint else ""))

    def _find(self, path: Path_) -> Any:
        """Return what stands at a path, None if nothing does."""
        found = self.data
        try:
            for part in path:
                found = found[part]
        except (KeyError, IndexError, TypeError):
            return None
        return found


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
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{_shorten(p)}" for p in path)
    return text[1:] if text.startswith(".") else text


def quote(value: object) -> str:
    """Write a value of a document into a message, on one line and shortened where it is long."""
    return f'"{_shorten(value)}"' if isinstance(value, str) else str(value)


def suggest(word: str, known: Sequence[str]) -> str:
    """Return what to write instead of a word that is not known."""
    lowered = {k.lower(): k for k in known[:_MOST_KNOWN]}
    close = get_close_matches(word.lower(), lowered, n=1)
    if close:
        return f"did you mean {quote(lowered[close[0]])}?"
    some = ", ".join(_shorten(k) for k in known[:20])
    return f"known are {some or 'none'}{' and more' if len(known) > 20 else ''}"  # noqa: PLR2004


def _name_look_alike(text: str) -> Optional[str]:
    """Name the first character that looks like a plain one and is not, and the one to write instead."""
    found = _LOOK_ALIKE.search(text)
    if found is None:
        return None
    import unicodedata

    plain = _LOOK_ALIKES[(found.lastindex or 1) - 1][1]
    return f"U+{ord(found[0]):04X} {unicodedata.name(found[0])}: write a plain {plain}"


def _shorten(text: str) -> str:
    return printable(text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}...")


def parse_document(content: bytes, schema: Mapping[str, Any]) -> Document:
    """Read one YAML document; raises `NotADocumentError`."""
    text = _decode(content)
    try:
        _check_size(text)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as e:
        raise NotADocumentError(_yaml_problem(e, text)) from e
    reader = _Reader(schema)
    data = None if node is None else reader.read(node, schema, ())
    if data is None:
        raise NotADocumentError(Problem("", 1, 1, _EMPTY))
    return Document(data, reader.values, reader.keys, reader.problems)


def _decode(content: bytes) -> str:
    """Return the text of a file, in which every character is one that YAML allows."""
    if len(content) > MAX_BYTES:
        raise NotADocumentError(Problem("", 1, 1, _TOO_LARGE))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        before = content[: e.start].decode("utf-8-sig")
        raise NotADocumentError(Problem("", *_place_after(before), "not UTF-8 text: save the file as UTF-8")) from e
    found = _NOT_TEXT.search(text)
    if found:
        message = f"not text: the character U+{ord(found[0]):04X} is not allowed, remove it"
        raise NotADocumentError(Problem("", *_place_after(text[: found.start()]), message))
    return text


def schema_problems(document: Document, schema: Mapping[str, Any]) -> Iterator[Tuple[Path_, Problem]]:
    """Yield everything in a document that does not fit the schema, with the path that it spoils."""
    # Imported here: a run of a packaged file needs no schema.
    from jsonschema import Draft202012Validator

    # A value has one problem, even where it offends several keywords: the first, as written in the schema.
    known = dict(document.problems)
    lacking: Set[Tuple[Path_, str]] = set()
    for error in Draft202012Validator(schema).iter_errors(document.data):
        path: Path_ = tuple(error.absolute_path)
        if error.validator == "additionalProperties":
            properties = sorted(error.schema["properties"])
            for key in sorted(set(error.instance) - set(properties)):
                message = f"unknown key {quote(key)}: {suggest(key, properties)}"
                yield (*path, key), document.problem((*path, key), message, at_key=True)
        elif error.validator == "required":
            # There is an error for each key, and none of them has it but in a sentence.
            for key in error.validator_value:
                if key not in error.instance and (path, key) not in lacking:
                    lacking.add((path, key))
                    yield path, document.problem(path, f'lacks "{key}": {_describe(schema, error.schema, key)}')
        else:
            yield path, known.setdefault(path, document.problem(path, _explain(error)))


def _describe(root: Mapping[str, Any], schema: Mapping[str, Any], key: str) -> str:
    wanted = schema["properties"][key]
    while "$ref" in wanted and "description" not in wanted:
        wanted = _definition(root, wanted["$ref"])
    description: str = wanted.get("description", "it is required")
    return description[0].lower() + description[1:].rstrip(".")


def _explain(error: Any) -> str:
    """Say what is wrong with one value and what to write instead."""
    value, wanted, validator = error.instance, error.validator_value, error.validator
    hint = _hint(error.schema)
    write = f": write {hint}" if hint else ""
    if validator == "maxItems":
        return f"has {len(value)} entries: write at most {wanted}"
    if value is None:
        return f"nothing is written here: write {hint or _TYPES[error.schema['type']]}"
    if validator == "type" or not isinstance(value, (str, int)):
        return _explain_shape(value, error.schema if validator == "type" else {}, write)
    if validator == "enum":
        return f"{quote(value)} is not known: {suggest(str(value), wanted)}"
    if validator == "const":
        return f"{quote(value)} is not known{write}"
    if validator == "minLength":
        return f"is empty{write}"
    if validator == "minimum":
        return f"{quote(value)} is too small: write {wanted} or more"
    if validator == "maxLength":
        return f"is too long: write at most {wanted} characters"
    return f"{quote(value)} cannot be used here{write}"


def _explain_shape(value: Any, schema: Mapping[str, Any], write: str) -> str:
    """Say that a value is a list where text should be, and the like; or that a list or mapping is empty."""
    wanted = schema.get("type")
    if wanted is None and not value:
        return f"is empty{write or ': write at least one'}"
    found = f"the text {quote(value)}" if isinstance(value, str) else _TYPES[_NAMES[type(value)]]
    if wanted is None:
        return f"cannot be {found}{write}"
    if isinstance(value, str) and _fits_unquoted(value, schema):
        write = f": write {value} without quotes"
    names = [_TYPES[t] for t in ([wanted] if isinstance(wanted, str) else wanted)]
    return f"must be {' or '.join(names)}, not {found}{write}"


def _fits_unquoted(text: str, schema: Mapping[str, Any]) -> bool:
    """Whether a text would fit if it had no quotes."""
    if schema["type"] == "boolean":
        return text in ("true", "false")
    if schema["type"] != "integer" or not _INTEGER.fullmatch(text):
        return False
    number = int(text)
    fits = schema.get("minimum", number) <= number <= schema.get("maximum", number)
    return bool(fits and number == schema.get("const", number))


def _hint(schema: Mapping[str, Any]) -> Optional[str]:
    """Return what a value that fits a schema looks like."""
    if "x-write" in schema or "const" in schema:
        return str(schema.get("x-write", schema.get("const")))
    if "enum" in schema:
        return " or ".join(schema["enum"])
    if "properties" in schema:
        return f"keys such as {', '.join(schema.get('required') or list(schema['properties'])[:3])}"
    examples = [e if isinstance(e, str) else json.dumps(e) for e in schema.get("examples", ())]
    short = next((e for e in examples if len(e) <= _MOST_SHOWN), None)
    return f"{_TYPES[schema['type']]} such as {short}" if short and isinstance(schema.get("type"), str) else None


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Only composes nodes, and takes every plain scalar for text."""

    yaml_implicit_resolvers: Dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own attribute


def _check_size(text: str) -> None:
    """Refuse deep nesting and too many values before composing: libyaml composes by recursion and would crash."""
    depth = count = 0
    for event in yaml.parse(text, Loader=_Loader):
        count += isinstance(event, yaml.NodeEvent)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH or count > _MAX_VALUES:
            message = _TOO_DEEP if depth > _MAX_DEPTH else _TOO_MANY
            raise NotADocumentError(Problem("", *_place(event.start_mark), message))


def _place(mark: Any) -> Tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _place_after(text: str) -> Tuple[int, int]:
    """Return the place of what follows a text."""
    return text.count("\n") + 1, len(text) - text.rfind("\n")


_YAML_PROBLEMS = (
    ("duplicate anchor", "an anchor of this name stands above: give this one another name"),
    ("alias", "text that begins with * needs quotes; an alias needs its anchor above"),
    ("single document", "a second document begins here: keep one document in the file"),
    ("<document start>", "a second document begins here: keep one document in the file"),
    ("mapping values are not allowed", 'a ": " cannot stand here: check the indentation, or quote text that holds one'),
    ("cannot start any token", "text that begins with this character needs quotes"),
    ("escape", "in double quotes a backslash begins an escape: use single quotes"),
    ("tag", "tags are not read: write plain values"),
)
"""What libyaml and PyYAML's own parser say, each in slightly different words, and what it means to a person."""


def _yaml_problem(error: yaml.MarkedYAMLError, text: str) -> Problem:
    line, column = _place(error.problem_mark or error.context_mark)
    said = f"{error.problem or 'cannot be read'}{f' ({error.context})' if error.context else ''}"
    lines = text.splitlines()
    here = lines[line - 1] if line <= len(lines) else ""
    known = next((meaning for words, meaning in _YAML_PROBLEMS if words in said), None)
    if here[column - 1 : column] == "\t" or "\t" in here[: len(here) - len(here.lstrip())]:
        known = "a tab cannot indent: use spaces"
    elif "quoted scalar" in said:  # the two parsers differ in the place inside it
        line, column = _place(error.context_mark)
        known = "a quote is opened here and never closed: close it" if "unexpected end" in said else known
    elif "flow" in said and not "".join([here[column - 1 :], *lines[line:]]).strip():
        known = "the file ends inside brackets: close them"
    message = known or f"not YAML: {said}: check the indentation, brackets and quotes"
    return Problem("", line, column, message + _look_alike_above(lines[max(line - 1 - _LINES_BEFORE, 0) : line], line))


def _look_alike_above(lines: Sequence[str], last: int) -> str:
    """Say which of a few lines, up to the one of this number, has a character that YAML does not read as it looks."""
    for number, text in zip(range(last, 0, -1), reversed(lines)):
        hint = _name_look_alike(_COMMENT.split(text, maxsplit=1)[0])
        if hint:
            return f"; line {number} has {hint}"
    return ""


def _definition(schema: Mapping[str, Any], reference: str) -> Dict[str, Any]:
    found: Any = schema
    for part in reference.lstrip("#/").split("/"):
        found = found[part]
    result: Dict[str, Any] = found
    return result


_NO_KEY = "a key must be text: put quotes around one that begins with [ or {"
_NO_KEYS = {"": "a key is empty: write a name", "<<": "merge keys are not read: use `defaults:` instead"}


class _Reader:
    """Turns nodes into data, noting places; aliases are followed within a limit."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._aliased = 0
        self._seen: Set[int] = set()
        self._open: Set[int] = set()
        self.problems: List[Tuple[Path_, Problem]] = []
        self.values: Dict[Path_, Tuple[int, int]] = {}
        self.keys: Dict[Path_, Tuple[int, int]] = {}

    def read(self, node: yaml.Node, wanted: Any, path: Path_) -> Any:
        """Return the data of a node at a path where the schema wants what ``wanted`` says."""
        if id(node) in self._seen:
            self._aliased += 1 + (len(node.value) // 100 if isinstance(node, yaml.ScalarNode) else 0)
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
        self._check_plain(node, path)
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
            if not isinstance(key_node, yaml.ScalarNode) or key_node.value in _NO_KEYS:
                self._note(key_node, path, _no_key(key_node))
                continue
            key: str = key_node.value
            if key in result:
                first = self.keys[(*path, key)][0]
                message = f"the key {quote(key)} stands twice, first on line {first}: keep one"
                self.problems.append((path, self._at(key_node, (*path, key), message)))
                continue
            self._check_plain(key_node, (*path, key))
            self.keys[(*path, key)] = _place(key_node.start_mark)
            result[key] = self.read(value_node, properties.get(key, wanted.get("additionalProperties")), (*path, key))
        return result

    def _check_plain(self, node: yaml.Node, path: Path_) -> None:
        """Note a tag, and characters that would break a line or command a terminal."""
        if node.tag not in _PLAIN_TAGS:
            tag = quote(node.tag.replace("tag:yaml.org,2002:", "!!"))
            self._note(node, path, f"the tag {tag} is not allowed: write plain values")
        found = _CONTROL.search(node.value) if isinstance(node, yaml.ScalarNode) else None
        if found:
            self._note(node, path, f"has the control character U+{ord(found[0]):04X}: write plain text on one line")

    def _note(self, node: yaml.Node, path: Path_, message: str) -> None:
        self.problems.append((path, self._at(node, path, message)))

    def _at(self, node: yaml.Node, path: Path_, message: str) -> Problem:
        return Problem(write_path(path), *_place(node.start_mark), message)


def _no_key(node: yaml.Node) -> str:
    return _NO_KEYS[node.value] if isinstance(node, yaml.ScalarNode) else _NO_KEY


_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))


def _scalar(node: yaml.ScalarNode, wanted: Any) -> Union[str, bool, int, None]:
    text: str = node.value
    if node.style:  # quoted or a block: text, whatever it looks like
        return text
    if text in _NULLS:
        return None
    if wanted == "boolean" and text in ("true", "false"):
        return text == "true"
    if wanted == "integer" and _INTEGER.fullmatch(text):
        return int(text)
    return text


def sort_problems(problems: List[Problem]) -> List[Problem]:
    """Order problems as a reader meets them in the file, each once."""
    return sorted(set(problems), key=lambda p: (p.line, p.column, p.path, p.message))
