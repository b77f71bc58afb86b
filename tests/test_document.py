"""The text of a schedules file: what is read, where everything stands, and that nothing in it breaks the reader."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.config import parse_config
from scheduler.document import (
    MAX_BYTES,
    Document,
    NotADocumentError,
    Path_,
    load_schema,
    parse_document,
    quote,
    schema_path,
    suggest,
    write_path,
)
from scheduler.errors import ConfigError

EXAMPLES = Path(__file__).parent / "examples"
SCHEMA = load_schema()
CHECKOUT = Path(__file__).parent.parent
VALID = (EXAMPLES / "valid" / "minimal.yaml").read_bytes()


def read(text: str) -> Document:
    return parse_document(text.encode(), SCHEMA)


def problems_of(content: bytes) -> str:
    with pytest.raises(ConfigError) as e:
        parse_config(content, "f.yaml")
    return str(e.value)


class TestText:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            pytest.param(b"", "1:1: the file is empty: begin with `version: 1`", id="no-bytes"),
            pytest.param(b"\xef\xbb\xbf", "1:1: the file is empty: begin with `version: 1`", id="only-a-bom"),
            pytest.param(b" \n\n", "1:1: the file is empty: begin with `version: 1`", id="white-space"),
            pytest.param(b"---\n", "1:1: the file is empty: begin with `version: 1`", id="only-a-beginning"),
            pytest.param(b"null\n", "1:1: the file is empty: begin with `version: 1`", id="null"),
            pytest.param(VALID + b"# caf\xe9\n", "6:6: not UTF-8 text: save the file as UTF-8", id="latin-1"),
            pytest.param(VALID.decode().encode("utf-16"), "1:1: not UTF-8 text: save the file as UTF-8", id="utf-16"),
            pytest.param(
                VALID.decode().encode("utf-16-le"),
                "1:2: not text: the character U+0000 is not allowed, remove it",
                id="utf-16-without-bom",
            ),
            pytest.param(
                b"version: 1\n\xc3\xa9: \xed\xa0\x80", "2:4: not UTF-8 text: save the file as UTF-8", id="surrogate"
            ),
            pytest.param(
                VALID.replace(b"dev", b"d\0v"),
                "3:12: not text: the character U+0000 is not allowed, remove it",
                id="nul",
            ),
            pytest.param(b"\0" * 100, "1:1: not text: the character U+0000 is not allowed, remove it", id="only-nul"),
            pytest.param(
                b"# \xc3\xa9\x1b[2J", "1:4: not text: the character U+001B is not allowed, remove it", id="escape"
            ),
            pytest.param(
                VALID + b"\xef\xbb\xbf", "6:1: not text: the character U+FEFF is not allowed, remove it", id="late-bom"
            ),
            pytest.param(
                VALID + b"#" * (MAX_BYTES + 1 - len(VALID)),
                "1:1: the file is larger than 1048576 bytes: write what clusters share once, in defaults and schedules",
                id="one-byte-too-large",
            ),
        ],
    )
    def test_refuses_what_is_not_text_or_too_much(self, content: bytes, message: str) -> None:
        assert problems_of(content) == f"f.yaml:{message}"

    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(b"\xef\xbb\xbf" + VALID, id="bom"),
            pytest.param(VALID.replace(b"\n", b"\r\n"), id="windows-line-ends"),
            pytest.param(VALID.rstrip(b"\n"), id="no-line-end"),
            pytest.param(b"---\n" + VALID + b"...\n", id="marked-ends"),
            pytest.param(b"%YAML 1.2\n---\n" + VALID, id="yaml-1.2"),
            pytest.param(VALID + b"#" * (MAX_BYTES - len(VALID)), id="as-large-as-allowed"),
        ],
    )
    def test_takes_a_file_as_editors_save_it(self, content: bytes) -> None:
        assert parse_config(content, "f.yaml") == parse_config(VALID, "f.yaml")

    def test_counts_keys_and_values(self) -> None:
        start = "version: 1\nx: [a"  # the file, two keys with values, and one entry: six
        assert "unknown key" in problems_of(f"{start}{', a' * 99_994}]".encode())
        assert problems_of(f"{start}{', a' * 99_994}, a]".encode()) == (
            "f.yaml:2:299990: from here on the file has more than 100000 keys and values: "
            "write what clusters share once, in defaults and schedules"
        )


class TestScalars:
    @pytest.mark.parametrize(
        "text",
        [
            *("NO", "no", "yes", "on", "off", "y", "n", "true", "True", "FALSE", "22:00", "1:20", "2026-12-05"),
            *("2026-12-05T18:00:00Z", "01234567890123456789012345678901", "12345678901234567890123456789012", "1e3"),
            *(
                "0x1f",
                "0o17",
                "017",
                "1_000",
                "1.0",
                ".5",
                ".inf",
                "-.INF",
                ".nan",
                "+1",
                "-1",
                "0",
                "=",
                "none",
                "nil",
            ),
        ],
    )
    def test_a_plain_scalar_stays_what_was_written(self, text: str) -> None:
        document = read(f"clusters: [{{name: {text}, exclude: {{servers: [{text}]}}}}]\nschedules: {{{text}: {text}}}")
        cluster = {"name": text, "exclude": {"servers": [text]}}
        assert document.data == {"clusters": [cluster], "schedules": {text: text}}

    def test_the_country_norway_is_not_false(self) -> None:
        assert read("calendars: {c: {country: NO}}").data == {"calendars": {"c": {"country": "NO"}}}

    @pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
    def test_nothing_written_is_nothing(self, text: str) -> None:
        assert read(f"timezone: {text}").data == {"timezone": None}

    @pytest.mark.parametrize("text", ["''", '""', "'~'", '"null"', "|-\n  null"])
    def test_quotes_make_text_of_nothing(self, text: str) -> None:
        assert isinstance(read(f"timezone: {text}").data["timezone"], str)

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            pytest.param("true", True, id="true"),
            pytest.param("false", False, id="false"),
            *(pytest.param(t, t, id=t) for t in ("True", "FALSE", "yes", "no", "on", "off", "y", "1", "0")),
            *(pytest.param(f"{q}true{q}", "true", id=f"quoted-{q}") for q in "'\""),
        ],
    )
    def test_only_true_and_false_are_booleans(self, text: str, value: object) -> None:
        enabled = read(f"clusters: [{{enabled: {text}}}]").data["clusters"][0]["enabled"]
        assert (type(enabled), enabled) == (type(value), value)

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            *(pytest.param(str(n), n, id=str(n)) for n in (0, 7, 200, -1, 10**17)),
            *(
                pytest.param(t, t, id=t)
                for t in ("+1", "007", "1_000", "0x1f", "1e3", "1.0", "--5", "-", "1 000", str(10**18))
            ),
            pytest.param("\N{SUPERSCRIPT TWO}", "\N{SUPERSCRIPT TWO}", id="superscript"),
            pytest.param("\N{ARABIC-INDIC DIGIT TWO}", "\N{ARABIC-INDIC DIGIT TWO}", id="arabic"),
            pytest.param("'5'", "5", id="quoted"),
        ],
    )
    def test_only_plain_digits_are_numbers(self, text: str, value: object) -> None:
        most = read(f"limits: {{max_stops_per_run: {text}}}").data["limits"]["max_stops_per_run"]
        assert (type(most), most) == (type(value), value)

    @pytest.mark.parametrize("escape", ["\\0", "\\e[2J", "\\n", "\\r", "\\x9b", "\\L", "\\x7f"])
    def test_quoted_text_cannot_bring_in_a_control_character(self, escape: str) -> None:
        problems = problems_of(VALID.replace(b"dev", f'"a{escape}b"'.encode()))
        assert problems.startswith("f.yaml:3:11: clusters[0].name: has the control character U+")
        assert problems.endswith(": write plain text on one line")
        assert problems.isprintable()


class TestPlaces:
    TEXT = "\n".join(
        [
            "# first",
            "version:   1",
            "",
            "schedules: {b\N{LATIN SMALL LETTER U WITH DIAERESIS}ro: {windows: [{hours: daily 08:00-09:00}]}}",
            "clusters:",
            "- name: \N{GRINNING FACE}",
            "  'cluster_id': >-",
            "    abc",
            "-  {exclude:",
            "     {tags: [a, b]}}",
        ]
    )

    @pytest.mark.parametrize(
        ("path", "value", "key"),
        [
            pytest.param((), (2, 1), None, id="document"),
            pytest.param(("version",), (2, 12), (2, 1), id="after-spaces"),
            pytest.param(("schedules",), (4, 12), (4, 1), id="flow-mapping"),
            pytest.param(("schedules", "b\xfcro"), (4, 19), (4, 13), id="after-a-wide-letter"),
            pytest.param(("schedules", "b\xfcro", "windows", 0, "hours"), (4, 38), (4, 31), id="deep"),
            pytest.param(("clusters",), (6, 1), (5, 1), id="list-under-its-key"),
            pytest.param(("clusters", 0), (6, 3), None, id="item"),
            pytest.param(("clusters", 0, "name"), (6, 9), (6, 3), id="first-key-of-an-item"),
            pytest.param(("clusters", 0, "cluster_id"), (7, 17), (7, 3), id="block-text"),
            pytest.param(("clusters", 1), (9, 4), None, id="item-after-spaces"),
            pytest.param(("clusters", 1, "exclude", "tags", 1), (10, 17), None, id="over-lines"),
        ],
    )
    def test_every_value_and_key_has_its_line_and_column(self, path: Path_, value: object, key: object) -> None:
        document = read(self.TEXT)
        assert (document.values[path], document.keys.get(path)) == (value, key)

    def test_columns_are_the_same_after_a_bom_and_with_windows_line_ends(self) -> None:
        other = parse_document(b"\xef\xbb\xbf" + self.TEXT.replace("\n", "\r\n").encode(), SCHEMA)
        assert (other.values, other.keys) == (read(self.TEXT).values, read(self.TEXT).keys)

    def test_an_aliased_value_stands_where_its_anchor_does(self) -> None:
        document = read("schedules:\n  a: &a {state: running}\n  b: *a\n")
        assert document.values["schedules", "b", "state"] == (2, 17)
        assert document.keys["schedules", "b"] == (3, 3)

    def test_a_problem_of_something_missing_stands_at_the_nearest_place_above(self) -> None:
        problem = read(self.TEXT).problem(("clusters", 1, "exclude", "dates", 3), "gone")
        assert problem == ("clusters[1].exclude.dates[3]", 10, 6, "gone")


class TestWords:
    @pytest.mark.parametrize(
        ("path", "written"),
        [
            pytest.param((), "", id="document"),
            pytest.param(("clusters", 0, "exclude", "tags", 12), "clusters[0].exclude.tags[12]", id="lists"),
            pytest.param(("a\nb",), "a\\nb", id="line-break"),
            pytest.param(("x" * 100, 1), f"{'x' * 57}...[1]", id="long"),
        ],
    )
    def test_a_path_is_written_as_people_do(self, path: Path_, written: str) -> None:
        assert write_path(path) == written

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            pytest.param("a", '"a"', id="text"),
            pytest.param("x" * 60, f'"{"x" * 60}"', id="just-short-enough"),
            pytest.param("x" * 61, f'"{"x" * 57}..."', id="shortened"),
            pytest.param("a\x1b\u2028\ud800", '"a\\x1b\\u2028\\ud800"', id="unprintable"),
            pytest.param(12, "12", id="number"),
        ],
    )
    def test_a_value_is_quoted_on_one_line(self, value: object, written: str) -> None:
        assert quote(value) == written

    @pytest.mark.parametrize(
        ("word", "known", "said"),
        [
            pytest.param("soft", ["SOFT", "HARD"], 'did you mean "SOFT"?', id="case"),
            pytest.param("exlude", ["enabled", "exclude"], 'did you mean "exclude"?', id="misspelt"),
            pytest.param("zzz", ["b", "a"], "known are b, a", id="unlike-any"),
            pytest.param("zzz", [], "known are none", id="none-known"),
            pytest.param(
                "zzz",
                [f"name-{n}" for n in range(30)],
                f"known are {', '.join(f'name-{n}' for n in range(20))} and more",
                id="many",
            ),
        ],
    )
    def test_suggests_what_to_write_instead(self, word: str, known: List[str], said: str) -> None:
        assert suggest(word, known) == said


def _lines(top: str, line: str, tail: str = "") -> bytes:
    """Return a file of 64 KB: a beginning, and a line of which each ``%d`` becomes a number."""
    count = (64_000 - len(top) - len(tail)) // (len(line) + 3)
    return (top + "".join(line.replace("%d", str(n)) for n in range(count)) + tail).encode()


CLUSTERS = _lines("clusters:\n", "- {name: a%d, cluster_id: a%d, exclude: {tags: [a]}}\n")


class TestTime:
    """Looking at everything again for each problem, or at each alias in full, would take minutes for some of these."""

    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(_lines("clusters:\n", "- {}\n"), id="empty-clusters"),
            pytest.param(_lines("clusters: [", "a,", "]"), id="clusters-of-text"),
            pytest.param(_lines("version: 1\n", "k%d: 1\n"), id="unknown-keys"),
            pytest.param(_lines("version: 1\n", "a: 1\n"), id="duplicate-keys"),
            pytest.param(_lines("clusters:\n", "- {name: n, cluster_id: a, schedule: s%d}\n"), id="unknown-schedules"),
            pytest.param(
                _lines("clusters:\n- name: a\n  windows:\n", "  - {start: 0 0 31 2 *, stop: '%d'}\n"), id="dead-cron"
            ),
            pytest.param(_lines("x: &a {}\nclusters: [", "*a ,", "]"), id="aliases"),
            *(
                pytest.param(_lines(f"defaults:\n  {top}:\n", line) + CLUSTERS, id=f"default-{top}-of-each")
                for top, line in (
                    ("windows", "  - {hours: daily 01:00-02:00}\n"),
                    ("overrides", "  - {state: stopped, from: 2026-12-01T18:00, until: 2026-12-02T18:00}\n"),
                    ("exclude", "    a%d: b\n"),
                )
            ),
            pytest.param(
                _lines("defaults: {exclude: {servers: [", "a,", "]}}\n") + CLUSTERS, id="default-names-of-each"
            ),
            pytest.param(
                _lines("defaults: {exclude: {dates: [", "2026-12-05,", "]}}\n") + CLUSTERS, id="default-dates"
            ),
            pytest.param(_lines("calendars: {c: {dates: [", "2026-01-01..2036-12-12,", "]}}\n"), id="ranges"),
            pytest.param(
                _lines("calendars:\n", "  c%d: {dates: [2026-01-01..2036-12-12]}\n"), id="calendars-of-ranges"
            ),
            pytest.param(
                b"calendars: {c: {dates: [2026-01-01..2036-12-11]}}\n"
                + _lines(
                    "clusters:\n", "- {name: a%d, cluster_id: a%d, state: running, exclude: {dates: [c, 2%d-01-01]}}\n"
                ),
                id="a-calendar-and-one-date-each",
            ),
            pytest.param(b"x: &a '" + b"x" * 500_000 + b"'\nclusters: [" + b"*a ," * 100_000 + b"]", id="long-aliases"),
            pytest.param(b"timezone: " + b"x" * 1_000_000, id="long-text"),
            pytest.param(b"? " + b"x" * 1_000_000 + b"\n: 1", id="long-key"),
            *(
                pytest.param(c * (MAX_BYTES // len(c)), id=f"only-{c!r}")
                for c in (b"[", b"{", b"- ", b"? ", b"*", b"'")
            ),
        ],
    )
    def test_refuses_a_hostile_file_soon(self, content: bytes) -> None:
        began = time.process_time()
        assert problems_of(content)
        assert time.process_time() - began < 10


KEYS = sorted({word for word in json.dumps(SCHEMA).split('"') if word.isidentifier()})
TEXTS = ["running", "0 8 * * *", "daily 08:00-09:00", "2026-12-05", "2026-12-05T18:00", "UTC", "1h", "a"]
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 10**20) | st.text(max_size=3) | st.sampled_from(TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", *KEYS]), inner, max_size=4),
    max_leaves=12,
)
PIECES = [
    *("version: 1", "clusters:", "name:", "dev", "state: running", "x: y", "~", "null", "true", "\n", "\n  ", "\n- "),
    *("  ", "- ", "[", "]", "{", "}", ",", ": ", "? ", "&a ", "*a ", "!!str ", "!x ", "<<: ", "\n---", "\n...", "#"),
    *("'", '"', "\\", "@", "%", "`", ">", "|", "\t", "\0", "\r", "\x85", "\u2028", "\ufeff"),
]
several = settings(max_examples=150)


def _check(content: bytes) -> None:
    """Whatever the bytes are, they are schedules or a `ConfigError` whose every problem has a place in the file."""
    error = _error_of(content)
    if error is None:
        return
    assert error.problems
    assert all(p.line >= 1 and p.column >= 1 and p.message for p in error.problems)
    assert max(p.line for p in error.problems) <= len(content.decode("utf-8", "replace").splitlines()) + 1
    assert [(p.line, p.column) for p in error.problems] == sorted((p.line, p.column) for p in error.problems)
    assert len(str(error).split("\n")) == len(error.problems)
    assert str(error).replace("\n", "").isprintable()


@several
@given(st.binary(max_size=200))
def test_arbitrary_bytes_break_nothing(content: bytes) -> None:
    _check(content)


@several
@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_pieces_of_yaml_break_nothing(pieces: List[str]) -> None:
    _check("".join(pieces).encode())


@several
@given(st.data())
def test_a_change_to_a_valid_file_breaks_nothing(data: st.DataObject) -> None:
    text = (EXAMPLES / "valid" / "every-key.yaml").read_text(encoding="utf-8")
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 80)))
    new = data.draw(st.text(max_size=5) | st.sampled_from([*PIECES, "[]", "{}", "0", text]))
    _check((text[:start] + new + text[end:]).encode("utf-8", "surrogatepass"))


@several
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(SCHEMA["properties"], JUNK)))
def test_any_shape_under_any_key_breaks_nothing(data: Dict[str, Any]) -> None:
    _check(json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogatepass"))


@several
@given(st.data())
def test_any_shape_at_any_place_of_a_valid_file_breaks_nothing(data: st.DataObject) -> None:
    document = parse_document((EXAMPLES / "valid" / "every-key.yaml").read_bytes(), SCHEMA)
    path = data.draw(st.sampled_from([p for p in document.values if p]))
    inner = document.data
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = data.draw(JUNK)
    _check(json.dumps(document.data, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _error_of(content: bytes) -> Optional[ConfigError]:
    try:
        parse_config(content, "f.yaml")
    except ConfigError as e:
        return e
    return None


class TestSchemaPath:
    """The schema is found wherever the package lies."""

    QUESTION = "import sys; sys.path.insert(0, sys.argv[1]); import scheduler.document as d; print(d.schema_path())"
    LOAD = (
        "import sys; sys.path.insert(0, sys.argv[1]); import scheduler.config as c; print(c.load_config(sys.argv[2]))"
    )

    def ask(self, folder: Path, code: str = QUESTION, *arguments: str) -> str:
        command = [sys.executable, "-I", "-W", "error", "-c", code, str(folder), *arguments]
        return subprocess.run(command, cwd="/", check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603

    @staticmethod
    def copy(source: str, to: Path) -> None:
        shutil.copytree(CHECKOUT / source, to, ignore=shutil.ignore_patterns("__pycache__"))

    def test_in_a_checkout(self) -> None:
        assert schema_path() == CHECKOUT / "schema" / "schedules.schema.json"
        assert self.ask(CHECKOUT) == str(CHECKOUT / "schema" / "schedules.schema.json")

    @pytest.mark.parametrize("schema", ["schema", "scheduler/schema"], ids=["zip-of-the-function", "installed-wheel"])
    def test_away_from_the_checkout(self, tmp_path: Path, schema: str) -> None:
        self.copy("scheduler", tmp_path / "scheduler")
        self.copy("schema", tmp_path / schema)
        assert self.ask(tmp_path) == str(tmp_path / schema / "schedules.schema.json")
        file = str(EXAMPLES / "valid" / "minimal.yaml")
        assert self.ask(tmp_path, self.LOAD, file) == self.ask(CHECKOUT, self.LOAD, file)

    def test_of_two_the_one_in_the_package_is_used(self, tmp_path: Path) -> None:
        self.copy("scheduler", tmp_path / "scheduler")
        self.copy("schema", tmp_path / "schema")
        self.copy("schema", tmp_path / "scheduler" / "schema")
        assert self.ask(tmp_path) == str(tmp_path / "scheduler" / "schema" / "schedules.schema.json")


def test_the_limits_of_a_document_are_not_crossed_by_aliases() -> None:
    nested = "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 40))
    with pytest.raises(NotADocumentError, match="nested too deeply"):
        read(f"a0: &a0 [x]\n{nested}")
