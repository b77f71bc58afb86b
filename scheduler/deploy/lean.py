"""What of the libraries goes into the function, so that a cold start imports little.

Every run of the function is a cold start on a fraction of a core, and most of it would be the import of code that
a run never executes: the SDK's package of the ECS service imports some 460 models to make three calls, that of CCE
some 700. The files of the libraries are therefore changed as they enter the zip, and only there; a checkout and the
command line use them as they are. Each change fails loudly if what it left out is wanted after all:

    on demand   an ``__init__`` that only imports names becomes one that imports each at its first use,
                and the models that no call of ours can reach stay out
    left out    a package that is imported but never executed becomes one whose names raise when they are called
    emptied     a module that only announces a feature which nothing here uses loses its code
    trimmed     the client of a service keeps the calls that are made, of some two hundred
    plain       a module that does much to be right for every installation does what is right for this one
    postponed   an import or a regular expression waits for its first use, see ``postponed.py``

A file that does not look as expected, in a release of the SDK to come, is shipped as it is: slower, never wrong.
"""

import ast
import re
from typing import Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Set, Tuple

from scheduler.deploy.postponed import LATE_EXPRESSIONS, POSTPONED, compile_late, postpone_imports


class Service(NamedTuple):
    """A package of the SDK: its client, the calls of it that we make, and which models of a call they use."""

    package: str
    client: str
    calls: Tuple[str, ...]
    kinds: Tuple[str, ...] = ("Request", "Response")

    @property
    def models(self) -> str:
        """The file that imports every model."""
        return f"{self.package}/model/__init__.py"

    @property
    def on_demand(self) -> Tuple[str, str]:
        """The files that import every class."""
        return f"{self.package}/__init__.py", self.models


SERVICES = (
    Service("huaweicloudsdkecs/v2", "EcsClient", ("ListServersDetails", "BatchStartServers", "BatchStopServers")),
    Service(
        "huaweicloudsdkcce/v3",
        "CceClient",
        (
            *("ListClusters", "ListNodes", "ListNodePools", "HibernateCluster", "AwakeCluster"),
            *("BatchCreateClusterTags", "BatchDeleteClusterTags"),
        ),
        ("Request",),  # answers are read as they were sent
    ),
)
"""What ``cloud/huawei.py`` and ``cloud/huawei_cce.py`` call."""

LEFT_OUT: Mapping[str, str] = {
    "bson": "bodies in BSON, for other services",
    "requests_toolbelt": "uploads of forms",
    "pyasn1": "signatures by other algorithms than SDK-HMAC-SHA256",
    "pyasn1/codec": "the same",
    "pyasn1/codec/der": "the same",
    "pyasn1/type": "the same",
    "huaweicloudsdkcore/utils/xml_utils": "bodies in XML, for other services",
    "idna": "names of hosts that are not ASCII",
    "charset_normalizer": "guessing the encoding of answers without one; requests goes without",
}
"""Package or module -> what it is for, and so why no run executes it."""

EMPTIED: Mapping[str, str] = {
    "urllib3/http2/__init__.py": "HTTP/2 is switched on by a call that nothing here makes",
}

PLAIN: Mapping[str, Tuple[FrozenSet[str], str]] = {
    "certifi/core.py": (
        frozenset({"exit_cacert_ctx", "where", "contents"}),
        '''"""Where the certificates are: beside this file, which lies in a directory; made for the function."""

import os


def where():
    return os.path.join(os.path.dirname(__file__), "cacert.pem")


def contents():
    with open(where(), encoding="ascii") as stream:
        return stream.read()
''',
    ),
}
"""File -> the functions that it defines, and what stands for it; certifi searches its file with ``importlib``."""

_GONE = ("dns/", "gridfs/", "pymongo/", "defusedxml/", "pyasn1_modules/", "huaweicloudsdkcce/v5/")
"""What only the packages above would import, and another version of an API."""

_ON_DEMAND_SOURCE = '''"""Imports each name at its first use; made from the names that the package itself imports."""

import importlib

_MODULES = {modules!r}


def __getattr__(name):
    if name not in _MODULES:
        raise AttributeError(f"module {{__name__!r}} has no attribute {{name!r}}")
    value = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return value


def __dir__():
    return sorted(_MODULES)
'''

_LEFT_OUT_SOURCE = '''"""Left out of the function: {why}."""

__version__ = {version!r}


class _LeftOut:
    def __new__(cls, *args, **kwargs):
        raise ImportError(f"{{cls.__module__}}.{{cls.__name__}} is left out of the function")


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (_LeftOut,), {{"__module__": __name__}})
'''

_EMPTIED_SOURCE = '"""Emptied in the function: {why}."""\n'


