"""The edge to CCE, with the real SDK over HTTP: what it sends, and what becomes of everything that can come back."""

import contextlib
import json
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import pytest

from scheduler.cloud.huawei import HuaweiCloud
from scheduler.errors import (
    CloudError,
    OutOfTimeError,
    PermanentCloudError,
    RefusedError,
    TemporaryCloudError,
    ThrottledCloudError,
    UnknownOutcomeError,
    UntrustedAnswerError,
)
from scheduler.model import CceCluster, ClusterId, Node, NodePool, Server, ServerId
from scheduler.simulated import SIMULATED_AK, SIMULATED_SK, SimulatedCloud, serve
from scheduler.simulated.calls import Call, Fault, answering, failing, html, reset, truncated
from scheduler.simulated.cloud import RIGHTS
from scheduler.simulated.clusters import SimulatedCluster
from tests.scenes import DEV, KEYS, NOW, OTHER_PROJECT, PROJECT, REGION, TEST, open_cloud

Do = Callable[[HuaweiCloud], object]
ID = ClusterId(DEV)


def do_list_clusters(client: HuaweiCloud) -> object:
    return client.list_clusters()


def do_list_nodes(client: HuaweiCloud) -> object:
    return client.list_nodes(ID)


def do_list_node_pools(client: HuaweiCloud) -> object:
    return client.list_node_pools(ID)


def do_hibernate(client: HuaweiCloud) -> object:
    client.hibernate(ID)
    return None


def do_awake(client: HuaweiCloud) -> object:
    client.awake(ID)
    return None


def do_write_tag(client: HuaweiCloud) -> object:
    client.write_cluster_tag(ID, "k", "v")
    return None


def do_remove_tag(client: HuaweiCloud) -> object:
    client.remove_cluster_tag(ID, "k")
    return None


READS: Tuple[Do, ...] = (do_list_clusters, do_list_nodes, do_list_node_pools)
ACTS: Tuple[Do, ...] = (do_hibernate, do_awake, do_write_tag, do_remove_tag)
LISTINGS = [pytest.param(do, id=do.__name__[3:]) for do in READS]
ACTIONS = [pytest.param(do, id=do.__name__[3:]) for do in ACTS]
EVERY = [*LISTINGS, *ACTIONS]


@pytest.fixture
def cloud() -> SimulatedCloud:
    return SimulatedCloud(NOW)


@pytest.fixture
def dev(cloud: SimulatedCloud) -> SimulatedCluster:
    return cloud.clusters.add("dev", project_id=PROJECT, cluster_id=DEV)


@pytest.fixture
def client(cloud: SimulatedCloud) -> Iterator[HuaweiCloud]:
    with serve(cloud) as endpoint, contextlib.closing(open_cloud(endpoint)) as found:
        yield found


def failure(do: Do, client: HuaweiCloud) -> CloudError:
    with pytest.raises(CloudError) as raised:
        do(client)
    return raised.value


def listing(*items: object, **more: object) -> Fault:
    return answering(200, json.dumps({"kind": "List", "apiVersion": "v3", "items": items, **more}))


# What is sent, and how answers are read


def test_lists_the_clusters_of_the_project_by_one_call(cloud: SimulatedCloud, client: HuaweiCloud) -> None:
    tags = {"team": "a", "empty": ""}
    cloud.clusters.add("dev", project_id=PROJECT, cluster_id=DEV, tags=tags)
    cloud.clusters.add("test", project_id=PROJECT, cluster_id=TEST, phase="Hibernation", is_prepaid=True)
    cloud.clusters.add("other", project_id=OTHER_PROJECT)
    assert list(client.list_clusters()) == [
        CceCluster(ClusterId(DEV), "dev", "Available", is_prepaid=False, tags=tags),
        CceCluster(ClusterId(TEST), "test", "Hibernation", is_prepaid=True, tags={}),
    ]
    assert [(r.method, dict(r.query)) for r in cloud.ledger] == [("GET", {})]


