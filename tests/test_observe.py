"""What is seen of CCE and ECS, by how many calls, and what follows from it: members, pools, control planes."""

import contextlib
from collections import Counter
from datetime import datetime, timedelta
from random import Random
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

import pytest

from scheduler.cloud.listing import list_servers
from scheduler.errors import InputError, PermanentCloudError, TemporaryCloudError
from scheduler.model import (
    Cluster,
    ClusterPlan,
    ControlPlane,
    Exclude,
    HoldKind,
    Membership,
    Power,
    Run,
    State,
    Timing,
    Window,
)
from scheduler.plan import find_members, plan_cluster
from scheduler.reconcile import run_once
from scheduler.savings import billed_when_stopped
from scheduler.simulated import SimulatedCloud, SimulatedServer, serve
from scheduler.simulated.calls import Call, Fault, answering, failing
from scheduler.simulated.clusters import SimulatedCluster
from tests.scenes import (
    BATCH,
    CLOCK,
    DEV,
    NOW,
    OTHER_PROJECT,
    PROJECT,
    TEST,
    connector,
    make_cluster,
    make_schedules,
    open_cloud,
    posts,
)

NODES, HIBERNATE = Membership.NODES, ControlPlane.HIBERNATE
RUNNING, STOPPED, UNMANAGED = State.RUNNING, State.STOPPED, State.UNMANAGED
OFFICE = Timing("UTC", windows=(Window("0 8 * * *", "0 11 * * *"),))
"""Stopped since 11:00 at `NOW`, which is noon."""
OVERRIDE = "cce-scheduler-override"


@pytest.fixture
def cloud() -> SimulatedCloud:
    return SimulatedCloud(NOW)


@pytest.fixture
def endpoint(cloud: SimulatedCloud) -> Iterator[str]:
    with serve(cloud) as url:
        yield url


def add_cluster(cloud: SimulatedCloud, cluster_id: str = DEV, **fields: Any) -> SimulatedCluster:
    return cloud.clusters.add(fields.pop("name", "dev"), project_id=PROJECT, cluster_id=cluster_id, **fields)


def add_nodes(cloud: SimulatedCloud, cluster: SimulatedCluster, number: int, **fields: Any) -> List[SimulatedServer]:
    made = [cloud.clusters.add_node(cluster, f"{cluster.name}-{n}", **fields) for n in range(1, number + 1)]
    return [cloud.server(node.server_id) for node in made if node.server_id]


def run(endpoint: str, *clusters: Cluster, now: datetime = NOW, remote: bool = False) -> Run:
    schedules = make_schedules(*clusters)._replace(remote_overrides=remote)
    return run_once(schedules, now, connector(endpoint), CLOCK)


def calls(cloud: SimulatedCloud) -> Dict[str, int]:
    """Count the calls by what they ask for, and begin to count anew."""
    ends = {"cloudservers/detail": "servers", "cloudservers/action": "action", "/nodes": "nodes", "/nodepools": "pools"}
    ends.update({"/clusters": "clusters", "/hibernate": "hibernate", "/awake": "awake"})
    found = Counter(next(word for end, word in ends.items() if r.path.endswith(end)) for r in cloud.ledger)
    cloud.clear_ledger()
    return dict(found)


def refuse(cloud: SimulatedCloud, *ends: str, status: int = 403, code: str = "CCE.01403001") -> None:
    """Refuse every call whose path has one of these ends."""

    def faults(call: Call) -> Optional[Fault]:
        return failing(status, code) if call.path.endswith(ends) else None

    cloud.faults = faults


def stopped(cloud: SimulatedCloud) -> Set[str]:
    """Return the names of the servers that were to stop, and see that nothing else was asked of a server."""
    powers = [(power, cloud.server(i).name) for power, ids in posts(cloud) if power for i in ids]
    assert {power for power, _ in powers} <= {Power.STOP_SOFT}
    assert len(powers) == len({name for _, name in powers})
    return {name for _, name in powers}


def kinds(planned: ClusterPlan) -> Dict[str, HoldKind]:
    return {hold.server.name or "": hold.kind for hold in planned.holds}


# Calls


