"""What a deployment would change, worked out without a cloud; the section ``function``; the Terraform example."""

import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import hcl2
import pytest

from scheduler.config import parse_config
from scheduler.deploy.deployed import no_longer_managed, read_deployed, schedule_files
from scheduler.deploy.function import (
    DESCRIPTION,
    RETRIES,
    TIMER_NAME,
    Difference,
    Found,
    Part,
    Trigger,
    check_possible,
    find_differences,
    find_warnings,
    make_wanted,
    read_user_data,
)
from scheduler.deploy.package import write_zip
from scheduler.deploy.sources import HANDLER
from scheduler.errors import InputError, UntrustedAnswerError
from scheduler.function import timer_cron
from scheduler.model import Function
from tests.deployed import DEMO_CLUSTER, DEV_CLUSTER, PROJECT, REGION, add_setting, write_file

TERRAFORM = Path(__file__).parent.parent / "docs" / "terraform"
BOTH = DEV_CLUSTER + DEMO_CLUSTER
HIBERNATING = add_setting(DEV_CLUSTER, "control_plane: hibernate")
DEMO_OFF = add_setting(DEMO_CLUSTER, "enabled: false")
WANTED = make_wanted(Function(region=REGION, project_id=PROJECT, agency="agency"), "abc")
TIMER = Trigger("1", "TIMER", TIMER_NAME, "0 0/5 * * * *", is_active=True)
FOUND = Found(
    urn="urn",
    description=DESCRIPTION,
    runtime="Python3.10",
    handler=HANDLER,
    memory_mb=256,
    timeout_s=60,
    agency="agency",
    user_data={"region": REGION},
    digest="ABC",
    max_instances=1,
    retries=0,
    age_s=300,
    triggers=(TIMER,),
)


class TestPeriod:
    @pytest.mark.parametrize(
        ("every_s", "cron"),
        [
            (60, "0 0/1 * * * *"),
            (300, "0 0/5 * * * *"),
            (1800, "0 0/30 * * * *"),
            (3600, "0 0 * * * *"),
            (7200, "0 0 0/2 * * *"),
            (43200, "0 0 0/12 * * *"),
            (86400, "0 0 0 * * *"),
            (30, None),
            (90, None),
            (420, None),
            (5400, None),  # divides a day, but no single expression says it
            (18000, None),
            (172800, None),
        ],
    )
    def test_becomes_one_expression_that_fires_at_round_times(self, every_s: int, cron: Optional[str]) -> None:
        assert timer_cron(every_s) == cron


class TestSection:
    def test_has_defaults_for_everything_but_the_agency(self) -> None:
        function = parse_config(write_file(function="").encode(), "s.yaml").function
        assert function == Function(region=REGION, project_id=PROJECT)

    def test_has_its_own_place_and_values(self) -> None:
        section = (
            "function: {name: sched, region: eu-west-101, project_id: p, agency: a, runtime: Python3.12, memory: 512,"
            " timeout: 30, every: 1h, settings: {dryRun: 'true', endpoint: 'https://ecs.example'}}\n"
        )
        function = parse_config(write_file(function=section).encode(), "s.yaml").function
        settings = {"dryRun": "true", "endpoint": "https://ecs.example"}
        assert function == Function("sched", "eu-west-101", "p", "a", "Python3.12", 512, 30, 3600, settings)

    def test_of_the_guide_is_one(self) -> None:
        guide = (TERRAFORM.parent / "deploy.md").read_text(encoding="utf-8")
        section = guide.split("```yaml\n")[1].split("```")[0]
        function = parse_config(write_file(function=section).encode(), "s.yaml").function
        assert function == Function(
            region=REGION, project_id=PROJECT, agency="cce-scheduler", settings={"logLevel": "WARNING"}
        )


class TestDifferences:
    def test_are_none_where_all_is_as_wanted(self) -> None:
        assert find_differences(FOUND, WANTED) == ()

    @pytest.mark.parametrize(
        ("change", "difference"),
        [
            pytest.param({"digest": "def"}, Difference(Part.CODE, "digest", "def", "abc"), id="code"),
            pytest.param({"agency": ""}, Difference(Part.SETTINGS, "agency", None, "agency"), id="no agency"),
            pytest.param({"handler": "x.y"}, Difference(Part.SETTINGS, "handler", "x.y", HANDLER), id="handler"),
            pytest.param(
                {"user_data": {"region": REGION, "sk": "hunter2"}},
                Difference(Part.SETTINGS, "settings.sk", "(not shown)", None),
                id="a setting that is not ours",
            ),
            pytest.param({"retries": None}, Difference(Part.ASYNCHRONOUS, "retries", None, "0"), id="retries unset"),
            pytest.param({"age_s": 3600}, Difference(Part.ASYNCHRONOUS, "age", "3600 s", "300 s"), id="age"),
            pytest.param(
                {"max_instances": -1}, Difference(Part.INSTANCES, "at most", "unlimited", "1 instance"), id="instances"
            ),
            pytest.param(
                {"triggers": (TIMER._replace(name="other"),)},
                Difference(Part.TIMER, TIMER_NAME, None, "0 0/5 * * * *, active"),
                id="a timer of others is not ours",
            ),
            pytest.param(
                {"triggers": (TIMER._replace(schedule="Rate 5m"),)},
                Difference(Part.TIMER, TIMER_NAME, "Rate 5m, active", "0 0/5 * * * *, active"),
                id="a timer by rate",
            ),
        ],
    )
    def test_name_the_one_thing_that_differs(self, change: Dict[str, Any], difference: Difference) -> None:
        assert find_differences(FOUND._replace(**change), WANTED) == (difference,)

    def test_come_in_the_order_of_the_steps(self) -> None:
        parts = [difference.part for difference in find_differences(None, WANTED)]
        assert list(dict.fromkeys(parts)) == list(Part)

    def test_warn_of_what_is_left_as_it_is(self) -> None:
        assert not list(find_warnings(FOUND))
        found = FOUND._replace(
            has_vpc=True, has_secrets=True, triggers=(TIMER, Trigger("2", "OBS", "", "", is_active=True))
        )
        warnings = list(find_warnings(found))
        assert [text.split(":")[0] for text in warnings] == [
            "VPC access is on",
            "it has encrypted variables, which nobody can read",
            "the OBS trigger 2 runs it too, and is left as it is",
        ]


