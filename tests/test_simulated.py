"""The simulated cloud, asked by the real SDK over a real socket."""

import base64
import http.client
import json
import threading
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, ContextManager, Dict, Iterator, List, Optional, Sequence
from urllib.parse import urlsplit

import pytest
import requests
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException, ConnectionException, SdkException
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkecs.v2 import (
    BatchStartServersOption,
    BatchStartServersRequest,
    BatchStartServersRequestBody,
    BatchStopServersOption,
    BatchStopServersRequest,
    BatchStopServersRequestBody,
    EcsClient,
    ListServersDetailsRequest,
    ServerId,
    ShowJobRequest,
)

from scheduler.model import CLUSTER_TAG, Power
from scheduler.simulated import SIMULATED_AK, SIMULATED_PROJECT, SIMULATED_SK, SimulatedCloud, SimulatedServer, serve
from scheduler.simulated.calls import Call, Fault, answering, failing, html, reset, truncated
from scheduler.simulated.signature import Secrets, SignatureError, SignedRequest, sign, verify

START = datetime(2026, 12, 1, 0, 0, tzinfo=timezone.utc)
CLUSTER = "3f1c9d2e-0000-4000-8000-000000000000"
OTHER_CLUSTER = "4a1c9d2e-0000-4000-8000-000000000000"
UNKNOWN = "00000000-0000-4000-8000-000000000000"


class Client:
    """The calls of the SDK that the product makes, in short."""

    def __init__(self, endpoint: str, ak: str, sk: str, project: str, token: Optional[str]) -> None:
        credentials = BasicCredentials(ak, sk, project)
        if token is not None:
            credentials.with_security_token(token)
        self.sdk = (
            EcsClient.new_builder()
            .with_credentials(credentials)
            .with_endpoint(endpoint)
            .with_http_config(HttpConfig(timeout=(5, 30)))
            .build()
        )

    def list(self, **query: Any) -> Any:
        return self.sdk.list_servers_details(ListServersDetailsRequest(**query))

    def ids(self, **query: Any) -> List[str]:
        return [server.id for server in self.list(**query).servers]

    def start(self, *servers: Any) -> Any:
        option = BatchStartServersOption(servers=_named(servers))
        return self.sdk.batch_start_servers(
            BatchStartServersRequest(body=BatchStartServersRequestBody(os_start=option))
        ).job_id

    def stop(self, *servers: Any, stop_type: Optional[str] = None) -> Any:
        option = BatchStopServersOption(servers=_named(servers), type=stop_type)
        return self.sdk.batch_stop_servers(
            BatchStopServersRequest(body=BatchStopServersRequestBody(os_stop=option))
        ).job_id

    def job(self, job_id: str) -> Any:
        return json.loads(self.sdk.show_job(ShowJobRequest(job_id=job_id)).raw_content)


Connect = Callable[..., Client]


def _named(servers: Sequence[Any]) -> List[ServerId]:
    return [ServerId(id=s.server_id if isinstance(s, SimulatedServer) else s) for s in servers]


@pytest.fixture
def cloud() -> SimulatedCloud:
    return SimulatedCloud(START)


@pytest.fixture
def endpoint(cloud: SimulatedCloud) -> Iterator[str]:
    with serve(cloud) as url:
        yield url


@pytest.fixture
def connect(endpoint: str) -> Iterator[Connect]:
    clients: List[Client] = []

    def make(
        ak: str = SIMULATED_AK,
        sk: str = SIMULATED_SK,
        *,
        project: str = SIMULATED_PROJECT,
        token: Optional[str] = None,
    ) -> Client:
        clients.append(Client(endpoint, ak, sk, project, token))
        return clients[-1]

    yield make
    for client in clients:
        client.sdk.close()


@pytest.fixture
def client(connect: Connect) -> Client:
    return connect()


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def refused(status: int, code: object) -> ContextManager[Any]:
    return pytest.raises(ClientRequestException, check=lambda e: (e.status_code, e.error_code) == (status, code))


def seen(client: Client, server: SimulatedServer) -> Any:
    (entry,) = client.list(server_id=server.server_id).servers
    return entry


def power_of(client: Client, server: SimulatedServer) -> "tuple[Any, Any]":
    entry = seen(client, server)
    return entry.status, entry.os_ext_st_stask_state


# Listing


def test_an_empty_project_lists_no_servers(client: Client) -> None:
    answer = client.list()
    assert (answer.count, answer.servers) == (0, [])


def test_a_page_has_25_servers_unless_asked(cloud: SimulatedCloud, client: Client) -> None:
    for _ in range(26):
        cloud.add_server()
    answer = client.list()
    assert (len(answer.servers), answer.count) == (25, 26)


def test_lists_the_newest_server_first(cloud: SimulatedCloud, client: Client) -> None:
    names = [
        cloud.add_server("middle", created=START - timedelta(days=2)).name,
        cloud.add_server("oldest", created=START - timedelta(days=3)).name,
        cloud.add_server("newest", created=START - timedelta(days=1)).name,
    ]
    assert names == ["middle", "oldest", "newest"]
    assert [s.name for s in client.list().servers] == ["newest", "middle", "oldest"]


