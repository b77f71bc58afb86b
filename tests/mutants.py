"""The figures of ``make mutants``: what share of the small changes to the core a test noticed. 1 if under 95 %.

A change counts as noticed only if a test failed: one that lasted too long, or that no test reached, has survived.
"""

import json
import sys
from pathlib import Path

_LEAST = 0.95
_NOTICED = 1
"""The exit code of pytest where a test failed."""


def main() -> int:
    """Print the figures of each module, and return 1 if one of them is too low."""
    worst = 1.0
    for file in sorted(Path("mutants/scheduler").glob("*.meta")):
        codes = json.loads(file.read_text(encoding="utf-8"))["exit_code_by_key"]
        if not codes:
            continue
        survived = sorted(name for name, code in codes.items() if code != _NOTICED)
        share = 1 - len(survived) / len(codes)
        worst = min(worst, share)
        sys.stdout.write(f"{file.stem}: {len(codes) - len(survived)} of {len(codes)} noticed, {share:.1%}\n")
        sys.stdout.write("".join(f"    {name}\n" for name in survived))
    return 0 if worst >= _LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
