"""The decision table, row by row and row against row, and what holds for every plan."""

from itertools import combinations
from typing import Any, Dict, List, Optional, Set, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.errors import UnsafePlanError
from scheduler.model import (
    CLUSTER_TAG,
    EVERY_CLUSTER,
    Action,
    Cluster,
    ClusterPlan,
    Desired,
    Exclude,
    Hold,
    HoldKind,
    Limits,
    Membership,
    NodePool,
    Power,
    Rule,
    Server,
    State,
    StopType,
)
from scheduler.plan import Members, decide, find_matching, find_members, make_plan, plan_cluster
from tests.scenes import BATCH, DEV, NOW, TEST, make_cluster, make_server

RUNNING, STOPPED, UNMANAGED = State.RUNNING, State.STOPPED, State.UNMANAGED
Scene = Dict[str, Any]


def decision(scene: Scene) -> Tuple[str, str]:
    """Return what the table makes of a server, and why: the kind of the hold or the power, and the reason."""
    scene = {"state": STOPPED, "claims": (DEV,), **scene}
    cluster = make_cluster(
        exclude=Exclude(scene.pop("exclude_servers", ()), scene.pop("exclude_tags", ())),
        stop_prepaid=scene.pop("stop_prepaid", False),
        stop_type=scene.pop("stop_type", StopType.SOFT),
    )
    state, claims = scene.pop("state"), scene.pop("claims")
    server = make_server(**scene)
    decided = decide(cluster, desired(state), server, Members({}, {server.server_id: claims}))
    return (decided.power.value, "") if isinstance(decided, Action) else (decided.kind.value, decided.reason)


ROWS: "list[tuple[str, Scene, str, str]]" = [
    ("1", {"state": UNMANAGED}, "unmanaged", "unmanaged"),
    ("2", {"exclude_tags": ("keep",), "tags": ("keep",)}, "excluded", 'excluded by tag "keep"'),
    ("3", {"claims": (DEV, TEST)}, "claimed by two clusters", f"claimed by the clusters {DEV} and {TEST}"),
    ("4 locked", {"locked": True}, "locked", "locked"),
    ("4 frozen", {"frozen": True}, "frozen", "frozen"),
    ("5", {"status": "ERROR"}, "needs a person", "status ERROR"),
    ("6", {"state": STOPPED, "status": "ACTIVE", "task_state": "powering-off"}, "stopping", "powering off"),
    ("7 task", {"task_state": "deleting"}, "in transition", "ACTIVE, deleting"),
    ("7 status", {"status": "REBUILD"}, "in transition", "REBUILD"),
    ("8 running", {"state": RUNNING, "status": "ACTIVE"}, "already", "already running"),
    ("8 stopped", {"state": STOPPED, "status": "SHUTOFF"}, "already", "already stopped"),
    ("9", {"state": STOPPED, "status": "ACTIVE", "charging_mode": "1"}, "prepaid", "prepaid: stopping saves nothing"),
    ("10", {"state": RUNNING, "status": "SHUTOFF"}, "start", ""),
    ("11", {"state": STOPPED, "status": "ACTIVE"}, "stop SOFT", ""),
]


@pytest.mark.parametrize(("scene", "kind", "reason"), [pytest.param(*row[1:], id=f"row {row[0]}") for row in ROWS])
def test_every_row_decides_alone(scene: Scene, kind: str, reason: str) -> None:
    assert decision(scene) == (kind, reason)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(first, second, id=f"row {first[0]} before {second[0]}")
        for first, second in combinations(ROWS, 2)
        if first[0] in ("1", "5", "7 status") or all(first[1].get(k, v) == v for k, v in second[1].items())
    ],
)
def test_the_first_row_that_applies_decides(first: Any, second: Any) -> None:
    """Rows that ask for different things of one server cannot compete; but a status or state may override another."""
    assert decision({**second[1], **first[1]})[0] == first[2]