def test_reads_nodes_field_by_field(cloud: SimulatedCloud, client: HuaweiCloud, dev: SimulatedCluster) -> None:
    pool = cloud.clusters.add_pool(dev, "workers")
    first = cloud.clusters.add_node(dev, "a", pool=pool)
    outside = cloud.clusters.add_node(dev, "b")
    coming = cloud.clusters.add_node(dev, "c", pool=pool, has_server=False)
    assert list(client.list_nodes(ID)) == [
        Node(first.node_id, "a", ServerId(first.server_id or ""), pool.pool_id),
        Node(outside.node_id, "b", ServerId(outside.server_id or ""), None),
        Node(coming.node_id, "c", None, pool.pool_id),
    ]


def test_reads_node_pools(cloud: SimulatedCloud, client: HuaweiCloud, dev: SimulatedCluster) -> None:
    pools = [cloud.clusters.add_pool(dev, "a"), cloud.clusters.add_pool(dev, "b", is_autoscaled=True)]
    assert list(client.list_node_pools(ID)) == [
        NodePool(pools[0].pool_id, "a", is_autoscaled=False),
        NodePool(pools[1].pool_id, "b", is_autoscaled=True),
    ]


def test_lists_all_nodes_page_by_page_or_at_once_where_the_region_has_no_pages(
    cloud: SimulatedCloud, client: HuaweiCloud, dev: SimulatedCluster
) -> None:
    cloud.clusters.page_size = 2
    nodes = [cloud.clusters.add_node(dev, f"n{number}").node_id for number in range(7)]
    assert [node.node_id for node in client.list_nodes(ID)] == nodes
    markers = [{"marker": nodes[number]} for number in (1, 3, 5)]
    assert [dict(record.query) for record in cloud.ledger] == [{}, *markers]
    cloud.clear_ledger()
    cloud.clusters.pages_nodes = False
    assert [node.node_id for node in client.list_nodes(ID)] == nodes
    assert [dict(record.query) for record in cloud.ledger] == [{}]


def test_a_node_that_two_pages_show_is_one_node(cloud: SimulatedCloud, client: HuaweiCloud) -> None:
    first, second = ({"metadata": {"uid": uid}} for uid in "ab")
    pages = [
        listing(first, pageInfo={"nextMarker": "a"}),
        listing(first, second, pageInfo={"nextMarker": ""}),
    ]
    cloud.faults = lambda _: pages[len(cloud.ledger)]
    assert [node.node_id for node in client.list_nodes(ID)] == ["a", "b"]


@pytest.mark.parametrize(
    "items", [pytest.param(({"metadata": {"uid": "a"}},), id="the same"), pytest.param((), id="none")]
)
def test_pages_that_bring_nothing_new_end_in_a_failure(
    cloud: SimulatedCloud, client: HuaweiCloud, items: Tuple[object, ...]
) -> None:
    cloud.faults = lambda _: listing(*items, pageInfo={"nextMarker": "a"})
    assert type(failure(do_list_nodes, client)) is UntrustedAnswerError
    assert len(cloud.ledger) <= 2