def test_no_call_of_cce_is_made_for_a_file_that_needs_none(cloud: SimulatedCloud, endpoint: str) -> None:
    for cluster_id in (DEV, TEST):
        add_nodes(cloud, add_cluster(cloud, cluster_id, name=cluster_id), 2)
    assert not run(endpoint, make_cluster(), make_cluster("test", TEST)).has_failed
    assert calls(cloud) == {"servers": 1, "action": 1}
    assert not run(endpoint, make_cluster()).has_failed
    assert calls(cloud) == {"servers": 1}


def test_the_clusters_are_listed_once_for_all_that_hibernate(cloud: SimulatedCloud, endpoint: str) -> None:
    for cluster_id in (DEV, TEST, BATCH):
        add_nodes(cloud, add_cluster(cloud, cluster_id, name=cluster_id), 1)
    clusters = [make_cluster(i, i, control_plane=HIBERNATE) for i in (DEV, TEST)]
    run(endpoint, *clusters, make_cluster("batch", BATCH))
    assert calls(cloud) == {"clusters": 1, "servers": 1, "action": 1}
    cloud.advance_to(NOW + timedelta(minutes=5))
    run(endpoint, *clusters, make_cluster("batch", BATCH), now=cloud.now)  # all off: the proof asks for the nodes
    assert calls(cloud) == {"clusters": 1, "servers": 1, "nodes": 2, "hibernate": 2}
    cloud.advance_to(NOW + timedelta(minutes=10))
    run(endpoint, *clusters, make_cluster("batch", BATCH), now=cloud.now)  # asleep: nobody is asked for nodes
    assert calls(cloud) == {"clusters": 1, "servers": 1}


@pytest.mark.parametrize(
    ("nodes", "page_size", "expected"),
    [
        pytest.param(3, 2000, {"nodes": 1, "servers": 1, "action": 1}, id="by their ids"),
        pytest.param(100, 2000, {"nodes": 1, "servers": 1, "action": 1}, id="as many ids as one call takes"),
        pytest.param(101, 2000, {"nodes": 1, "servers": 1, "action": 1}, id="too many ids: everything is listed"),
        pytest.param(7, 3, {"nodes": 3, "servers": 1, "action": 1}, id="page by page"),
        pytest.param(0, 2000, {"nodes": 1}, id="none: no server is asked for"),
    ],
)
def test_nodes_are_listed_once_for_each_cluster_that_is_found_by_them(
    cloud: SimulatedCloud, endpoint: str, nodes: int, page_size: int, expected: Dict[str, int]
) -> None:
    cloud.clusters.page_size = page_size
    servers = add_nodes(cloud, add_cluster(cloud), nodes, is_tagged=False)
    cloud.add_server("stranger")
    cloud.add_server("tagged", cluster_id=DEV)  # by tag alone it is none of its nodes
    run(endpoint, make_cluster(membership=NODES))
    assert stopped(cloud) == {s.name for s in servers}
    assert calls(cloud) == expected


def test_with_pools_excluded_nodes_and_pools_are_listed_once(cloud: SimulatedCloud, endpoint: str) -> None:
    add_nodes(cloud, add_cluster(cloud), 2)
    run(endpoint, make_cluster(exclude=Exclude(node_pools=("ingress",))))
    assert calls(cloud) == {"nodes": 1, "pools": 1, "servers": 1, "action": 1}


def test_an_unmanaged_cluster_is_not_asked_for_its_nodes(cloud: SimulatedCloud, endpoint: str) -> None:
    add_nodes(cloud, add_cluster(cloud), 2)
    run(endpoint, make_cluster(membership=NODES, enabled=False), make_cluster("test", TEST))
    assert "nodes" not in {r.path.rpartition("/")[2] for r in cloud.ledger if DEV in r.path}


@pytest.mark.parametrize(
    ("remote", "expected"), [(False, {}), (True, {"clusters": 1})], ids=["without", "with remote overrides"]
)
def test_an_unmanaged_file_is_asked_only_for_overrides(
    cloud: SimulatedCloud,
    endpoint: str,
    remote: bool,  # noqa: FBT001
    expected: Dict[str, int],
) -> None:
    add_nodes(cloud, add_cluster(cloud), 1)
    one_sided = Timing("UTC", windows=(Window(None, "0 2 * * *"),), enforce_s=3600)
    assert not run(endpoint, make_cluster(timing=one_sided), remote=remote).has_failed
    assert calls(cloud) == expected