@pytest.mark.parametrize(
    ("scene", "kind"),
    [
        pytest.param({"status": "SHUTOFF", "task_state": "powering-on"}, "in transition", id="starting, to be stopped"),
        pytest.param(
            {"state": RUNNING, "status": "SHUTOFF", "task_state": "powering-on"}, "in transition", id="starting"
        ),
        pytest.param({"state": RUNNING, "task_state": "powering-off"}, "in transition", id="stopping, to be started"),
        pytest.param({"status": "SHUTOFF", "task_state": "powering-off"}, "in transition", id="off and powering off"),
        pytest.param({"status": "ERROR", "task_state": "powering-off"}, "needs a person", id="broken while stopping"),
        pytest.param({"status": "BUILD", "task_state": "spawning"}, "in transition", id="being built"),
        pytest.param({"task_state": ""}, "stop SOFT", id="no task"),
        pytest.param({"locked": None}, "stop SOFT", id="nothing said of locks"),
        pytest.param({"status": "SHUTOFF", "charging_mode": "1"}, "already", id="prepaid and off"),
        pytest.param({"status": "SHUTOFF", "charging_mode": None}, "already", id="unknown charging, off"),
        pytest.param({"state": RUNNING, "charging_mode": None}, "already", id="unknown charging, on"),
        pytest.param(
            {"state": RUNNING, "status": "SHUTOFF", "charging_mode": "1"}, "start", id="a prepaid one is started"
        ),
        pytest.param({"charging_mode": "2"}, "stop SOFT", id="spot"),
        pytest.param({"charging_mode": None}, "prepaid", id="unknown charging"),
        pytest.param({"charging_mode": "3"}, "prepaid", id="charging of a new kind"),
        pytest.param({"charging_mode": "1", "stop_prepaid": True}, "stop SOFT", id="stop_prepaid"),
        pytest.param({"charging_mode": None, "stop_prepaid": True}, "stop SOFT", id="stop_prepaid, unknown charging"),
        pytest.param({"stop_type": StopType.HARD}, "stop HARD", id="stop_type HARD"),
        pytest.param({"state": RUNNING, "status": "SHUTOFF", "stop_type": StopType.HARD}, "start", id="start, HARD"),
        pytest.param({"status": "active"}, "stop SOFT", id="status in small letters"),
    ],
)
def test_the_rows_at_their_edges(scene: Scene, kind: str) -> None:
    assert decision(scene)[0] == kind


@pytest.mark.parametrize(
    "status", ["BUILD", "REBOOT", "HARD_REBOOT", "MIGRATING", "RESIZE", "REBUILD", "REVERT_RESIZE"]
)
@pytest.mark.parametrize("state", [RUNNING, STOPPED])
def test_waits_for_a_status_that_passes_by_itself(status: str, state: State) -> None:
    assert decision({"status": status, "state": state}) == ("in transition", status)


@pytest.mark.parametrize(
    "status",
    [
        "ERROR",
        "UNKNOWN",
        "VERIFY_RESIZE",
        "SHELVED",
        "SHELVED_OFFLOADED",
        "DELETED",
        "SOFT_DELETED",
        "PAUSED",
        "SUSPENDED",
        "RESCUE",
        "{}",
    ],
)
@pytest.mark.parametrize("state", [RUNNING, STOPPED])
def test_any_other_status_needs_a_person(status: str, state: State) -> None:
    assert decision({"status": status, "state": state}) == ("needs a person", f"status {status}")


@pytest.mark.parametrize("status", [None, ""])
def test_a_missing_status_needs_a_person(status: Optional[str]) -> None:
    assert decision({"status": status}) == ("needs a person", "its status is missing from the answer")


def test_tells_the_fault_that_the_api_reports() -> None:
    assert decision({"status": "ERROR", "fault": "No valid host"}) == ("needs a person", "status ERROR: No valid host")


def test_says_that_it_cannot_know_how_a_server_is_charged() -> None:
    reason = "how it is charged is missing from the answer: it may be prepaid"
    assert decision({"charging_mode": None}) == ("prepaid", reason)