@pytest.mark.parametrize(
    ("servers", "pages"),
    [pytest.param(2500, [1000, 1000, 500], id="short last page"), pytest.param(2000, [1000, 1000, 0], id="multiple")],
)
def test_pages_of_1000_by_marker(cloud: SimulatedCloud, client: Client, servers: int, pages: List[int]) -> None:
    for _ in range(servers):
        cloud.add_server(sparse=True)
    got = [client.ids(limit=1000)]
    while len(got) < len(pages):
        got.append(client.ids(limit=1000, marker=got[-1][-1]))
    assert [len(page) for page in got] == pages
    assert len({server_id for page in got for server_id in page}) == servers


def test_a_region_may_ignore_markers(cloud: SimulatedCloud, client: Client) -> None:
    cloud.marker_supported = False
    for _ in range(5):
        cloud.add_server()
    first = client.ids(limit=2)
    assert client.ids(limit=2, marker=first[-1]) == first


def test_offset_is_a_page_number_and_0_is_the_first_page(cloud: SimulatedCloud, client: Client) -> None:
    ids = [cloud.add_server().server_id for _ in range(5)][::-1]
    pages = [client.ids(limit=2, offset=page) for page in (0, 1, 2, 3, 4)]
    assert pages == [ids[:2], ids[:2], ids[2:4], ids[4:], []]


@pytest.mark.parametrize(
    "query",
    [
        pytest.param({"limit": 0}, id="limit 0"),
        pytest.param({"limit": 1001}, id="limit over 1000"),
        pytest.param({"limit": "many"}, id="limit not a number"),
        pytest.param({"offset": -1}, id="negative page"),
        pytest.param({"marker": UNKNOWN}, id="unknown marker"),
    ],
)
def test_refuses_paging_out_of_range(client: Client, query: "dict[str, Any]") -> None:
    with refused(400, "Common.0002"):
        client.list(**query)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        pytest.param({"tags": f"{CLUSTER_TAG}={CLUSTER}"}, ["node"], id="key and value"),
        pytest.param({"tags": CLUSTER_TAG}, ["other-node", "node"], id="key only finds any value"),
        pytest.param({"tags": "keep"}, ["kept"], id="key of an empty value"),
        pytest.param({"tags": "keep="}, ["kept"], id="written empty value"),
        pytest.param({"tags": "CCE-Cluster"}, [], id="no prefix of a key"),
        pytest.param({"tags": f"owner=platform,{CLUSTER_TAG}"}, ["other-node"], id="all of several"),
        pytest.param({"tags": ["owner=platform", CLUSTER_TAG]}, ["other-node"], id="repeated"),
        pytest.param({"not_tags": CLUSTER_TAG}, ["off", "kept"], id="not-tags"),
        pytest.param({"name": "NOD"}, ["other-node", "node"], id="part of a name"),
        pytest.param({"status": "SHUTOFF"}, ["off"], id="status"),
        pytest.param({"status": "ACTIVE", "tags": CLUSTER_TAG}, ["other-node", "node"], id="widened status"),
        pytest.param({"status": "MIGRATING"}, ["node"], id="status that is not widened"),
    ],
)
def test_filters(cloud: SimulatedCloud, client: Client, query: "dict[str, Any]", names: List[str]) -> None:
    cloud.add_server("kept", tags=["keep", "owner=platform"])
    cloud.add_server("node", cluster_id=CLUSTER, status="MIGRATING")
    cloud.add_server("other-node", cluster_id=OTHER_CLUSTER, tags=["owner=platform"])
    cloud.add_server("off", status="SHUTOFF")
    cloud.add_server("of another project", project_id="another", tags=["keep"])
    answer = client.list(**query)
    assert [s.name for s in answer.servers] == names
    assert answer.count == len(names)


def test_a_region_may_find_only_empty_values_by_key(cloud: SimulatedCloud, client: Client) -> None:
    cloud.key_only_tags = False
    cloud.add_server(cluster_id=CLUSTER)
    empty = cloud.add_server(tags=[CLUSTER_TAG])
    assert client.ids(tags=CLUSTER_TAG) == [empty.server_id]


def test_a_list_of_ids_shows_an_unknown_one_as_an_entry_of_nulls(cloud: SimulatedCloud, client: Client) -> None:
    server = cloud.add_server(status="SHUTOFF")
    elsewhere = cloud.add_server(project_id="another")
    known, unknown, hidden = client.list(server_id=f"{server.server_id},{UNKNOWN},{elsewhere.server_id}").servers
    assert (known.id, known.status) == (server.server_id, "SHUTOFF")
    assert (unknown.id, unknown.status, unknown.tags, unknown.locked) == (UNKNOWN, None, None, None)
    assert unknown.fault["code"] == "Ecs.0114"
    assert (hidden.id, hidden.status) == (elsewhere.server_id, None)


