"""A world for the function to go wrong in, and the laws that it must keep whatever happens.

Servers of every kind, schedules of every kind, and faults of every kind, over the real handler, the real SDK and HTTP.
Every action that reaches the cloud is held against the truth at that moment: against the servers as they are, and the
desired state as the oracle gives it, which shares nothing with the product. What breaks a law is written to
`World.broken`; a caller asserts that it stays empty, since the calls are answered in the threads of the cloud.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from scheduler.compiled import compiled_name, write_compiled
from scheduler.config import load_config
from scheduler.errors import ConfigError
from scheduler.handler import RunFailedError, handle
from scheduler.model import CLUSTER_TAG, Power
from scheduler.remote_override import OVERRIDE_TAG
from scheduler.simulated import SIMULATED_AK, SIMULATED_PROJECT, SIMULATED_SK, SimulatedCloud, SimulatedServer, serve
from scheduler.simulated.calls import ApiError, Call, Fault, reset
from scheduler.simulated.chaos import EVERY_DAY, RandomFaults, random_faults
from scheduler.simulated.clusters import AVAILABLE, HIBERNATION, SimulatedCluster, SimulatedPool
from scheduler.simulated.ecs import asked
from tests.oracle import RUNNING, STOPPED, UNMANAGED, Spec, Timeline, timeline
from tests.scenes import Context
from tests.schedule_strategies import interesting_instants, random_spec, written

EVERY = timedelta(minutes=5)
MINUTE = timedelta(minutes=1)
LIFE = timedelta(days=4)
"""How much time a world has; the oracle walks that far."""
OLD = timedelta(days=2, hours=12)
LONG_AGO = timedelta(days=40)
HARD_AFTER = timedelta(minutes=10)
CALM = timedelta(minutes=60)
FOREIGN = "0f0f0f0f-0000-0000-0000-0255ac100b0c"
UNREADABLE = ("running until late", "running@2099-01-01T00:00:00Z", "stopped@2030-01-01T00:00", "")
ODD = ("ERROR", "VERIFY_RESIZE", "SHELVED", "BUILD", "REBOOT", "SURPRISE")
HIDDEN = frozenset({"locked", "metadata"})


class Team(NamedTuple):
    """A cluster of the file, and what is true of it."""

    name: str
    cluster_id: str
    spec: Spec
    cce: SimulatedCluster
    ingress: SimulatedPool
    is_enabled: bool
    hibernates: bool
    is_hard: bool
    has_hard_after: bool
    stops_prepaid: bool
    excludes_pools: bool
    is_by_nodes: bool
    is_tagged: bool


class Tally(NamedTuple):
    """What worlds came to."""

    runs: int = 0
    failed: int = 0
    killed: int = 0
    calls: int = 0
    converged: int = 0
    actions: "Counter[str]" = Counter()  # noqa: RUF012 - never changed
    faults: "Counter[str]" = Counter()  # noqa: RUF012

    def plus(self, other: "Tally") -> "Tally":
        """Return the sum."""
        return Tally(
            self.runs + other.runs,
            self.failed + other.failed,
            self.killed + other.killed,
            self.calls + other.calls,
            self.converged + other.converged,
            self.actions + other.actions,
            self.faults + other.faults,
        )


class World:
    """A cloud, a schedules file and time, all of one seed."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)  # noqa: S311 - a reproducible world
        self.broken: List[str] = []
        self._stack = ExitStack()
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._lines: Dict[Tuple[str, Optional[str]], Timeline] = {}
        self._specs, self.now = self._draw_schedules()
        self._cloud = SimulatedCloud(
            self.now - MINUTE, seed=str(seed), strict_batches=self.rng.random() < 0.7, faults=self._answer
        )
        self._cloud.marker_supported = self.rng.random() < 0.5
        self._cloud.key_only_tags = self.rng.random() < 0.7
        self._cloud.clusters.answers_asleep = self.rng.random() < 0.5
        self._cloud.clusters.page_size = self.rng.choice((2, 2000))
        self._remote = self.rng.random() < 0.4
        self._most_stops = self.rng.choice((None, None, None, 2))
        self._skew_s = 0
        self._owners: Dict[str, List[Team]] = {}
        self._weather: RandomFaults = random_faults(f"weather-{seed}", 0.0, EVERY_DAY)
        self._teams = [self._found(number, spec) for number, spec in enumerate(self._specs)]
        for _ in range(self.rng.randint(0, 2)):
            self._add_foreign()
        self._write_file()
        self._run_calls = 0
        self._alone = True
        self._began = self.now
        self._overrides_known = False
        self._listed: Set[str] = set()
        self._stops: Set[str] = set()
        self._rival_at: Optional[int] = None
        self._kill: Optional[Tuple[int, subprocess.Popen[bytes]]] = None
        self._runs = self._failed = self._killed = self._converged = 0
        self._actions: Counter[str] = Counter()
        self._endpoint = self._stack.enter_context(serve(self._cloud))
        self._cloud.advance_to(self.now)

    def close(self) -> Tally:
        """End the world, and return what it came to."""
        calls = len(self._cloud.ledger)
        self._stack.close()
        faults = Counter({kind.value: count for kind, count in self._weather.counts.items()})
        return Tally(self._runs, self._failed, self._killed, calls, self._converged, self._actions, faults)

    # How it is made

    def _draw_schedules(self) -> Tuple[List[Spec], datetime]:
        """Draw schedules that a file may hold, and an instant at which the first of them is interesting."""
        found: List[Spec] = []
        wanted = self.rng.randint(1, 3)
        while len(found) < wanted:
            spec = random_spec(self.rng)
            if not spec.one_sided and self.rng.random() < 0.6:
                spec = Spec(**{**vars(spec), "enforce_s": None})  # else hands are off most of the time
            if self._is_accepted(spec):
                found.append(spec)
        at = self.rng.choice(interesting_instants(self.rng, found[0], 5)).replace(microsecond=0)
        return found, at - timedelta(minutes=self.rng.choice((0, 1, 7, 30)))

    def _is_accepted(self, spec: Spec) -> bool:
        content = {"version": 1, "clusters": [{"name": "a", "cluster_id": "a", **_schedule(spec)}]}
        file = self._folder / "try.yaml"
        file.write_text(json.dumps(content), encoding="utf-8")
        try:
            load_config(file)
        except ConfigError:
            return False
        return True

    def _found(self, number: int, spec: Spec) -> Team:
        """Found a team: its cluster, its pools, its nodes."""
        rng, name = self.rng, f"team-{number}"
        by_nodes = rng.random() < 0.3
        cce = self._cloud.clusters.add(name, project_id=SIMULATED_PROJECT, is_prepaid=rng.random() < 0.1)
        team = Team(
            name=name,
            cluster_id=cce.cluster_id,
            spec=spec,
            cce=cce,
            ingress=self._cloud.clusters.add_pool(cce, "ingress"),
            is_enabled=rng.random() < 0.9,
            hibernates=rng.random() < 0.4,
            is_hard=rng.random() < 0.2,
            has_hard_after=rng.random() < 0.4,
            stops_prepaid=rng.random() < 0.2,
            excludes_pools=rng.random() < 0.3,
            is_by_nodes=by_nodes,
            is_tagged=rng.random() < (0.5 if by_nodes else 0.85),
        )
        if team.hibernates and rng.random() < 0.4:
            self._cloud.clusters.set_phase(cce, HIBERNATION)
        for node in range(rng.randint(1, 6)):
            self._add_node(team, f"{name}-node-{node}")
        if rng.random() < 0.3:  # a node without a tag: of a cluster that is found by tags it is no member
            stray = self._cloud.clusters.add_node(cce, f"{name}-stray", is_tagged=False)
            self._owners[stray.server_id or ""] = [] if team.is_tagged and not team.is_by_nodes else [team]
        return team

    def _add_node(self, team: Team, name: str) -> None:
        rng = self.rng
        kind = rng.choice((*[""] * 9, "bastion", "keep", "off", "locked", "frozen", "hidden", "prepaid", "odd"))
        tags = {"keep": ["keep=yes"], "off": ["cce-scheduler=off"]}.get(kind, ["owner=team"])
        if rng.random() < 0.04:
            tags.append(f"{CLUSTER_TAG}={FOREIGN}")  # claimed by another cluster too
        status = "ACTIVE" if team.cce.phase == AVAILABLE and rng.random() < 0.6 else "SHUTOFF"
        server = self._cloud.add_server(
            f"{kind}-{name}" if kind == "bastion" else name,
            tags=(*tags, *([f"{CLUSTER_TAG}={team.cluster_id}"] if team.is_tagged else [])),
            status=rng.choice(ODD) if kind == "odd" else status,
            charging_mode="1" if kind == "prepaid" else rng.choice(("0", "0", "2")),
            locked=kind in ("locked", "hidden"),
            frozen=kind == "frozen",
            omit=("locked",) if kind == "hidden" else (),
            soft_stop_hangs=rng.random() < 0.1,
        )
        pool = team.ingress if rng.random() < 0.2 else None
        self._cloud.clusters.add_node(team.cce, name, pool=pool, server=server)
        self._owners[server.server_id] = [team]

    def _add_foreign(self) -> None:
        tags = self.rng.choice(([], ["keep"], [f"{CLUSTER_TAG}={FOREIGN}"], [CLUSTER_TAG], [f"{CLUSTER_TAG}="]))
        status = self.rng.choice(("ACTIVE", "SHUTOFF"))
        self._owners[self._cloud.add_server(tags=tags, status=status).server_id] = []

    def _write_file(self) -> None:
        clusters = [
            {
                "name": team.name,
                "cluster_id": team.cluster_id,
                "stop_type": "HARD" if team.is_hard else "SOFT",
                "stop_prepaid": team.stops_prepaid,
                "enabled": team.is_enabled,
                "control_plane": "hibernate" if team.hibernates else "keep",
                "members": "nodes" if team.is_by_nodes else "tags",
                **({"hard_after": f"{HARD_AFTER // MINUTE}m"} if team.has_hard_after else {}),
                **_schedule(team.spec, pools=["ingress"] if team.excludes_pools else []),
            }
            for team in self._teams
        ]
        content: Dict[str, Any] = {"version": 1, "remote_overrides": self._remote, "clusters": clusters}
        if self._most_stops is not None:
            content["limits"] = {"max_stops_per_run": self._most_stops}
        file = self._folder / "schedules.yaml"
        file.write_text(json.dumps(content), encoding="utf-8")
        compiled = write_compiled(load_config(file), [file.read_bytes()])
        (self._folder / compiled_name(file.name)).write_bytes(compiled)

    # What happens in it

    @property
    def servers(self) -> Sequence[SimulatedServer]:
        """Every server that is still there."""
        return self._cloud.servers

    def pass_time(self, by: timedelta) -> None:
        """Let time pass, without a run: one that was lost. Near the end of a world's life it stands still."""
        if self._cloud.now + by < self.now + OLD:
            self._cloud.advance_to(self._cloud.now + by)

    def approach(self, number: int, seconds: int) -> None:
        """Let time pass to some seconds before or after the next transition of a cluster."""
        team = self._teams[number % len(self._teams)]
        until = self._line(team).until(self._cloud.now) if team.is_enabled else None
        if until is not None and until - self._cloud.now < timedelta(days=1):
            self.pass_time(max(until + timedelta(seconds=seconds) - self._cloud.now, timedelta(0)))

    def worsen(self, probability: float) -> None:
        """Set how much of the calls goes wrong."""
        self._weather.probability = probability

    def skew(self, seconds: int) -> None:
        """Set by how much the function's clock is ahead of the cloud's."""
        self._skew_s = seconds

    def by_hand(self, number: int, power: Power) -> None:
        """Let a person start or stop a server, if the cloud lets them."""
        if not self.servers:
            return
        server = self.servers[number % len(self.servers)]
        try:
            if power is Power.START:
                self._cloud.start_by_hand(server)
            else:
                self._cloud.stop_by_hand(server, hard=power is Power.STOP_HARD)
        except ApiError:
            return

    def disturb(self, number: int) -> None:
        """Put a server into an odd state, or bring it back from one."""
        if self.servers:
            server = self.servers[number % len(self.servers)]
            status = self.rng.choice(("ACTIVE", "SHUTOFF")) if server.status in ODD else self.rng.choice(ODD)
            self._cloud.set_status(server, status)

    def override(self, number: int) -> None:
        """Write an override as a tag of a cluster, or something that is none, or take it away."""
        team = self._teams[number % len(self._teams)]
        until = (self._cloud.now + timedelta(minutes=self.rng.randint(-30, 300))).replace(second=0)
        state = self.rng.choice((RUNNING, STOPPED, UNMANAGED))
        value = self.rng.choice((f"{state}@{until:%Y-%m-%dT%H:%M:%SZ}", self.rng.choice(UNREADABLE), None))
        team.cce.tags.pop(OVERRIDE_TAG, None)
        if value is not None:
            team.cce.tags[OVERRIDE_TAG] = value

    def run(self) -> bool:
        """Run the function once; return whether it succeeded."""
        self._begin()
        return self._invoke()

    def overlap(self) -> None:
        """Let two runs begin at the same time: one waits for an answer while the other does all of its work.

        Never do both compute at once, since each run of the platform is a process of its own, and evaluates alone.
        """
        self._begin(alone=False)
        self._rival_at = self.rng.randint(1, 3)  # many a run makes one call
        self._invoke()
        if self._rival_at is not None:
            self._rival_at = None
            self._invoke()

    def kill(self) -> bool:
        """Run the function in a process of its own, and kill it in the middle; return whether it came to that."""
        self.worsen(0.0)
        self._begin()
        now = (self._cloud.now + timedelta(seconds=self._skew_s)).isoformat()
        command = [sys.executable, "-m", "tests.killed", self._endpoint, str(self._folder), now]
        root = Path(__file__).parent.parent
        with subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:  # noqa: S603
            self._kill = (self.rng.randint(1, 5), process)
            try:
                code = process.wait(60)
            finally:
                process.kill()
        self._kill = None
        self._killed += code == -signal.SIGKILL
        return code == -signal.SIGKILL

    def _begin(self, *, alone: bool = True) -> None:
        self._began = self._cloud.now
        self._run_calls = 0
        self._alone = alone
        self._overrides_known = False
        self._listed = set()
        self._stops = set()

    def _invoke(self) -> bool:
        cloud, begun = self._cloud, self._began
        try:
            result = handle(
                {} if self.rng.random() < 0.8 else {"trigger_type": "TIMER", "time": "2026-12-01T00:00:00Z"},
                Context(settings_of(self._endpoint)),
                now=begun + timedelta(seconds=self._skew_s),
                environ={"RUNTIME_CODE_ROOT": str(self._folder)},
                monotonic=lambda: (cloud.now - begun).total_seconds(),  # noqa: PLW0108 - now, and not then
                sleep=self._sleep,
            )
            succeeded = bool(result["status"] == "success")
        except RunFailedError:
            succeeded = False
        except Exception as e:  # noqa: BLE001 - whatever it is, it is a crash
            self.broken.append(f"the run crashed: {e!r}")
            succeeded = False
        self._runs += 1
        self._failed += not succeeded
        return succeeded

    def _sleep(self, seconds: float) -> None:
        with self._cloud.lock:
            self.pass_time(timedelta(seconds=seconds))

    # The laws

    def desired(self, team: Team, at: datetime) -> str:
        """Return the desired state of a team's cluster as the oracle gives it."""
        return self._line(team).state_at(at) if team.is_enabled else UNMANAGED

    def _line(self, team: Team, *, obeys_tag: bool = True) -> Timeline:
        override = self._override_of(team) if obeys_tag else None
        key = (team.name, team.cce.tags.get(OVERRIDE_TAG) if override else None)
        if key not in self._lines:
            spec = team.spec
            if override is not None:
                remote = (override[0], (self.now - LONG_AGO).replace(second=0), override[1])
                spec = Spec(**{**vars(spec), "overrides": (*spec.overrides, remote)})
            self._lines[key] = timeline(spec, self.now - timedelta(hours=1), self.now + LIFE)
        return self._lines[key]

    def _override_of(self, team: Team) -> Optional[Tuple[str, datetime]]:
        text = team.cce.tags.get(OVERRIDE_TAG) if self._remote else None
        if text is None or text in UNREADABLE:
            return None
        state, _, until = text.partition("@")
        return state, datetime.strptime(until, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)

    def _answer(self, call: Call) -> Optional[Fault]:
        """Hold a call against the laws, then let it pass or go wrong."""
        self._run_calls += 1
        if self._run_calls == self._rival_at:
            self._rival_at = None
            self._cloud.lock.release()  # every call holds it
            try:
                self._invoke()
            finally:
                self._cloud.lock.acquire()
        if call.path.endswith("/detail"):
            self._listed = {s.server_id for s in self.servers}
        if call.method == "POST":
            self._judge(call)
        if self._kill is not None and self._run_calls == self._kill[0]:
            os.kill(self._kill[1].pid, signal.SIGKILL)
            return reset(carried_out=self.rng.random() < 0.5)
        fault = self._weather(call)
        if call.path.endswith("/clusters"):
            self._overrides_known = fault is None or (fault.carried_out and fault.answer is None)
        return fault

    def _judge(self, call: Call) -> None:
        at = call.at + timedelta(seconds=self._skew_s)
        if not self._alone:  # the pause of one run moves the time of the other, also between its last look and its call
            began = self._began + timedelta(seconds=self._skew_s)
            at = began if any(self.desired(t, at) != self.desired(t, began) for t in self._teams) else at
        if call.path.endswith(("/hibernate", "/awake")):
            team = next(t for t in self._teams if t.cluster_id in call.path)
            self._judge_control_plane(team, call.path.rpartition("/")[2], at)
            return
        power, server_ids = asked(call)
        if not server_ids or len(set(server_ids)) != len(server_ids):
            self._break("an empty batch, or a server twice in one", power.value)
        for server_id in server_ids:
            self._actions[power.value] += 1
            self._judge_server(power, server_id, at)
        if power is not Power.START:
            self._stops.update(server_ids)
            if self._alone and self._most_stops is not None and len(self._stops) > self._most_stops:
                self._break("more stops than the limit", str(len(self._stops)))

    def _judge_server(self, power: Power, server_id: str, at: datetime) -> None:
        owners = self._owners.get(server_id, [])
        known = {s.server_id: s for s in self.servers}
        server = known.get(server_id)
        if len(owners) != 1:
            self._break("an action on a foreign server", server_id)
        elif server is None:
            if self._alone and server_id not in self._listed:
                self._break("an action on a server that is not there", server_id)
        else:
            self._judge_member(power, server, owners[0], at)

    def _judge_member(self, power: Power, server: SimulatedServer, team: Team, at: datetime) -> None:
        is_stop = power is not Power.START
        wanted = self.desired(team, at)
        if not is_stop and self._may_be_in_doubt(team):
            wanted = self._line(team, obeys_tag=False).state_at(at)  # a start is never worse than a stop
        if wanted != (STOPPED if is_stop else RUNNING):
            self._break(f"a {power.value} although {wanted} is desired at {at}", server.name)
        kept = self._kept(team, server, is_stop=is_stop)
        if kept:
            self._break(f"a {power.value} of a server that is {kept}", server.name)
        if power is Power.STOP_HARD and not team.is_hard and not self._may_cut(team, server):
            self._break("a HARD stop that nobody asked for", server.name)
        ready = server.status == ("ACTIVE" if is_stop else "SHUTOFF") and (
            server.task_state is None or power is Power.STOP_HARD
        )
        if self._alone and not ready:
            self._break(f"a {power.value} that the listing shows needless ({server.status})", server.name)
        if is_stop and self._remote and self._is_in_doubt(team):
            self._break("a stop although the overrides are not known", server.name)
        if not is_stop and team.hibernates and team.cce.phase != AVAILABLE:
            self._break(f"a start of a server of a cluster in phase {team.cce.phase}", server.name)

    def _judge_control_plane(self, team: Team, action: str, at: datetime) -> None:
        self._actions[action] += 1
        wanted = self.desired(team, at)
        if action == "awake" and self._may_be_in_doubt(team):
            wanted = self._line(team, obeys_tag=False).state_at(at)
        if wanted != (STOPPED if action == "hibernate" else RUNNING) or not team.hibernates:
            self._break(f"{action} although {wanted} is desired", team.name)
        if action == "hibernate" and not self._is_all_off(team):
            self._break("a hibernation with a server up, or one that nobody knows", team.name)
        if action == "hibernate" and self._remote and self._is_in_doubt(team):
            self._break("a hibernation although the overrides are not known", team.name)

    def _is_in_doubt(self, team: Team) -> bool:
        return team.cce.tags.get(OVERRIDE_TAG) in UNREADABLE or (self._alone and not self._overrides_known)

    def _may_be_in_doubt(self, team: Team) -> bool:
        """Whether one of the runs under way may not know the overrides; of two at once nobody can tell which."""
        return self._remote and (self._is_in_doubt(team) or not self._alone)

    def _is_all_off(self, team: Team) -> bool:
        known = {s.server_id: s for s in self.servers}
        nodes = [known.get(node.server_id or "") for node in team.cce.nodes]
        return bool(nodes) and all(s is not None and s.status == "SHUTOFF" and not s.task_state for s in nodes)

    def _may_cut(self, team: Team, server: SimulatedServer) -> bool:
        """Whether a SOFT stop of a server has been hanging for so long that it may become a HARD one."""
        waited = self._cloud.now + timedelta(seconds=self._skew_s) - server.updated
        return team.has_hard_after and server.task_state == "powering-off" and waited >= HARD_AFTER

    def _kept(self, team: Team, server: SimulatedServer, *, is_stop: bool) -> Optional[str]:
        """Say why a server must not be touched, as far as a listing shows it."""
        in_ingress = any(n.server_id == server.server_id and n.pool is team.ingress for n in team.cce.nodes)
        claims = {tag for tag in server.tags if tag.startswith(f"{CLUSTER_TAG}=")}
        reasons = {
            "excluded by name": server.name.startswith("bastion-"),
            "excluded by tag": "keep=yes" in server.tags,
            "tagged off": "cce-scheduler=off" in server.tags,
            "excluded by pool": team.excludes_pools and in_ingress,
            "claimed by two clusters": bool(claims - {f"{CLUSTER_TAG}={team.cluster_id}"}),
            "locked": server.locked and "locked" not in server.omit,
            "frozen": server.frozen,
            "prepaid": is_stop and server.charging_mode == "1" and not team.stops_prepaid,
        }
        return next((reason for reason, holds in reasons.items() if holds), None)

    def _break(self, what: str, whom: str) -> None:
        self.broken.append(f"{what}: {whom}")

    # The end of all faults

    def finish(self) -> None:
        """End the faults, and see that whatever can converge does, after the waits by at most three runs."""
        self.worsen(0.0)
        self.skew(0)
        for team in self._teams:
            if team.cce.tags.get(OVERRIDE_TAG) in UNREADABLE:
                del team.cce.tags[OVERRIDE_TAG]
        for server in self.servers:
            server.start_fails = False
        begin = self._find_calm()
        self._cloud.advance_to(begin)
        calm = [team for team in self._teams if self._is_calm(team, begin)]
        if self._most_stops is not None:
            return
        last = {team.name: -1 for team in calm}
        for number in range(CALM // EVERY):
            before = len(self._cloud.ledger)
            self.run()
            for record in self._cloud.ledger[before:]:
                touched = [self._owners[i][0].name for i in record.server_ids if self._owners[i]]
                touched += [t.name for t in self._teams if record.method == "POST" and t.cluster_id in record.path]
                last.update({name: number for name in touched if name in last})
            self._cloud.advance_to(self._cloud.now + EVERY)
        for team in calm:
            self._judge_end(team, last[team.name], begin)

    def _find_calm(self) -> datetime:
        """Return an instant after which as many clusters as possible keep their state for a while."""
        first = self._cloud.now + MINUTE
        candidates = [first + number * timedelta(minutes=17) for number in range(60)]
        return max(candidates, key=lambda at: sum(self._is_calm(team, at) for team in self._teams))

    def _is_calm(self, team: Team, at: datetime) -> bool:
        steps = int((CALM + MINUTE) / MINUTE)
        return len({self.desired(team, at + number * MINUTE) for number in range(steps)}) == 1

    def _judge_end(self, team: Team, last: int, begin: datetime) -> None:
        wanted = self.desired(team, begin)
        waits = 2 if team.hibernates or team.has_hard_after else 0
        hides = any("locked" in server.omit for server in self._members(team))
        if last > waits + 2 and not hides:  # what is refused for a reason that nobody sees is tried for ever
            self._break(f"actions after {last} runs without a fault", team.name)
        if wanted == UNMANAGED or self._is_blind(team, wanted):
            return
        for server in self._members(team):
            if self._can_converge(team, server, wanted):
                self._converged += 1
                if server.status != {RUNNING: "ACTIVE", STOPPED: "SHUTOFF"}[wanted] or server.task_state:
                    self._break(f"{server.status} {server.task_state} in the end, {wanted} is desired", server.name)
        phase = HIBERNATION if wanted == STOPPED else AVAILABLE
        may_stay_up = wanted == STOPPED and (team.cce.is_prepaid or not self._is_all_off(team))
        if team.hibernates and not may_stay_up:
            self._converged += 1
            if team.cce.phase != phase:
                self._break(f"{team.cce.phase} in the end, {wanted} is desired", team.name)

    def _members(self, team: Team) -> List[SimulatedServer]:
        return [server for server in self.servers if self._owners[server.server_id] == [team]]

    def _can_converge(self, team: Team, server: SimulatedServer, wanted: str) -> bool:
        if self._kept(team, server, is_stop=wanted == STOPPED) or server.locked or server.status in ODD:
            return False
        if not team.hibernates or team.cce.phase == AVAILABLE or wanted == STOPPED:
            hangs = server.task_state == "powering-off" and server.soft_stop_hangs
            return not hangs or (wanted == STOPPED and team.has_hard_after)
        return True

    def _is_blind(self, team: Team, wanted: str) -> bool:
        """Whether CCE does not tell what is up under a sleeping control plane, so that nobody can heed it."""
        needs_nodes = team.is_by_nodes or not team.is_tagged or team.excludes_pools
        answers = self._cloud.clusters.answers_asleep and (team.is_by_nodes or team.is_tagged)
        return wanted == STOPPED and team.hibernates and needs_nodes and not answers


def _schedule(spec: Spec, pools: Sequence[str] = ()) -> Dict[str, Any]:
    """Write all of a schedule into a cluster."""
    return {
        "timezone": spec.zone,
        "on_excluded_dates": spec.on_excluded,
        "exclude": {
            "servers": ["bastion-*"],
            "tags": ["keep"],
            "node_pools": list(pools),
            "dates": [day.isoformat() for day in sorted(spec.excluded)],
        },
        **written(spec),
    }


def settings_of(endpoint: str) -> Dict[str, str]:
    """Return the settings of a function that talks to a simulated cloud."""
    return {
        "ak": SIMULATED_AK,
        "sk": SIMULATED_SK,
        "region": "simulated",
        "projectId": SIMULATED_PROJECT,
        "endpoint": endpoint,
        "cceEndpoint": endpoint,
    }


_MOST_KILLS = 5
POWERS = (Power.START, Power.STOP_SOFT, Power.STOP_HARD)


def storm(seed: int, steps: int) -> Tuple[Tally, List[str]]:
    """Let a world of this seed go wrong for some steps; return what it came to, and the laws that were broken."""
    random.seed(seed)  # the product's own chance
    world = World(seed)
    rng = Random(f"storm-{seed}")  # noqa: S311 - a reproducible search
    try:
        world.worsen(rng.choice((0.0, 0.1, 0.3, 0.6)))
        for _ in range(steps):
            step(world, rng)
        world.finish()
    finally:
        tally = world.close()
    return tally, world.broken


def step(world: World, rng: Random) -> None:  # noqa: C901 - one branch for each thing that happens
    """Do one thing to a world: most often pass some time and run."""
    chance = rng.random()
    number = rng.randrange(100)
    if chance < 0.35:
        world.pass_time(
            rng.choice((EVERY, EVERY, MINUTE, timedelta(minutes=23), timedelta(seconds=rng.randrange(300))))
        )
        world.run()
    elif chance < 0.50:
        world.approach(number, rng.choice((-1, 0, 1, 59, 200, 400)))
        world.run()
    elif chance < 0.55:  # much to do, and hardly any time for it
        for more in range(6):
            world.by_hand(number + more, rng.choice(POWERS))
        world.pass_time(MINUTE)
        world.approach(number, -3)
        world.worsen(0.6)
        world.run()
    elif chance < 0.60:
        world.run()
    elif chance < 0.66:
        world.overlap()
    elif chance < 0.82:
        world.by_hand(number, rng.choice(POWERS))
    elif chance < 0.86:
        world.disturb(number)
    elif chance < 0.91:
        world.override(number)
    elif chance < 0.95:
        world.worsen(rng.choice((0.0, 0.1, 0.3, 0.6)))
    else:
        world.skew(rng.choice((0, 0, 45, -45, 600)))


def kill(seed: int) -> Tuple[Tally, List[str]]:
    """Kill runs of a world of this seed until one dies in the middle; what follows must converge."""
    world = World(seed)
    rng = Random(f"kill-{seed}")  # noqa: S311 - a reproducible search
    try:
        for _ in range(_MOST_KILLS):
            for number in range(10):  # so that there is something to do
                world.by_hand(number, rng.choice(POWERS))
            world.pass_time(MINUTE)
            if world.kill():
                break
            world.pass_time(EVERY)
        world.finish()
    finally:
        tally = world.close()
    return tally, world.broken
