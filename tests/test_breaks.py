"""The patches of `make breaks` still fit the code that they break; that tests notice them takes longer to see."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PATCHES = sorted((ROOT / "tests" / "breaks").glob("*.patch"))


@pytest.mark.parametrize("patch", [pytest.param(path, id=path.stem) for path in PATCHES])
def test_a_patch_still_applies(patch: Path) -> None:
    rule, empty, old, new, *hunks = patch.read_text(encoding="utf-8").splitlines(keepends=True)
    assert rule.endswith(".\n")
    assert (empty, new[6:]) == ("\n", old[6:])
    code = (ROOT / old[6:].strip()).read_text(encoding="utf-8")
    for hunk in re.split(r"^@@ .*\n", "".join(hunks), flags=re.MULTILINE)[1:]:
        before = "".join(line[1:] for line in hunk.splitlines(keepends=True) if line[0] in " -")
        assert code.count(before) == 1