def test_an_entry_has_what_the_real_one_has(cloud: SimulatedCloud, client: Client) -> None:
    server = cloud.add_server("dev-1", cluster_id=CLUSTER, tags=["keep"], charging_mode="1", locked=True, frozen=True)
    (entry,) = client.list().servers
    assert (entry.id, entry.name, entry.status) == (server.server_id, "dev-1", "ACTIVE")
    assert entry.created == entry.updated == "2026-12-01T00:00:00Z"
    assert entry.tags[:2] == ["keep", f"{CLUSTER_TAG}={CLUSTER}"]
    assert entry.tags[2].startswith("CCE-Dynamic-Provisioning-Node=")
    assert (entry.metadata["charging_mode"], entry.metadata["EcmResStatus"]) == ("1", "freeze")
    assert (entry.locked, entry.metadata["lockSourceId"]) == (True, server.server_id)
    assert (entry.os_ext_st_svm_state, entry.os_ext_st_stask_state, entry.os_ext_st_spower_state) == ("active", None, 1)
    assert (entry.flavor.id, entry.enterprise_project_id) == ("s6.large.2", "0")
    assert entry.os_ext_a_zavailability_zone
    assert entry.addresses
    assert b"chpasswd" in base64.b64decode(entry.os_ext_srv_att_ruser_data)


def test_entries_may_lack_fields(cloud: SimulatedCloud, client: Client) -> None:
    cloud.add_server("bare", cluster_id=CLUSTER, sparse=True)
    cloud.add_server("older", omit=["locked", "metadata"])
    older, bare = json.loads(client.list().raw_content)["servers"]
    assert list(bare) == ["id"]
    assert older["name"] == "older"
    assert not {"locked", "metadata"} & set(older)


def test_a_server_added_or_removed_shows_in_the_next_listing(cloud: SimulatedCloud, client: Client) -> None:
    first = cloud.add_server()
    assert client.ids() == [first.server_id]
    second = cloud.add_server()
    assert client.ids() == [second.server_id, first.server_id]
    cloud.remove(first)
    assert client.ids() == [second.server_id]
    assert cloud.servers == (second,)


def test_a_changed_attribute_shows_in_the_next_listing(cloud: SimulatedCloud, client: Client) -> None:
    server = cloud.add_server()
    client.list()
    server.tags = ("cce-scheduler=off",)
    server.locked = True
    assert (seen(client, server).tags, seen(client, server).locked) == (["cce-scheduler=off"], True)


def test_equal_scenes_have_equal_ids_and_other_seeds_others() -> None:
    ids = [SimulatedCloud(START, seed=seed).add_server().server_id for seed in ("a", "a", "b")]
    assert ids[0] == ids[1] != ids[2]


# Starts and stops over scripted time


def test_a_start_takes_40_seconds(cloud: SimulatedCloud, client: Client) -> None:
    server = cloud.add_server(status="SHUTOFF", created=START - timedelta(days=1))
    client.start(server)
    assert power_of(client, server) == ("SHUTOFF", "powering-on")
    cloud.advance_to(after(39.9))
    assert power_of(client, server) == ("SHUTOFF", "powering-on")
    cloud.advance_to(after(600))
    assert power_of(client, server) == ("ACTIVE", None)
    assert seen(client, server).updated == "2026-12-01T00:00:40Z"
    assert seen(client, server).os_ext_st_spower_state == 1


@pytest.mark.parametrize("stop_type", [None, "SOFT", "HARD"])
def test_a_stop_takes_30_seconds(cloud: SimulatedCloud, client: Client, stop_type: Optional[str]) -> None:
    server = cloud.add_server()
    client.stop(server, stop_type=stop_type)
    cloud.advance_to(after(29))
    assert power_of(client, server) == ("ACTIVE", "powering-off")
    cloud.advance_to(after(30))
    assert power_of(client, server) == ("SHUTOFF", None)
    assert seen(client, server).updated == "2026-12-01T00:00:30Z"


def test_a_soft_stop_may_hang_until_a_hard_one(cloud: SimulatedCloud, client: Client) -> None:
    server = cloud.add_server(soft_stop_hangs=True)
    hanging = client.stop(server)
    cloud.advance_to(START + timedelta(days=30))
    assert power_of(client, server) == ("ACTIVE", "powering-off")
    assert client.job(hanging)["status"] == "RUNNING"
    with refused(400, "Ecs.0100"):
        client.stop(server, stop_type="SOFT")
    client.stop(server, stop_type="HARD")
    cloud.advance_to(cloud.now + timedelta(seconds=30))
    assert power_of(client, server) == ("SHUTOFF", None)
    assert client.job(hanging)["status"] == "SUCCESS"


def test_a_start_may_fail_for_lack_of_capacity(cloud: SimulatedCloud, client: Client) -> None:
    server = cloud.add_server(status="SHUTOFF", start_fails=True)
    job_id = client.start(server)
    assert power_of(client, server) == ("SHUTOFF", "powering-on")
    cloud.advance_to(after(40))
    assert power_of(client, server) == ("SHUTOFF", None)
    assert "No valid host" in seen(client, server).fault["message"]
    job = client.job(job_id)
    assert (job["status"], job["error_code"]) == ("FAIL", "Common.0021")
    assert "No valid host" in job["entities"]["sub_jobs"][0]["entities"]["errorcode_message"]

    server.start_fails = False
    client.start(server)
    assert seen(client, server).fault is None