def test_a_page_that_was_announced_and_is_empty_is_no_end(cloud: SimulatedCloud, client: HuaweiCloud) -> None:
    pages = [listing({"metadata": {"uid": "a"}}, pageInfo={"nextMarker": "a"}), listing()]
    cloud.faults = lambda _: pages[len(cloud.ledger)]
    assert type(failure(do_list_nodes, client)) is UntrustedAnswerError


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        pytest.param({}, CceCluster(ID), id="nothing else"),
        pytest.param({"spec": None, "status": None}, CceCluster(ID), id="nulls"),
        pytest.param({"spec": {"type": "x"}}, CceCluster(ID, tags={}), id="no tags"),
        pytest.param({"spec": {}}, CceCluster(ID), id="empty spec"),
        pytest.param({"spec": {"billingMode": 0, "clusterTags": None}}, CceCluster(ID, None, None, False, {}), id="0"),
        pytest.param({"spec": {"billingMode": 1}}, CceCluster(ID, None, None, True, {}), id="1"),
        pytest.param({"spec": {"clusterTags": [{"value": "v"}]}}, CceCluster(ID, tags=None), id="unreadable tag"),
        pytest.param({"spec": {"clusterTags": [{"key": "k"}]}}, CceCluster(ID, tags={"k": ""}), id="tag without value"),
        pytest.param({"spec": {"billingMode": "x", "hostNetwork": 5}}, CceCluster(ID, tags={}), id="odd fields"),
        pytest.param({"status": {"phase": "Frozen", "new": 1}}, CceCluster(ID, phase="Frozen"), id="unknown phase"),
    ],
)
def test_every_field_of_a_cluster_but_its_id_may_be_missing(
    cloud: SimulatedCloud, client: HuaweiCloud, item: Dict[str, Any], expected: CceCluster
) -> None:
    cloud.faults = lambda _: listing({"metadata": {"uid": DEV}, **item})
    assert list(client.list_clusters()) == [expected]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        pytest.param({}, Node("n", is_pool_known=False), id="nothing else"),
        pytest.param({"annotations": {}}, Node("n", is_pool_known=False), id="no annotation"),
        pytest.param({"annotations": {"kubernetes.io/node-pool.id": ""}}, Node("n", is_pool_known=False), id="empty"),
        pytest.param({"annotations": {"kubernetes.io/node-pool.id": "az#f#os"}}, Node("n"), id="outside of pools"),
        pytest.param({"annotations": {"kubernetes.io/node-pool.id": "p"}}, Node("n", pool_id="p"), id="in a pool"),
    ],
)
def test_a_node_may_not_say_its_pool(
    cloud: SimulatedCloud, client: HuaweiCloud, item: Dict[str, Any], expected: Node
) -> None:
    cloud.faults = lambda _: listing({"metadata": {"uid": "n", **item}, "status": {"serverId": ""}})
    assert list(client.list_nodes(ID)) == [expected]


@pytest.mark.parametrize(
    "spec", [None, {}, {"autoscaling": None}, {"autoscaling": {}}, {"autoscaling": {"enable": None}}]
)
def test_a_pool_may_not_say_whether_it_is_autoscaled(
    cloud: SimulatedCloud, client: HuaweiCloud, spec: Optional[Dict[str, Any]]
) -> None:
    cloud.faults = lambda _: listing({"metadata": {"uid": "p"}, "spec": spec})
    assert list(client.list_node_pools(ID)) == [NodePool("p")]


def test_hibernates_and_awakes_without_a_body(
    cloud: SimulatedCloud, client: HuaweiCloud, dev: SimulatedCluster
) -> None:
    client.hibernate(ID)
    cloud.clusters.set_phase(dev, "Hibernation")
    client.awake(ID)
    path = f"/api/v3/projects/{PROJECT}/clusters/{DEV}/operation"
    assert [(r.method, r.path, r.body, r.status) for r in cloud.ledger] == [
        ("POST", f"{path}/hibernate", None, 200),
        ("POST", f"{path}/awake", None, 200),
    ]


def test_writes_and_removes_a_tag_of_a_cluster(client: HuaweiCloud, dev: SimulatedCluster) -> None:
    dev.tags["own"] = "x"
    client.write_cluster_tag(ID, "k", "v")
    assert dev.tags == {"own": "x", "k": "v"}
    client.write_cluster_tag(ID, "k", "w")
    assert dev.tags == {"own": "x", "k": "w"}
    client.remove_cluster_tag(ID, "k")
    client.remove_cluster_tag(ID, "k")
    assert dev.tags == {"own": "x"}


def test_an_empty_listing_may_be_null(cloud: SimulatedCloud, client: HuaweiCloud) -> None:
    cloud.faults = lambda _: answering(200, '{"kind": "List", "apiVersion": "v3", "items": null}')
    assert [list(client.list_clusters()), list(client.list_nodes(ID)), list(client.list_node_pools(ID))] == [[], [], []]


# Servers by their ids