@pytest.mark.parametrize(
    ("scene", "reason"),
    [
        pytest.param({"exclude_servers": ("node-1",)}, 'excluded by server "node-1"', id="name"),
        pytest.param({"exclude_servers": ("no match", "node-?")}, 'excluded by server "node-?"', id="glob"),
        pytest.param({"exclude_servers": ("*",)}, 'excluded by server "*"', id="everything"),
        pytest.param({"exclude_servers": ("server-1",)}, 'excluded by server "server-1"', id="id"),
        pytest.param({"exclude_servers": ("SERVER-1",)}, 'excluded by server "SERVER-1"', id="id in capitals"),
        pytest.param({"exclude_servers": ("server-1",), "name": None}, 'excluded by server "server-1"', id="only id"),
        pytest.param(
            {"exclude_servers": ("bastion",), "name": None},
            "excluded: its name is missing from the answer",
            id="name missing",
        ),
        pytest.param({"exclude_tags": ("keep",), "tags": ("keep=yes",)}, 'excluded by tag "keep"', id="key, any value"),
        pytest.param({"exclude_tags": ("keep=",), "tags": ("keep",)}, 'excluded by tag "keep="', id="empty value"),
        pytest.param(
            {"exclude_tags": ("owner=platform",), "tags": ("a=b", "owner=platform")},
            'excluded by tag "owner=platform"',
            id="key and value",
        ),
        pytest.param({"exclude_tags": ("k=a=b",), "tags": ("k=a=b",)}, 'excluded by tag "k=a=b"', id="= in the value"),
        pytest.param({"exclude_tags": ("k",), "tags": ("k=a=b",)}, 'excluded by tag "k"', id="key, = in the value"),
        pytest.param({"tags": None}, "excluded: its tags are missing from the answer", id="tags missing"),
        pytest.param({"tags": ("cce-scheduler=off",)}, 'excluded by its tag "cce-scheduler=off"', id="off"),
        pytest.param({"tags": ("cce-scheduler",)}, 'excluded by its tag "cce-scheduler"', id="off by a bare key"),
        pytest.param({"tags": ("cce-scheduler=",)}, 'excluded by its tag "cce-scheduler="', id="off by an empty value"),
        pytest.param({"tags": ("cce-scheduler=On",)}, 'excluded by its tag "cce-scheduler=On"', id="not quite on"),
        pytest.param({"tags": ("cce-scheduler=later",)}, 'excluded by its tag "cce-scheduler=later"', id="other value"),
    ],
)
@pytest.mark.parametrize("state", [RUNNING, STOPPED])
def test_excludes(scene: Scene, reason: str, state: State) -> None:
    server = {"tags": (), **scene, "state": state, "status": "SHUTOFF" if state is RUNNING else "ACTIVE"}
    server["tags"] = None if server["tags"] is None else (f"{CLUSTER_TAG}={DEV}", *server["tags"])
    excluded = Exclude(server.pop("exclude_servers", ()), server.pop("exclude_tags", ()))
    fields = {key: server[key] for key in ("status", "name") if key in server}
    shown = make_server(**fields)._replace(tags=server["tags"])
    members = Members({}, {shown.server_id: [DEV]})
    found = decide(make_cluster(exclude=excluded), desired(state), shown, members)
    assert found == Hold(HoldKind.EXCLUDED, shown, reason)


@pytest.mark.parametrize(
    "scene",
    [
        pytest.param({"exclude_servers": ("bastion-*", "node", "NODE-1", "server-11")}, id="other names and ids"),
        pytest.param({"exclude_tags": ("kee", "keep=no", "yes"), "tags": ("keep=yes",)}, id="other tags"),
        pytest.param({"exclude_tags": ("keep=",), "tags": ("keep=yes",)}, id="an empty value only"),
        pytest.param({"tags": ("cce-scheduler=on",)}, id="tagged on"),
        pytest.param({"tags": ("cce-scheduler-x=off",)}, id="another key"),
        pytest.param({"name": None}, id="no name, and no rule that reads it"),
    ],
)
def test_excludes_nothing_else(scene: Scene) -> None:
    assert decision(scene) == ("stop SOFT", "")


