"""What one run of the packaged function costs, as ratios in one run on one machine: run by ``make bench``.

A schedules file is packaged, unpacked to where nobody can write, and every figure is of WHOLE PROCESSES that talk to
the simulated cloud in this one. Three programs do the same work:

    ours      the zip, run as the platform runs it (``scheduler/simulated/runtime.py``); each run is a cold start
    floor     ``floor.py``: what can hardly be done with less, the standard library alone
    earlier   ``earlier.py``: the shape of the function that this one replaces

How to read it. Instructions are counted by valgrind and repeat to a part in a thousand: compare those first. Where
valgrind is not installed they are NOT MEASURED. CPU times are medians of runs in turn, so that a busy machine slows
all alike; their ratios still wander by a tenth. The last column says whether a target is met, and MISSED is no
failure of the program. Options: ``--quick`` does a little of everything, ``--output FILE`` writes the table as
Markdown, ``--names`` only says what the rows are called.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from itertools import count
from math import ceil
from pathlib import Path
from statistics import median
from typing import NamedTuple, Optional
from zoneinfo import ZoneInfo

import evaluate
import requests

from scheduler.cloud import PAGE_SIZE
from scheduler.cloud.huawei import HuaweiCloud, _Listing, _servers
from scheduler.deploy.package import build_package, write_package
from scheduler.deploy.runtimes import find_runtime
from scheduler.deploy.sources import read_schedule_files
from scheduler.deploy.wheels import cache_dir
from scheduler.observe import tag_keys
from scheduler.settings import Credentials
from scheduler.simulated import SIMULATED_AK, SIMULATED_PROJECT, SIMULATED_SK, SimulatedCloud, serve
from scheduler.simulated.platform import Function, Outcome, Settings, deploy

HERE = Path(__file__).parent
ZONE = "Asia/Bangkok"
PYTHON = Path(os.path.realpath(sys.executable))
VALGRIND = shutil.which("valgrind")
COUNTER = ("--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
TIMEOUT_S = 1800
EVERY_CALL_S = 0.05
THREADS = 4
MIB = 2**20
MOST_RUNNING = 10_000
"""More are not stopped in one run: the platform takes a thousand a minute, and grants a result no more than 6 MB."""


class Size(NamedTuple):
    """What is measured, and in how many rounds."""

    servers: "tuple[int, ...]" = (10, 1_000, 10_000, 100_000)
    clusters: "tuple[int, ...]" = (1, 100, 10_000)
    unmanaged: "tuple[int, ...]" = (100, 10_000)
    rounds: int = 5
    waits: int = 1_000


QUICK = Size((10,), (), (100,), 1, 10)


class Cost(NamedTuple):
    """What a program costs: instructions (None where not counted), CPU, and of ours what only we can tell."""

    cpu_s: float
    instructions: Optional[int] = None
    outcome: Optional[Outcome] = None
    calls: int = 0
    posts: int = 0


class Row(NamedTuple):
    """A line of the table; ``is_met`` is None where nothing could be decided."""

    target: str
    what: str
    figure: str
    wanted: str
    is_met: Optional[bool]


# --- scenes -----------------------------------------------------------------------------------------------------------


def cluster_id(number: int) -> str:
    return f"3f1c9d2e-0a4b-11ef-9d2a-{number:012d}"


def schedules_text(clusters: int, kind: str = "stopped") -> str:
    """Return a file with office hours that are far from now on either side; every cluster wants to be ``kind``.

    ``stopped``: outside of its hours. ``disabled``: none is enabled. ``passed``: the hour of ``enforce`` is over.
    """
    hour = datetime.now(ZoneInfo(ZONE)).hour
    start, stop = ((hour + later) % 24 for later in (8, 18))
    settings = {"stopped": 'exclude: {servers: ["bastion-*"]}', "disabled": "enabled: false", "passed": "enforce: 1h"}
    place = f"region: ap-southeast-2, project_id: {SIMULATED_PROJECT}"
    lines = [
        "version: 1",
        f"timezone: {ZONE}",
        f"defaults: {{{place}, schedule: office-hours, {settings[kind]}}}",
        "schedules:",
        "  office-hours:",
        "    windows:",
        f'      - {{start: "0 {start} * * *", stop: "0 {stop} * * *"}}',
        "clusters:",
    ]
    lines += [f"  - {{name: c{n}, cluster_id: {cluster_id(n)}}}" for n in range(clusters)]
    return "\n".join(lines) + "\n"


def package(folder: Path, text: str) -> Path:
    """Package a schedules file for the Python that measures; return the zip."""
    runtime = find_runtime(f"Python3.{sys.version_info.minor}")
    if runtime is None:
        sys.exit(f"the platform has no runtime for Python 3.{sys.version_info.minor}: measure with another Python")
    file = folder / "schedules.yaml"
    file.write_text(text, encoding="utf-8")
    made = build_package(runtime, read_schedule_files(file), cache_dir(os.environ), os.environ)
    write_package(made, folder / "function.zip")
    return folder / "function.zip"


class Timed(Function):
    """A function whose runs are timed on the wall, from the start of the process to its end."""

    wall_s = 0.0

    def _run(self, work: Path) -> "tuple[int, float, bool]":
        began = time.monotonic()
        ended = super()._run(work)
        self.wall_s = time.monotonic() - began
        return ended


class Scene:
    """Servers of some clusters, `MOST_RUNNING` of them running, and the function that wants them off."""

    def __init__(self, cloud: SimulatedCloud, endpoint: str, function: Timed) -> None:
        self.cloud = cloud
        self.endpoint = endpoint
        self.function = function

    def ours(self, wrapper: Sequence[str] = ()) -> Cost:
        """Run the function once."""
        self._reset()
        self.function.settings = self.function.settings._replace(wrapper=wrapper)
        outcome = self.function.invoke({"trigger_type": "TIMER", "time": "now"})
        if outcome.error is not None:
            sys.exit(f"the function failed: {str(outcome.error)[:500]}\n{outcome.output}")
        ledger = self.cloud.ledger
        posts = sum(record.method == "POST" for record in ledger)
        return Cost(outcome.cpu_s, None, outcome, len(ledger), posts)

    def script(self, name: str, wrapper: Sequence[str] = ()) -> Cost:
        """Run one of the scripts beside this one once."""
        self._reset()
        flags = ("-I", "-S") if name == "floor" else ("-I",)
        python = PYTHON if name == "floor" else Path(sys.executable)  # the earlier one needs what is installed
        arguments = [self.endpoint, SIMULATED_PROJECT, SIMULATED_AK, SIMULATED_SK]
        arguments += ["os-stop"] if name == "floor" else []
        process = subprocess.Popen([*wrapper, str(python), *flags, str(HERE / f"{name}.py"), *arguments])
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{name}.py failed")
        return Cost(usage.ru_utime + usage.ru_stime, None, None, len(self.cloud.ledger))

    def measure(self, *names: str, rounds: int, counts: bool = True) -> "dict[str, Cost]":
        """Measure programs in turn: medians of their CPU time, and their instructions once."""
        runs: "dict[str, list[Cost]]" = {name: [] for name in names}
        for _ in range(rounds):
            for name in names:
                runs[name].append(self.run(name))
        middle = {name: found[0]._replace(cpu_s=median(run.cpu_s for run in found)) for name, found in runs.items()}
        if not (VALGRIND and counts):
            return middle
        return {name: cost._replace(instructions=self._count(name)) for name, cost in middle.items()}

    def run(self, name: str, wrapper: Sequence[str] = ()) -> Cost:
        return self.ours(wrapper) if name == "ours" else self.script(name, wrapper)

    def _count(self, name: str) -> int:
        with tempfile.NamedTemporaryFile(prefix="valgrind-") as log:
            self.run(name, [str(VALGRIND), *COUNTER, f"--log-file={log.name}"])
            line = next(line for line in Path(log.name).read_text().splitlines() if "I   refs:" in line)
        return int(line.split()[-1].replace(",", ""))

    def _reset(self) -> None:
        for server in self.cloud.servers[:MOST_RUNNING]:
            if server.status != "ACTIVE" or server.task_state:
                self.cloud.set_status(server, "ACTIVE")
                server.history = server.history[-1:]
        for server in self.cloud.servers:
            server.text()  # kept until it changes: the cloud is to answer at once
        self.cloud.clear_ledger()


@contextlib.contextmanager
def scene(clusters: int, servers: int, kind: str = "stopped") -> "Iterator[Scene]":
    """Yield a scene; the servers are dealt to the clusters in turn."""
    cloud = SimulatedCloud(datetime.now(timezone.utc), start_s=0, stop_s=0)
    for number in range(servers):
        status = "ACTIVE" if number < MOST_RUNNING else "SHUTOFF"
        cloud.add_server(cluster_id=cluster_id(number % clusters), status=status)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, serve(cloud) as endpoint:
        settings = Settings({"endpoint": endpoint}, PYTHON, timeout_s=TIMEOUT_S)
        with deploy(package(Path(folder), schedules_text(clusters, kind)), settings) as function:
            function.__class__ = Timed
            yield Scene(cloud, endpoint, function)


# --- the rows ---------------------------------------------------------------------------------------------------------


def ratio(ours: Cost, other: Cost) -> "tuple[Optional[float], float]":
    """Return the ratio of the instructions, None where they were not counted, and of the CPU times."""
    counted = ours.instructions / other.instructions if ours.instructions and other.instructions else None
    return counted, ours.cpu_s / other.cpu_s


def shown(ours: Cost, other: Cost) -> str:
    counted, cpu = ratio(ours, other)
    if counted is None:
        return f"CPU {cpu:.2f}x ({ours.cpu_s:.2f} s), instructions NOT MEASURED"
    return f"{counted:.2f}x ({(ours.instructions or 0) / 1e6:.0f} M), CPU {cpu:.2f}x"


def within(ours: Cost, other: Cost, most: float) -> Optional[bool]:
    """Whether a target in instructions is met; CPU time alone decides nothing."""
    counted, _ = ratio(ours, other)
    return None if counted is None else counted <= most


def memory(cost: Cost) -> float:
    return cost.outcome.peak_memory / MIB if cost.outcome else 0.0


def most_calls(servers: int) -> int:
    return ceil((servers + 1) / PAGE_SIZE) + ceil(min(servers, MOST_RUNNING) / PAGE_SIZE)


def acting(size: Size) -> "Iterator[Row]":
    """Yield the rows of runs that stop every server."""
    for servers in size.servers:
        clusters = min(100, servers)
        is_large = servers > PAGE_SIZE
        names = ("ours", "floor") if is_large else ("ours", "floor", "earlier")
        with scene(clusters, servers) as stage:
            cost = stage.measure(*names, rounds=2 if is_large else size.rounds, counts=not is_large)
        ours, floor = cost["ours"], cost["floor"]
        what = f"{servers:,} servers in {clusters} clusters"
        if is_large:
            most = 2.0 if servers <= 10_000 else 1.8
            cpu = ratio(ours, floor)[1]
            figure = f"CPU {cpu:.2f}x ({ours.cpu_s:.2f} s); the earlier function stops at one page"
            yield Row("3", f"{what}, to the floor", figure, f"<= {most}x", cpu <= most)
        else:
            yield Row("1", f"{what}, to the floor", shown(ours, floor), "<= 3.1x", within(ours, floor, 3.1))
            earlier = cost["earlier"]
            yield Row(
                "1", f"{what}, to the earlier function", shown(ours, earlier), "<= 0.38x", within(ours, earlier, 0.38)
            )
        calls = most_calls(servers)
        yield Row("4", f"calls, {what}", str(ours.calls), f"<= {calls}", ours.calls <= calls)
        limit = {10: 32, 1_000: 45}.get(servers, 80)
        yield Row("6", f"peak memory, {what}", f"{memory(ours):.0f} MiB", f"<= {limit} MiB", memory(ours) <= limit)
        if servers == size.servers[0]:
            modules = len(ours.outcome.modules) if ours.outcome else 0
            yield Row("8", "modules at the end of a run", str(modules), "<= 400", modules <= 400)
    for clusters in size.clusters:
        is_asked = clusters <= 100
        servers = max(10, clusters)  # a cluster without any server is a failure
        with scene(clusters, servers) as stage:
            cost = stage.measure("ours", "floor", rounds=max(size.rounds // 3, 1), counts=is_asked)
        figure, wanted = shown(cost["ours"], cost["floor"]), "<= 3.1x" if is_asked else "no target"
        met = within(cost["ours"], cost["floor"], 3.1) if is_asked else None
        yield Row("1", f"{servers:,} servers in {clusters:,} clusters, to the floor", figure, wanted, met)


def unmanaged(size: Size) -> "Iterator[Row]":
    """Yield the rows of runs with nothing to do, to the floor that lists ten servers and stops them."""
    with scene(1, 10) as stage:
        floor = stage.measure("floor", rounds=size.rounds)["floor"]
    for kind, words in (("disabled", "none enabled"), ("passed", "the hour of `enforce` over")):
        for clusters in size.unmanaged:
            with scene(clusters, 1, kind) as stage:
                ours = stage.measure("ours", rounds=max(size.rounds // 2, 1))["ours"]
            most, what = 0.65 if clusters <= 100 else 1.3, f"{clusters:,} clusters, {words}"
            yield Row("2", f"{what}, to the floor", shown(ours, floor), f"<= {most}x", within(ours, floor, most))
            yield Row("2", f"calls, {what}", str(ours.calls), "0", ours.calls == 0)
            if clusters <= 100:
                yield Row("2", f"peak memory, {what}", f"{memory(ours):.1f} MiB", "<= 13 MiB", memory(ours) <= 13)


def page() -> "Iterator[Row]":
    """Yield the row of one page of 1,000 servers: the answer as the SDK has it, made into our servers."""
    cloud = SimulatedCloud(datetime.now(timezone.utc))
    body = f'{{"servers": [{", ".join(cloud.add_server(cluster_id=cluster_id(0)).text() for _ in range(PAGE_SIZE))}]}}'
    answer = requests.Response()
    answer._content, answer.status_code = body.encode(), 200
    answer.headers["Content-Type"], answer.encoding = "application/json", "utf-8"
    keys = Credentials(SIMULATED_AK, SIMULATED_SK)
    ours = HuaweiCloud(keys, "r", SIMULATED_PROJECT, endpoint="http://127.0.0.1", remaining_s=lambda: 60.0)
    client = ours._ecs.client
    taken: "tuple[list[float], list[float]]" = ([], [])
    for _ in range(15):
        taken[0].append(
            evaluate.seconds(lambda: _servers(client.deserialize(answer, _Listing, None).servers, tag_keys(())))
        )
        taken[1].append(evaluate.seconds(lambda: json.loads(body)))
    ours.close()
    parsed, loaded = map(median, taken)
    figure = f"{parsed / loaded:.2f}x ({parsed * 1000:.0f} ms of CPU, {len(body) / 1e6:.1f} MB)"
    yield Row("3", "a page of 1,000 servers, to `json.loads`", figure, "<= 2x", parsed <= 2 * loaded)


def waiting(size: Size) -> "Iterator[Row]":
    """Yield the row of a run in which every call takes its time."""
    clusters = min(100, size.waits)
    with scene(clusters, size.waits) as stage:
        stage.cloud.latency_s = EVERY_CALL_S
        walls, costs = [], []
        for _ in range(size.rounds):
            costs.append(stage.ours())
            walls.append(stage.function.wall_s)
    posts = costs[0].posts
    waits = costs[0].calls - posts + ceil(posts / THREADS)
    wall, cpu = median(walls), median(cost.cpu_s for cost in costs)
    most = 1.15 * (cpu + EVERY_CALL_S * waits)
    what = f"{size.waits:,} servers in {clusters} clusters at 50 ms per call, wall"
    yield Row("5", what, f"{wall:.2f} s ({waits} waits, {cpu:.2f} s of CPU)", f"<= {most:.2f} s", wall <= most)
    yield Row("5", what, f"{wall:.2f} s", "<= 0.3 s", wall <= 0.3)


def evaluating() -> "Iterator[Row]":
    """Yield the row of the evaluator, which ``evaluate.py`` shows in full."""
    with contextlib.redirect_stdout(io.StringIO()):
        times = evaluate.compare_with_croniter()
    yield Row("7", "10,000 clusters x 3 windows, to croniter for each", f"1/{times:.0f}", "<= 1/100", times >= 100)


def unpacked(size: Size) -> "Iterator[Row]":
    """Yield the rows of the zip: its size, and that nothing depends on the times of its files."""
    with scene(10, 10) as stage:
        before = stage.measure("ours", rounds=size.rounds)["ours"]
        root = stage.function.code_root
        moments = count(1_000_000_000)
        for path in root.rglob("*"):
            moment = next(moments)
            os.utime(path, (moment, moment))
        after = stage.measure("ours", rounds=size.rounds)["ours"]
        with tempfile.TemporaryDirectory() as folder:
            content = package(Path(folder), schedules_text(10)).stat().st_size
    yield Row("8", "the zip", f"{content / 1e6:.2f} MB", "<= 4 MB", content <= 4_000_000)
    met = within(after, before, 1.02)
    yield Row("9", "every file's time changed, read-only, no bytecode written", shown(after, before), "<= 1.02x", met)


def row_names(size: Size) -> "Iterator[str]":
    """Yield what the rows are called, in their order, without measuring: a table with other names is out of date."""
    for servers in size.servers:
        what = f"{servers:,} servers in {min(100, servers)} clusters"
        yield f"{what}, to the floor"
        if servers <= PAGE_SIZE:
            yield f"{what}, to the earlier function"
        yield from (f"calls, {what}", f"peak memory, {what}")
        if servers == size.servers[0]:
            yield "modules at the end of a run"
    for clusters in size.clusters:
        yield f"{max(10, clusters):,} servers in {clusters:,} clusters, to the floor"
    for words in ("none enabled", "the hour of `enforce` over"):
        for clusters in size.unmanaged:
            what = f"{clusters:,} clusters, {words}"
            yield from (f"{what}, to the floor", f"calls, {what}")
            if clusters <= 100:
                yield f"peak memory, {what}"
    yield "a page of 1,000 servers, to `json.loads`"
    yield from [f"{size.waits:,} servers in {min(100, size.waits)} clusters at 50 ms per call, wall"] * 2
    if size is not QUICK:
        yield "10,000 clusters x 3 windows, to croniter for each"
    yield from ("the zip", "every file's time changed, read-only, no bytecode written")


# --- the table --------------------------------------------------------------------------------------------------------


def verdict(row: Row) -> str:
    return {True: "met", False: "MISSED", None: "-"}[row.is_met]


def write_markdown(rows: "Sequence[Row]", file: Path) -> None:
    about = (
        f"Measured by `make bench` ({datetime.now(timezone.utc):%Y-%m-%d}), CPython {platform.python_version()}, "
        f"SDK {version('huaweicloudsdkcore')}, requests {version('requests')}. Ratios are of whole processes in one "
        "run on one machine: instructions (valgrind) unless a figure says CPU. `benchmarks/cold_start.py` says how to "
        "read them."
    )
    lines = [f"| {row.target} | {row.what} | {row.figure} | {row.wanted} | {verdict(row)} |" for row in sorted(rows)]
    head = ["| target | what | figure | wanted | |", "|---|---|---|---|---|"]
    file.write_text("\n".join(["# What a run costs", "", about, "", *head, *lines, ""]), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a cold start of the packaged function.")
    parser.add_argument("--quick", action="store_true", help="do a little of everything, to see that it works")
    parser.add_argument("--output", type=Path, help="write the table as Markdown")
    parser.add_argument("--names", action="store_true", help="say what the rows are called, and measure nothing")
    options = parser.parse_args()
    size = QUICK if options.quick else Size()
    if options.names:
        print("\n".join(row_names(size)))
        return
    sections: "list[Callable[[], Iterator[Row]]]" = [
        lambda: acting(size),
        lambda: unmanaged(size),
        page,
        lambda: waiting(size),
        *([] if options.quick else [evaluating]),
        lambda: unpacked(size),
    ]
    if not VALGRIND:
        print("valgrind is not installed: instructions are NOT MEASURED")
    rows: "list[Row]" = []
    for section in sections:
        for row in section():
            rows.append(row)
            print(f"#{row.target}  {row.what:62} {row.figure:46} {row.wanted:12} {verdict(row)}", flush=True)
    if options.output:
        write_markdown(rows, options.output)


if __name__ == "__main__":
    main()