def test_lists_servers_by_their_ids_in_groups(cloud: SimulatedCloud, client: HuaweiCloud) -> None:
    ids = [ServerId(cloud.add_server().server_id) for _ in range(205)]
    cloud.add_server("another")
    assert [server.server_id for server in client.list_by_ids([*ids, ids[0]])] == ids
    assert [record.query["server_id"].count(",") + 1 for record in cloud.ledger] == [100, 100, 5]


def test_a_server_that_is_unknown_has_no_status(cloud: SimulatedCloud, client: HuaweiCloud) -> None:
    known = cloud.add_server("n")
    found, unknown = client.list_by_ids([ServerId(known.server_id), ServerId("gone")])
    assert (found.name, found.status) == ("n", "ACTIVE")
    assert (unknown.server_id, unknown.status, unknown.fault) == ("gone", None, "The ECS does not exist.")


def test_a_server_that_is_not_answered_for_has_no_status_and_others_are_ignored(
    cloud: SimulatedCloud, client: HuaweiCloud
) -> None:
    cloud.faults = lambda _: answering(200, '{"servers": [{"id": "b", "status": "ACTIVE"}]}')
    assert list(client.list_by_ids([ServerId("a")])) == [Server(ServerId("a"))]


def test_no_ids_are_no_call(cloud: SimulatedCloud, client: HuaweiCloud) -> None:
    assert list(client.list_by_ids([])) == []
    assert not cloud.ledger


# What comes back


NEEDS: Dict[Do, str] = {
    do_list_clusters: "cce:cluster:list",
    do_list_nodes: "cce:node:list",
    do_list_node_pools: "cce:nodepool:list",
    do_hibernate: "cce:cluster:stop",
    do_awake: "cce:cluster:start",
    do_write_tag: "cce:tag:operate",
    do_remove_tag: "cce:tag:operate",
}


@pytest.mark.usefixtures("dev")
@pytest.mark.parametrize("do", EVERY)
def test_a_missing_right_is_named(cloud: SimulatedCloud, client: HuaweiCloud, do: Do) -> None:
    cloud.add_credentials(SIMULATED_AK, SIMULATED_SK, may=set(RIGHTS) - {NEEDS[do]})
    error = failure(do, client)
    assert type(error) is PermanentCloudError
    assert (error.code, error.status_code) == ("CCE.01403001", 403)
    assert f": grant {NEEDS[do]}" in str(error)
    assert len(cloud.ledger) == 1


@pytest.mark.parametrize("do", [do for do in EVERY if do.values != (do_list_clusters,)])
def test_a_cluster_that_does_not_exist_is_named(client: HuaweiCloud, do: Do) -> None:
    error = failure(do, client)
    assert type(error) is PermanentCloudError
    assert (error.code, error.status_code) == ("CCE.01404001", 404)
    assert f"cluster {DEV} does not exist in this project" in str(error)


@pytest.mark.usefixtures("dev")
@pytest.mark.parametrize("do", EVERY)
def test_wrong_credentials_are_never_tried_again(cloud: SimulatedCloud, client: HuaweiCloud, do: Do) -> None:
    cloud.add_credentials("another", "key")
    error = failure(do, client)
    assert type(error) is PermanentCloudError
    assert (error.code, error.status_code) == ("APIGW.0301", 401)
    assert SIMULATED_AK not in str(error)


@pytest.mark.parametrize("phase", ["Hibernating", "Hibernation", "Awaking", "Upgrading", "Error"])
def test_a_phase_that_does_not_allow_it_is_told(client: HuaweiCloud, dev: SimulatedCluster, phase: str) -> None:
    dev.phase = phase
    error = failure(do_hibernate, client)
    assert type(error) is RefusedError
    assert (error.code, error.status_code) == ("CCE.01403003", 403)
    assert str(error).endswith(f"cluster {DEV} is {phase}: the cluster does not allow this in its present state")