class TestMembers:
    def test_a_server_belongs_to_the_cluster_that_its_tag_names(self) -> None:
        mine, other, none = make_server(1), make_server(2, TEST), make_server(3)._replace(tags=("a",))
        both = make_server(4)._replace(tags=(f"CCE-Cluster-ID={TEST}", f"CCE-Cluster-ID={DEV}"))
        members = find_members([make_cluster()], [mine, other, none, both])
        assert members.servers == {DEV: [mine, both]}
        assert members.claims == {both.server_id: sorted([DEV, TEST])}

    def test_an_id_is_compared_in_lower_case(self) -> None:
        server = make_server(cluster_id=DEV.upper())
        assert find_members([make_cluster()], [server]).servers == {DEV: [server]}

    @pytest.mark.parametrize(
        "tags",
        [
            pytest.param(None, id="no tags in the answer"),
            pytest.param((CLUSTER_TAG,), id="the key alone"),
            pytest.param((f"{CLUSTER_TAG}=",), id="an empty value"),
            pytest.param((f"{CLUSTER_TAG}=={DEV}",), id="= before the id"),
            pytest.param((f"{CLUSTER_TAG.lower()}={DEV}",), id="another key"),
            pytest.param((f"x{CLUSTER_TAG}={DEV}",), id="a longer key"),
            pytest.param((f"{CLUSTER_TAG}={DEV}0",), id="a longer id"),
        ],
    )
    def test_any_other_tag_proves_nothing(self, tags: "tuple[str, ...] | None") -> None:
        assert not find_members([make_cluster()], [make_server()._replace(tags=tags)]).servers[DEV]

    def test_a_server_of_no_cluster_is_not_of_every_cluster(self) -> None:
        every = make_cluster(cluster_id=EVERY_CLUSTER)
        shown = [make_server(1), make_server(2)._replace(tags=("a=b",)), make_server(3, "")]
        assert find_members([every], shown).servers == {EVERY_CLUSTER: [shown[0]]}

    def test_a_server_that_two_clusters_claim_is_held_for_both(self) -> None:
        server = make_server(tags=[f"{CLUSTER_TAG}={TEST}"])
        clusters = [make_cluster(), make_cluster("test", TEST)]
        members = find_members(clusters, [server])
        for cluster in clusters:
            (hold,) = plan_cluster(cluster, desired(STOPPED), members).holds
            assert (hold.kind, hold.reason) == (HoldKind.CLAIMED, f"claimed by the clusters {DEV} and {TEST}")

    def test_a_claim_counts_although_the_file_does_not_know_the_other_cluster(self) -> None:
        members = find_members([make_cluster()], [make_server(tags=[f"{CLUSTER_TAG}={BATCH}"])])
        assert [h.kind for h in plan_cluster(make_cluster(), desired(STOPPED), members).holds] == [HoldKind.CLAIMED]


def test_an_entry_that_is_not_enabled_says_nothing_of_how_members_are_found() -> None:
    clusters = [make_cluster(), make_cluster("moved", enabled=False, membership=Membership.NODES)]
    assert find_members(clusters, [make_server()]).servers == {DEV: [make_server()]}


class TestPlan:
    @pytest.mark.parametrize(
        ("limit", "refused"), [(None, False), (0, True), (2, True), (3, False), (4, False)], ids=str
    )
    def test_the_limit_counts_the_stops_of_all_clusters(self, limit: Optional[int], refused: bool) -> None:  # noqa: FBT001
        stops = [(make_cluster("a"), 2), (make_cluster("b", stop_type=StopType.HARD), 1)]
        plans = [of_actions(cluster, STOPPED, number) for cluster, number in stops]
        plan = make_plan(NOW, [*plans, of_actions(make_cluster("c"), RUNNING, 9)], Limits(limit))
        assert (plan.refusal is not None) is refused
        assert not plan.is_empty

    def test_a_refusal_names_the_limit_and_the_figures(self) -> None:
        refusal = make_plan(NOW, [of_actions(make_cluster(), STOPPED, 3)], Limits(2)).refusal
        assert isinstance(refusal, UnsafePlanError)
        assert str(refusal) == (
            "limits.max_stops_per_run: this run would stop 3 servers, 2 are allowed, so it stops none: "
            "raise the limit if that many is right"
        )

    def test_a_limit_of_none_is_tripped_by_nothing_but_stops(self) -> None:
        assert make_plan(NOW, [of_actions(make_cluster(), RUNNING, 3)], Limits(0)).refusal is None

    def test_is_empty_when_there_is_nothing_to_do(self) -> None:
        assert make_plan(NOW, [ClusterPlan(make_cluster(), desired(STOPPED))], Limits()).is_empty


