"""What the function's bytecode makes of our modules, held against what their sources say."""

import ast
import copy
import inspect
import subprocess
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, List

import pytest

from scheduler.deploy.erase import erase
from scheduler.deploy.sources import own_files

OWN = {path: content for path, content in own_files().items() if path.endswith(".py")}


def module_of(tree: ast.Module, name: str = "erased") -> Any:
    module = ModuleType(name)
    exec(compile(tree, f"{name}.py", "exec"), vars(module))  # noqa: S102 - our own text
    return module


def both(source: str, name: str) -> List[Any]:
    """Return a class as the source has it, and as it is written out."""
    head = "from typing import NamedTuple, Optional\n"
    trees = (ast.parse(head + source), erase((head + source).encode()))
    return [getattr(module_of(tree), name) for tree in trees]


def classes_on(base: str, tree: ast.Module) -> List[str]:
    """Return the names of the classes whose first base is of that name."""
    classes = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    return [node.name for node in classes if node.bases and getattr(node.bases[0], "id", "") == base]


EXAMPLE = '''
class Example(NamedTuple):
    """Says what it is."""

    a: int
    b: Optional[str] = None
    """Says what b is."""
    c: tuple = (1, 2)

    @property
    def total(self) -> int:
        return self.a + len(self.c)
'''


def test_a_named_tuple_behaves_as_before() -> None:
    for shown in (
        lambda kind: (kind(1), kind(1, c=()), kind(b="x", a=2)),
        lambda kind: (repr(kind(1)), kind._fields, kind._field_defaults, kind.__doc__, kind.__name__, kind.__slots__),
        lambda kind: (kind(1).total, kind(1)._replace(a=5), kind._make([1, 2, 3]), kind(1)._asdict(), hash(kind(1))),
        lambda kind: [str(p.default) for p in inspect.signature(kind).parameters.values()],
        lambda kind: (list(inspect.signature(kind).parameters), getattr(kind, "__match_args__", None) or kind._fields),
        lambda kind: (kind(1) == (1, None, (1, 2)), kind(1) < kind(2), isinstance(kind(1), tuple), kind(1)[:1]),
        lambda kind: (copy.deepcopy(kind(1)), copy.copy(kind(1)), kind(1).__getnewargs__(), hasattr(kind(1), "x")),
        lambda kind: kind.a.__doc__,
    ):
        theirs, ours = (shown(kind) for kind in both(EXAMPLE, "Example"))
        assert ours == theirs


@pytest.mark.parametrize("call", ["()", "(1, 2, 3, 4)", "(1, d=2)", "(1).a = 2", "(1)._replace(d=1)", "._make([1])"])
def test_a_named_tuple_refuses_what_it_refused_before(call: str) -> None:
    kinds = []
    for kind in both(EXAMPLE, "Example"):
        with pytest.raises((TypeError, ValueError, AttributeError)) as raised:
            exec(f"kind{call}", {"kind": kind})  # noqa: S102 - our own text
        kinds.append(raised.type)
    # From Python 3.13 on the real one raises a TypeError where a field is unknown.
    assert kinds[0] is kinds[1] or (sys.version_info >= (3, 13) and "_replace" in call)


@pytest.mark.parametrize("path", OWN)
def test_every_module_is_erased_to_the_same_classes_with_the_same_fields(path: str) -> None:
    erased = erase(OWN[path])
    assert classes_on("_WrittenOut", erased) == classes_on("NamedTuple", ast.parse(OWN[path]))
    signed = [node for node in ast.walk(erased) if isinstance(node, (ast.FunctionDef, ast.arg))]
    assert not [node for node in signed if getattr(node, "returns", None) or getattr(node, "annotation", None)]
    compile(erased, path, "exec")


def test_every_module_loads_erased_and_its_tuples_have_their_fields() -> None:
    """In a process of its own, in which every module of the function is replaced before it is loaded."""
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", _LOAD], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert int(done.stdout) > 30


