"""All servers of a listing, page by page.

What the service does is uncertain in three ways, and each is survived here: ``marker`` is ignored by some
regions, a tag filter may find too little or too much, and a page may repeat servers.
"""

from typing import Container, Dict, List, Optional

from scheduler.cloud import PAGE_SIZE, Cloud
from scheduler.errors import UntrustedAnswerError
from scheduler.model import Server, ServerId


def list_servers(cloud: Cloud, tag: Optional[str] = None, keys: Optional[Container[str]] = None) -> List[Server]:
    """Return every server that the service lists, each once, with its tags of these keys. Raises `CloudError`.

    A short page is the last. A full one is followed by its marker; where that brings nothing new, the region
    ignores markers and the next page is asked for by number. If that too brings only what is known, pages
    cannot be told from each other and nothing may be decided.
    """
    found: Dict[ServerId, Server] = {}
    page = cloud.list_page(tag=tag, keys=keys)
    number = 1
    by_number = False
    while True:
        fresh = [s for s in page if s.server_id not in found]
        found.update((s.server_id, s) for s in fresh)
        if page and not fresh:
            if by_number:
                raise UntrustedAnswerError(f"page {number} of the server listing brings nothing new: try again later")
            by_number = True
        elif len(page) < PAGE_SIZE:
            return list(found.values())
        else:
            number += 1
        marker = None if by_number else page[-1].server_id
        page = cloud.list_page(tag=tag, marker=marker, page=number if by_number else None, keys=keys)