def desired(state: State) -> Desired:
    return Desired(state, "always", Rule("state"), None, None)


def of_actions(cluster: Cluster, state: State, number: int) -> ClusterPlan:
    servers = [make_server(n, status="ACTIVE" if state is STOPPED else "SHUTOFF") for n in range(number)]
    planned = plan_cluster(cluster, desired(state), find_members([cluster], servers))
    assert len(planned.actions) == number
    return planned


# Laws, over clusters and servers of every kind

_tags = st.sampled_from(
    [f"{CLUSTER_TAG}={cluster_id}" for cluster_id in (DEV, TEST, BATCH, DEV.upper(), "", "unknown")]
    + ["keep", "keep=yes", "owner=platform", "cce-scheduler=off", "cce-scheduler=on", "cce-scheduler", CLUSTER_TAG]
)
_status_texts = st.sampled_from(
    ["ACTIVE", "SHUTOFF", "ACTIVE", "SHUTOFF", "ERROR", "BUILD", "REBUILD", "SHELVED", "SURPRISE", "", None]
)


@st.composite
def some_servers(draw: st.DrawFn) -> List[Server]:
    return [
        Server(
            server_id=make_server(number).server_id,
            name=draw(st.sampled_from(["node-1", "bastion-1", "", None])),
            status=draw(_status_texts),
            task_state=draw(st.sampled_from([None, None, None, "powering-on", "powering-off", "deleting"])),
            tags=draw(st.one_of(st.none(), st.lists(_tags, max_size=3).map(tuple))),
            locked=draw(st.sampled_from([None, False, False, True])),
            frozen=draw(st.sampled_from([False, False, False, True])),
            charging_mode=draw(st.sampled_from(["0", "0", "1", "2", None])),
        )
        for number in range(draw(st.integers(0, 8)))
    ]


@st.composite
def some_clusters(draw: st.DrawFn) -> List[Tuple[Cluster, State]]:
    ids = draw(st.lists(st.sampled_from([DEV, TEST, BATCH]), min_size=1, max_size=3, unique=True))
    return [
        (
            make_cluster(
                cluster_id,
                cluster_id,
                stop_type=draw(st.sampled_from(StopType)),
                stop_prepaid=draw(st.booleans()),
                exclude=Exclude(
                    draw(st.sampled_from([(), ("bastion-*",), ("server-2", "x")])),
                    draw(st.sampled_from([(), ("keep",), ("keep=yes", "owner=platform")])),
                ),
            ),
            draw(st.sampled_from(State)),
        )
        for cluster_id in ids
    ]


def planned_for(clusters: List[Tuple[Cluster, State]], servers: List[Server]) -> List[ClusterPlan]:
    members = find_members([cluster for cluster, _ in clusters], servers)
    return [plan_cluster(cluster, desired(state), members) for cluster, state in clusters]


def named_by(server: Server) -> Set[str]:
    pairs = [tag.split("=", 1) for tag in server.tags or () if "=" in tag]
    return {pair[1].lower() for pair in pairs if pair[0] == "CCE-Cluster-ID" and pair[1]}


