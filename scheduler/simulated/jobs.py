"""The job that an accepted start or stop becomes: one sub-job for each server.

A job is what its sub-jobs are: RUNNING while one runs, FAIL if one failed, else SUCCESS.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Dict, List, Optional

KEPT_FOR = timedelta(days=1)
"""How long the API remembers a finished job."""
SUB_JOB_FAILED = "Common.0021"


@dataclass
class SubJob:
    """What becomes of one server of a batch."""

    job_id: str
    server_id: str
    begin: datetime
    end: Optional[datetime] = None
    error_code: Optional[str] = None
    fail_reason: Optional[str] = None

    @property
    def status(self) -> str:
        """RUNNING, SUCCESS or FAIL."""
        if self.end is None:
            return "RUNNING"
        return "SUCCESS" if self.error_code is None else "FAIL"

    def finish(self, at: datetime, error_code: Optional[str] = None, fail_reason: Optional[str] = None) -> None:
        """End it, well or with an error."""
        self.end, self.error_code, self.fail_reason = at, error_code, fail_reason

    def as_json(self) -> Dict[str, object]:
        """Return it as the API shows it."""
        entities = {"server_id": self.server_id}
        if self.error_code is not None:
            entities["errorcode_message"] = self.fail_reason or ""
        return {
            "job_id": self.job_id,
            "job_type": "serverActions",
            "begin_time": _job_time(self.begin),
            "end_time": _job_time(self.end),
            "status": self.status,
            "error_code": self.error_code,
            "fail_reason": self.fail_reason,
            "entities": entities,
        }


@dataclass
class Job:
    """One accepted batch of a project."""

    job_id: str
    project_id: str
    begin: datetime
    sub_jobs: List[SubJob]

    @property
    def end(self) -> Optional[datetime]:
        """When the last sub-job ended; None while one runs."""
        ends = [sub.end for sub in self.sub_jobs if sub.end is not None]
        return max(ends) if len(ends) == len(self.sub_jobs) else None

    def is_forgotten(self, now: datetime) -> bool:
        """Whether it ended too long ago for the API to remember it."""
        return self.end is not None and now - self.end > KEPT_FOR

    def as_json(self) -> Dict[str, object]:
        """Return it as the API shows it."""
        failed = next((sub for sub in self.sub_jobs if sub.error_code is not None), None)
        end = self.end
        status = "RUNNING" if end is None else "FAIL" if failed else "SUCCESS"
        return {
            "job_id": self.job_id,
            "job_type": "serversAction",
            "begin_time": _job_time(self.begin),
            "end_time": _job_time(end),
            "status": status,
            "error_code": SUB_JOB_FAILED if status == "FAIL" else None,
            "fail_reason": failed.fail_reason if failed and status == "FAIL" else None,
            "entities": {
                "sub_jobs_total": len(self.sub_jobs),
                "sub_jobs": [sub.as_json() for sub in self.sub_jobs],
            },
        }


def _job_time(instant: Optional[datetime]) -> str:
    return "" if instant is None else instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"