@pytest.mark.parametrize(
    ("scene", "power", "error"),
    [
        pytest.param({"status": "ACTIVE"}, "start", (400, "Ecs.0100"), id="start a running one"),
        pytest.param({"status": "SHUTOFF"}, "stop", (400, "Ecs.0100"), id="stop a stopped one"),
        pytest.param({"status": "ERROR"}, "stop", (400, "Ecs.0100"), id="stop a broken one"),
        pytest.param({"task_state": "deleting"}, "stop", (400, "Ecs.0100"), id="stop one that is busy"),
        pytest.param(
            {"status": "SHUTOFF", "task_state": "powering-on"}, "start", (400, "Ecs.0100"), id="start a starting one"
        ),
        pytest.param({"locked": True}, "stop", (400, "Ecs.0605"), id="locked"),
        pytest.param({"frozen": True}, "stop", (400, "Ecs.0030"), id="frozen"),
        pytest.param({"project_id": "another"}, "stop", (404, "Ecs.0114"), id="another project's"),
    ],
)
def test_one_bad_server_refuses_a_strict_batch(
    cloud: SimulatedCloud, client: Client, scene: "dict[str, Any]", power: str, error: "tuple[int, str]"
) -> None:
    good = cloud.add_server(status="SHUTOFF" if power == "start" else "ACTIVE")
    bad = cloud.add_server(**scene)
    with refused(*error):
        getattr(client, power)(good, bad)
    cloud.advance_to(after(600))
    assert [len(cloud.history(server)) for server in (good, bad)] == [1, 1]


def test_a_tolerant_batch_fails_for_the_bad_server_only(cloud: SimulatedCloud, client: Client) -> None:
    cloud.strict_batches = False
    good, locked = cloud.add_server(), cloud.add_server(locked=True)
    job_id = client.stop(good, locked, UNKNOWN)
    assert client.job(job_id)["status"] == "RUNNING"
    cloud.advance_to(after(30))
    job = client.job(job_id)
    assert (job["status"], job["error_code"], job["entities"]["sub_jobs_total"]) == ("FAIL", "Common.0021", 3)
    outcomes = [(sub["entities"]["server_id"], sub["status"], sub["error_code"]) for sub in job["entities"]["sub_jobs"]]
    assert outcomes == [
        (good.server_id, "SUCCESS", None),
        (locked.server_id, "FAIL", "Ecs.0605"),
        (UNKNOWN, "FAIL", "Ecs.0114"),
    ]
    assert power_of(client, good) == ("SHUTOFF", None)
    assert power_of(client, locked) == ("ACTIVE", None)


def test_refuses_an_empty_batch_and_one_over_1000(cloud: SimulatedCloud, client: Client) -> None:
    servers = [cloud.add_server() for _ in range(1001)]
    with refused(400, "Common.0002"):
        client.stop()
    with refused(400, "Ecs.0118"):
        client.stop(*servers)
    client.stop(*servers[:1000])
    assert [s.task_state for s in servers].count("powering-off") == 1000


def test_refuses_an_unknown_stop_type(cloud: SimulatedCloud, client: Client) -> None:
    with refused(400, "Common.0002"):
        client.stop(cloud.add_server(), stop_type="soft")


def test_a_server_named_twice_is_stopped_once(cloud: SimulatedCloud, client: Client) -> None:
    server = cloud.add_server()
    assert client.job(client.stop(server, server))["entities"]["sub_jobs_total"] == 1


def test_things_due_happen_in_order_however_far_time_moves(cloud: SimulatedCloud, client: Client) -> None:
    cloud.stop_s = 0
    server = cloud.add_server()
    client.stop(server)
    client.start(server)
    cloud.advance_to(START + timedelta(days=365))
    assert [(c.at, c.status, c.task_state) for c in cloud.history(server)] == [
        (START, "ACTIVE", None),
        (START, "ACTIVE", "powering-off"),
        (START, "SHUTOFF", None),
        (START, "SHUTOFF", "powering-on"),
        (after(40), "ACTIVE", None),
    ]


def test_time_neither_goes_back_nor_lacks_a_zone(cloud: SimulatedCloud) -> None:
    cloud.advance_to(after(1))
    with pytest.raises(ValueError, match="does not go back"):
        cloud.advance_to(START)
    with pytest.raises(ValueError, match="without a zone"):
        cloud.advance_to(datetime(2027, 1, 1))  # noqa: DTZ001


# Jobs


def test_a_job_runs_until_its_last_server_is_done(cloud: SimulatedCloud, client: Client) -> None:
    server = cloud.add_server()
    job_id = client.stop(server)
    running = client.job(job_id)
    assert (running["status"], running["end_time"], running["job_type"]) == ("RUNNING", "", "serversAction")
    cloud.advance_to(after(30))
    done = client.job(job_id)
    assert (done["status"], done["error_code"]) == ("SUCCESS", None)
    assert (done["begin_time"], done["end_time"]) == ("2026-12-01T00:00:00.000Z", "2026-12-01T00:00:30.000Z")
    (sub,) = done["entities"]["sub_jobs"]
    assert (sub["job_type"], sub["status"], sub["entities"]) == (
        "serverActions",
        "SUCCESS",
        {"server_id": server.server_id},
    )


