"""By what names and addresses browsers reach a server of this machine, for ``up --host``."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress

import psutil

EVERY_ADDRESS = ("0.0.0.0", "::", "")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server bound to ``host``."""
    if host in EVERY_ADDRESS:
        return False
    try:
        found = {address[0] for *_, address in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return all(ipaddress.ip_address(str(each).partition("%")[0]).is_loopback for each in found)


def names_of(host: str) -> set[str]:
    """What browsers may call a server bound to ``host``: this machine's names and addresses too.

    Never just any address: another site's name that points here must be refused.
    """
    if host not in EVERY_ADDRESS:
        return {_in_url(host)} if host else set()
    names = {socket.gethostname(), socket.getfqdn(), f"{socket.gethostname()}.local"}
    return {name for name in names if name} | {_in_url(each) for each in _own_addresses()}


def shown(host: str) -> str:
    """The address to print for a server bound to ``host``: one that others can use as well."""
    if host not in EVERY_ADDRESS:
        return _in_url(host)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        # Sends nothing; asks which address leads out. 192.0.2.0/24 is for documents only.
        probe.connect(("192.0.2.1", 9))
        if (address := str(probe.getsockname()[0])) != "0.0.0.0":
            return address
    outward = [each for each in _own_addresses() if not is_loopback(each) and ":" not in each]
    return min(outward, default="127.0.0.1")


def here(host: str) -> str:
    """The address by which this machine itself reaches a server bound to ``host``."""
    return "127.0.0.1" if host in EVERY_ADDRESS else _in_url(host)


def _own_addresses() -> set[str]:
    """Of every interface, and all of IPv4's loopback network that is commonly used."""
    found = {"127.0.0.1", "::1"}
    for addresses in psutil.net_if_addrs().values():
        for each in addresses:
            if each.family in (socket.AF_INET, socket.AF_INET6):
                found.add(each.address.partition("%")[0])
    return found


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
