"""Which network addresses a partner's system may have: nothing inside this house unless it is allowed.

Checked twice: when a partner's options are read (addresses written in the URL, in every spelling), and for
each connection at the moment it is opened, on the address that the resolver really gave.
Source: RFC 6890 (special-purpose addresses), RFC 6052 and RFC 8215 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo).
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_TRANSLATED: Final = tuple(
    ipaddress.IPv6Network(text)
    for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96", "fec0::/10")
)
"""Ways in which an IPv6 address stands for another one, and site-local: refused as a whole."""

_NUMERIC: Final = re.compile(r"(0[xX][0-9a-fA-F]*|[0-9]+)(\.(0[xX][0-9a-fA-F]*|[0-9]+)){0,3}\.?")
_NAME: Final = re.compile(
    r"(?=.{1,253}\.?$)([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*(?![0-9]+\.?$)[A-Za-z0-9_-]{1,63}\.?"
)


def refused(address: Address, allow: Sequence[Network]) -> bool:
    """Whether no connection may be opened to ``address``. An IPv4-mapped address is judged as its IPv4."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address.version == network.version and address in network for network in allow):
        return False
    if isinstance(address, ipaddress.IPv6Address) and any(address in network for network in _TRANSLATED):
        return True
    return not address.is_global or address.is_multicast or address.is_reserved


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks written as ``10.20.0.0/16`` or a single address. Raises ValueError."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def literal(host: str) -> Address | None:
    """The address that ``host`` spells, as the C library reads it, or None for a name.

    ``127.1``, ``2130706433``, ``0x7f.1`` and ``0177.0.0.1`` are all 127.0.0.1; ``localhost`` counts as it too.
    """
    if host.rstrip(".").lower() == "localhost" or host.rstrip(".").lower().endswith(".localhost"):
        return ipaddress.IPv4Address("127.0.0.1")
    if _NUMERIC.fullmatch(host):
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host.rstrip(".")))
        except OSError:
            return None
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def url_fault(url: str, allow: Sequence[Network]) -> str | None:
    """What is wrong with a partner's URL, as what was expected of it; None when nothing is."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "expected an http or https URL"
    if parts.scheme not in {"http", "https"} or not host or port == 0:
        return "expected an http or https URL"
    if not url.isascii() or any(char <= " " or char in '\x7f\\"<>^`{|}' for char in url):
        return "expected ASCII without spaces (a name in punycode, other characters percent-encoded)"
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        return "expected no user name or password in the URL: use keys or a client certificate"
    if parts.fragment:
        return "expected no fragment"
    return _host_fault(host, allow)


def _host_fault(host: str, allow: Sequence[Network]) -> str | None:
    address = literal(host)
    if address is None:
        if _NUMERIC.fullmatch(host) or not _NAME.fullmatch(host):
            return "expected a host name or an address"
        return None
    if getattr(address, "scope_id", None):
        return "expected an address without a zone"
    if refused(address, allow):
        return "expected a public address, or one within the partner's allow networks"
    return None
