"""Imports and regular expressions of the libraries that wait, in the function, until something needs them.

Both are changes of text: the line goes, or ``re.compile`` becomes a look-alike, and everything else stays as it was,
so that a traceback still names the right line or nearly so. A file that does not look as expected is left alone.
"""

import ast
from typing import Dict, FrozenSet, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple, Union

POSTPONED: Mapping[str, Tuple[str, ...]] = {
    "huaweicloudsdkcore/auth/internal.py": ("urlparse", "user_agent_string"),
    "huaweicloudsdkcore/auth/provider.py": ("configparser",),
    "huaweicloudsdkcore/client.py": ("RotatingFileHandler", "MultipartEncoder", "bson"),
    "huaweicloudsdkcore/signer/utils.py": ("secrets", "encoder", "decoder", "univ"),
    "requests/utils.py": ("zipfile",),
    "urllib3/fields.py": ("mimetypes",),
}
"""File -> names that it imports and, in a run, never uses: only functions that no run calls do."""

LATE_EXPRESSIONS = ("urllib3/util/url.py",)
"""Files whose regular expressions are for parts that most addresses lack: IPv6 alone takes a hundredth of a run."""

_LATE = '''

class _LateExpression:
    """A regular expression that is compiled when it is first used."""

    __slots__ = ("_args", "_compiled")

    def __init__(self, *args):
        self._args = args

    def __getattr__(self, name):
        if name == "_compiled":
            self._compiled = re.compile(*self._args)
            return self._compiled
        return getattr(self._compiled, name)

    def match(self, text, *args):
        if self._args[0].startswith("^\\\\[") and not args and not text.startswith("["):
            return None
        return self._compiled.match(text, *args)

'''

_Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]


class _Edit(NamedTuple):
    """Replaces the text between two positions, as ``ast`` counts them: lines from 1, columns in bytes."""

    start: Tuple[int, int]
    end: Tuple[int, int]
    text: str


def postpone_imports(source: bytes, names: Sequence[str]) -> Optional[bytes]:
    """Move imports of names into the functions that use them, None where that would change what the file does."""
    tree = ast.parse(source)
    edits: List[_Edit] = []
    moved: Dict[str, str] = {}
    for statement in tree.body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            found = {alias.asname or alias.name: _import_of(statement, alias) for alias in statement.names}
            going = {name: text for name, text in found.items() if name in names}
            if going:
                staying = "; ".join(text for name, text in found.items() if name not in going) or "pass"
                edits.append(_Edit(_start(statement), _end(statement), staying))
                moved.update(going)
    functions = list(_outermost_functions(tree))
    inside = {id(node) for function in functions for part in function.body for node in ast.walk(part)}
    outside = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in inside}
    if set(moved) != set(names) or (outside | _bound(tree)) & set(names):
        return None
    for function in functions:
        used = _loaded(function) & set(names)
        if used:
            first = _first_statement(function)
            if first is None:
                return None
            lines = "; ".join(moved[name] for name in sorted(used))
            edits.append(_Edit(_start(first), _start(first), f"{lines}\n{' ' * first.col_offset}"))
    return _apply(source, edits)


def compile_late(source: bytes) -> Optional[bytes]:
    """Let the regular expressions of a module wait, None where there are none or ``re`` is not imported plainly."""
    tree = ast.parse(source)
    imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    calls = [
        node.value.func
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func) == "re.compile"
        and not node.value.keywords
    ]
    if not calls or not any(isinstance(node, ast.Import) and node.names[0].name == "re" for node in imports):
        return None
    edits = [_Edit(_start(call), _end(call), "_LateExpression") for call in calls]
    after = _end(imports[-1])
    return _apply(source, [*edits, _Edit(after, after, _LATE)])


def _import_of(statement: Union[ast.Import, ast.ImportFrom], alias: ast.alias) -> str:
    name = f"{alias.name} as {alias.asname}" if alias.asname else alias.name
    if isinstance(statement, ast.Import):
        return f"import {name}"
    return f"from {'.' * statement.level}{statement.module or ''} import {name}"


def _outermost_functions(node: ast.AST) -> Iterator[_Function]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield child
        else:
            yield from _outermost_functions(child)


def _loaded(function: _Function) -> FrozenSet[str]:
    """Return the names that the body of a function mentions, nested functions included."""
    found: Set[str] = set()
    for part in function.body:
        found.update(node.id for node in ast.walk(part) if isinstance(node, ast.Name))
    return frozenset(found)


def _bound(tree: ast.Module) -> Set[str]:
    """Return the names that anything but an import gives a value, or declares: a parameter, an assignment."""
    bound = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    bound |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    return bound | {n for node in ast.walk(tree) if isinstance(node, (ast.Global, ast.Nonlocal)) for n in node.names}


def _first_statement(function: _Function) -> Optional[ast.stmt]:
    """Return the first statement after the docstring, None where it does not begin a line of its own."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    if not body or body[0].lineno == function.lineno or getattr(body[0], "decorator_list", None):
        return None
    return body[0]


def _start(node: Union[ast.stmt, ast.expr]) -> Tuple[int, int]:
    return node.lineno, node.col_offset


def _end(node: Union[ast.stmt, ast.expr]) -> Tuple[int, int]:
    return node.end_lineno or node.lineno, node.end_col_offset or node.col_offset


def _apply(source: bytes, edits: Sequence[_Edit]) -> bytes:
    lines = source.splitlines(keepends=True)
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line))
    for edit in sorted(edits, key=lambda e: e.start, reverse=True):
        first, last = (offsets[line - 1] + column for line, column in (edit.start, edit.end))
        source = source[:first] + edit.text.encode() + source[last:]
    return source
