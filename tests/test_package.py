"""The zip of the function: what is in it, that it is the same everywhere, and what the command refuses."""

import ast
import base64
import hashlib
import importlib.util
import io
import marshal
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from fnmatch import fnmatchcase
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.metadata import requires
from pathlib import Path
from types import CodeType
from typing import Dict, Iterator, List, Set, Tuple

import pytest
from packaging.requirements import Requirement
from packaging.tags import Tag, cpython_tags, parse_tag
from packaging.utils import canonicalize_name

from scheduler.deploy.bytecode import (
    CODE_ROOT,
    CompileError,
    Interpreter,
    bytecode_path,
    compile_sources,
    find_interpreter,
    source_path,
)
from scheduler.deploy.lock import applies, closure, read_choice
from scheduler.deploy.package import (
    MOST_BYTES,
    check_output,
    check_size,
    is_package,
    unpack_wheels,
    write_package,
    write_zip,
)
from scheduler.deploy.runtimes import OFFERED, PLATFORM, RUNTIMES, Pin, Runtime, read_lock, read_pin
from scheduler.deploy.sources import generated_files, read_schedule_files, schedule_files
from scheduler.deploy.wheels import LEFT_OUT, cache_dir, fetch_wheels, read_wheel, reason_to_leave_out
from scheduler.errors import InputError
from scheduler.simulated.functiongraph import MOST_CODE
from tests.cli_runner import Ended, isolate, run
from tests.packaged import SCHEDULES, TEST_RUNTIME, packaged, runtime_of

ROOT = Path(__file__).parent.parent
EVERY_RUNTIME = [pytest.param(runtime, id=runtime.name) for runtime in RUNTIMES]
HOLIDAYS = b'{"version": 1, "library": "holidays 0.83", "calendars": {}}\n'
HERE = next((r for r in RUNTIMES if r.minor == sys.version_info.minor), None)
OTHER = next(r for r in RUNTIMES if r.minor != sys.version_info.minor)
NOT_RUN = "NOT RUN: no Python {} is at hand"


def opened(content: bytes) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(content))


def files_of(content: bytes) -> Dict[str, bytes]:
    with opened(content) as found:
        return {name: found.read(name) for name in found.namelist()}


@cache
def wheels_of(runtime: Runtime) -> Dict[Pin, bytes]:
    return fetch_wheels(runtime, read_lock(runtime), cache_dir(os.environ), os.environ)


