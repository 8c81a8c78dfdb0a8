"""Who may come in: Host and Origin rules, the client's address, rate and size limits, free threads."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from functools import lru_cache
from urllib.parse import urlsplit

from .. import net
from ..config.schema import RateLimitConfig, ServerConfig
from ..core import ChatRequest, Image
from ..errors import BadRequest, Busy, Forbidden, TooLarge
from .limiter import Limiter

RESERVED_THREADS = 8
REMEMBERED = 1024
ALLOWED_HEADERS = (
    "Authorization, Content-Type, User-Agent, Accept, X-Requested-With, X-Request-Id, OpenAI-Beta, "
    "X-Stainless-Arch, X-Stainless-Async, X-Stainless-Custom-Poll-Interval, X-Stainless-Helper-Method, "
    "X-Stainless-Lang, X-Stainless-OS, X-Stainless-Package-Version, X-Stainless-Poll-Helper, "
    "X-Stainless-Retry-Count, X-Stainless-Runtime, X-Stainless-Runtime-Version, X-Stainless-Timeout"
)
EXPOSED_HEADERS = (
    "X-MoE-Expert, X-MoE-Model, X-MoE-Stage, X-MoE-Confidence, X-MoE-Fallback, X-Request-Id, Retry-After"
)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Guard:
    """The rules of one server; replaced on reload except for its counters' clients."""

    def __init__(self, server: ServerConfig, rate: RateLimitConfig, *, host: str) -> None:
        self._server = server
        self._must_be_local = net.is_loopback(host) and host not in ("0.0.0.0", "::")  # noqa: S104 - compared only
        self._own_name = socket.gethostname().casefold()
        self._proxies = _networks(server.trusted_proxies)
        self._exempt = _networks(rate.exempt)
        # The same few hosts and clients come again and again; judging them anew would cost a tenth of a request.
        self._is_ours = lru_cache(REMEMBERED)(self._judge_host)
        self.client_of = lru_cache(REMEMBERED)(self._judge_client)
        self._limiter = Limiter(rate.requests_per_minute, clock=time.monotonic)
        self._slots = threading.BoundedSemaphore(max(1, server.threads - min(RESERVED_THREADS, server.threads // 2)))

    def check_host(self, host: str) -> None:
        """Raises Forbidden for a foreign Host on a loopback bind: a web page whose name was rebound to us."""
        if self._must_be_local and host and not self._is_ours(host):
            raise Forbidden("this Host is not served here")

    def _judge_host(self, host: str) -> bool:
        name = (urlsplit(f"//{host}").hostname or "") if host.count(":") < 2 or host.startswith("[") else host
        address = net.parse_address(name)
        if address is not None:
            return net.is_private(name)
        folded = name.rstrip(".").casefold()
        return folded in ("localhost", self._own_name) or folded.endswith((".localhost", ".local", ".internal"))

    def check_origin(self, origin: str, host: str) -> bool:
        """Whether CORS headers are due. Raises Forbidden for a page of an origin that is not allowed."""
        if not origin or urlsplit(origin).netloc == host:
            return False
        for allowed in self._server.cors_origins:
            if allowed == "*" or origin == allowed or (allowed.endswith("://") and origin.startswith(allowed)):
                return True
            wanted, given = urlsplit(allowed), urlsplit(origin)
            is_same_host = (wanted.scheme, wanted.hostname) == (given.scheme, given.hostname)
            if is_same_host and wanted.hostname and wanted.port is None:
                return True
        raise Forbidden("this Origin is not allowed")

    def _judge_client(self, peer: str, forwarded: str) -> tuple[str, bool]:
        """The client's address, and whether it is exempt from the rate limit.

        X-Forwarded-For counts only from a trusted proxy; one from anybody else shows that there is a proxy
        nobody vouches for, so the peer loses its exemption.
        """
        address = peer
        if forwarded and _within(peer, self._proxies):
            for hop in reversed([hop.strip() for hop in forwarded.split(",")]):
                if net.parse_address(hop) is None:
                    break
                address = hop
                if not _within(hop, self._proxies):
                    break
        elif forwarded:
            return peer, False
        return address, _within(address, self._exempt)

    def count(self, peer: str, forwarded: str) -> None:
        """One inference request. Raises TooManyRequests."""
        client, is_exempt = self.client_of(peer, forwarded)
        if not is_exempt:
            self._limiter.count(client)

    def check_size(self, body: bytes) -> None:
        """Raises TooLarge before the body is parsed: over the media limit, or large without any media."""
        size = len(body)
        if size <= self._server.max_body_bytes:
            return
        if size > self._server.max_body_bytes_media:
            raise TooLarge(f"the body is larger than {self._server.max_body_bytes_media} bytes")
        if b"base64," not in body and b'"images"' not in body:
            raise TooLarge(f"the body is larger than {self._server.max_body_bytes} bytes")

    def check_text(self, body: bytes, asked: ChatRequest) -> None:
        """Raises TooLarge when what is not media exceeds the plain limit."""
        if len(body) <= self._server.max_body_bytes:
            return
        parts = [part for message in asked.messages for part in message.parts]
        media = sum(len(part.data) for part in parts if isinstance(part, Image))
        if asked.completion is not None:
            media += sum(len(image.data) for image in asked.completion.images)
        if len(body) - media > self._server.max_body_bytes:
            raise TooLarge(f"the text of the body is larger than {self._server.max_body_bytes} bytes")

    def take_slot(self) -> threading.BoundedSemaphore:
        """A thread for one answer; some stay free for everything else. Raises Busy. Release what is returned."""
        if not self._slots.acquire(blocking=False):
            raise Busy
        return self._slots


def check_encoding(encoding: str) -> None:
    """Raises BadRequest for a compressed body: none is unpacked here."""
    if encoding and encoding.casefold() != "identity":
        raise BadRequest(f"Content-Encoding {encoding[:40]!r} is not supported")


def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in networks if network.version == parsed.version)
