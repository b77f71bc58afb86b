"""The function in a process of its own, to be killed in the middle: ``python -m tests.killed ENDPOINT FOLDER NOW``."""

import sys
import time
from datetime import datetime

from scheduler.handler import handle
from tests.chaos import settings_of
from tests.scenes import Context


def main(endpoint: str, folder: str, now: str) -> None:
    """Run once at an instant, with the real deadline."""
    handle(
        {},
        Context(settings_of(endpoint)),
        now=datetime.fromisoformat(now),
        environ={"RUNTIME_CODE_ROOT": folder},
        monotonic=time.monotonic,
        sleep=time.sleep,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