def write_schedules(folder: Path) -> Path:
    file = folder / "schedules.yaml"
    file.write_text(SCHEDULES, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def files() -> Dict[str, bytes]:
    return files_of(packaged(TEST_RUNTIME).content)


class TestLocks:
    @pytest.mark.parametrize("runtime", EVERY_RUNTIME)
    def test_say_nothing_but_names_versions_and_hashes(self, runtime: Runtime) -> None:
        first, *lines = runtime.lock.read_text(encoding="utf-8").splitlines()
        assert first == f"# What the function needs on {runtime.name}. Written by `make locks`."
        assert lines == [pin.line for pin in sorted(read_lock(runtime))]

    @pytest.mark.parametrize("runtime", EVERY_RUNTIME)
    def test_pin_what_the_package_needs_with_all_that_needs(self, runtime: Runtime) -> None:
        choices = {str(pin.name): read_choice(wheel) for pin, wheel in wheels_of(runtime).items()}
        assert [choice.pin for choice in choices.values()] == list(read_lock(runtime))
        wanted = [Requirement(text) for text in requires("cce-scheduler") or ()]
        needed = list(closure(runtime, [r for r in wanted if applies(r, runtime)], choices))
        assert {canonicalize_name(requirement.name) for requirement in needed} == set(choices)
        for requirement in needed:
            assert requirement.specifier.contains(choices[canonicalize_name(requirement.name)].pin.version)

    @pytest.mark.parametrize("runtime", EVERY_RUNTIME)
    def test_pin_wheels_that_the_platform_can_load(self, runtime: Runtime) -> None:
        linux = [PLATFORM, *(f"manylinux_2_{minor}_x86_64" for minor in range(5, 18))]
        loadable = {*cpython_tags((3, runtime.minor), platforms=linux), Tag("py3", "none", "any")}
        for pin, wheel in wheels_of(runtime).items():
            assert tags_of(wheel) & loadable, pin.name

    def test_pin_what_the_runtime_can_parse(self) -> None:
        for pin, runtime in oldest_uses().items():
            for path, content in read_wheel(wheels_of(runtime)[pin]):
                if path.endswith(".py"):
                    ast.parse(content, path, feature_version=(3, runtime.minor))

    @pytest.mark.parametrize("line", ["six", "six==1.17.0", "six==1.17.0 --hash=sha256:0", "--index-url https://x"])
    def test_a_line_of_another_form_is_refused(self, line: str) -> None:
        with pytest.raises(ValueError, match="not a line of a lock, write it with `make locks`"):
            read_pin(line)


def oldest_uses() -> Dict[Pin, Runtime]:
    """Return every wheel that is pinned anywhere, with the oldest runtime that it is for."""
    return {pin: runtime for runtime in sorted(RUNTIMES, reverse=True) for pin in read_lock(runtime)}


def tags_of(wheel: bytes) -> Set[Tag]:
    with opened(wheel) as found:
        name = next(n for n in found.namelist() if fnmatchcase(n, "*.dist-info/WHEEL"))
        lines = found.read(name).decode().splitlines()
    return {tag for line in lines if line.startswith("Tag: ") for tag in parse_tag(line[len("Tag: ") :])}


class TestLeavingOut:
    def test_every_rule_applies_to_some_file(self) -> None:
        paths = {"demo-1.0.data/scripts/demo"}  # no wheel of ours has such; one may, some day
        for runtime in RUNTIMES:
            for wheel in wheels_of(runtime).values():
                with opened(wheel) as found:
                    paths.update(found.namelist())
        for pattern, reason in LEFT_OUT:
            assert reason
            assert any(fnmatchcase(path, pattern) for path in paths), f"remove the rule {pattern}"

    def test_nothing_that_stays_imports_what_goes_but_where_it_can_do_without(self) -> None:
        kept: Dict[str, Tuple[str, bytes]] = {}
        gone: Set[str] = set()
        for pin, runtime in oldest_uses().items():
            wheel = wheels_of(runtime)[pin]
            with opened(wheel) as found:
                gone.update(
                    module_of(path) for path in found.namelist() if is_module(path) and reason_to_leave_out(path)
                )
            kept.update({f"{pin.sha256} {path}": (path, content) for path, content in read_wheel(wheel)})
        staying = {module_of(path) for path, _ in kept.values()}
        imports = {
            (path, name)
            for path, content in kept.values()
            if path.endswith(".py")
            for name in imported(path, content)
            if name in gone and name not in staying
        }
        assert imports == set(DOES_WITHOUT)


DOES_WITHOUT = {
    ("bson/__init__.py", "bson._cbson"): "tries, and has the same in Python",
    ("dateutil/tz/tz.py", "dateutil.rrule"): "only to read calendars (tzical)",
    ("dateutil/tz/tz.py", "dateutil.tz.win"): "tries",
    ("dateutil/tz/tz.py", "dateutil.zoneinfo"): "only to find a zone by its name (gettz)",
    ("requests/__init__.py", "urllib3.contrib.pyopenssl"): "tries, and only where ssl is missing",
    ("requests/adapters.py", "urllib3.contrib.socks"): "tries",
    ("requests_toolbelt/adapters/x509.py", "urllib3.contrib.pyopenssl"): "tries; nothing imports it",
    ("urllib3/__init__.py", "urllib3.contrib.emscripten"): "only in a browser",
}


def is_module(path: str) -> bool:
    return path.endswith((".py", ".so"))


def module_of(path: str) -> str:
    name = path.partition(".")[0].replace("/", ".")
    return name[: -len(".__init__")] if name.endswith(".__init__") else name


def imported(path: str, content: bytes) -> Iterator[str]:
    """Yield every name that may be a module and that a source imports, anywhere in it."""
    package = path.rpartition("/")[0].replace("/", ".")
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            base = importlib.util.resolve_name(base, package) if node.level else base
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


class TestFetching:
    """With a wheel of our own, and a pip that may not ask anyone for others."""

    @pytest.fixture
    def environ(self, tmp_path: Path) -> Dict[str, str]:
        (tmp_path / "shelf").mkdir()
        return {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "shelf")}

    @pytest.fixture
    def pin(self, tmp_path: Path, environ: Dict[str, str]) -> Pin:  # noqa: ARG002 - the shelf
        wheel = write_zip(
            {
                "demo.py": b"",
                "demo-1.0.data/purelib/more.py": b"",
                "demo-1.0.data/scripts/demo": b"",
                "demo-1.0.dist-info/LICENSE": b"",
                "demo-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
                "demo-1.0.dist-info/RECORD": b"",
                "demo-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            }
        )
        (tmp_path / "shelf" / "demo-1.0-py3-none-any.whl").write_bytes(wheel)
        return Pin("demo", "1.0", hashlib.sha256(wheel).hexdigest())

    def test_a_wheel_is_fetched_once_and_then_found(self, pin: Pin, tmp_path: Path, environ: Dict[str, str]) -> None:
        seen: List[Tuple[int, int]] = []
        first = fetch_wheels(RUNTIMES[0], [pin], tmp_path / "cache", environ, lambda *counts: seen.append(counts))
        (tmp_path / "shelf" / "demo-1.0-py3-none-any.whl").unlink()
        assert fetch_wheels(RUNTIMES[1], [pin], tmp_path / "cache", environ) == first
        assert seen[-1] == (1, 1)
        assert [path for path, _ in read_wheel(first[pin])] == ["more.py", "demo-1.0.dist-info/LICENSE", "demo.py"]
        assert len(list((tmp_path / "cache" / "wheels").iterdir())) == 1

    def test_a_spoilt_wheel_in_the_cache_is_fetched_again(
        self, pin: Pin, tmp_path: Path, environ: Dict[str, str]
    ) -> None:
        first = fetch_wheels(RUNTIMES[0], [pin], tmp_path, environ)
        (tmp_path / "wheels" / f"{pin.sha256}.whl").write_bytes(b"spoilt")
        assert fetch_wheels(RUNTIMES[0], [pin], tmp_path, environ) == first

    def test_another_wheel_than_the_pinned_is_refused(self, pin: Pin, tmp_path: Path, environ: Dict[str, str]) -> None:
        with pytest.raises(InputError, match="pip cannot fetch the dependencies: "):
            fetch_wheels(RUNTIMES[0], [pin._replace(sha256="0" * 64)], tmp_path, environ)
        assert list((tmp_path / "wheels").iterdir()) == []

    def test_without_a_network_it_says_what_is_missing(self, pin: Pin, tmp_path: Path, environ: Dict[str, str]) -> None:
        with pytest.raises(InputError, match=r"No matching distribution found for demo==2\.0"):
            fetch_wheels(RUNTIMES[0], [pin._replace(version="2.0")], tmp_path, environ)

    def test_a_cache_that_cannot_be_written_is_a_clear_failure(
        self, pin: Pin, tmp_path: Path, environ: Dict[str, str]
    ) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match=r"cannot be kept in .*file/wheels .*: set XDG_CACHE_HOME"):
            fetch_wheels(RUNTIMES[0], [pin], tmp_path / "file", environ)

    @pytest.mark.parametrize(
        ("platform", "environ", "end"),
        [
            pytest.param("linux", {"XDG_CACHE_HOME": "/c"}, "/c/cce-scheduler", id="told"),
            pytest.param("linux", {}, "/.cache/cce-scheduler", id="linux"),
            pytest.param("darwin", {}, "/Library/Caches/cce-scheduler", id="macOS"),
            pytest.param("win32", {"LOCALAPPDATA": "/l"}, "/l/cce-scheduler", id="Windows"),
        ],
    )
    def test_the_cache_is_where_the_system_keeps_such(self, platform: str, environ: Dict[str, str], end: str) -> None:
        assert cache_dir(environ, platform).as_posix().endswith(end)


