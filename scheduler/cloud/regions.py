"""The endpoints of regions, as the SDK knows them, without the SDK's tables: those import a YAML reader."""

from typing import Optional

_REGIONS = frozenset(
    (
        "ae-ad-1",
        "af-north-1",
        "af-south-1",
        "ap-southeast-1",
        "ap-southeast-2",
        "ap-southeast-3",
        "ap-southeast-4",
        "ap-southeast-5",
        "cn-east-2",
        "cn-east-3",
        "cn-east-4",
        "cn-east-5",
        "cn-north-1",
        "cn-north-11",
        "cn-north-12",
        "cn-north-2",
        "cn-north-4",
        "cn-north-9",
        "cn-south-1",
        "cn-south-2",
        "cn-south-4",
        "cn-southwest-2",
        "cn-southwest-3",
        "eu-west-0",
        "eu-west-101",
        "la-north-2",
        "la-south-2",
        "me-east-1",
        "my-kualalumpur-1",
        "na-mexico-1",
        "ru-moscow-1",
        "sa-brazil-1",
        "tr-west-1",
    )
)
_WITHOUT_STANDARD_CCE = frozenset(("cn-southwest-3", "eu-west-101"))
"""Of these the SDK knows no endpoint of CCE, or one in another domain."""


def known_endpoint(region: str) -> Optional[str]:
    """Return the ECS endpoint of a region, None for one that only the SDK's own table or its user's can know."""
    return f"https://ecs.{region}.myhuaweicloud.com" if region in _REGIONS else None


def known_cce_endpoint(region: str) -> Optional[str]:
    """Return the CCE endpoint of a region, None for one that only the SDK's own table or its user's can know."""
    return f"https://cce.{region}.myhuaweicloud.com" if region in _REGIONS - _WITHOUT_STANDARD_CCE else None