@pytest.mark.parametrize("do", EVERY)
def test_a_web_page_instead_of_an_answer_is_no_cluster_that_does_not_exist(
    cloud: SimulatedCloud, client: HuaweiCloud, do: Do
) -> None:
    cloud.faults = lambda _: html(404)
    assert str(failure(do, client)).endswith(": check the region and the endpoint")


T, P, R, U, L = TemporaryCloudError, PermanentCloudError, RefusedError, UnknownOutcomeError, ThrottledCloudError


def short(status: int, code: str) -> Fault:
    return answering(status, json.dumps({"errorCode": code, "errorMessage": "Some\n  text."}))


def long(status: int, code: str) -> Fault:
    body = {
        "kind": "Status",
        "code": status,
        "errorCode": code,
        "errorMessage": "x",
        "error_code": "CCE_CM.0001",
        "error_msg": "Some\n text.",
    }
    return answering(status, json.dumps(body))


@pytest.mark.parametrize(
    ("refusal", "kinds"),
    [
        pytest.param((400, "CCE.01400001"), (P, P), id="bad request"),
        pytest.param((401, "CCE.01401001"), (P, P), id="not authenticated"),
        pytest.param((403, "CCE.01403002"), (P, P), id="account restricted"),
        pytest.param((404, "CCE.01404001"), (P, P), id="not found"),
        pytest.param((409, "CCE.01409002"), (P, R), id="conflict"),
        pytest.param((429, "CCE.01429002"), (T, R), id="locked by another request"),
        pytest.param((429, "CCE.01429003"), (T, R), id="job concurrency"),
        pytest.param((429, "CCE.01429004"), (P, P), id="balance"),
        pytest.param((429, "CCE.02429001"), (L, L), id="throttled"),
        pytest.param((429, "CCE.09999999"), (L, L), id="unknown 429"),
        pytest.param((500, "CCE.01500001"), (T, U), id="internal"),
        pytest.param((503, "CCE.01503001"), (T, U), id="unavailable"),
    ],
)
@pytest.mark.parametrize("do", EVERY)
def test_sorts_failures_by_what_to_do_about_them(
    cloud: SimulatedCloud, client: HuaweiCloud, do: Do, refusal: Tuple[int, str], kinds: Tuple[type, type]
) -> None:
    status, code = refusal
    for number, shape in enumerate((short, long), 1):
        fault = shape(status, code)
        cloud.faults = lambda _, fault=fault: fault
        error = failure(do, client)
        assert type(error) is kinds[do in ACTS]
        assert (error.code, error.status_code) == (code, status)
        assert str(error).startswith(f"{code} Some text.: ")
        assert error.request_id
        assert len(cloud.ledger) == number


def test_an_empty_balance_is_not_taken_for_throttling(cloud: SimulatedCloud, client: HuaweiCloud) -> None:
    cloud.faults = lambda _: short(429, "CCE.01429004")
    assert str(failure(do_awake, client)).endswith("the balance of the account is too low: top it up")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        pytest.param(reset(), (T, None, U), id="reset before an answer"),
        pytest.param(html(200), (UntrustedAnswerError, 200, U), id="HTML 200"),
        pytest.param(html(404), (P, 404, P), id="HTML 404"),
        pytest.param(html(429), (L, 429, L), id="HTML 429"),
        pytest.param(html(502), (T, 502, U), id="HTML 502"),
        pytest.param(answering(500, ""), (T, 500, U), id="empty 500"),
        pytest.param(answering(500, "[1]"), (T, 500, U), id="500 with a list"),
        pytest.param(answering(302, "", headers={"Location": "/x"}), (UntrustedAnswerError, 302, U), id="redirect"),
        pytest.param(answering(200, "null"), (UntrustedAnswerError, 200, U), id="null"),
        pytest.param(failing(503, "APIGW.0201"), (T, 503, U), id="gateway"),
    ],
)
@pytest.mark.parametrize("do", EVERY)
def test_believes_no_answer_that_is_not_one_and_sends_nothing_twice(
    cloud: SimulatedCloud, client: HuaweiCloud, do: Do, fault: Fault, expected: Tuple[type, Optional[int], type]
) -> None:
    reading, status, acting = expected
    cloud.faults = lambda _: fault
    error = failure(do, client)
    assert type(error) is (acting if do in ACTS else reading)
    assert error.status_code == status
    assert len(cloud.ledger) == 1