class TestTheZip:
    def test_has_the_entry_and_the_files_that_say_what_to_do(self, files: Dict[str, bytes]) -> None:
        assert b"from scheduler.handler import handler" in files["index.py"]
        assert files["schedules.yaml"] == SCHEDULES.encode()
        assert files["schema/schedules.schema.json"] == (ROOT / "schema" / "schedules.schema.json").read_bytes()
        assert any(name.startswith("tzdata/zoneinfo/Asia/Bangkok") for name in files)

    def test_has_of_our_own_only_what_a_run_needs(self, files: Dict[str, bytes]) -> None:
        own = {name for name in files if name.startswith("scheduler/") and name.endswith(".py")}
        assert {"scheduler/handler.py", "scheduler/cloud/huawei.py"} <= own
        unwanted = ("scheduler/cli/", "scheduler/simulated/", "scheduler/deploy/", "scheduler/__main__.py")
        assert not [name for name in files if name.startswith(unwanted) or name.endswith("py.typed")]

    def test_has_neither_tests_nor_what_only_pip_reads(self, files: Dict[str, bytes]) -> None:
        assert not [n for n in files if "/tests/" in n or n.endswith((".pyi", ".c", ".h", "/RECORD", "/METADATA"))]

    def test_has_the_licence_of_everything_that_is_in_it(self, files: Dict[str, bytes]) -> None:
        licensed = {name.partition("-")[0].replace("_", "-").lower() for name in files if ".dist-info/" in name}
        assert licensed == {part.name for part in packaged(TEST_RUNTIME).parts if part.version}

    def test_tells_nothing_of_the_machine_it_was_made_on(self) -> None:
        with opened(packaged(TEST_RUNTIME).content) as found:
            members = found.infolist()
        assert [m.filename for m in members] == sorted(m.filename for m in members)
        assert {m.date_time for m in members} == {(1980, 1, 1, 0, 0, 0)}
        assert {m.external_attr >> 16 for m in members} == {stat.S_IFREG | 0o644}
        assert {(m.create_system, m.compress_type) for m in members} == {(3, zipfile.ZIP_DEFLATED)}

    def test_is_counted_by_what_brought_it(self) -> None:
        package = packaged(TEST_RUNTIME)
        assert {"scheduler", "schedules", "huaweicloudsdkecs", "tzdata"} <= {part.name for part in package.parts}
        with opened(package.content) as found:
            assert package.files == len(found.infolist())
            assert sum(part.size for part in package.parts) == sum(m.file_size for m in found.infolist())
        assert package.sha512 == hashlib.sha512(package.content).hexdigest()

    def test_parses_on_the_oldest_runtime(self, files: Dict[str, bytes]) -> None:
        for name, content in files.items():
            if name.startswith("scheduler/") and name.endswith(".py"):
                ast.parse(content, name, feature_version=(3, 9))

    def test_is_smaller_than_the_platform_takes(self) -> None:
        assert len(packaged(TEST_RUNTIME).content) < 8_000_000
        check_size(MOST_BYTES)
        with pytest.raises(InputError, match=r"the zip has 39\.4 MB and the platform takes 39\.3 MB"):
            check_size(39_400_000)
        with pytest.raises(InputError):
            check_size(MOST_BYTES + 1)

    def test_fits_as_text_into_a_call_where_it_is_taken(self) -> None:
        assert len(base64.b64encode(bytes(MOST_BYTES))) <= MOST_CODE

    def test_for_one_shot_has_no_schedules(self) -> None:
        names = set(files_of(packaged("Python3.10", one_shot=True).content))
        assert {"index.py", "scheduler/handler.py"} < names
        assert not {"schedules.yaml", "holidays.json"} & names

    def test_has_the_holidays_beside_the_schedules(self, tmp_path: Path) -> None:
        file = tmp_path / "dev.yaml"
        file.write_text(SCHEDULES, encoding="utf-8")
        (tmp_path / "holidays.json").write_bytes(HOLIDAYS)
        found = read_schedule_files(file)
        assert schedule_files(found) == {"schedules.yaml": SCHEDULES.encode(), "holidays.json": HOLIDAYS}

    def test_has_one_file_for_each_path(self) -> None:
        one, two, three = (Pin(name, "1.0", "") for name in ("one", "two", "three"))
        wheels = {
            one: write_zip({"shared/__init__.py": b"", "one.py": b""}),
            two: write_zip({"shared/__init__.py": b"", "two.py": b""}),
            three: write_zip({"three.pyi": b"", "three-1.0.dist-info/LICENSE": b""}),
        }
        found, owners = unpack_wheels(wheels)
        assert sorted(found) == ["one.py", "shared/__init__.py", "two.py"]
        assert owners["shared/__init__.py"].name == "one"
        with pytest.raises(InputError, match=r"two and one both bring shared/__init__\.py"):
            unpack_wheels({**wheels, two: write_zip({"shared/__init__.py": b"x = 1"})})

    def test_has_what_is_made_for_it(self) -> None:
        made = generated_files(None)
        found = files_of(packaged(TEST_RUNTIME).content)
        assert made
        assert {name: found[name] for name in made} == made


