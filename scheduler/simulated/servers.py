"""One simulated ECS server: its state, and its entry in a listing.

What a server does over time is decided in ``cloud.py``.
"""

import base64
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Dict, FrozenSet, NamedTuple, Optional, Tuple

ACTIVE = "ACTIVE"
SHUTOFF = "SHUTOFF"
DELETED = "DELETED"
POWERING_ON = "powering-on"
POWERING_OFF = "powering-off"

_OFF = {SHUTOFF, DELETED, "SOFT_DELETED", "SHELVED", "SHELVED_OFFLOADED"}
# https://support.huaweicloud.com/intl/en-us/api-ecs/ecs_08_0002.html
_VM_STATES = {
    SHUTOFF: "stopped",
    "BUILD": "building",
    "ERROR": "error",
    "VERIFY_RESIZE": "resized",
    "REVERT_RESIZE": "resized",
    "RESIZE": "stopped",
    DELETED: "deleted",
    "SOFT_DELETED": "deleted",
    "SHELVED": "shelved",
    "SHELVED_OFFLOADED": "shelved_offloaded",
    "PAUSED": "paused",
    "SUSPENDED": "suspended",
}
_POWER_STATES = {ACTIVE: 1, SHUTOFF: 4}
_USER_DATA = base64.b64encode(b"#!/bin/bash\necho 'root:$6$simulated$not-a-real-hash' | chpasswd -e\n").decode()
_IMAGE_ID = "5f4e1c0a-7d5b-4a53-9c54-3f9b1f2b7a10"
_VPC_ID = "0dae26c9-9a70-4392-93f3-87d53115d171"


class PowerChange(NamedTuple):
    """What a server's status became at an instant."""

    at: datetime
    status: str
    task_state: Optional[str]

    @property
    def is_running(self) -> bool:
        """Whether the server is paid for from then on: any status but the off ones, and a start in flight."""
        return self.status not in _OFF or self.task_state == POWERING_ON


@dataclass
class SimulatedServer:
    """A server of the simulated cloud.

    Assigning an attribute changes what the next listing shows. Not for ``status`` and ``task_state``
    (`SimulatedCloud.set_status` keeps the history), nor for ids, project and creation time.
    """

    server_id: str
    project_id: str
    name: str
    created: datetime
    updated: datetime
    status: str = ACTIVE
    task_state: Optional[str] = None
    tags: Tuple[str, ...] = ()
    charging_mode: str = "0"
    locked: bool = False
    frozen: bool = False
    flavor: str = "s6.large.2"
    fault: Optional[Dict[str, object]] = None
    sparse: bool = False
    """The entry has an id and nothing else: every other field of the API is optional."""
    omit: FrozenSet[str] = frozenset()
    """Names of fields, as in the JSON, that the entry lacks."""
    soft_stop_hangs: bool = False
    """A SOFT stop stays powering-off for ever; a HARD one works."""
    start_fails: bool = False
    """A start is accepted and fails in the end, as it does where the capacity is gone."""
    history: Tuple[PowerChange, ...] = ()
    _text: Optional[str] = field(default=None, repr=False)

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        super().__setattr__("_text", None)

    def text(self) -> str:
        """Return the entry as JSON. Kept until an attribute changes, since a page holds a thousand of them."""
        if self._text is None:
            super().__setattr__("_text", json.dumps(self._entry()))
        return self._text or ""

    def _entry(self) -> Dict[str, object]:
        if self.sparse:
            return {"id": self.server_id}
        entry = {**self._identity(), **self._power(), **self._hardware()}
        return {key: value for key, value in entry.items() if key not in self.omit}

    def _identity(self) -> Dict[str, object]:
        return {
            "id": self.server_id,
            "name": self.name,
            "tenant_id": self.project_id,
            "created": api_time(self.created),
            "updated": api_time(self.updated),
            "tags": list(self.tags),
            "metadata": self._metadata(),
            "description": "",
            "enterprise_project_id": "0",
            "sys_tags": [{"key": "_sys_enterprise_project_id", "value": "0"}],
        }

    def _metadata(self) -> Dict[str, str]:
        metadata = {
            "charging_mode": self.charging_mode,
            "vpc_id": _VPC_ID,
            "image_name": "EulerOS 2.9",
            "metering.image_id": _IMAGE_ID,
            "metering.resourcespeccode": f"{self.flavor}.linux",
            "os_bit": "64",
            "os_type": "Linux",
        }
        if self.frozen:
            metadata["EcmResStatus"] = "freeze"
        if self.locked:
            metadata.update(lockSource="simulated", lockScene="simulated", lockSourceId=self.server_id)
        return metadata

    def _power(self) -> Dict[str, object]:
        power: Dict[str, object] = {
            "status": self.status,
            "OS-EXT-STS:vm_state": _VM_STATES.get(self.status, "active"),
            "OS-EXT-STS:task_state": self.task_state,
            "OS-EXT-STS:power_state": _POWER_STATES.get(self.status, 0),
            "locked": self.locked,
        }
        if self.fault is not None:
            power["fault"] = self.fault
        return power

    def _hardware(self) -> Dict[str, object]:
        number = int(self.server_id[:4], 16)
        address = {"version": "4", "addr": f"10.0.{number >> 8}.{number & 255}", "OS-EXT-IPS:type": "fixed"}
        return {
            "flavor": {"id": self.flavor, "name": self.flavor, "vcpus": "2", "ram": "4096", "disk": "0", "gpus": []},
            "addresses": {_VPC_ID: [address]},
            "image": {"id": _IMAGE_ID},
            "hostId": "",
            "key_name": None,
            "progress": 0,
            "config_drive": "",
            "security_groups": [{"name": "default", "id": _VPC_ID}],
            "OS-DCF:diskConfig": "MANUAL",
            "OS-EXT-AZ:availability_zone": "simulated-1a",
            "OS-EXT-SRV-ATTR:hostname": self.name,
            "OS-EXT-SRV-ATTR:instance_name": f"instance-{number:08x}",
            "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda",
            "OS-EXT-SRV-ATTR:user_data": _USER_DATA,
            "OS-SRV-USG:launched_at": api_time(self.created),
            "OS-SRV-USG:terminated_at": None,
            "os-extended-volumes:volumes_attached": [
                {"id": self.server_id, "delete_on_termination": "true", "device": "/dev/vda", "bootIndex": "0"}
            ],
        }


def missing_entry(server_id: str) -> str:
    """Return the entry, as JSON, that an unknown id gets in a listing by ids: null but for the id and a fault."""
    shown = ("name", "status", "created", "updated", "tags", "metadata", "flavor", "addresses", "locked")
    fault = {"code": "Ecs.0114", "message": "The ECS does not exist."}
    return json.dumps({**dict.fromkeys(shown), "id": server_id, "fault": fault})


def api_time(instant: datetime) -> str:
    """Write an instant in UTC as a listing does."""
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
