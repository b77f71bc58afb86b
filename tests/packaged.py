"""Packages for tests: built once in a session, from a schedules file that wants one cluster off at any time."""

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Optional

from scheduler.deploy.package import Package, build_package
from scheduler.deploy.runtimes import Runtime, find_runtime
from scheduler.deploy.sources import read_schedule_files
from scheduler.deploy.wheels import cache_dir

CLUSTER = "3f1c9d2e-0a4b-11ef-9d2a-0255ac10023b"
SCHEDULES = f"""\
version: 1
clusters:
  - name: dev
    cluster_id: {CLUSTER}
    region: ap-southeast-2
    project_id: 5117a7ed000000000000000000000000
    state: stopped
    exclude: {{servers: ["bastion-*"]}}
"""
TEST_RUNTIME = "Python3.11"


def runtime_of(name: str) -> Runtime:
    found: Optional[Runtime] = find_runtime(name)
    assert found is not None
    return found


@cache
def packaged(name: str, *, one_shot: bool = False) -> Package:
    """Return the package for a runtime."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "schedules.yaml"
        file.write_text(SCHEDULES, encoding="utf-8")
        found = None if one_shot else read_schedule_files(file)
        return build_package(runtime_of(name), found, cache_dir(os.environ), os.environ)