@pytest.mark.parametrize("runtime", [pytest.param(runtime_of(name), id=name) for name in OFFERED])
class TestTheZipOfARuntime:
    """What can be said of a zip without the Python that it is for."""

    def test_has_extension_modules_that_the_platform_can_load(self, runtime: Runtime) -> None:
        modules = {n: c for n, c in files_of(packaged(runtime.name).content).items() if ".so" in n.rpartition("/")[2]}
        assert modules
        for name, content in modules.items():
            assert fnmatchcase(name, f"*.cpython-3{runtime.minor}-x86_64-linux-gnu.so") or ".abi3." in name, name
            assert glibc_of(content) <= (2, 17), name

    def test_has_of_our_own_nothing_that_python_3_9_cannot_parse(self, runtime: Runtime) -> None:
        own = {name: content for name, content in files_of(packaged(runtime.name).content).items() if is_own(name)}
        assert {"index.py", "scheduler/handler.py", "scheduler/evaluate.py"} <= set(own)
        for name, content in own.items():
            ast.parse(content, name, feature_version=(3, 9))

    def test_has_bytecode_of_that_runtime_or_none(self, runtime: Runtime) -> None:
        package = packaged(runtime.name)
        compiled = [name for name in files_of(package.content) if name.endswith(".pyc")]
        assert bool(compiled) is (package.bytecode is not None)
        assert all(name.endswith(f".cpython-3{runtime.minor}.pyc") for name in compiled)