_LOAD = """
import importlib.abc, importlib.util, inspect, sys
from importlib.machinery import PathFinder
from scheduler.deploy.erase import erase
from scheduler.deploy.sources import own_files

own = {p[:-3].replace("/", ".").replace(".__init__", ""): c for p, c in own_files().items() if p.endswith(".py")}
real = {name: importlib.import_module(name) for name in own if name != "scheduler.tuples"}
for name in [n for n in sys.modules if n.startswith("scheduler")]:
    del sys.modules[name]

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        spec = PathFinder.find_spec(name, path, target) if name in own else None
        if spec is not None:
            spec.loader.get_code = lambda n: compile(erase(own[n]), n, "exec")
        return spec

sys.meta_path.insert(0, Finder())
count = 0
for name, module in real.items():
    erased = importlib.import_module(name)
    assert erased is not module
    for key, kind in vars(module).items():
        if isinstance(kind, type) and issubclass(kind, tuple) and kind.__module__ == name and hasattr(kind, "_fields"):
            ours = getattr(erased, key)
            assert ours.__mro__[1].__name__ == "WrittenOut", kind
            assert (ours._fields, list(ours._field_defaults)) == (kind._fields, list(kind._field_defaults)), kind
            assert list(inspect.signature(ours).parameters) == list(inspect.signature(kind).parameters), kind
            assert set(dir(kind)) - set(dir(ours)) <= {"__annotations__", "__orig_bases__", "__replace__"}, kind
            count += 1
print(count)
"""


def test_a_traceback_names_the_line_of_the_source() -> None:
    source = b'"""Doc."""\nfrom typing import NamedTuple\n\n\nclass A(NamedTuple):\n    a: int\n\n'
    source += b"\ndef f() -> None:\n    1 / 0\n"
    with pytest.raises(ZeroDivisionError) as raised:
        module_of(erase(source)).f()
    assert traceback.extract_tb(raised.value.__traceback__)[-1].lineno == 10


@pytest.mark.parametrize("path", OWN)
def test_no_module_imports_typing(path: str) -> None:
    imports = [node for node in ast.walk(erase(OWN[path])) if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {getattr(node, "module", None) or node.names[0].name for node in imports}
    assert "typing" not in names


TYPES = """
from typing import TYPE_CHECKING, Dict, List, NewType, Optional, Protocol, TypeVar, Union, cast

if TYPE_CHECKING:
    from nowhere import Nothing

Alias = Dict[str, Optional["Nothing"]]
Kind = NewType("Kind", int)
Any_ = TypeVar("Any_")
table: Dict[str, int] = {"a": 1}


class Wants(Protocol):
    def get(self) -> Optional[int]: ...


def first(values: List[Any_]) -> Union[Any_, None]:
    found: Optional[Any_] = None
    for found in values:
        break
    return found
"""


def test_what_only_types_need_is_gone_and_the_rest_does_as_before() -> None:
    tree = erase(TYPES.encode())
    assert "typing" not in ast.unparse(tree)
    assert "nowhere" not in ast.unparse(tree)
    made = module_of(tree)
    assert (made.Alias, made.Any_, made.table) == (None, None, {"a": 1})
    assert made.Kind("7") == 7
    assert made.Wants().get() is None
    assert (made.first([3, 4]), made.first([])) == (3, None)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        pytest.param("from typing import cast\nx = cast(int, 1)\n", "cast", id="a call"),
        pytest.param("from typing import Dict\nx = {'a': Dict[str, int]}\n", "Dict", id="a value in a value"),
        pytest.param("from typing import Any as Whatever\n", "Any", id="under another name"),
        pytest.param("from typing import TYPE_CHECKING\nx = not TYPE_CHECKING\n", "TYPE_CHECKING", id="a value"),
    ],
)
def test_what_is_used_in_any_other_way_is_still_imported(source: str, name: str) -> None:
    tree = erase(source.encode())
    assert f"from typing import {name}" in ast.unparse(tree)
    theirs, ours = vars(module_of(ast.parse(source))), vars(module_of(tree))
    public = [key for key in theirs if not key.startswith("_")]
    assert [ours[key] for key in public] == [theirs[key] for key in public]
