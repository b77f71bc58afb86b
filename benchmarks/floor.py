"""The least that one run can cost in Python: sign, list, act, with the standard library alone.

Usage: floor.py ENDPOINT PROJECT_ID AK SK [ACTION]. Stops what runs and starts what does not, or does only
``os-stop`` or ``os-start``.
"""

import hashlib
import hmac
import http.client
import json
import ssl  # noqa: F401 - the real endpoint would need it
import sys
import time
from urllib.parse import quote, urlsplit


def signed(host, project_id, ak, sk, method, path, query, body):  # noqa: ANN001, ANN201, PLR0913, PLR0917
    """Return the target of a request and its headers, signed with SDK-HMAC-SHA256."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    headers = {"content-type": "application/json", "host": host, "x-project-id": project_id, "x-sdk-date": stamp}
    encoded = "&".join(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in sorted(query.items()))
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"{method}\n{path}/\n{encoded}\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    to_sign = f"SDK-HMAC-SHA256\n{stamp}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(sk.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    headers["Authorization"] = f"SDK-HMAC-SHA256 Access={ak}, SignedHeaders={names}, Signature={signature}"
    return f"{path}?{encoded}" if encoded else path, headers


def call(connection, keys, method, path, query, body=b""):  # noqa: ANN001, ANN201, PLR0913, PLR0917
    """Send one signed request and return its JSON."""
    target, headers = signed(connection.host_header, *keys, method, path, query, body)
    connection.request(method, target, body or None, headers)
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == http.client.OK, text  # noqa: S101
    return json.loads(text)


def main() -> None:
    endpoint, project_id, ak, sk, *actions = sys.argv[1:]
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc)
    connection.host_header = urlsplit(endpoint).netloc
    keys = (project_id, ak, sk)
    servers, marker = [], {}
    while True:
        query = {"limit": "1000", "tags": "CCE-Cluster-ID", **marker}
        page = call(connection, keys, "GET", f"/v1/{project_id}/cloudservers/detail", query)["servers"]
        servers += [(s["id"], s["status"]) for s in page if not s["OS-EXT-STS:task_state"]]
        if len(page) < 1000:
            break
        marker = {"marker": page[-1]["id"]}
    for wanted, action in (("ACTIVE", "os-stop"), ("SHUTOFF", "os-start")):
        if actions and action not in actions:
            continue
        ids = [{"id": server_id} for server_id, status in servers if status == wanted]
        for first in range(0, len(ids), 1000):
            body = json.dumps({action: {"servers": ids[first : first + 1000]}}).encode()
            call(connection, keys, "POST", f"/v1/{project_id}/cloudservers/action", {}, body)


main()