# Members


def test_members_by_nodes_and_by_tags_are_told_apart_in_one_listing(cloud: SimulatedCloud, endpoint: str) -> None:
    add_nodes(cloud, add_cluster(cloud), 2, is_tagged=False)
    add_nodes(cloud, add_cluster(cloud, TEST, name="test"), 2)
    cloud.add_server("stranger")
    found = run(endpoint, make_cluster(membership=NODES), make_cluster("test", TEST))
    assert stopped(cloud) == {"dev-1", "dev-2", "test-1", "test-2"}
    assert [len(c.actions) for c in found.plan.clusters] == [2, 2]
    assert calls(cloud) == {"nodes": 1, "servers": 1, "action": 1}


@pytest.mark.parametrize("others", [0, 1], ids=["alone", "beside another"])
def test_a_cluster_whose_nodes_carry_no_tag_is_found_by_its_nodes(
    cloud: SimulatedCloud, endpoint: str, others: int
) -> None:
    add_nodes(cloud, add_cluster(cloud), 2, is_tagged=False)
    cloud.add_server("stranger")
    add_nodes(cloud, add_cluster(cloud, TEST, name="test"), others)
    found = run(endpoint, make_cluster(), *[make_cluster("test", TEST)] * others)
    assert stopped(cloud) == {"dev-1", "dev-2", *["test-1"] * others}
    assert found.plan.clusters[0].warnings == (
        f"no server carries the tag CCE-Cluster-ID={DEV}: its servers are those of CCE's list of nodes",
    )
    assert not found.has_failed
    assert calls(cloud) == {"servers": 2, "nodes": 1, "action": 1}


def test_a_tag_that_only_a_full_listing_shows_needs_no_list_of_nodes(cloud: SimulatedCloud, endpoint: str) -> None:
    cloud.key_only_tags = False
    for cluster_id in (DEV, TEST):
        add_nodes(cloud, add_cluster(cloud, cluster_id, name=cluster_id), 1)
    assert not run(endpoint, make_cluster(), make_cluster("test", TEST)).plan.clusters[0].warnings
    assert calls(cloud) == {"servers": 2, "action": 1}


def test_what_was_listed_without_a_filter_is_not_listed_again(cloud: SimulatedCloud, endpoint: str) -> None:
    add_nodes(cloud, add_cluster(cloud), 1, is_tagged=False)
    add_nodes(cloud, add_cluster(cloud, TEST, name="test"), 1, is_tagged=False)
    run(endpoint, make_cluster(membership=NODES), make_cluster("test", TEST))
    assert stopped(cloud) == {"dev-1", "test-1"}
    assert calls(cloud) == {"servers": 1, "nodes": 2, "action": 1}


def test_a_server_that_the_lists_of_two_clusters_name_is_held_for_both(cloud: SimulatedCloud, endpoint: str) -> None:
    shared = add_nodes(cloud, add_cluster(cloud), 1, is_tagged=False)[0]
    cloud.clusters.add_node(add_cluster(cloud, TEST, name="test"), "shared", server=shared)
    found = run(endpoint, make_cluster(membership=NODES), make_cluster("test", TEST, membership=NODES))
    assert [kinds(c) for c in found.plan.clusters] == [{"dev-1": HoldKind.CLAIMED}] * 2
    assert not posts(cloud)


@pytest.mark.parametrize("membership", list(Membership))
def test_a_node_whose_tag_names_another_cluster_is_claimed_by_both(
    cloud: SimulatedCloud, endpoint: str, membership: Membership
) -> None:
    add_nodes(cloud, add_cluster(cloud), 1, is_tagged=False, tags=[f"CCE-Cluster-ID={BATCH}"])
    (planned,) = run(endpoint, make_cluster(membership=membership)).plan.clusters
    assert kinds(planned) == {"dev-1": HoldKind.CLAIMED}
    assert not posts(cloud)


