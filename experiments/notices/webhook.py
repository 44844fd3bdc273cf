"""Posts one notice to one address: signed, without redirects, and never where it must not go.

Pure: no Django, no retries. A name is looked up once and the connection goes to the address that
was checked, so that no second answer of a name server can lead elsewhere. Allowed is what is
public; the installation may name hosts of its own network besides.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

TIMEOUT_S = 10.0  # to connect, and to hear something
ANSWER_BYTES = 2000  # read of an answer
TOTAL_S = 20.0  # of one attempt, however slowly it is answered
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Of IPv6 only this is the internet's; Python calls site-local and other old addresses global.
_UNICAST = ipaddress.ip_network("2000::/3")
_AGAIN = frozenset({408, 425, 429})


class NotTold(Exception):
    """It could not be delivered; the text is for its owner."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


def parts_of(url: str) -> SplitResult:
    """The parts of an address that may be posted to.

    Raises ValueError with what must hold.
    """
    try:
        parts = urlsplit(url)
        port_is_right = parts.port is None or 0 < parts.port < 65536
    except ValueError:
        raise ValueError("must be an address as https://host/path") from None
    if parts.scheme not in ("https", "http") or not parts.hostname or not port_is_right:
        raise ValueError("must be an address as https://host/path")
    if parts.username or parts.password:
        raise ValueError("must not hold a user name or password")
    if not url.isascii() or any(c.isspace() or c < " " for c in url):
        raise ValueError("must be ASCII without spaces; write other signs as %XX")
    return parts


def address_of(parts: SplitResult, allowed: Collection[str]) -> str:
    """The IP address to connect to.

    Args:
        allowed: hosts of one's own network that may be posted to; ``*`` allows every one.

    Raises NotTold: it cannot be found, or is no public address and not allowed.
    """
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotTold(f"The host {host} cannot be found.", permanent=False) from None
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    if "*" in allowed or host in allowed:
        return addresses[0]
    if not all(_is_public(address) for address in addresses):
        words = "is no public address; AUTOTUNE_WEBHOOK_HOSTS names others that may be told"
        raise NotTold(f"The host {host} {words}.", permanent=True)
    return addresses[0]


def _is_public(address: str) -> bool:
    """Whether the address, and the one that may be inside it, is reached through the internet."""
    ip = ipaddress.ip_address(address)
    if ip.version == 6 and ip not in _UNICAST and ip not in _NAT64:
        return False
    return all(one.is_global and not one.is_multicast for one in (ip, *_inside(ip)))


def _inside(ip: _Address) -> list[_Address]:
    if not isinstance(ip, ipaddress.IPv6Address):
        return []
    found: list[_Address] = [one for one in (ip.ipv4_mapped, ip.sixtofour) if one is not None]
    if ip in _NAT64:
        found.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return found


def signature(key: str, timestamp: str, body: bytes) -> str:
    """``sha256=…`` over ``TIMESTAMP.BODY``, as receivers compute it too."""
    text = timestamp.encode() + b"." + body
    return "sha256=" + hmac.new(key.encode(), text, hashlib.sha256).hexdigest()


def post(
    url: str, body: bytes, *, key: str, event: str, delivery: str, allowed: Collection[str]
) -> None:
    """Post the body once.

    Raises NotTold.
    """
    try:
        parts = parts_of(url)
    except ValueError as error:
        raise NotTold(f"The address {error}.", permanent=True) from None
    address = address_of(parts, allowed)
    timestamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "AutoTune-Web",
        "X-AutoTune-Event": event,
        "X-AutoTune-Delivery": delivery,  # the same at each attempt
        "X-AutoTune-Timestamp": timestamp,
        "X-AutoTune-Signature": signature(key, timestamp, body),
    }
    path = parts.path or "/"
    connection = _Pinned(parts, address)
    watch = threading.Timer(TOTAL_S, connection.give_up)
    watch.daemon = True
    watch.start()
    try:
        connection.request("POST", f"{path}?{parts.query}" if parts.query else path, body, headers)
        status = _status_of(connection)
    except (OSError, http.client.HTTPException) as error:
        words = "took too long" if isinstance(error, TimeoutError) else type(error).__name__
        raise NotTold(f"{parts.hostname} did not answer ({words}).", permanent=False) from None
    finally:
        watch.cancel()
        connection.close()
    if not 200 <= status < 300:
        again = status in _AGAIN or status >= 500
        raise NotTold(f"{parts.hostname} answered {status}.", permanent=not again)


def _status_of(connection: http.client.HTTPConnection) -> int:
    answer = connection.getresponse()
    answer.read(ANSWER_BYTES)
    return answer.status


class _Pinned(http.client.HTTPConnection):
    """A connection to that very IP address, under the host's name."""

    def __init__(self, parts: SplitResult, address: str) -> None:
        self._secure = parts.scheme == "https"
        port = parts.port or (443 if self._secure else 80)
        super().__init__(parts.hostname or "", port, timeout=TIMEOUT_S)
        if self._secure:
            self.default_port = 443  # of the Host header
        self._address = address
        self._is_over = False

    def give_up(self) -> None:
        """End it from another thread: whoever waits on it gets an error."""
        self._is_over = True
        with suppress(OSError, AttributeError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), TIMEOUT_S)
        if self._secure:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)
        if self._is_over:  # while there was no socket to be ended
            raise TimeoutError