def test_a_finished_job_is_forgotten_after_a_day(cloud: SimulatedCloud, client: Client) -> None:
    job_id = client.stop(cloud.add_server())
    cloud.advance_to(after(30) + timedelta(days=1))
    assert client.job(job_id)["status"] == "SUCCESS"
    cloud.advance_to(after(31) + timedelta(days=1))
    with refused(400, "Common.0011"):
        client.job(job_id)
    client.stop(cloud.add_server())
    assert job_id not in cloud._jobs


def test_a_job_belongs_to_its_project(cloud: SimulatedCloud, client: Client, connect: Connect) -> None:
    job_id = client.stop(cloud.add_server())
    with refused(400, "Common.0011"):
        connect(project="another").job(job_id)


# By hand


def test_a_person_starts_and_stops_servers_without_a_request(cloud: SimulatedCloud) -> None:
    server = cloud.add_server()
    cloud.stop_by_hand(server)
    cloud.advance_to(after(30))
    assert server.status == "SHUTOFF"
    cloud.start_by_hand(server.server_id)
    cloud.advance_to(after(70))
    assert server.status == "ACTIVE"
    assert cloud.ledger == ()
    with pytest.raises(Exception, match=r"Ecs\.0100"):
        cloud.start_by_hand(server)


def test_a_stop_that_takes_no_time_is_done_at_once(cloud: SimulatedCloud) -> None:
    cloud.stop_s = 0
    server = cloud.add_server()
    cloud.stop_by_hand(server)
    assert (server.status, server.task_state) == ("SHUTOFF", None)


def test_a_hard_stop_by_hand_ends_one_that_hangs(cloud: SimulatedCloud) -> None:
    server = cloud.add_server(soft_stop_hangs=True)
    cloud.stop_by_hand(server)
    cloud.stop_by_hand(server, hard=True)
    cloud.advance_to(after(30))
    assert server.status == "SHUTOFF"


def test_a_status_set_or_a_removal_interrupts_what_was_under_way(cloud: SimulatedCloud, client: Client) -> None:
    first, second = cloud.add_server(), cloud.add_server()
    job_id = client.stop(first, second)
    cloud.set_status(first, "ERROR")
    cloud.remove(second)
    cloud.advance_to(after(600))
    assert client.ids() == [first.server_id]
    assert power_of(client, first) == ("ERROR", None)
    assert [sub["status"] for sub in client.job(job_id)["entities"]["sub_jobs"]] == ["FAIL", "FAIL"]
    with pytest.raises(KeyError):
        cloud.server(second)


# Credentials, rights and paths


def test_a_key_opens_only_its_projects(cloud: SimulatedCloud, connect: Connect) -> None:
    cloud.add_credentials("AK", "SK", projects=["mine"])
    assert connect("AK", "SK", project="mine").ids() == []
    with refused(403, "Ecs.0003"):
        connect("AK", "SK", project="yours").list()


@pytest.mark.parametrize("right", ["list", "start", "stop"])
def test_a_key_without_a_right_is_refused(cloud: SimulatedCloud, connect: Connect, right: str) -> None:
    cloud.add_credentials("AK", "SK", may={"list", "start", "stop"} - {right})
    on, off = cloud.add_server(), cloud.add_server(status="SHUTOFF")
    client = connect("AK", "SK")
    calls: Dict[str, Callable[[], Any]] = {
        "list": client.list,
        "start": lambda: client.start(off),
        "stop": lambda: client.stop(on),
    }
    for name, call in calls.items():
        if name != right:
            call()
    with refused(403, "EPS.0003"):
        calls[right]()


def test_unknown_rights_are_a_mistake_of_the_scene(cloud: SimulatedCloud) -> None:
    with pytest.raises(ValueError, match="no such right: delete"):
        cloud.add_credentials("AK", "SK", may=["list", "delete"])


def test_a_path_without_its_project_is_refused(endpoint: str) -> None:
    sdk = EcsClient.new_builder().with_credentials(BasicCredentials(SIMULATED_AK, SIMULATED_SK)).with_endpoint(endpoint)
    client = sdk.build()
    with refused(403, "Ecs.0003"):
        client.list_servers_details(ListServersDetailsRequest())
    client.close()


def test_an_unknown_path_or_method_is_refused_by_the_gateway(endpoint: str) -> None:
    for method, path in (("GET", "/v1/p/elsewhere"), ("DELETE", "/v1/p/cloudservers/detail")):
        answer = requests.request(method, endpoint + path, timeout=5)
        assert (answer.status_code, answer.json()["error_code"]) == (404, "APIGW.0101")
        assert answer.json()["request_id"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="none"),
        pytest.param("{", id="no JSON"),
        pytest.param("[]", id="a list"),
        pytest.param('{"os-start": []}', id="no object inside"),
        pytest.param('{"os-start": {"servers": "all"}}', id="no list of servers"),
        pytest.param('{"os-start": {"servers": [1]}}', id="no ids"),
        pytest.param('{"reboot": {"servers": [{"id": "1"}]}}', id="another action"),
        pytest.param(
            '{"os-start": {"servers": [{"id": "1"}]}, "os-stop": {"servers": [{"id": "1"}]}}', id="two actions"
        ),
    ],
)
def test_refuses_a_bad_body(endpoint: str, body: str) -> None:
    path = f"/v1/{SIMULATED_PROJECT}/cloudservers/action"
    answer = requests.post(endpoint + path, body, headers=signed_headers(endpoint, "POST", path, body), timeout=5)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "Common.0002")