@pytest.mark.usefixtures("dev")
@pytest.mark.parametrize("do", LISTINGS)
def test_trusts_no_listing_that_was_cut_off(cloud: SimulatedCloud, client: HuaweiCloud, do: Do) -> None:
    cloud.faults = lambda _: truncated()
    assert type(failure(do, client)) is TemporaryCloudError
    assert len(cloud.ledger) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"items": null}',
        '{"items": [null]}',
        '{"items": [{}]}',
        '{"items": [{"metadata": null}]}',
        '{"items": [{"metadata": {"name": "n"}}]}',
        '{"items": [{"metadata": {"uid": ""}}]}',
        '{"items": ["x"]}',
        '{"kind": "List", "items": {}}',
    ],
)
@pytest.mark.parametrize("do", LISTINGS)
def test_trusts_no_listing_in_which_something_cannot_be_told(
    cloud: SimulatedCloud, client: HuaweiCloud, do: Do, text: str
) -> None:
    cloud.faults = lambda _: answering(200, text)
    assert type(failure(do, client)) is UntrustedAnswerError
    assert len(cloud.ledger) == 1


@pytest.mark.parametrize("do", ACTIONS)
@pytest.mark.parametrize("answer", [(200, ""), (201, "{}"), (202, ""), (204, "")])
def test_an_action_is_accepted_with_any_success(
    cloud: SimulatedCloud, client: HuaweiCloud, do: Do, answer: Tuple[int, str]
) -> None:
    cloud.faults = lambda _: answering(*answer)
    do(client)
    assert len(cloud.ledger) == 1


# Endpoints, and the end of a run


def test_ecs_and_cce_have_endpoints_of_their_own(cloud: SimulatedCloud) -> None:
    other = SimulatedCloud(NOW)
    with serve(cloud) as ecs, serve(other) as cce:
        client = HuaweiCloud(KEYS, REGION, PROJECT, endpoint=ecs, cce_endpoint=cce, remaining_s=lambda: 60.0)
        with contextlib.closing(client):
            client.list_page()
            client.list_clusters()
    assert [len(cloud.ledger), len(other.ledger)] == [1, 1]


def test_the_client_of_cce_is_opened_once(client: HuaweiCloud) -> None:
    assert client._opened_cce is None
    client.list_clusters()
    opened = client._opened_cce
    client.list_clusters()
    assert client._opened_cce is opened is not None


def test_an_unknown_region_without_an_endpoint_of_cce_is_named(cloud: SimulatedCloud) -> None:
    with serve(cloud) as ecs:
        client = HuaweiCloud(KEYS, "nowhere", PROJECT, endpoint=ecs, remaining_s=lambda: 60.0)
        with contextlib.closing(client), pytest.raises(PermanentCloudError) as raised:
            client.list_clusters()
    assert str(raised.value) == 'unknown region "nowhere" of CCE: correct it, or set the CCE endpoint'


def test_begins_no_call_when_the_run_is_at_its_end(cloud: SimulatedCloud) -> None:
    with serve(cloud) as endpoint:
        client = HuaweiCloud(KEYS, REGION, PROJECT, endpoint=endpoint, cce_endpoint=endpoint, remaining_s=lambda: 2.9)
        with contextlib.closing(client):
            errors = [failure(do, client) for do in (*READS, *ACTS)]
    assert {type(error) for error in errors} == {OutOfTimeError}
    assert not cloud.ledger


def test_faults_see_the_calls_of_cce(cloud: SimulatedCloud, client: HuaweiCloud) -> None:
    seen: List[Call] = []

    def faults(call: Call) -> None:
        seen.append(call)

    cloud.faults = faults
    client.list_clusters()
    assert [call.path for call in seen] == [f"/api/v3/projects/{PROJECT}/clusters"]