def test_a_node_whose_server_is_gone_is_held_and_the_others_stop(cloud: SimulatedCloud, endpoint: str) -> None:
    gone, _ = add_nodes(cloud, add_cluster(cloud), 2, is_tagged=False)
    cloud.remove(gone)
    (planned,) = run(endpoint, make_cluster(membership=NODES)).plan.clusters
    assert [hold.kind for hold in planned.holds] == [HoldKind.EXCLUDED]
    assert stopped(cloud) == {"dev-2"}


def test_a_node_that_has_no_server_yet_is_none(cloud: SimulatedCloud, endpoint: str) -> None:
    found = add_cluster(cloud)
    add_nodes(cloud, found, 1, is_tagged=False)
    add_nodes(cloud, found, 1, has_server=False)
    (planned,) = run(endpoint, make_cluster(membership=NODES)).plan.clusters
    assert (len(planned.actions), planned.holds) == (1, ())


def test_a_list_of_nodes_that_is_refused_keeps_its_cluster_and_no_other(cloud: SimulatedCloud, endpoint: str) -> None:
    add_nodes(cloud, add_cluster(cloud), 1)
    add_nodes(cloud, add_cluster(cloud, TEST, name="test"), 1)
    refuse(cloud, "/nodes")
    found = run(endpoint, make_cluster(membership=NODES), make_cluster("test", TEST))
    dev, test = found.plan.clusters
    assert isinstance(dev.error, PermanentCloudError)
    assert (dev.actions, test.error) == ((), None)
    assert stopped(cloud) == {"test-1"}
    assert found.has_failed


@pytest.mark.parametrize(
    ("timing", "is_failure"),
    [
        pytest.param(OFFICE, True, id="for an hour"),
        pytest.param(Timing("UTC", windows=(Window("0 8 * * *", "45 11 * * *"),)), False, id="lately"),
    ],
)
def test_members_that_neither_source_can_tell_fail_in_the_end(
    cloud: SimulatedCloud,
    endpoint: str,
    timing: Timing,
    is_failure: bool,  # noqa: FBT001
) -> None:
    refuse(cloud, "/nodes")
    found = run(endpoint, make_cluster(timing=timing))
    assert "CCE's list of its nodes cannot be read" in found.plan.clusters[0].warnings[0]
    assert found.has_failed is is_failure


def test_no_members_anywhere_is_a_warning(cloud: SimulatedCloud, endpoint: str) -> None:
    add_cluster(cloud)
    found = run(endpoint, make_cluster(timing=OFFICE))
    assert "and CCE lists no node of it: check cluster_id" in found.plan.clusters[0].warnings[0]
    assert not found.has_failed


# Pools


@pytest.mark.parametrize("membership", list(Membership))
@pytest.mark.parametrize("by", ["name", "id", "id in capitals"])
def test_a_pool_is_excluded_by_name_or_id(
    cloud: SimulatedCloud, endpoint: str, membership: Membership, by: str
) -> None:
    found = add_cluster(cloud)
    ingress, workers = cloud.clusters.add_pool(found, "ingress"), cloud.clusters.add_pool(found, "workers")
    for pool, name in ((ingress, "kept"), (workers, "worker"), (None, "alone")):
        cloud.clusters.add_node(found, name, pool=pool)
    wanted = {"name": "ingress", "id": ingress.pool_id, "id in capitals": ingress.pool_id.upper()}[by]
    cluster = make_cluster(membership=membership, exclude=Exclude(node_pools=("no-such-pool", wanted)))
    (planned,) = run(endpoint, cluster).plan.clusters
    assert [(h.kind, h.reason) for h in planned.holds] == [
        (HoldKind.EXCLUDED, f'excluded by node pool "{wanted}"'),
    ]
    assert stopped(cloud) == {"worker", "alone"}


