"""What the function is told from outside, read and checked."""

import json
from typing import Dict, Optional

import pytest

from scheduler.errors import InputError
from scheduler.model import ClusterId, State, StopType
from scheduler.settings import Credentials, OneShot, Settings, read_settings
from tests.scenes import DEV, TEST


def read(**found: str) -> Settings:
    return read_settings(found.get)


def refusal(**found: str) -> str:
    with pytest.raises(InputError) as raised:
        read(**found)
    return str(raised.value)


def test_everything_has_a_default() -> None:
    assert read() == Settings(
        region=None,
        project_id=None,
        endpoint=None,
        cce_endpoint=None,
        schedules_path="schedules.yaml",
        dry_run=False,
        log_level="INFO",
        timeout_s=60.0,
        one_shot=None,
    )


def test_reads_what_is_set() -> None:
    found = read(
        region="ap-southeast-2",
        projectId="p",
        endpoint="https://ecs.example.com",
        cceEndpoint="https://cce.example.com",
        schedulesPath="other.yaml",
        dryRun="true",
        logLevel="ERROR",
        RUNTIME_TIMEOUT="30",
    )
    endpoints = ("https://ecs.example.com", "https://cce.example.com")
    assert found[:8] == ("ap-southeast-2", "p", *endpoints, "other.yaml", True, "ERROR", 30.0)


def test_an_empty_setting_counts_as_absent() -> None:
    names = (
        "region",
        "projectId",
        "endpoint",
        "cceEndpoint",
        "schedulesPath",
        "dryRun",
        "logLevel",
        "RUNTIME_TIMEOUT",
        "action",
    )
    assert read(**dict.fromkeys((*names, "RUNTIME_TIMEOUT"), "")) == read()


@pytest.mark.parametrize(
    ("found", "project_id"),
    [
        ({"RUNTIME_PROJECT_ID": "of the function"}, "of the function"),
        ({"projectId": "set", "RUNTIME_PROJECT_ID": "of the function"}, "set"),
        ({"projectId": "", "RUNTIME_PROJECT_ID": "of the function"}, "of the function"),
    ],
)
def test_the_project_is_the_one_that_is_set_else_that_of_the_function(found: Dict[str, str], project_id: str) -> None:
    assert read(**found).project_id == project_id


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"dryRun": "yes"}, 'setting dryRun: "yes" is not known: write false or true'),
        ({"logLevel": "info"}, 'setting logLevel: "info" is not known: write INFO or DEBUG or WARNING or ERROR'),
        ({"action": "restart"}, 'setting action: "restart" is not known: write start or stop'),
        ({"action": "stop", "type": "soft"}, 'setting type: "soft" is not known: write SOFT or HARD'),
    ],
)
def test_names_a_setting_that_it_does_not_know(found: Dict[str, str], message: str) -> None:
    assert refusal(**found) == message


@pytest.mark.parametrize("text", ["3", "14", "14.9", "0", "-1", "nan"])
def test_refuses_a_timeout_that_is_too_short(text: str) -> None:
    assert refusal(RUNTIME_TIMEOUT=text) == (
        f"the function's timeout is {text} s, too short for a run: set its execution timeout to 60 s (at least 15 s)"
    )


@pytest.mark.parametrize(("text", "timeout_s"), [("15", 15.0), ("900", 900.0), ("", 60.0), ("soon", 60.0)])
def test_a_timeout_that_cannot_be_read_is_the_default(text: str, timeout_s: float) -> None:
    assert read(RUNTIME_TIMEOUT=text).timeout_s == timeout_s


# The one-shot mode


