"""What the program needs of a cloud: one project in one region, as a protocol.

``huawei.py`` keeps it with the real SDK; nothing else knows that there is one.
"""

from typing import Callable, Optional, Protocol, Sequence

from scheduler.model import JobId, Server, ServerId, StopType

PAGE_SIZE = 1000
"""The largest page of a listing that the ECS API grants."""
BATCH_SIZE = 1000
"""The most servers that one batch start or stop may name."""


class Cloud(Protocol):
    """One project in one region. Every method may raise a `scheduler.errors.CloudError`, and nothing else."""

    def list_page(
        self, *, tag: Optional[str] = None, marker: Optional[ServerId] = None, page: Optional[int] = None
    ) -> Sequence[Server]:
        """Return up to `PAGE_SIZE` servers: the first, those after ``marker``, or page number ``page`` (from 1).

        ``tag`` (``key`` or ``key=value``) is a hint for the service; it may return servers without it.
        """
        ...

    def start(self, server_ids: Sequence[ServerId]) -> JobId:
        """Ask for a start of 1 to `BATCH_SIZE` servers. Accepted is not started."""
        ...

    def stop(self, server_ids: Sequence[ServerId], stop_type: StopType) -> JobId:
        """Ask for a stop of 1 to `BATCH_SIZE` servers. Accepted is not stopped."""
        ...

    def close(self) -> None:
        """Close the connections. Further calls may fail."""
        ...


Connect = Callable[[str, str], Cloud]
"""Opens a `Cloud` for (region, project id); the credentials are the maker's matter."""