def test_an_error_keeps_its_request_id(client: Client) -> None:
    with pytest.raises(ClientRequestException) as caught:
        client.start(UNKNOWN)
    assert len(caught.value.request_id) == 32
    assert caught.value.error_msg == "The ECS does not exist."


# Signatures


def signed_headers(endpoint: str, method: str, path: str, body: str) -> "dict[str, str]":
    names = ("host", "x-sdk-date")
    date = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": urlsplit(endpoint).netloc, "x-sdk-date": date}
    signature = sign(SignedRequest(method, path, (), headers, body.encode()), names, SIMULATED_SK)
    value = f"SDK-HMAC-SHA256 Access={SIMULATED_AK}, SignedHeaders={';'.join(names)}, Signature={signature}"
    return {"X-Sdk-Date": date, "Authorization": value}


# Made once with the SDK's signer, version 3.1.219.
GOLDEN_NAMES = ("content-type", "host", "x-project-id", "x-sdk-date", "x-security-token")
GOLDEN_SIGNATURE = "b71a85c7340e17685e6dd376a2c33125c7eccfe683452866911b8b75befabe6a"
GOLDEN = SignedRequest(
    method="POST",
    path="/v1/PID/cloudservers/action",
    query=[("tags", "CCE-Cluster-ID=a b")],
    headers={
        "host": "ecs.example.com",
        "x-sdk-date": "20250323T073159Z",
        "content-type": "application/json;charset=utf-8",
        "x-project-id": "PID",
        "x-security-token": "TOK",
        "authorization": f"SDK-HMAC-SHA256 Access=AKEXAMPLE, SignedHeaders={';'.join(GOLDEN_NAMES)}, "
        f"Signature={GOLDEN_SIGNATURE}",
    },
    body=b'{"os-start": {"servers": [{"id": "1"}]}}',
)
GOLDEN_TIME = datetime(2025, 3, 23, 7, 31, 59, tzinfo=timezone.utc)


def golden_secrets(access_key: str) -> Optional[Secrets]:
    return Secrets("SKEXAMPLE", "TOK") if access_key == "AKEXAMPLE" else None


def test_signs_as_the_sdk_does() -> None:
    assert sign(GOLDEN, GOLDEN_NAMES, "SKEXAMPLE") == GOLDEN_SIGNATURE
    assert verify(GOLDEN, golden_secrets, GOLDEN_TIME) == "AKEXAMPLE"


def test_the_order_of_the_query_is_not_signed() -> None:
    query = [("a", "2"), ("b", "1"), ("a", "1")]
    orders = [query, query[::-1]]
    assert len({sign(GOLDEN._replace(query=order), GOLDEN_NAMES, "SKEXAMPLE") for order in orders}) == 1


@pytest.mark.parametrize("minutes", [-15, 15])
def test_a_signing_date_may_be_15_minutes_off(minutes: int) -> None:
    at = GOLDEN_TIME + timedelta(minutes=minutes)
    assert verify(GOLDEN, golden_secrets, at) == "AKEXAMPLE"
    with pytest.raises(SignatureError, match="more than 15 minutes off"):
        verify(GOLDEN, golden_secrets, at + timedelta(seconds=minutes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"method": "PUT"}, "signature fail", id="method"),
        pytest.param({"path": "/v1/OTHER/cloudservers/action"}, "signature fail", id="path"),
        pytest.param({"query": [("tags", "CCE-Cluster-ID=b")]}, "signature fail", id="query"),
        pytest.param({"body": b"{}"}, "signature fail", id="body"),
        pytest.param({"host": "elsewhere.example.com"}, "signature fail", id="header"),
        pytest.param({"x-security-token": "other"}, "decrypt token fail", id="token"),
        pytest.param({"x-security-token": None}, "decrypt token fail", id="no token"),
        pytest.param({"x-sdk-date": "yesterday"}, "malformed", id="date"),
        pytest.param({"authorization": None}, "Unauthorized", id="no signature"),
        pytest.param({"authorization": "Basic QUs6U0s="}, "Unauthorized", id="another scheme"),
        pytest.param(
            {"authorization": "SDK-HMAC-SHA256 Access=AK, SignedHeaders=host, Signature=0"},
            "ak AK not",
            id="unknown key",
        ),
        pytest.param(
            {"authorization": "SDK-HMAC-SHA256 Access=AKEXAMPLE, SignedHeaders=host, Signature=0"},
            "is not signed",
            id="unsigned date",
        ),
    ],
)
def test_a_changed_request_proves_nothing(change: "dict[str, Any]", message: str) -> None:
    parts = {name: change.pop(name) for name in list(change) if name in SignedRequest._fields}
    headers = {k: v for k, v in {**GOLDEN.headers, **change}.items() if v is not None}
    with pytest.raises(SignatureError, match=message):
        verify(GOLDEN._replace(headers=headers, **parts), golden_secrets, GOLDEN_TIME)