@pytest.mark.parametrize("fault", ["no annotation", "no pool of that id", "a pool without a name"])
def test_a_server_whose_pool_is_not_known_for_sure_is_held(cloud: SimulatedCloud, endpoint: str, fault: str) -> None:
    found = add_cluster(cloud)
    pool = cloud.clusters.add_pool(found, "" if fault == "a pool without a name" else "workers")
    node = cloud.clusters.add_node(found, "dev-1", pool=pool)
    if fault == "no pool of that id":
        found.pools.clear()
    if fault == "no annotation":
        status = f'"status": {{"serverId": "{node.server_id}"}}'
        bare = f'{{"kind": "List", "items": [{{"metadata": {{"uid": "{node.node_id}"}}, {status}}}]}}'
        cloud.faults = lambda call: answering(200, bare) if call.path.endswith("/nodes") else None
    (planned,) = run(endpoint, make_cluster(exclude=Exclude(node_pools=("ingress",)))).plan.clusters
    assert kinds(planned) == {"dev-1": HoldKind.EXCLUDED}
    unknown = "which node pool it is of" if fault == "no annotation" else "the name of its node pool"
    assert [h.reason for h in planned.holds] == [f"excluded: {unknown} is not known"]
    assert not posts(cloud)


def test_a_tagged_server_that_no_list_names_may_be_of_any_pool(cloud: SimulatedCloud, endpoint: str) -> None:
    add_nodes(cloud, add_cluster(cloud), 1)
    cloud.add_server("unlisted", cluster_id=DEV)
    (planned,) = run(endpoint, make_cluster(exclude=Exclude(node_pools=("ingress",)))).plan.clusters
    assert [h.reason for h in planned.holds] == ["excluded: which node pool it is of is not known"]
    assert stopped(cloud) == {"dev-1"}


@pytest.mark.parametrize("end", ["/nodes", "/nodepools"])
@pytest.mark.parametrize("membership", list(Membership))
def test_a_refused_list_of_nodes_or_pools_means_no_action(
    cloud: SimulatedCloud, endpoint: str, end: str, membership: Membership
) -> None:
    add_nodes(cloud, add_cluster(cloud), 2)
    refuse(cloud, end)
    found = run(endpoint, make_cluster(membership=membership, exclude=Exclude(node_pools=("ingress",))))
    assert isinstance(found.plan.clusters[0].error, PermanentCloudError)
    assert not posts(cloud)


# Control planes


def hibernating(state: State = STOPPED, **fields: Any) -> Cluster:
    return make_cluster(control_plane=HIBERNATE, **{"timing": Timing("UTC", state), **fields})


@pytest.mark.parametrize("membership", list(Membership))
@pytest.mark.parametrize("pools", [(), ("ingress",)], ids=["no pools", "pools"])
@pytest.mark.parametrize("answers_asleep", [True, False], ids=["tells its nodes asleep", "refuses asleep"])
def test_a_night_passes_and_the_cluster_comes_back(
    cloud: SimulatedCloud,
    endpoint: str,
    membership: Membership,
    pools: "tuple[str, ...]",
    answers_asleep: bool,  # noqa: FBT001
) -> None:
    """Stopped, then hibernated, left alone, woken, then started: whatever CCE tells of a sleeping cluster."""
    found = add_cluster(cloud)
    cloud.clusters.answers_asleep = answers_asleep
    servers = add_nodes(cloud, found, 2)
    cluster = hibernating(timing=OFFICE, membership=membership, exclude=Exclude(node_pools=pools))
    seen: List[str] = []
    for minutes in (0, 5, 10, 15, 120, 20 * 60, 20 * 60 + 5, 20 * 60 + 10, 20 * 60 + 15):
        cloud.advance_to(NOW + timedelta(minutes=minutes))
        one = run(endpoint, cluster, now=cloud.now)
        assert not any(c.error or c.warnings for c in one.plan.clusters)
        powers = [o.power.value for o in one.outcomes] + [step.action.value for step in one.control_planes]
        seen.append(", ".join(sorted(set(powers))))
    assert seen == ["stop SOFT", "hibernate", "", "", "", "awake", "start", "", ""]
    assert {s.status for s in servers} == {"ACTIVE"}


