"""Which network addresses an upstream may have: checked when the config is read and again at each connect."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urlsplit

from .errors import Unreachable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
OLLAMA_PORT = 11434

# Cloud metadata services that do not live on link-local addresses: Alibaba, Azure's wire server, Oracle, AWS on IPv6.
_METADATA_ADDRESSES = frozenset(
    ipaddress.ip_address(text) for text in ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254")
)
_METADATA_NAMES = frozenset({
    "metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal",
    "metadata.azure.com", "metadata.azure.internal", "metadata.platformequinix.com",
})
_NUMERIC = re.compile(r"(?:0x[0-9a-f]+|\d+)(?:\.(?:0x[0-9a-f]+|\d+)){0,3}", re.IGNORECASE)
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?|[0-9A-Fa-f:.]+(%[A-Za-z0-9]+)?")
_PATH = re.compile(r"[!-~]*")


def check_url(url: str) -> str:
    """What is wrong with an upstream URL, "" when nothing is; no name is resolved here."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        return f"{url!r} is not a URL: {error}"
    if parts.scheme not in ("http", "https"):
        return f"{url!r} must begin with http:// or https://"
    if not host or not _HOST.fullmatch(host) or port == 0:
        return f"{url!r} names no valid host"
    if parts.username is not None or parts.password is not None:
        return f"the URL for {host} must not carry a user name or password"
    if parts.query or parts.fragment:
        return f"the URL for {host} must not carry a query or fragment"
    if not _PATH.fullmatch(parts.path):
        return f"the URL for {host} must have a path of plain ASCII, the rest percent-encoded"
    if is_metadata_name(host):
        return f"{host} is a cloud metadata service"
    address = parse_address(host)
    return refusal(address) if address is not None else ""


def is_metadata_name(host: str) -> bool:
    return host.rstrip(".").casefold() in _METADATA_NAMES


def parse_address(host: str) -> Address | None:
    """The address that `host` spells, in any notation a resolver accepts: dotted, decimal, hex, octal, IPv6."""
    text = host.strip("[]").split("%")[0].rstrip(".")
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        pass
    if _NUMERIC.fullmatch(text):
        try:
            return ipaddress.IPv4Address(socket.inet_aton(text))
        except OSError:
            return None
    return None


def refusal(address: Address) -> str:
    """Why nothing may be sent to `address`, "" when it may."""
    for each in _faces(address):
        if each.is_link_local:
            return f"{address} is a link-local address"
        if each in _METADATA_ADDRESSES:
            return f"{address} is a cloud metadata service"
        if each.is_multicast:
            return f"{address} is a multicast address"
    return ""


def outside_refusal(address: Address) -> str:
    """Why nothing may be fetched from `address` at a stranger's word, "" when it is on the open internet."""
    if refusal(address):
        return refusal(address)
    if is_own(str(address)) or not all(face.is_global for face in _faces(address)):
        return f"{address} is no address of the open internet"
    return ""


def is_private(host: str) -> bool:
    """Whether `host` is, by its spelling alone, on this machine or in its private network."""
    address = parse_address(host)
    if address is not None:
        return any(face.is_loopback or face.is_private for face in _faces(address))
    name = host.rstrip(".").casefold()
    return name == "localhost" or "." not in name or name.endswith((".localhost", ".local", ".internal", ".lan"))


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine, judged by its spelling."""
    address = parse_address(host)
    if address is None:
        name = host.rstrip(".").casefold()
        return name in ("localhost", "ip6-localhost") or name.endswith(".localhost")
    return any(face.is_loopback or face.is_unspecified for face in _faces(address))


def is_own(host: str) -> bool:
    """Whether `host` is this machine: loopback, its own name, or the address of one of its interfaces."""
    if is_loopback(host):
        return True
    address = parse_address(host)
    if address is None:
        return host.rstrip(".").casefold() == socket.gethostname().casefold()
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def check_resolved(
    host: str, port: int, *, judge: Callable[[Address], str] = refusal
) -> list[tuple[socket.AddressFamily, socket.SocketKind, int, tuple[Any, ...]]]:
    """What `host` resolves to: (family, kind, protocol, address) for each.

    Raises Unreachable when it does not resolve, or when any of its addresses is refused by `judge`.
    """
    if is_metadata_name(host):
        raise Unreachable(f"{host} is a cloud metadata service", reason="address refused")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"{host} does not resolve: {error}") from error
    for *_, sockaddr in found:
        why = judge(ipaddress.ip_address(str(sockaddr[0]).split("%")[0]))
        if why:
            raise Unreachable(why, reason="address refused")
    return [(family, kind, proto, sockaddr) for family, kind, proto, _, sockaddr in found]


def connect(
    host: str, port: int, *, timeout_s: float, judge: Callable[[Address], str] = refusal
) -> socket.socket:
    """A connected TCP socket to `host`, the address it resolved to checked first.

    Raises Unreachable when it is refused, does not resolve, or does not accept.
    """
    failure: Exception | None = None
    for family, kind, proto, sockaddr in check_resolved(host, port, judge=judge):
        try:
            return _open(socket.socket(family, kind, proto), sockaddr, timeout_s=timeout_s)
        except OSError as error:
            failure = error
    raise Unreachable(f"{host}:{port} does not accept connections: {failure}") from failure


def spell_url(named: str) -> str:
    """An Ollama address in any form OLLAMA_HOST takes (host, :port, host:port, URL) as a URL."""
    text = named.strip().strip("\"'").rstrip("/")
    scheme, separator, rest = text.rpartition("://")
    scheme = scheme.lower() if separator else "http"
    host, path_separator, path = rest.partition("/")
    name, _, port = host.rpartition(":") if host.count(":") == 1 or "]:" in host else (host, "", "")
    if name in ("", "0.0.0.0", "[::]", "::"):  # noqa: S104 - a wildcard is no address to connect to
        name = "127.0.0.1"
    if ":" in name and not name.startswith("["):
        name = f"[{name}]"
    default_port = str(OLLAMA_PORT) if not separator else {"http": "80", "https": "443"}.get(scheme, "")
    return f"{scheme}://{name}:{port or default_port}{path_separator}{path}"


def split_base(url: str) -> SplitResult:
    """A checked base URL in its parts, the path without a trailing slash."""
    parts = urlsplit(url)
    return parts._replace(path=parts.path.rstrip("/"))


def _open(sock: socket.socket, sockaddr: tuple[Any, ...], *, timeout_s: float) -> socket.socket:
    try:
        sock.settimeout(timeout_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect(sockaddr)
    except OSError:
        sock.close()
        raise
    return sock


def _faces(address: Address) -> tuple[Address, ...]:
    """The address and every IPv4 address hidden in it (mapped, 6to4, Teredo, NAT64, compatible)."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    hidden: list[Address] = [address]
    if address.ipv4_mapped is not None:
        hidden.append(address.ipv4_mapped)
    if address.sixtofour is not None:
        hidden.append(address.sixtofour)
    if address.teredo is not None:
        hidden += address.teredo
    low = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    is_nat64 = address in ipaddress.ip_network("64:ff9b::/96")
    if is_nat64 or (int(address) >> 32 == 0 and int(address) > 1):
        hidden.append(low)
    return tuple(hidden)