def stopping(*ids: str) -> OneShot:
    return OneShot(State.STOPPED, tuple(ClusterId(cluster_id) for cluster_id in ids), StopType.SOFT)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param({"action": "start"}, OneShot(State.RUNNING, None, StopType.SOFT), id="every cluster"),
        pytest.param({"action": "stop", "type": "HARD"}, OneShot(State.STOPPED, None, StopType.HARD), id="HARD"),
        pytest.param({"action": "stop", "type": ""}, OneShot(State.STOPPED, None, StopType.SOFT), id="empty type"),
        pytest.param({"action": "stop", "clusterId": f" {DEV.upper()} "}, stopping(DEV), id="one"),
        pytest.param({"action": "stop", "cluster_ids": f"{DEV}, {TEST},{DEV}"}, stopping(DEV, TEST), id="several"),
        pytest.param(
            {"action": "stop", "clusterId": TEST, "cluster_ids": DEV}, stopping(TEST, DEV), id="both settings"
        ),
    ],
)
def test_reads_the_one_shot_mode(found: Dict[str, str], expected: OneShot) -> None:
    assert read(**found).one_shot == expected


@pytest.mark.parametrize(
    "found",
    [{"clusterId": ""}, {"clusterId": "  "}, {"cluster_ids": ""}, {"cluster_ids": f"{DEV},"}, {"clusterId": ","}],
)
def test_an_id_that_is_set_but_empty_does_not_mean_every_cluster(found: Dict[str, str]) -> None:
    assert refusal(action="stop", **found) == (
        "setting clusterId: it is set but empty: write a cluster's id, or remove it to mean every CCE cluster"
    )


@pytest.mark.parametrize(
    "name",
    [
        *("clusterID", "ClusterId", "ClusterID", "clusterid", "CLUSTERID", "cluster_id", "cluster-id", "CLUSTER_ID"),
        *("Cluster-ID", "cluster.id", "cluster id", "clusterIds", "clusterIDs", "ClusterIds", "clusterids"),
        *("CLUSTER_IDS", "cluster-ids", "CLUSTERIDS", "cluster", "Cluster", "clusters", "CLUSTERS", "clusterUid"),
        *("cluster_uid", "clusterName", "cluster_names", "CLUSTER_NAME", "cceClusterId", "cce_cluster_id"),
        *("CCE-Cluster-ID", "CCE_CLUSTER_ID", "cluserId", "clutserId", "clusterIdd", "clusterI", "clustersId"),
        *("lusterId", "cluster_isd", "cluster__ids", "luster_ids"),
    ],
)
@pytest.mark.parametrize("value", [DEV, ""])
def test_ids_by_a_misspelt_name_do_not_mean_every_cluster(name: str, value: str) -> None:
    assert refusal(action="stop", **{name: value}) == (
        f"setting {name} is not known, so nothing was done: write clusterId, or cluster_ids for several, "
        "or remove it to mean every CCE cluster"
    )


@pytest.mark.parametrize("name", ["clusterId", "cluster_ids"])
def test_a_misspelt_name_beside_a_right_one_widens_nothing(name: str) -> None:
    assert read(action="stop", CLUSTER_ID=TEST, **{name: DEV}).one_shot == stopping(DEV)


def test_other_settings_are_not_taken_for_ids() -> None:
    others = ("region", "projectId", "endpoint", "cceEndpoint", "ak", "sk", "type", "dryRun", "RUNTIME_PROJECT_ID")
    one_shot = read(action="stop", **{**dict.fromkeys(others, "x"), "type": "SOFT", "dryRun": "true"}).one_shot
    assert one_shot == OneShot(State.STOPPED, None, StopType.SOFT)


def test_without_an_action_ids_mean_nothing() -> None:
    assert read(clusterId="").one_shot is None


# Credentials


@pytest.mark.parametrize("token", [None, "planted-token"])
def test_credentials_print_nothing(token: Optional[str]) -> None:
    credentials = Credentials("planted-ak", "planted-sk", token)
    for shown in (repr(credentials), str(credentials), f"{credentials}", repr([credentials])):
        assert "planted" not in shown
    with pytest.raises(TypeError):
        json.dumps(credentials)
    assert not hasattr(credentials, "__dict__")  # nothing that a dump of variables would show


@pytest.mark.parametrize("name", ["dry_run", "DRY_RUN", "dryrun", "DryRun"])
def test_a_misspelt_dry_run_is_no_real_run(name: str) -> None:
    with pytest.raises(InputError, match=f"setting {name} is not known, so nothing was done: write dryRun"):
        read_settings({name: "true"}.get)