def test_a_node_that_was_started_by_hand_under_a_sleeping_cluster_is_stopped(
    cloud: SimulatedCloud, endpoint: str
) -> None:
    add_nodes(cloud, add_cluster(cloud, phase="Hibernation"), 1)
    found = run(endpoint, hibernating())
    assert stopped(cloud) == {"dev-1"}
    assert (found.control_planes, found.has_failed) == ((), False)
    assert calls(cloud) == {"clusters": 1, "servers": 1, "action": 1}


def test_a_sleeping_cluster_without_tags_is_as_desired_and_not_asked_for_nodes(
    cloud: SimulatedCloud, endpoint: str
) -> None:
    add_nodes(cloud, add_cluster(cloud, phase="Hibernation"), 1, is_tagged=False)
    cloud.clusters.answers_asleep = False
    found = run(endpoint, hibernating(timing=OFFICE))
    assert (found.plan.is_empty, found.has_failed, found.plan.clusters[0].warnings) == (True, False, ())
    assert "nodes" not in calls(cloud)


@pytest.mark.parametrize("phase", ["Awaking", "Hibernating", "Hibernation", "Unavailable", "Upgrading", "Novel"])
def test_no_server_starts_before_its_control_plane_is_available(
    cloud: SimulatedCloud, endpoint: str, phase: str
) -> None:
    (server,) = add_nodes(cloud, add_cluster(cloud, phase=phase), 1)
    cloud.set_status(server, "SHUTOFF")
    (planned,) = run(endpoint, hibernating(RUNNING)).plan.clusters
    assert kinds(planned) == {"dev-1": HoldKind.CONTROL_PLANE}
    assert set(calls(cloud)) == {"clusters", "servers", *(["awake"] if phase == "Hibernation" else [])}


def test_without_a_list_of_clusters_those_that_hibernate_are_left_alone(cloud: SimulatedCloud, endpoint: str) -> None:
    add_nodes(cloud, add_cluster(cloud), 1)
    (off,) = add_nodes(cloud, add_cluster(cloud, TEST, name="test"), 1)
    cloud.set_status(off, "SHUTOFF")
    refuse(cloud, "/clusters")
    waking = make_cluster("test", TEST, RUNNING, control_plane=HIBERNATE)
    found = run(endpoint, hibernating(), waking)
    assert [isinstance(c.error, PermanentCloudError) for c in found.plan.clusters] == [True, True]
    assert kinds(found.plan.clusters[0]) == {"dev-1": HoldKind.CONTROL_PLANE}
    assert kinds(found.plan.clusters[1]) == {"test-1": HoldKind.CONTROL_PLANE}
    assert stopped(cloud) == set()


@pytest.mark.parametrize("end", ["/nodes", "/nodepools"])
def test_without_a_list_of_nodes_nothing_hibernates(cloud: SimulatedCloud, endpoint: str, end: str) -> None:
    for server in add_nodes(cloud, add_cluster(cloud), 2):
        cloud.set_status(server, "SHUTOFF")
    refuse(cloud, end)
    pools = Exclude(node_pools=("x",)) if end == "/nodepools" else Exclude()
    found = run(endpoint, hibernating(exclude=pools))
    assert found.has_failed
    assert not posts(cloud)


@pytest.mark.parametrize(
    ("scene", "reason"),
    [
        pytest.param({"is_tagged": False}, "not known to be off, or to be of this cluster: stray", id="not a member"),
        pytest.param({"has_server": False}, "stray (no server yet)", id="being made"),
        pytest.param({"tags": ["keep"]}, 'kept up by stray: excluded by tag "keep"', id="excluded and up"),
    ],
)
def test_a_node_that_is_not_known_to_be_off_keeps_the_control_plane_up(
    cloud: SimulatedCloud, endpoint: str, scene: Dict[str, Any], reason: str
) -> None:
    found = add_cluster(cloud)
    (off,) = add_nodes(cloud, found, 1)
    cloud.set_status(off, "SHUTOFF")
    cloud.clusters.add_node(found, "stray", **scene)
    one = run(endpoint, hibernating(timing=OFFICE, exclude=Exclude(tags=("keep",))))
    step = one.plan.clusters[0].control_plane
    assert step is not None
    assert (step.action, reason in step.reason) == (None, True)
    assert not one.has_failed  # kept on purpose: never overdue
    assert not posts(cloud)