def is_own(name: str) -> bool:
    return name == "index.py" or (name.startswith("scheduler/") and name.endswith(".py"))


def glibc_of(module: bytes) -> Tuple[int, int]:
    """Return the newest glibc that an extension module for Linux on x86_64 names, and so may ask for."""
    machine = int.from_bytes(module[18:20], "little")
    assert (module[:5], machine) == (b"\x7fELF\x02", 62)
    named = re.findall(rb"\0GLIBC_(\d+)\.(\d+)", module)
    assert named
    return max((int(major), int(minor)) for major, minor in named)


class TestBytecode:
    @pytest.fixture(autouse=True)
    def _compiled(self) -> None:
        if packaged(TEST_RUNTIME).bytecode is None:
            pytest.skip(NOT_RUN.format("3.11"))

    def test_is_there_for_every_module(self, files: Dict[str, bytes]) -> None:
        runtime = runtime_of(TEST_RUNTIME)
        modules = {name for name in files if name.endswith(".py")}
        compiled = {name for name in files if name.endswith(".pyc")}
        assert compiled == {bytecode_path(name, runtime) for name in modules}
        assert {source_path(name) for name in compiled} == modules

    def test_is_never_checked_against_its_source_but_for_the_entry(self, files: Dict[str, bytes]) -> None:
        entry = bytecode_path("index.py", runtime_of(TEST_RUNTIME))
        heads = {content[4:8] for name, content in files.items() if name.endswith(".pyc") and name != entry}
        assert heads == {b"\1\0\0\0"}  # PEP 552: by hash, unchecked
        assert files[entry][4:8] == b"\3\0\0\0"  # by hash, checked

    @pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="loads the bytecode of 3.11")
    def test_of_the_entry_gives_way_to_an_edited_source(self, files: Dict[str, bytes], tmp_path: Path) -> None:
        entry = bytecode_path("index.py", runtime_of(TEST_RUNTIME))
        (tmp_path / entry).parent.mkdir()
        (tmp_path / entry).write_bytes(files[entry])
        (tmp_path / "index.py").write_text("handler = 'edited'\n", encoding="utf-8")
        code = SourceFileLoader("index", str(tmp_path / "index.py")).get_code("index")
        assert code is not None
        assert "edited" in code.co_consts

    @pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="reads the bytecode of 3.11")
    def test_shows_the_paths_of_the_platform(self, files: Dict[str, bytes]) -> None:
        for name, content in files.items():
            if name.endswith(".pyc"):
                code = marshal.loads(content[16:])  # noqa: S302 - made by this test
                assert isinstance(code, CodeType)
                assert code.co_filename == f"{CODE_ROOT}/{source_path(name)}"
                assert content[8:16] == importlib.util.source_hash(files[source_path(name)])

    def test_is_left_out_where_no_interpreter_is_at_hand(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
        monkeypatch.chdir(tmp_path)
        ended = run("package", "--one-shot", "--runtime", OTHER.name)
        assert ended.code == 0
        assert ended.stderr.startswith(f"no Python {OTHER.python} is at hand to compile with: every cold start will")
        assert f"runtime {OTHER.name}, handler index.handler, no bytecode\n" in ended.stdout
        assert not [n for n in files_of((tmp_path / "function.zip").read_bytes()) if n.endswith(".pyc")]

    def test_is_not_made_by_another_python_of_that_name(self, tmp_path: Path) -> None:
        for text in (f'#!/bin/sh\nexec {sys.executable} "$@"\n', "#!/bin/sh\nexit 127\n", "not a program"):
            fake = tmp_path / f"python{OTHER.python}"
            fake.write_text(text, encoding="utf-8")
            fake.chmod(0o755)
            assert find_interpreter(OTHER, {"PATH": str(tmp_path), "PYENV_ROOT": str(tmp_path)}) is None

    @pytest.mark.skipif(HERE is None, reason="no runtime has the Python of this test")
    def test_is_not_made_of_what_this_python_cannot_read(self) -> None:
        assert HERE is not None
        sources = {"later.py": b"def f(:\n", "a/b.py": b"x = {1, 2, 3}\n"}
        compiled = compile_sources(Interpreter(Path(sys.executable), ""), sources, HERE, {})
        assert list(compiled) == [bytecode_path("a/b.py", HERE)]

    def test_an_interpreter_that_breaks_is_a_clear_failure(self, tmp_path: Path) -> None:
        broken = tmp_path / "python"
        broken.write_text("#!/bin/sh\necho no luck >&2\nexit 3\n", encoding="utf-8")
        broken.chmod(0o755)
        with pytest.raises(CompileError, match="python cannot compile: no luck"):
            compile_sources(Interpreter(broken, ""), {}, OTHER, {})


class TestTheCommand:
    @pytest.fixture(autouse=True)
    def _here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        isolate(monkeypatch)
        monkeypatch.chdir(tmp_path)
        write_schedules(tmp_path)

    def test_makes_the_same_zip_anywhere(self, tmp_path: Path) -> None:
        ended = package_elsewhere(tmp_path / "clone")
        assert (ended.code, ended.stderr) == (0, "")
        expected = packaged(TEST_RUNTIME)
        made = tmp_path / "clone" / "work" / "dev.zip"
        assert made.read_bytes() == expected.content
        assert ended.json == {
            "file": "dev.zip",
            "runtime": TEST_RUNTIME,
            "handler": "index.handler",
            "one_shot": False,
            "size": len(expected.content),
            "files": expected.files,
            "sha512": expected.sha512,
            "bytecode": expected.bytecode,
            "packages": [part._asdict() for part in expected.parts],
        }
        assert stat.S_IMODE(made.stat().st_mode) == 0o600
        assert [path.name for path in made.parent.iterdir() if path.name != "s.yaml"] == ["dev.zip"]

    def test_shows_size_contents_and_digest(self, tmp_path: Path) -> None:
        ended = run("package", "--runtime", "Python3.10", "--one-shot")
        expected = packaged("Python3.10", one_shot=True)
        assert ended.code == 0
        lines = ended.stdout.splitlines()
        assert lines[0].split() == ["PACKAGE", "VERSION", "FILES", "UNPACKED", "ZIPPED"]
        assert lines[1].startswith(expected.parts[0].name)
        megabytes = len(expected.content) / 1e6
        assert f"function.zip: {megabytes:.2f} MB for the one-shot mode, without schedules" in lines
        assert lines[-1] == f"sha512 {expected.sha512}"
        assert lines[-2].startswith("runtime Python3.10, handler index.handler, ")
        assert (tmp_path / "function.zip").read_bytes() == expected.content

    @pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
    def test_refuses_a_bad_file_and_writes_nothing(self, options: Tuple[str, ...], tmp_path: Path) -> None:
        (tmp_path / "schedules.yaml").write_text("version: 1\nclusters: [{name: dev}]\n", encoding="utf-8")
        ended = run("package", *options)
        assert (ended.code, ended.stdout) == (1, "")
        assert 'schedules.yaml:2:12: clusters[0]: lacks "cluster_id"' in ended.stderr
        assert os.listdir(tmp_path) == ["schedules.yaml"]  # noqa: PTH208

    def test_a_bad_file_leaves_the_last_zip_as_it_was(self, tmp_path: Path) -> None:
        write_package(packaged(TEST_RUNTIME), tmp_path / "function.zip")
        before = (tmp_path / "function.zip").stat()
        (tmp_path / "schedules.yaml").write_text("version: 2\n", encoding="utf-8")
        assert run("package").code == 1
        assert (tmp_path / "function.zip").stat() == before

    def test_an_unknown_runtime_is_wrong_usage(self) -> None:
        ended = run("package", "--runtime", "Python3.13")
        assert ended.code == 64
        assert all(name.startswith("Python3.") for name in OFFERED)
        assert '"Python3.13" is not known: did you mean "Python3.1' in ended.stderr

    def test_a_runtime_that_is_only_for_tests_is_wrong_usage(self, tmp_path: Path) -> None:
        ended = run("package", "--runtime", TEST_RUNTIME)
        assert ended.code == 64
        message = "Python3.11 is not a runtime of the platform: write Python3.9 or Python3.10 or Python3.12"
        assert message in " ".join(ended.stderr.replace("│", " ").split())
        assert not (tmp_path / "function.zip").exists()
        assert "for-tests" not in run("package", "--help").stdout


def package_elsewhere(clone: Path) -> Ended:
    """Package in a process of its own from a copy of the sources: other path, times, modes, umask, seed and cwd."""
    for folder in ("scheduler", "schema"):
        shutil.copytree(ROOT / folder, clone / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for number, path in enumerate(sorted(clone.rglob("*.*"))):
        path.chmod(0o600)
        os.utime(path, (number, number))
    work = clone / "work"
    work.mkdir()
    (work / "s.yaml").write_text(SCHEDULES, encoding="utf-8")
    command = ["package", "--runtime", TEST_RUNTIME, "--for-tests", "--file", "s.yaml", "--output", "dev.zip", "--json"]
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "scheduler", *command],
        cwd=work,
        env={**os.environ, "PYTHONPATH": str(clone), "PYTHONHASHSEED": "7", "TZ": "Asia/Bangkok"},
        umask=0o077,
        capture_output=True,
        text=True,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


class TestTheOutput:
    def test_of_this_command_is_replaced_and_anything_else_is_not(self, tmp_path: Path) -> None:
        output = tmp_path / "function.zip"
        check_output(output, None, force=False)
        write_package(packaged(TEST_RUNTIME), output)
        assert is_package(output)
        check_output(output, None, force=False)
        for content in (b"", b"mine", write_zip({"index.py": b"mine"}), write_zip({"a": b""})):
            output.write_bytes(content)
            with pytest.raises(InputError, match=r"was not made by this command: .* or add --force"):
                check_output(output, None, force=False)
            check_output(output, None, force=True)

    def test_is_never_the_schedules_file(self, tmp_path: Path) -> None:
        file = write_schedules(tmp_path)
        with pytest.raises(InputError, match="is the schedules file itself"):
            check_output(file, tmp_path / "." / "schedules.yaml", force=True)

    def test_is_a_file_in_a_directory_that_exists(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="is not a directory"):
            check_output(tmp_path / "missing" / "function.zip", None, force=True)
        with pytest.raises(InputError, match="is not a file"):
            check_output(tmp_path, None, force=True)

    def test_is_written_whole_or_not_at_all(self, tmp_path: Path) -> None:
        (tmp_path / "taken").mkdir()
        with pytest.raises(InputError, match="taken cannot be written"):
            write_package(packaged(TEST_RUNTIME), tmp_path / "taken")
        assert os.listdir(tmp_path) == ["taken"]  # noqa: PTH208

    def test_through_a_link_is_written_where_it_leads(self, tmp_path: Path) -> None:
        (tmp_path / "there").mkdir()
        (tmp_path / "link.zip").symlink_to(tmp_path / "there" / "real.zip")
        write_package(packaged(TEST_RUNTIME), tmp_path / "link.zip")
        assert (tmp_path / "link.zip").is_symlink()
        assert is_package(tmp_path / "there" / "real.zip")