@pytest.mark.parametrize(
    ("ak", "sk", "token"),
    [
        pytest.param(SIMULATED_AK, "wrong", None, id="wrong secret"),
        pytest.param("nobody", SIMULATED_SK, None, id="unknown key"),
        pytest.param(SIMULATED_AK, SIMULATED_SK, "token", id="a token that the key has not"),
        pytest.param(SIMULATED_AK, SIMULATED_SK, "", id="an empty token"),
    ],
)
def test_the_gateway_refuses_a_wrong_key(connect: Connect, ak: str, sk: str, token: Optional[str]) -> None:
    with refused(401, "APIGW.0301") as caught:
        connect(ak, sk, token=token).list()
    assert "Incorrect IAM authentication information" in caught.value.error_msg


def test_a_temporary_key_needs_its_token(cloud: SimulatedCloud, connect: Connect) -> None:
    cloud.add_credentials("AK", "SK", security_token="TOK")
    assert connect("AK", "SK", token="TOK").ids() == []
    with refused(401, "APIGW.0301"):
        connect("AK", "SK").list()


def test_the_default_key_is_gone_once_others_are_added(cloud: SimulatedCloud, client: Client) -> None:
    client.list()
    cloud.add_credentials("AK", "SK")
    with refused(401, "APIGW.0301"):
        client.list()


def test_a_clock_that_is_off_refuses_every_signature(cloud: SimulatedCloud) -> None:
    with serve(cloud, clock=lambda: datetime.now(timezone.utc) + timedelta(minutes=16)) as url:
        client = Client(url, SIMULATED_AK, SIMULATED_SK, SIMULATED_PROJECT, None)
        with refused(401, "APIGW.0301"):
            client.list()
        client.sdk.close()


@pytest.mark.parametrize("tag", ["a b", "ключ=значение", "a+b=c/d~e&f", "k=100%"])
def test_odd_characters_are_signed_and_matched(cloud: SimulatedCloud, client: Client, tag: str) -> None:
    server = cloud.add_server(tags=[tag])
    assert client.ids(tags=tag) == [server.server_id]


# Faults


def always(fault: Fault) -> Callable[[Call], Optional[Fault]]:
    return lambda _call: fault


def test_a_fault_is_chosen_by_looking_at_the_call(cloud: SimulatedCloud, client: Client) -> None:
    cloud.faults = lambda call: failing(500, "Ecs.0000") if call.method == "POST" else None
    server = cloud.add_server()
    assert client.ids() == [server.server_id]
    with pytest.raises(SdkException, check=lambda e: (e.status_code, e.error_code) == (500, "Ecs.0000")):
        client.stop(server)


def test_a_fault_has_any_status_and_headers(cloud: SimulatedCloud, endpoint: str) -> None:
    cloud.faults = always(failing(429, "APIGW.0308", "ratelimit", headers={"Retry-After": "56.818"}))
    answer = requests.get(endpoint + "/v1/p/cloudservers/detail", timeout=5)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "56.818")
    assert answer.json()["error_code"] == "APIGW.0308"


def test_an_answer_may_be_a_web_page(cloud: SimulatedCloud, client: Client) -> None:
    cloud.faults = always(html())
    assert client.list().servers is None
    cloud.faults = always(html(503))
    with pytest.raises(SdkException, check=lambda e: e.status_code == 503):
        client.list()


def test_an_answer_may_lack_a_field(cloud: SimulatedCloud, client: Client) -> None:
    cloud.faults = always(answering(200, '{"count": 1}'))
    answer = client.list()
    assert (answer.count, answer.servers) == (1, None)


def test_a_connection_may_close_without_an_answer(cloud: SimulatedCloud, client: Client) -> None:
    client.list()
    cloud.faults = always(reset())
    with pytest.raises(ConnectionException):
        client.list()
    assert cloud.ledger[-1].status is None
    cloud.faults = None
    client.list()


def test_an_answer_may_be_cut_off(cloud: SimulatedCloud, client: Client) -> None:
    server = cloud.add_server()
    cloud.faults = always(truncated())
    with pytest.raises((SdkException, requests.RequestException)):
        client.stop(server)
    assert server.task_state == "powering-off"


@pytest.mark.parametrize("carried_out", [False, True])
def test_a_fault_may_hide_that_the_call_was_carried_out(
    cloud: SimulatedCloud, client: Client, *, carried_out: bool
) -> None:
    server = cloud.add_server()
    cloud.faults = always(reset(carried_out=carried_out))
    with pytest.raises((SdkException, requests.RequestException)):
        client.stop(server)
    assert server.task_state == ("powering-off" if carried_out else None)
    assert cloud.ledger[-1].carried_out is carried_out


# The ledger and the history


