import importlib
from pathlib import Path
from typing import Any, Dict, Sequence

import pytest

from scheduler.deploy.postponed import LATE_EXPRESSIONS, POSTPONED, compile_late, postpone_imports

_LIBRARIES = Path(importlib.import_module("huaweicloudsdkcore").__file__ or "").parent.parent


def changed(source: str, *names: str) -> Any:
    found = postpone_imports(source.encode(), names)
    return None if found is None else found.decode()


def loaded(source: bytes) -> Dict[str, Any]:
    module: Dict[str, Any] = {"__name__": "changed"}
    exec(compile(source, "changed", "exec"), module)  # noqa: S102 - our own text
    return module


@pytest.mark.parametrize(("path", "names"), POSTPONED.items())
def test_every_import_can_be_postponed_in_the_installed_release(path: str, names: Sequence[str]) -> None:
    assert postpone_imports((_LIBRARIES / path).read_bytes(), names) is not None


@pytest.mark.parametrize("path", LATE_EXPRESSIONS)
def test_every_expression_can_be_late_in_the_installed_release(path: str) -> None:
    found = compile_late((_LIBRARIES / path).read_bytes())
    assert found is not None
    assert found.count(b"re.compile") == 1


def test_an_import_moves_into_the_functions_that_use_it() -> None:
    source = (
        'import json as j, sys\n\n\ndef f():\n    """Doc."""\n    return j.dumps(1)\n\n\ndef g():\n    return sys\n'
    )
    expected = (
        'import sys\n\n\ndef f():\n    """Doc."""\n    import json as j\n    return j.dumps(1)\n\n\n'
        "def g():\n    return sys\n"
    )
    assert changed(source, "j") == expected
    assert loaded(expected.encode())["f"]() == "1"


def test_methods_nested_functions_and_imports_from_work_as_before() -> None:
    source = (
        "from math import (\n    floor as down,\n    ceil,\n)\nclass A:\n    def f(self):\n"
        "        def inner(): return down(1.5) + ceil(1.5)\n        return inner()\n"
    )
    found = changed(source, "down", "ceil")
    assert found is not None
    module = loaded(found.encode())
    assert not {"down", "ceil"} & set(module)
    assert module["A"]().f() == 3


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("import json\nX = json\ndef f(): return 1\n", id="used while loading"),
        pytest.param("import json\ndef f(a=json):\n    return 1\n", id="a default"),
        pytest.param("import json\n@json.x\ndef f():\n    return 1\n", id="a decorator"),
        pytest.param("import json\ndef f() -> json.X:\n    return 1\n", id="an annotation"),
        pytest.param("import json\ndef f(json):\n    return json\n", id="a parameter"),
        pytest.param("import json\ndef f():\n    json = 1\n    return json\n", id="another value"),
        pytest.param("import json\ndef f():\n    global json\n    return json\n", id="declared"),
        pytest.param("import json\ndef f(): return json\n", id="one line"),
        pytest.param("import sys\ndef f():\n    return json\n", id="not imported"),
        pytest.param("try:\n    import json\nexcept ImportError:\n    pass\n", id="imported under a condition"),
    ],
)
def test_what_would_change_a_module_is_not_done(source: str) -> None:
    assert changed(source, "json") is None


@pytest.mark.parametrize("text", ["[::1]", "[fe80::1%25eth0]", "::1", "example.com", "", "[x]"])
def test_late_expressions_find_what_the_real_ones_find(text: str) -> None:
    path = LATE_EXPRESSIONS[0]
    real = importlib.import_module(path[: -len(".py")].replace("/", "."))
    source = (compile_late((_LIBRARIES / path).read_bytes()) or b"").replace(b"from .", b"from urllib3.util.")
    late = loaded(source.replace(b"urllib3.util..", b"urllib3."))
    expressions = [name for name in late if name.endswith("_RE")]
    assert len(expressions) > 5
    for name in expressions:
        ours, theirs = late[name].match(text), getattr(real, name).match(text)
        assert (ours and ours.groups()) == (theirs and theirs.groups()), name
    assert late["_PERCENT_RE"].subn("x", "a%20") == ("ax", 1)


@pytest.mark.parametrize("source", ["import re\n", "X = re.compile(1)\n", "import re as r\nX = r.compile(1)\n"])
def test_a_module_with_no_plain_expression_is_left_alone(source: str) -> None:
    assert compile_late(source.encode()) is None