@pytest.mark.parametrize(
    ("exclude", "matching"),
    [
        pytest.param(Exclude(), [], id="nothing excluded"),
        pytest.param(Exclude(servers=("node-*", "bastion", "SERVER-2")), ["node-*", "SERVER-2"], id="names and ids"),
        pytest.param(Exclude(servers=("NODE-1", "gone-*")), [], id="another case, and one that is gone"),
        pytest.param(Exclude(tags=("keep", "owner=b", "owner=a", "own")), ["keep", "owner=b"], id="tags"),
        pytest.param(Exclude(node_pools=("default", "P-1", "gone")), ["default", "P-1"], id="pools by name and id"),
    ],
)
def test_exclusions_that_match_something_are_found(exclude: Exclude, matching: List[str]) -> None:
    servers = [
        make_server(1, tags=("keep=yes",)),
        make_server(2, tags=("owner=b",)),
        make_server(3)._replace(tags=None),
    ]
    pools = [NodePool("p-1", "first"), NodePool("P-2", "default"), NodePool("p-3", None)]
    found = list(find_matching(exclude, servers, pools))
    kind = next(kind for kind in ("servers", "tags", "node_pools") if getattr(exclude, kind) or not matching)
    assert sorted(found) == sorted((kind, text) for text in matching)
    assert list(find_matching(exclude, (), None)) == []


_laws = settings(max_examples=50)


@_laws
@given(some_clusters(), some_servers())
def test_every_server_of_a_cluster_ends_in_exactly_one_action_or_hold(
    clusters: List[Tuple[Cluster, State]], servers: List[Server]
) -> None:
    for plan in planned_for(clusters, servers):
        decided = [*(a.server for a in plan.actions), *(h.server for h in plan.holds)]
        expected = [s for s in servers if plan.cluster.cluster_id in named_by(s)]
        assert sorted(s.server_id for s in decided) == sorted(s.server_id for s in expected)
        assert all(hold.reason for hold in plan.holds)


@_laws
@given(some_clusters(), some_servers())
def test_acts_on_no_server_that_is_not_proven_to_be_free_to_act_on(
    clusters: List[Tuple[Cluster, State]], servers: List[Server]
) -> None:
    for plan in planned_for(clusters, servers):
        for power, server in plan.actions:
            assert named_by(server) == {plan.cluster.cluster_id}
            tags = server.tags or ()
            assert not {"cce-scheduler=off", "cce-scheduler"} & set(tags)
            assert not any(tag in (wanted, f"{wanted}=yes") for tag in tags for wanted in plan.cluster.exclude.tags)
            if plan.cluster.exclude.servers:
                assert server.name is not None
                assert server.server_id not in plan.cluster.exclude.servers
            if "bastion-*" in plan.cluster.exclude.servers:
                assert server.name != "bastion-1"
            assert (server.locked or False, server.frozen, server.task_state) == (False, False, None)
            assert server.status == ("SHUTOFF" if power is Power.START else "ACTIVE")


@_laws
@given(some_clusters(), some_servers())
def test_nothing_is_done_for_an_unmanaged_cluster(clusters: List[Tuple[Cluster, State]], servers: List[Server]) -> None:
    for plan in planned_for([(cluster, UNMANAGED) for cluster, _ in clusters], servers):
        assert not plan.actions
        assert {hold.kind for hold in plan.holds} <= {HoldKind.UNMANAGED}


@_laws
@given(some_clusters(), some_servers())
def test_after_applying_a_plan_the_next_one_is_empty(
    clusters: List[Tuple[Cluster, State]], servers: List[Server]
) -> None:
    powers = {a.server.server_id: a.power for plan in planned_for(clusters, servers) for a in plan.actions}
    became = {Power.START: "ACTIVE", Power.STOP_SOFT: "SHUTOFF", Power.STOP_HARD: "SHUTOFF"}
    after = [s._replace(status=became[powers[s.server_id]]) if s.server_id in powers else s for s in servers]
    assert not any(plan.actions for plan in planned_for(clusters, after))


@_laws
@given(some_clusters(), some_servers(), st.integers(0, 6))
def test_stops_beyond_the_limit_are_refused_and_others_never(
    clusters: List[Tuple[Cluster, State]], servers: List[Server], limit: int
) -> None:
    plans = planned_for(clusters, servers)
    stops = sum(a.power in (Power.STOP_SOFT, Power.STOP_HARD) for plan in plans for a in plan.actions)
    assert (make_plan(NOW, plans, Limits(limit)).refusal is not None) == (stops > limit)
    assert make_plan(NOW, plans, Limits()).refusal is None
