"""The shape of the function that this one replaces: the SDK's packages imported whole, one list, one action.

Usage: earlier.py ENDPOINT PROJECT_ID AK SK. It also imported the CCE package whole, which is done here where that
is installed, and asked CCE for the nodes of each cluster, which is left out.
"""

import contextlib
import sys

with contextlib.suppress(ImportError):
    import huaweicloudsdkcce.v3  # noqa: F401
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkecs.v2 import (
    BatchStartServersOption,
    BatchStartServersRequest,
    BatchStartServersRequestBody,
    BatchStopServersOption,
    BatchStopServersRequest,
    BatchStopServersRequestBody,
    EcsClient,
    ListServersDetailsRequest,
    ServerId,
)


def main() -> None:
    endpoint, project_id, ak, sk = sys.argv[1:]
    client = (
        EcsClient.new_builder().with_credentials(BasicCredentials(ak, sk, project_id)).with_endpoint(endpoint).build()
    )
    servers = client.list_servers_details(ListServersDetailsRequest(limit=1000, tags="CCE-Cluster-ID")).servers
    active = [ServerId(id=s.id) for s in servers if s.status == "ACTIVE" and not s.os_ext_st_stask_state]
    off = [ServerId(id=s.id) for s in servers if s.status == "SHUTOFF" and not s.os_ext_st_stask_state]
    if active:
        body = BatchStopServersRequestBody(os_stop=BatchStopServersOption(servers=active, type="SOFT"))
        client.batch_stop_servers(BatchStopServersRequest(body=body))
    if off:
        body = BatchStartServersRequestBody(os_start=BatchStartServersOption(servers=off))
        client.batch_start_servers(BatchStartServersRequest(body=body))


main()
