"""The policies of ``docs/security.md`` and the actions that the code names are the same."""

import json
import re
from pathlib import Path
from typing import Dict, List, Set

import pytest

ROOT = Path(__file__).parent.parent
ACTION = re.compile(r"\b(?:ecs|cce|FunctionGraph):[A-Za-z]+:[A-Za-z]+\b")
SHORT = re.compile(r"(ecs:cloudServers):list, :start and :stop")
IDENTITY_POLICY = {"cce:cluster:addTags", "cce:cluster:removeTags"}
"""Names of the newer form of policies, which stand beside the older name."""
BY_HAND = {"cce:tag:operate"}
"""What only a person who writes an override needs."""

LOOKED_AT = {"ecs:cloudServers:list", "cce:cluster:list", "cce:node:list", "cce:nodepool:list"}
"""What `doctor` reads, before a deployment too."""


def policies() -> Dict[str, List[str]]:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    found = re.findall(r'```json title="(\w+)"\n(.*?)```', text, re.DOTALL)
    read = {name: json.loads(body) for name, body in found}
    assert all(policy["Version"] == "1.1" for policy in read.values())
    return {name: [a for s in policy["Statement"] for a in s["Action"]] for name, policy in read.items()}


def named_in(*patterns: str) -> Set[str]:
    """Return every action that a source names, in a docstring or a message."""
    files = [file for pattern in patterns for file in ROOT.glob(pattern)]
    assert files
    texts = [SHORT.sub(r"\1:list \1:start \1:stop", file.read_text(encoding="utf-8")) for file in files]
    return {action for text in texts for action in ACTION.findall(text)}


@pytest.mark.parametrize(
    ("policy", "sources", "besides"),
    [
        pytest.param("servers", ("scheduler/cloud/huawei.py",), set(), id="servers"),
        pytest.param("hibernation", ("scheduler/cloud/*.py",), BY_HAND | IDENTITY_POLICY, id="hibernation"),
        pytest.param("deployment", ("scheduler/deploy/functiongraph.py",), LOOKED_AT, id="deployment"),
    ],
)
def test_a_policy_grants_what_the_code_says_it_needs(policy: str, sources: List[str], besides: Set[str]) -> None:
    granted = policies()[policy]
    assert len(granted) == len(set(granted))
    assert set(granted) - besides == named_in(*sources) - besides


def test_no_policy_has_a_wildcard_and_all_are_there() -> None:
    found = policies()
    assert set(found) == {"servers", "hibernation", "deployment"}
    assert set(found["deployment"]) >= LOOKED_AT
    assert not [action for actions in found.values() for action in actions if "*" in action]
