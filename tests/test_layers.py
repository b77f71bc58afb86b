"""Which module may import which, and who may read the clock: the order of the layers, read from the sources."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import FrozenSet, Iterable, Iterator, List, Mapping, Set, Tuple

import pytest

Reads = Mapping[str, Tuple[str, ...]]
"""What of a module, or of a class, is a reading of the clock or the environment."""

ROOT = Path(__file__).parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).replace(".__init__", ""): path
    for path in sorted((ROOT / "scheduler").rglob("*.py"))
}

LAYERS: Tuple[Tuple[str, ...], ...] = (
    ("scheduler", "scheduler.errors", "scheduler.tuples"),
    ("scheduler.model",),
    (
        *("scheduler.localtime", "scheduler.describe", "scheduler.hours", "scheduler.document", "scheduler.settings"),
        *("scheduler.public_holidays", "scheduler.spans", "scheduler.cron"),
    ),
    (
        *("scheduler.evaluate", "scheduler.parts", "scheduler.function", "scheduler.control_plane"),
        "scheduler.remote_override",
    ),
    (
        *("scheduler.config", "scheduler.plan", "scheduler.report", "scheduler.compiled", "scheduler.savings"),
        *("scheduler.explain", "scheduler.compare"),
    ),
    ("scheduler.cloud", "scheduler.cloud.*", "scheduler.caution", "scheduler.misreading"),
    ("scheduler.execute", "scheduler.observe", "scheduler.doctor"),
    ("scheduler.place",),
    ("scheduler.reconcile",),
    ("scheduler.handler",),
    ("scheduler.simulated.rehearsal", "scheduler.deploy", "scheduler.deploy.*"),
    ("scheduler.cli", "scheduler.cli.*"),
    ("scheduler.__main__",),
)
"""The layers of the product: a module imports from its own layer and those before it, never from a later one."""
SIMULATED: Tuple[Tuple[str, ...], ...] = (
    ("scheduler.simulated.calls", "scheduler.simulated.servers", "scheduler.simulated.signature"),
    ("scheduler.simulated.jobs", "scheduler.simulated.runtime"),
    (
        "scheduler.simulated.cloud",
        "scheduler.simulated.clusters",
        "scheduler.simulated.functions",
        "scheduler.simulated.platform",
    ),
    ("scheduler.simulated.cce", "scheduler.simulated.ecs", "scheduler.simulated.functiongraph"),
    ("scheduler.simulated.http", "scheduler.simulated.chaos"),
    ("scheduler.simulated",),
)
"""The simulated cloud has layers of its own. It knows nothing of the product but `MODEL`."""
MODEL = frozenset({"scheduler.model"})
ONLY_USERS_OF_THE_SIMULATED_CLOUD = ("scheduler.simulated.rehearsal", "scheduler.cli.*")
"""The product itself never imports the simulated cloud."""

THIRD_PARTY = {
    "croniter": ("scheduler.evaluate",),
    "huaweicloudsdkcce": ("scheduler.cloud.huawei_cce",),
    "huaweicloudsdkcore": ("scheduler.cloud.*",),
    "huaweicloudsdkecs": ("scheduler.cloud.huawei",),
    "huaweicloudsdkfunctiongraph": ("scheduler.deploy.functiongraph",),
    "requests": ("scheduler.cloud.sdk", "scheduler.deploy.functiongraph"),
    "urllib3": ("scheduler.cloud.sdk",),
    "jsonschema": ("scheduler.document",),
    "yaml": ("scheduler.document",),
    "typer": ("scheduler.cli", "scheduler.cli.*"),
    "rich": ("scheduler.cli", "scheduler.cli.*"),
    "icalendar": ("scheduler.cli.*",),
    "holidays": ("scheduler.cli.*",),
    "jinja2": ("scheduler.cli.page",),
    "packaging": ("scheduler.deploy.lock",),
    "werkzeug": ("scheduler.simulated.http", "scheduler.cli.*"),
    "_typeshed": ("scheduler.simulated.http",),
}
"""The only importers of each library; one that is not here is imported by nobody."""

CLOCK: Reads = {
    "datetime": ("now", "utcnow", "today"),
    "date": ("today",),
    "time": ("time", "monotonic", "perf_counter"),
}
ENVIRONMENT: Reads = {"os": ("environ", "getenv", "environb")}
READERS_OF_THE_CLOCK = (
    "scheduler.handler",
    "scheduler.cli",
    "scheduler.cli.*",
    "scheduler.simulated.http",  # by default signing dates are compared with the real time
    "scheduler.simulated.rehearsal",  # each rehearsed run has the real deadline
    "scheduler.simulated.runtime",  # in a process of its own it is the platform
)
"""The only readers of the clock; the rest is handed the time."""
READERS_OF_THE_ENVIRONMENT = (
    "scheduler.handler",
    "scheduler.cli",
    "scheduler.cli.*",
    "scheduler.simulated.runtime",
)


def fits(module: str, patterns: Tuple[str, ...]) -> bool:
    """Whether a module is one of these; ``package.*`` stands for the modules in a package that are not named."""
    return module in patterns or f"{module.rpartition('.')[0]}.*" in patterns


def place(module: str, layers: Tuple[Tuple[str, ...], ...]) -> List[int]:
    """Return the layers that name a module, by its own name if any does so."""
    by_name = [number for number, patterns in enumerate(layers) if module in patterns]
    return by_name or [number for number, patterns in enumerate(layers) if fits(module, patterns)]


def parse(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def loading(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a module that are carried out when it is loaded: no functions, nothing for type checkers."""
    yield node
    for child in ast.iter_child_nodes(node):
        is_for_types = isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING"
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not is_for_types:
            yield from loading(child)


