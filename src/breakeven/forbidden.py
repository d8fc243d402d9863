"""Addresses of a kind: all of a machine's own, and those to which no request of ours may go.

The latter are where clouds tell a machine its own credentials.  A target's URL stands in the configuration, but a name
in it can come to mean another address; so the name is checked when the settings are read, and what it means whenever a
connection is made.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Final

EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on
"""Hosts that stand for all of a machine's addresses."""

_METADATA: Final = frozenset(
    {
        "100.100.100.200",  # Alibaba Cloud: https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata
        "168.63.129.16",  # Azure: https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
        "192.0.0.192",  # Oracle's older machines: https://docs.oracle.com/iaas/Content/Compute/Tasks/gettingmetadata.htm
        "fd00:ec2::254",  # AWS: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
        "fd20:ce::254",  # Google: https://cloud.google.com/compute/docs/metadata/overview
    }
)
"""Beside 169.254.169.254 and all other link-local addresses."""

_NAMES: Final = frozenset({"metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"})


def is_forbidden(host: str) -> bool:
    """Whether a host name or an IP address (a scope behind % included) is link-local or a cloud's metadata service."""
    name = host.lower().rstrip(".")
    if name in _NAMES:
        return True
    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    found = mapped or address
    return found.is_link_local or str(found) in _METADATA
