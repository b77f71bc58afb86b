import importlib
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, Dict

import pytest

from scheduler.deploy.lean import EMPTIED, LEFT_OUT, PLAIN, SERVICES, Service, imported_names, slim, trim_client

ON_DEMAND = [path for service in SERVICES for path in service.on_demand]
_LIBRARIES = Path(importlib.import_module("huaweicloudsdkcore").__file__ or "").parent.parent


def _installed(*packages: str) -> Dict[str, bytes]:
    return {
        path.relative_to(_LIBRARIES).as_posix(): path.read_bytes()
        for package in packages
        for path in (_LIBRARIES / package).rglob("*.py")
    }


@pytest.mark.parametrize("path", ON_DEMAND)
def test_every_name_of_the_real_package_is_found_in_the_module_that_it_names(path: str) -> None:
    modules = imported_names((_LIBRARIES / path).read_text(encoding="utf-8"))
    package = importlib.import_module(str(Path(path).parent).replace("/", "."))
    assert modules is not None
    public = {name for name, value in vars(package).items() if isinstance(value, type)}
    assert public == set(modules)
    assert all(getattr(package, name).__module__ == module for name, module in modules.items())


def test_the_models_that_our_calls_consist_of_are_kept_and_no_others() -> None:
    files = _installed("huaweicloudsdkecs")
    kept = slim(files, {})
    models = {Path(path).stem for path in kept if path.startswith("huaweicloudsdkecs/v2/model/")}
    assert {"list_servers_details_response", "server_detail", "server_flavor", "server_id"} <= models
    assert "nova_server" not in models
    assert len(models) < 60


def test_of_cce_only_the_models_of_our_calls_are_kept() -> None:
    files = _installed("huaweicloudsdkcce")
    kept = slim(files, {})
    models = {Path(path).stem for path in kept if path.startswith("huaweicloudsdkcce/v3/model/")}
    assert {"list_nodes_request", "hibernate_cluster_request", "resource_tag", "resource_delete_tag"} <= models
    assert not {"upgrade_cluster_request", "cluster"} & models
    assert len(models) < 15
    assert "huaweicloudsdkcce/v3/cce_client.py" in kept
    assert "huaweicloudsdkcce/v3/cce_async_client.py" not in kept


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.client)
def test_the_client_keeps_its_calls_and_what_is_no_call(service: Service) -> None:
    path = f"{service.package}/{service.client[:3].lower()}_client.py"
    trimmed = trim_client((_LIBRARIES / path).read_bytes(), service)
    module: Dict[str, Any] = {"__name__": "trimmed"}
    exec(compile(trimmed, "trimmed", "exec"), module)  # noqa: S102 - the SDK's own text
    methods = {name for name in vars(module[service.client]) if not name.startswith("__")}
    infos = {name[1 : -len("_http_info")] for name in methods if name.endswith("_http_info")}
    assert {info.replace("_", "") for info in infos} == {call.lower() for call in service.calls}
    expected = {name for call in infos for name in (call, f"{call}_invoker", f"_{call}_http_info")}
    assert methods == {"new_builder", "call_api", "_call_api", *expected}
    other = f"class {service.client}:\n    def _x_http_info(self): pass\n".encode()
    assert trim_client(other, service) == other
    files = slim(_installed(service.package), {})
    assert files[path] == trimmed
    assert path.replace("_client", "_async_client") not in files


@pytest.mark.parametrize("path", PLAIN)
def test_a_plain_module_answers_as_the_real_one_does(path: str) -> None:
    real = importlib.import_module(path[: -len(".py")].replace("/", "."))
    files = slim({path: (_LIBRARIES / path).read_bytes()}, {})
    module: Dict[str, Any] = {"__name__": "plain", "__file__": real.__file__}
    exec(compile(files[path], path, "exec"), module)  # noqa: S102 - our own text
    assert (module["where"](), module["contents"]()) == (real.where(), real.contents())
    assert slim({path: b"def where(): pass\n"}, {}) == {path: b"def where(): pass\n"}


@pytest.mark.parametrize("name", [*LEFT_OUT, *EMPTIED])
def test_what_is_changed_is_there_in_the_installed_release(name: str) -> None:
    paths = [_LIBRARIES / name, _LIBRARIES / f"{name}.py"]
    assert any(path.exists() for path in paths)


def test_a_slim_sdk_lists_and_stops_and_fails_loudly_on_what_it_lacks(tmp_path: Path) -> None:
    names = ("huaweicloudsdkcore", "huaweicloudsdkecs", "bson", "requests_toolbelt", "pyasn1", "charset_normalizer")
    versions = {"charset-normalizer": version("charset_normalizer")}
    files = slim(_installed(*names, "urllib3", "requests", "idna", "certifi"), versions)
    for path, content in files.items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    script = """
import sys, warnings
warnings.simplefilter("error")
import requests
from huaweicloudsdkecs.v2 import EcsClient, ListServersDetailsRequest
import huaweicloudsdkecs.v2.model as model, bson
assert model.ListServersDetailsResponse().servers is None
assert not hasattr(model, "NoSuchModel")
loaded = sum(name.startswith("huaweicloudsdkecs") for name in sys.modules)
for name in dir(model):
    for kind in getattr(getattr(model, name), "openapi_types", {}).values():
        kind = kind.replace("list[", "").replace("dict(str, ", "").rstrip("])")
        assert kind in ("str", "int", "bool", "object", "float", "date", "datetime") or hasattr(model, kind), kind
try:
    bson.encode({})
except ImportError as e:
    print(e, loaded < 20)
"""
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "bson.encode is left out of the function True\n"


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("from a.b import C\nregister(C)\n", id="runs code"),
        pytest.param("from a.b import C as D\n", id="renames"),
        pytest.param("from .b import C\n", id="relative"),
        pytest.param("import a\n", id="imports a module"),
    ],
)
def test_a_package_that_does_more_than_import_names_is_shipped_as_it_is(source: str) -> None:
    assert imported_names(source) is None
    path = ON_DEMAND[0]
    assert slim({path: source.encode()}, {}) == {path: source.encode()}


def test_files_of_other_packages_are_not_changed() -> None:
    files = {"requests/api.py": b"x", "scheduler/handler.py": b"y", "bsonx/__init__.py": b"z"}
    assert slim(files, {}) == files