def test_the_ledger_has_every_request(cloud: SimulatedCloud, client: Client) -> None:
    off, on = cloud.add_server(status="SHUTOFF"), cloud.add_server()
    client.list(limit=1000, tags=CLUSTER_TAG)
    cloud.advance_to(after(60))
    client.start(off)
    client.stop(on)
    client.stop(on, stop_type="HARD")
    with refused(404, "Ecs.0114"):
        client.start(UNKNOWN)
    listed, started, stopped, cut, missing = cloud.ledger
    path = f"/v1/{SIMULATED_PROJECT}/cloudservers"
    assert listed[:6] == (START, "GET", f"{path}/detail", {"limit": "1000", "tags": CLUSTER_TAG}, None, 200)
    assert (listed.power, listed.server_ids) == (None, ())
    assert started[:4] == (after(60), "POST", f"{path}/action", {})
    assert started.body == {"os-start": {"servers": [{"id": off.server_id}]}}
    assert (started.status, started.power, started.server_ids) == (200, Power.START, (off.server_id,))
    assert (stopped.power, cut.power) == (Power.STOP_SOFT, Power.STOP_HARD)
    assert (missing.status, missing.server_ids, missing.carried_out) == (404, (UNKNOWN,), False)
    cloud.clear_ledger()
    assert cloud.ledger == ()


def test_a_refused_signature_is_in_the_ledger_as_not_carried_out(cloud: SimulatedCloud, connect: Connect) -> None:
    with refused(401, "APIGW.0301"):
        connect(sk="wrong").stop(cloud.add_server())
    assert [(r.status, r.carried_out) for r in cloud.ledger] == [(401, False)]


def test_sums_the_seconds_that_a_server_was_running(cloud: SimulatedCloud) -> None:
    server = cloud.add_server()  # runs from 0
    cloud.advance_to(after(100))
    cloud.stop_by_hand(server)  # until 130
    cloud.advance_to(after(1000))
    cloud.start_by_hand(server)  # from 1000, not from 1040
    cloud.advance_to(after(2000))
    cloud.remove(server)
    assert cloud.running_seconds(server, START, after(5000)) == 130 + 1000
    assert cloud.running_seconds(server, after(-500), after(120)) == 120
    assert cloud.running_seconds(server, after(130), after(1000)) == 0
    assert cloud.running_seconds(server, after(120), after(1010)) == 10 + 10
    assert cloud.running_seconds(server.server_id, after(2000), after(9000)) == 0


def test_a_failed_start_runs_only_while_it_is_tried(cloud: SimulatedCloud) -> None:
    server = cloud.add_server(status="SHUTOFF", start_fails=True)
    cloud.start_by_hand(server)
    cloud.advance_to(after(600))
    assert cloud.running_seconds(server, START, after(600)) == 40


def test_a_hanging_stop_runs_on(cloud: SimulatedCloud) -> None:
    server = cloud.add_server(soft_stop_hangs=True)
    cloud.stop_by_hand(server)
    cloud.advance_to(after(600))
    assert cloud.running_seconds(server, START, after(600)) == 600


# The socket


def test_a_connection_serves_many_requests(endpoint: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=5)
    connection.connect()
    first = connection.sock
    for _ in range(3):
        connection.request("POST", "/nowhere", body=b"x" * 100)
        assert connection.getresponse().read()
        assert connection.sock is first
    connection.close()


def test_leaves_no_thread_behind_though_a_client_stays_connected(cloud: SimulatedCloud) -> None:
    before = set(threading.enumerate())
    with serve(cloud) as url:
        client = Client(url, SIMULATED_AK, SIMULATED_SK, SIMULATED_PROJECT, None)
        client.list()
        names = [thread for thread in set(threading.enumerate()) - before if "simulated-cloud" in thread.name]
        assert names
    left = [t.name for t in set(threading.enumerate()) - before if not t.name.startswith("ThreadPoolExecutor")]
    assert left == []
    with pytest.raises(ConnectionException):
        client.list()
    client.sdk.close()


def test_listens_on_loopback_only(endpoint: str) -> None:
    assert urlsplit(endpoint).hostname == "127.0.0.1"


def test_a_request_is_handled_under_the_lock(cloud: SimulatedCloud, client: Client) -> None:
    was_free: List[bool] = []

    def try_lock(_call: Call) -> None:
        other = threading.Thread(target=lambda: was_free.append(cloud.lock.acquire(blocking=False)))
        other.start()
        other.join()

    cloud.faults = try_lock
    client.list()
    assert was_free == [False]


def test_answers_take_their_time_side_by_side(cloud: SimulatedCloud) -> None:
    slept: List[float] = []
    was_free: List[bool] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        other = threading.Thread(target=lambda: was_free.append(cloud.lock.acquire(blocking=False)))
        other.start()
        other.join()

    cloud.latency_s = 3600.0
    with serve(cloud, sleep=sleep) as endpoint:
        requests.get(f"{endpoint}/nowhere", timeout=60)
    assert was_free == [True]
    assert 0 < slept[0] <= 3600


def test_answers_many_clients_at_once(cloud: SimulatedCloud, connect: Connect) -> None:
    servers = [cloud.add_server() for _ in range(40)]
    errors: List[Exception] = []

    def stop_and_list(client: Client, mine: Sequence[SimulatedServer]) -> None:
        try:
            for server in mine:
                client.stop(server)
                assert len(client.ids(limit=1000)) == 40
        except Exception as error:  # noqa: BLE001  # a thread's failure is the test's
            errors.append(error)

    threads = [threading.Thread(target=stop_and_list, args=(connect(), servers[n::4])) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(cloud.ledger) == 80
    assert {server.task_state for server in servers} == {"powering-off"}