def imports_of(module: str, nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield what is imported in some parts of a module, by full names."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively: the function's entry file has no package"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else str(node.module)


def own_imports(module: str, nodes: Iterable[ast.AST]) -> FrozenSet[str]:
    return frozenset(name for name in imports_of(module, nodes) if name in MODULES and name != module)


OWN = {module: own_imports(module, ast.walk(parse(module))) for module in MODULES}
LOADED = {module: own_imports(module, loading(parse(module))) for module in MODULES}


def strayed() -> Iterator[str]:
    """Yield every import from a later layer."""
    for module, imported in OWN.items():
        for layers in (LAYERS, SIMULATED):
            for own in place(module, layers):
                for other in imported:
                    yield from (f"{module} imports {other}" for later in place(other, layers) if later > own)


def cycles() -> Iterator[str]:
    """Yield the modules that cannot be loaded before themselves."""
    for module in MODULES:
        seen: Set[str] = set()
        waiting = list(LOADED[module])
        while waiting:
            other = waiting.pop()
            if other not in seen:
                seen.add(other)
                waiting.extend(LOADED[other])
        if module in seen:
            yield module


def reads(module: str, sources: Reads) -> Iterator[str]:
    """Yield what a module reads of the clock or the environment, called or handed on."""
    for node in ast.walk(parse(module)):
        if isinstance(node, ast.Attribute):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if node.attr in sources.get(owner, ()):
                yield f"{module}:{node.lineno}: {owner}.{node.attr}"
        elif isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names} & set(sources.get(str(node.module), ()))
            yield from (f"{module}:{node.lineno}: from {node.module} import {name}" for name in names)


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_its_place_in_one_layer(module: str) -> None:
    assert len(place(module, LAYERS)) + len(place(module, SIMULATED)) == 1, (
        f"say in which layer {module} lies: add it to LAYERS or SIMULATED of this file"
    )


def test_the_tables_name_no_module_that_is_gone() -> None:
    named = {pattern for layers in (LAYERS, SIMULATED) for layer in layers for pattern in layer}
    assert {pattern for pattern in named if not pattern.endswith(".*")} <= set(MODULES)


def test_imports_go_one_way() -> None:
    assert list(strayed()) == []


def test_no_module_waits_for_itself_to_be_loaded() -> None:
    assert list(cycles()) == []


@pytest.mark.parametrize("module", [m for m in MODULES if place(m, SIMULATED)])
def test_the_simulated_cloud_knows_only_the_model(module: str) -> None:
    assert {name for name in OWN[module] if not name.startswith("scheduler.simulated")} <= MODEL


@pytest.mark.parametrize("module", [m for m in MODULES if place(m, LAYERS)])
def test_the_product_does_not_know_the_simulated_cloud(module: str) -> None:
    simulated = {name for name in OWN[module] if name.startswith("scheduler.simulated")}
    assert not simulated or fits(module, ONLY_USERS_OF_THE_SIMULATED_CLOUD)


@pytest.mark.skipif(sys.version_info < (3, 10), reason="this Python does not know the names of its own library")
@pytest.mark.parametrize("module", MODULES)
def test_a_library_is_imported_where_it_belongs(module: str) -> None:
    known = {"scheduler", *getattr(sys, "stdlib_module_names", ())}
    libraries = {name.partition(".")[0] for name in imports_of(module, ast.walk(parse(module)))} - known
    strays = {library for library in libraries if not fits(module, THIRD_PARTY.get(library, ()))}
    assert not strays, f"{module} imports {', '.join(strays)}: THIRD_PARTY of this file says who may"


@pytest.mark.parametrize("module", [m for m in MODULES if not fits(m, READERS_OF_THE_CLOCK)])
def test_the_time_is_handed_in(module: str) -> None:
    assert list(reads(module, CLOCK)) == []


@pytest.mark.parametrize("module", [m for m in MODULES if not fits(m, READERS_OF_THE_ENVIRONMENT)])
def test_the_environment_is_handed_in(module: str) -> None:
    assert list(reads(module, ENVIRONMENT)) == []


def test_the_clock_is_found_where_it_is_read() -> None:
    """Or the two tests above would hold whatever anybody reads."""
    assert any("datetime.now" in found for found in reads("scheduler.handler", CLOCK))
    assert any("time.monotonic" in found for found in reads("scheduler.handler", CLOCK))
    assert any("os.environ" in found for found in reads("scheduler.handler", ENVIRONMENT))


def loaded_by(code: str) -> Set[str]:
    """Return the modules that a fresh interpreter has loaded after some code."""
    shown = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return set(shown.stdout.split())


def test_importing_the_function_loads_nothing_that_it_may_not_need() -> None:
    """Every run is a cold start, and a run may need neither the cloud nor an expression."""
    loaded = loaded_by("import scheduler.handler")
    heavy = {"croniter", "jsonschema", "requests", "dataclasses", "werkzeug", "typer", "rich", "pytz", "dateutil"}
    assert "scheduler.reconcile" in loaded
    assert not heavy & loaded
    assert not [name for name in loaded if name.startswith("huaweicloudsdk")]
    assert not [name for name in loaded if name.startswith(("scheduler.cli", "scheduler.simulated"))]
    idle = {"scheduler.place", "scheduler.plan", "scheduler.execute", "scheduler.cloud", "http", "threading"}
    assert not idle & loaded


def test_importing_the_edge_loads_the_sdk() -> None:
    """Or the test above would hold whatever is imported."""
    loaded = loaded_by("import scheduler.cloud.huawei")
    assert "huaweicloudsdkecs.v2" in loaded
    assert not [name for name in loaded if name.startswith("huaweicloudsdkcce")]