@pytest.mark.parametrize(
    ("phase", "timing", "is_late"),
    [
        pytest.param("Error", OFFICE, True, id="an hour after the transition"),
        pytest.param("Error", Timing("UTC", windows=(Window("0 8 * * *", "31 11 * * *"),)), False, id="29 minutes"),
        pytest.param("Error", Timing("UTC", windows=(Window("0 8 * * *", "30 11 * * *"),)), True, id="30 minutes"),
        pytest.param("Error", Timing("UTC", STOPPED), False, id="a constant state"),
        pytest.param("Hibernation", OFFICE, False, id="as desired"),
    ],
)
def test_a_control_plane_in_another_phase_becomes_overdue(
    cloud: SimulatedCloud,
    endpoint: str,
    phase: str,
    timing: Timing,
    is_late: bool,  # noqa: FBT001
) -> None:
    add_cluster(cloud, phase=phase)
    (planned,) = run(endpoint, hibernating(timing=timing)).plan.clusters
    assert [o.text for o in planned.overdue if not o.server] == ["the control plane is in phase Error"] * is_late


def test_a_cluster_that_is_not_there_is_an_error_of_its_own(cloud: SimulatedCloud, endpoint: str) -> None:
    """Its servers may be anybody's: those of a cluster in another project, or of one that was deleted."""
    cloud.clusters.add("elsewhere", project_id=OTHER_PROJECT, cluster_id=DEV)
    cloud.add_server("dev-1", cluster_id=DEV)
    add_nodes(cloud, add_cluster(cloud, TEST, name="test"), 1)
    dev, test = run(endpoint, hibernating(), make_cluster("test", TEST)).plan.clusters
    assert f"CCE knows no cluster {DEV} in this region and project" in str(dev.error)
    assert test.error is None
    assert stopped(cloud) == {"test-1"}


# Overrides by tag


def overridden(cloud: SimulatedCloud, value: Optional[str], cluster_id: str = DEV, **fields: Any) -> SimulatedCluster:
    tags = {} if value is None else {OVERRIDE: value}
    return add_cluster(cloud, cluster_id, name=fields.pop("name", "dev"), tags=tags, **fields)


@pytest.mark.parametrize(
    ("value", "state"),
    [
        pytest.param("running@2026-12-01T15:00:00Z", RUNNING, id="up until three"),
        pytest.param("unmanaged@2026-12-01T15:00:00Z", UNMANAGED, id="alone until three"),
        pytest.param("running@2026-12-01T12:00:00Z", STOPPED, id="ended just now"),
        pytest.param(None, STOPPED, id="none"),
    ],
)
def test_obeys_the_override_of_a_tag(cloud: SimulatedCloud, endpoint: str, value: Optional[str], state: State) -> None:
    add_nodes(cloud, overridden(cloud, value), 1)
    found = run(endpoint, make_cluster(), remote=True)
    assert found.plan.clusters[0].desired.state is state
    assert stopped(cloud) == ({"dev-1"} if state is STOPPED else set())
    assert calls(cloud)["clusters"] == 1


def test_without_remote_overrides_nobody_looks_for_a_tag(cloud: SimulatedCloud, endpoint: str) -> None:
    add_nodes(cloud, overridden(cloud, "running@2026-12-01T15:00:00Z"), 1)
    run(endpoint, make_cluster())
    assert stopped(cloud) == {"dev-1"}
    assert "clusters" not in calls(cloud)


def test_a_disabled_cluster_obeys_no_tag(cloud: SimulatedCloud, endpoint: str) -> None:
    (server,) = add_nodes(cloud, overridden(cloud, "running@2026-12-01T15:00:00Z"), 1)
    cloud.set_status(server, "SHUTOFF")
    assert not run(endpoint, make_cluster(enabled=False), make_cluster("test", TEST), remote=True).outcomes