def slim(files: Mapping[str, bytes], versions: Mapping[str, str]) -> Dict[str, bytes]:
    """Return the files of the libraries, by their path in the zip, as the function gets them.

    ``versions`` are those of the packages that are left out, for code that asks before it does without.
    """
    kept = {path: content for path, content in files.items() if not _is_gone(path)}
    for service in SERVICES:
        _import_on_demand(kept, service)
    known = {name.replace("-", "_").lower(): version for name, version in versions.items()}
    for name, why in LEFT_OUT.items():
        module, package = f"{name}.py", f"{name}/__init__.py"
        path = module if module in files else package
        if path in files:
            kept[path] = _LEFT_OUT_SOURCE.format(why=why, version=known.get(name.split("/")[0], "")).encode()
    for path, why in EMPTIED.items():
        if path in kept:
            kept[path] = _EMPTIED_SOURCE.format(why=why).encode()
    for path, (functions, source) in PLAIN.items():
        if path in kept and functions == _functions(kept[path]):
            kept[path] = source.encode()
    _postpone(kept)
    return kept


def _postpone(files: Dict[str, bytes]) -> None:
    for path, names in POSTPONED.items():
        if path in files:
            files[path] = postpone_imports(files[path], names) or files[path]
    for path in LATE_EXPRESSIONS:
        if path in files:
            files[path] = compile_late(files[path]) or files[path]


def _functions(source: bytes) -> FrozenSet[str]:
    """Return the names of a module's functions, those under a condition included."""
    return frozenset(node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef))


def _import_on_demand(files: Dict[str, bytes], service: Service) -> None:
    """Change the packages of a service in place, and take out what no call reaches."""
    tables = {path: imported_names(files[path].decode()) for path in service.on_demand if path in files}
    models = tables.get(service.models)
    reached = reached_models(service, models, files) if models else None
    if models is None or reached is None:
        return
    for path, modules in tables.items():
        if modules is not None:
            kept = {name: module for name, module in modules.items() if name in reached or name == service.client}
            files[path] = _ON_DEMAND_SOURCE.format(modules=kept).encode()
            for name in set(modules) - set(kept):
                files.pop(_file_of(modules[name]), None)
            client = _file_of(kept[service.client]) if service.client in kept else ""
            if client in files:
                files[client] = trim_client(files[client], service)


def trim_client(source: bytes, service: Service) -> bytes:
    """Return a client without the methods of other calls; one that lacks any call of ours is left as it is."""
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    clients = [node for node in classes if node.name == service.client]
    methods = [node for client in clients for node in client.body if isinstance(node, ast.FunctionDef)]
    calls = {re.sub("(?<!^)(?=[A-Z])", "_", call).lower() for call in service.calls}
    if not calls <= {method.name for method in methods}:
        return source
    infos = (re.fullmatch("_(.+)_http_info", method.name) for method in methods)
    others = {found[1] for found in infos if found} - calls
    going = {name for call in others for name in (call, f"{call}_invoker", f"_{call}_http_info")}
    lines = source.splitlines(keepends=True)
    for method in reversed([method for method in methods if method.name in going]):
        first = min([method.lineno, *(decorator.lineno for decorator in method.decorator_list)])
        del lines[first - 1 : method.end_lineno]
    return b"".join(lines)


def reached_models(service: Service, models: Mapping[str, str], files: Mapping[str, bytes]) -> Optional[Set[str]]:
    """Return the models that a service's calls consist of, None if one is missing."""
    waiting: List[str] = [f"{call}{kind}" for call in service.calls for kind in service.kinds]
    if any(name not in models for name in waiting):
        return None
    reached: Set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += _types_in(files[_file_of(models[name])].decode()) & set(models)
    return reached


def _types_in(source: str) -> Set[str]:
    """Return every word of the table ``openapi_types`` of a model, from which the SDK makes its parts."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == "openapi_types" for t in node.targets
        ):
            return set(re.findall(r"\w+", ast.unparse(node.value)))
    return set()


def _file_of(module: str) -> str:
    return f"{module.replace('.', '/')}.py"


def imported_names(source: str) -> Optional[Dict[str, str]]:
    """Return the module of every name that an ``__init__`` imports, None if it does anything besides."""
    modules: Dict[str, str] = {}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue  # the docstring
        if not isinstance(statement, ast.ImportFrom) or statement.level or not statement.module:
            return None
        if statement.module == "__future__":
            continue
        for name in statement.names:
            if name.asname or name.name == "*":
                return None
            modules[name.name] = statement.module
    return modules


def _is_gone(path: str) -> bool:
    """Whether a file belongs to a package that is left out, or to one that only such a package imports."""
    if path.startswith(_GONE):
        return True
    return any(path.startswith(f"{name}/") for name in LEFT_OUT)
