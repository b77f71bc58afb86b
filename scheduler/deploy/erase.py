"""Our own modules as the function's bytecode has them: named tuples written out, no annotations, and no ``typing``.

The sources in the zip stay as they are; only what is compiled from them changes. This file is itself handed to the
runtime's interpreter, which runs it from its text: it imports nothing but ``ast``, and keeps to Python 3.9.

``typing`` costs a run with nothing to do a tenth of what it may cost at all, and nothing of it is used but in
annotations: aliases and type variables become None, a new type the type that it is made of, ``TYPE_CHECKING`` is
false, and a protocol is a class. Of what a module uses in any other way the import stays.
"""

import ast
from typing import List, Set, Union

_IMPORT = "from scheduler.tuples import WrittenOut as _WrittenOut, getter as _getter, new as _new"


def erase(source: bytes) -> ast.Module:
    """Return the tree of a module without its annotations, in which every ``NamedTuple`` is a plain class."""
    tree = ast.parse(source)
    has_tuples = any(_is_named_tuple(node) for node in ast.walk(tree))
    tree.body = _erase_body(tree.body)
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            _erase_signature(function)
        elif isinstance(function, ast.AnnAssign):
            function.annotation = ast.Constant(value=None)  # in a function: never evaluated, but named
    _erase_typing(tree)
    if has_tuples:
        place = 1 if ast.get_docstring(tree, clean=False) is not None else 0
        tree.body[place:place] = ast.parse(_IMPORT).body
    return ast.fix_missing_locations(tree)


def _erase_body(body: List[ast.stmt]) -> List[ast.stmt]:
    """Return the statements of a module or a class; what functions annotate inside is never evaluated anyway."""
    erased: List[ast.stmt] = []
    for statement in body:
        if isinstance(statement, ast.AnnAssign):
            if statement.value is not None:
                made = ast.Assign(targets=[statement.target], value=statement.value)
                erased.append(ast.copy_location(made, statement))
            continue
        if isinstance(statement, ast.ClassDef):
            is_tuple = _is_named_tuple(statement)
            statement.body = _write_out(statement) if is_tuple else _erase_body(statement.body)
        erased.append(statement)
    return erased or [ast.Pass()]


def _erase_signature(function: Union[ast.FunctionDef, ast.AsyncFunctionDef]) -> None:
    function.returns = None
    arguments = function.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
        if argument is not None:
            argument.annotation = None


def _erase_typing(tree: ast.Module) -> None:
    """Take out what only types need, and of the imports from ``typing`` what nothing names any more."""
    imports = [s for s in tree.body if isinstance(s, ast.ImportFrom) and s.module == "typing"]
    names = {alias.name for statement in imports for alias in statement.names if not alias.asname}
    body = []
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            statement.value = _erase_type(statement.value, names)
        elif isinstance(statement, ast.ClassDef):
            statement.bases = [b for b in statement.bases if not ({"Protocol"} & names & _names_in(b))]
        elif isinstance(statement, ast.If) and ast.unparse(statement.test) in {"TYPE_CHECKING"} & names:
            body += statement.orelse
            continue
        body.append(statement)
    tree.body = body
    left = _names_in(ast.Module(body=[s for s in body if s not in imports], type_ignores=[]))
    for statement in imports:
        statement.names = [alias for alias in statement.names if alias.asname or alias.name in left]
        if not statement.names:
            tree.body.remove(statement)


def _erase_type(value: ast.expr, names: "Set[str]") -> ast.expr:
    """Return what stands for a value that is assigned in a module: for one that is only a type, next to nothing."""
    if isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name) and value.value.id in names:
        return ast.copy_location(ast.Constant(value=None), value)
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in names:
        if value.func.id == "TypeVar":
            return ast.copy_location(ast.Constant(value=None), value)
        if value.func.id == "NewType":
            return value.args[1]
    return value


def _names_in(node: ast.AST) -> "Set[str]":
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _is_named_tuple(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.ClassDef)
        and [getattr(base, "id", None) for base in node.bases] == ["NamedTuple"]
        and not node.keywords
    )


def _write_out(node: ast.ClassDef) -> List[ast.stmt]:
    """Return what ``typing.NamedTuple`` would make of a class, as statements, and name its new base."""
    fields = [s for s in node.body if isinstance(s, ast.AnnAssign)]
    names = [field.target.id for field in fields if isinstance(field.target, ast.Name)]
    defaults = {name: field.value for name, field in zip(names, fields) if field.value is not None}
    parameters = ", ".join(f"{name}=_field_defaults[{name!r}]" if name in defaults else name for name in names)
    packed = "".join(f"{name}, " for name in names)
    lines = [
        "__slots__ = ()",
        f"_fields = __match_args__ = ({packed and ''.join(f'{name!r}, ' for name in names)})",
        "_field_defaults = {}",
        f"def __new__(_cls, {parameters}):\n    return _new(_cls, ({packed}))",
        *(f"{name} = _getter({place}, 'Alias for field number {place}')" for place, name in enumerate(names)),
    ]
    written = ast.parse("\n".join(lines)).body
    table = written[2]
    assert isinstance(table, ast.Assign)  # noqa: S101 - written three lines above
    table.value = ast.Dict(keys=[ast.Constant(value=name) for name in defaults], values=list(defaults.values()))
    for statement in written:
        for part in ast.walk(statement):
            if part not in defaults.values():
                ast.copy_location(part, node)
    first = 1 if ast.get_docstring(node, clean=False) is not None else 0
    rest = [s for s in node.body[first:] if not isinstance(s, (ast.AnnAssign, ast.Expr))]
    node.bases = [ast.copy_location(ast.Name(id="_WrittenOut", ctx=ast.Load()), node)]
    return [*node.body[:first], *written, *_erase_body(rest or [ast.Pass()])]