@pytest.mark.parametrize("value", ["running until late", "running@2027-12-01T15:00:00Z", "running@2026-12-01", ""])
def test_a_tag_that_cannot_be_read_stops_nothing_of_its_cluster_and_fails_by_name(
    cloud: SimulatedCloud, endpoint: str, value: str
) -> None:
    add_nodes(cloud, overridden(cloud, value), 1)
    add_nodes(cloud, overridden(cloud, None, TEST, name="test"), 1)
    found = run(endpoint, make_cluster(), make_cluster("test", TEST), remote=True)
    dev, test = found.plan.clusters
    assert isinstance(dev.error, InputError)
    assert OVERRIDE in str(dev.error)
    assert (kinds(dev), test.error) == ({"dev-1": HoldKind.EXCLUDED}, None)
    assert stopped(cloud) == {"test-1"}
    assert found.has_failed


@pytest.mark.parametrize("cause", ["a tag that cannot be read", "no list of clusters"])
@pytest.mark.parametrize("is_up", [True, False], ids=["a server is up", "all are off"])
def test_in_doubt_nothing_is_stopped_nor_hibernated_and_starts_happen(
    cloud: SimulatedCloud,
    endpoint: str,
    cause: str,
    is_up: bool,  # noqa: FBT001
) -> None:
    for server in add_nodes(cloud, overridden(cloud, "running until late"), 1):
        cloud.set_status(server, "ACTIVE" if is_up else "SHUTOFF")
    for server in add_nodes(cloud, overridden(cloud, "stopped until late", TEST, name="test"), 1):
        cloud.set_status(server, "SHUTOFF")
    if cause == "no list of clusters":
        refuse(cloud, "/clusters", status=503)
    found = run(endpoint, hibernating(), make_cluster("test", TEST, RUNNING), remote=True)
    assert found.has_failed
    assert not found.control_planes
    assert [power for power, _ in posts(cloud)] == [Power.START]
    assert all(isinstance(c.error, (InputError, TemporaryCloudError)) for c in found.plan.clusters)


def test_a_place_that_cannot_be_opened_fails_also_if_only_an_override_could_ask_for_something() -> None:
    def connect(region: str, project_id: str) -> Any:
        raise PermanentCloudError(f"unknown region {region} of {project_id}")

    one_sided = Timing("UTC", windows=(Window(None, "0 2 * * *"),), enforce_s=3600)
    schedules = make_schedules(make_cluster(timing=one_sided), make_cluster("off", TEST, enabled=False))
    one = run_once(schedules._replace(remote_overrides=True), NOW, connect, CLOCK)
    assert [isinstance(c.error, PermanentCloudError) for c in one.plan.clusters] == [True, False]


def test_the_tags_that_are_left_out_change_nothing(cloud: SimulatedCloud, endpoint: str) -> None:
    random = Random(20_261_123)  # noqa: S311 - a test's choice
    words = ["env", "env=", "env=dev", "env=dev=x", "team", "team=a", "=", "x=env"]
    others = ["cce-scheduler=on", "cce-scheduler=off", "cce-scheduler", "__type_baremetal"]
    clusters = [
        make_cluster(
            f"c{number}", f"{DEV[:-2]}{number:02}", exclude=Exclude(tags=tuple(random.sample(words, number % 3)))
        )
        for number in range(30)
    ]
    for number in range(600):
        tags = random.sample(words + others, random.randrange(4))
        cloud.add_server(cluster_id=clusters[number % 30].cluster_id, tags=tags)
    run = run_once(make_schedules(*clusters), NOW, connector(endpoint), CLOCK, dry_run=True, is_now=True)
    with contextlib.closing(open_cloud(endpoint)) as client:
        members = find_members(clusters, list_servers(client))

    def said(planned: ClusterPlan) -> List[Tuple[str, Optional[str], str]]:
        decisions = [(hold.server, hold.reason) for hold in planned.holds]
        decisions += [(action.server, action.power.value) for action in planned.actions]
        return [(server.server_id, billed_when_stopped(server), reason) for server, reason in decisions]

    kinds: Set[str] = set()
    for planned in run.plan.clusters:
        assert said(planned) == said(plan_cluster(planned.cluster, planned.desired, members))
        kinds |= {f"{reason} {billed}" for _, billed, reason in said(planned)}
    assert len(kinds) > 10
