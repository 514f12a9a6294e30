"""Clients, as far as their addresses tell them apart."""

from __future__ import annotations

import ipaddress


def client_of(host: str | None) -> str:
    """Name the client at an address; of IPv6, a household's or a machine's whole network."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return host or ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    mapped = address.ipv4_mapped
    return str(mapped or ipaddress.IPv6Network((int(address), 64), strict=False))