def test_what_is_not_ours_is_only_changed_by_adopting_it() -> None:
    found = FOUND._replace(description="mine")
    with pytest.raises(InputError, match="add --adopt"):
        check_possible(found, WANTED, adopt=False)
    check_possible(found, WANTED, adopt=True)


@pytest.mark.parametrize(
    ("text", "data"),
    [(None, {}), ("", {}), ('{"a": "b", "n": 1}', {"a": "b", "n": "1"}), ("[", {"(unreadable)": "["})],
)
def test_user_data_of_any_shape_is_read(text: Optional[str], data: Dict[str, str]) -> None:
    assert read_user_data(text) == data


class TestDeployedFile:
    @pytest.mark.parametrize(
        ("archive", "message"),
        [
            pytest.param(b"no zip", "not a zip that can be read", id="no zip"),
            pytest.param(write_zip({"index.py": b""}), "holds no schedules.yaml", id="no file"),
            pytest.param(write_zip({"schedules.yaml": b"version: 1"}), "does not validate any more", id="invalid"),
            pytest.param(write_zip({"schedules.yaml": bytes(1 << 21)}), "that is too large", id="a bomb"),
        ],
    )
    def test_that_cannot_be_read_is_not_trusted(self, archive: bytes, message: str) -> None:
        with pytest.raises(UntrustedAnswerError, match=message):
            read_deployed(archive)

    def test_is_read_with_what_lies_beside_it(self) -> None:
        text = write_file().encode()
        archive = write_zip({"schedules.yaml": text, "holidays.json": b"{}", "scheduler/x.py": b""})
        assert schedule_files(archive) == {"schedules.yaml": text, "holidays.json": b"{}"}

    @pytest.mark.parametrize(
        ("before", "after", "expected"),
        [
            pytest.param(BOTH, DEV_CLUSTER, [("demo", False)], id="removed"),
            pytest.param(BOTH, DEV_CLUSTER + DEMO_OFF, [("demo", False)], id="disabled"),
            pytest.param(BOTH, BOTH.replace("demo", "show"), [], id="renamed"),
            pytest.param(DEV_CLUSTER + DEMO_OFF, DEV_CLUSTER, [], id="never enabled"),
            pytest.param(BOTH, None, [("dev", False), ("demo", False)], id="undeployed"),
            pytest.param(HIBERNATING, DEV_CLUSTER, [("dev", True)], id="no longer hibernating"),
            pytest.param(HIBERNATING, HIBERNATING, [], id="still hibernating"),
            pytest.param(DEV_CLUSTER, HIBERNATING, [], id="hibernating from now on"),
        ],
    )
    def test_tells_which_clusters_are_no_longer_managed(
        self, before: str, after: Optional[str], expected: List[Tuple[str, bool]]
    ) -> None:
        old = parse_config(write_file(before).encode(), "s.yaml")
        new = parse_config(write_file(after).encode(), "s.yaml") if after else None
        assert [(c.name, is_managed) for c, is_managed in no_longer_managed(old, new)] == expected


class TestTerraform:
    """The example is what ``deploy`` makes."""

    @pytest.fixture(scope="class")
    def resources(self) -> Dict[str, Dict[str, Any]]:
        with (TERRAFORM / "main.tf").open(encoding="utf-8") as stream:
            parsed: Dict[str, Any] = hcl2.load(stream)
        return {
            kind.strip('"'): next(iter(named.values())) for one in parsed["resource"] for kind, named in one.items()
        }

    def test_makes_the_function(self, resources: Dict[str, Dict[str, Any]]) -> None:
        function = resources["huaweicloud_fgs_function"]
        assert function["handler"] == f'"{HANDLER}"'
        assert (function["memory_size"], function["timeout"]) == (Function().memory_mb, Function().timeout_s)
        assert (function["max_instance_num"], function["functiongraph_version"]) == ('"1"', '"v2"')

    def test_retries_nothing(self, resources: Dict[str, Dict[str, Any]]) -> None:
        asynchronous = resources["huaweicloud_fgs_async_invoke_configuration"]
        assert asynchronous["max_async_retry_attempts"] == RETRIES
        assert asynchronous["max_async_event_age_in_seconds"] == Function().every_s

    def test_makes_one_timer(self, resources: Dict[str, Dict[str, Any]]) -> None:
        trigger = resources["huaweicloud_fgs_function_trigger"]
        assert trigger["type"] == '"TIMER"'
        assert f'schedule = "{timer_cron(Function().every_s)}"' in trigger["event_data"]
        assert f'name = "{TIMER_NAME}"' in trigger["event_data"]

    def test_declares_every_variable_that_it_uses(self) -> None:
        with (TERRAFORM / "variables.tf").open(encoding="utf-8") as stream:
            declared = {name.strip('"') for one in hcl2.load(stream)["variable"] for name in one}
        used = set(re.findall(r"\bvar\.(\w+)", (TERRAFORM / "main.tf").read_text(encoding="utf-8")))
        assert used == declared
