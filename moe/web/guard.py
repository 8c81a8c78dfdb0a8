"""Who may come in: Host and Origin rules, the client's address, rate and size limits, free threads."""

from __future__ import annotations

import ipaddress
import time
from functools import lru_cache

from ..config.schema import RateLimitConfig, ServerConfig
from ..core import ChatRequest, Document, Image
from ..errors import BadRequest, Forbidden, TooLarge
from .hosts import Hosts
from .limiter import Limiter
from .slots import Slot, Slots

RESERVED_THREADS = 8
REMEMBERED = 1024
MOST_HOPS = 32
ALLOWED_HEADERS = (
    "Authorization, Content-Type, User-Agent, Accept, X-Requested-With, X-Request-Id, OpenAI-Beta, X-Api-Key, "
    "Mcp-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Session-Id, Last-Event-Id, "
    "Anthropic-Version, Anthropic-Beta, Anthropic-Dangerous-Direct-Browser-Access, "
    "X-Stainless-Arch, X-Stainless-Async, X-Stainless-Custom-Poll-Interval, X-Stainless-Helper-Method, "
    "X-Stainless-Lang, X-Stainless-OS, X-Stainless-Package-Version, X-Stainless-Poll-Helper, "
    "X-Stainless-Retry-Count, X-Stainless-Runtime, X-Stainless-Runtime-Version, X-Stainless-Timeout"
)
EXPOSED_HEADERS = (
    "X-MoE-Expert, X-MoE-Model, X-MoE-Stage, X-MoE-Tool, X-MoE-Confidence, X-MoE-Fallback, X-MoE-Ignored, "
    "X-MoE-Strategy, X-MoE-Calls, "
    "X-Request-Id, Retry-After, X-Should-Retry"
)
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_MEDIA_MARKS = (b"base64,", b'"base64"', b'"images"', b'"file_data"')


class Guard:
    """The rules of one server; a reload makes a new one, which succeeds the former."""

    def __init__(
        self, server: ServerConfig, rate: RateLimitConfig, *, host: str, hosts: tuple[str, ...] = ()
    ) -> None:
        """`host` is the address listened on, `hosts` are further names of it beside `server.hosts`."""
        self._server = server
        self._hosts = Hosts(host, (*server.hosts, *hosts))
        self._proxies = _networks(server.trusted_proxies)
        self._exempt = _networks(rate.exempt)
        # The same few come again and again; judging them anew would cost a tenth of a request.
        self._judge_known_peer = lru_cache(REMEMBERED)(self._judge_peer)
        self._limiter = Limiter(rate.requests_per_minute, clock=time.monotonic)
        self._slots = Slots(max(1, server.threads - min(RESERVED_THREADS, server.threads // 2)))

    def succeed(self, former: Guard) -> None:
        """Takes over who has asked how often, and the threads that are taken: a reload gives nobody more of either."""
        limit = self._limiter.limit
        self._limiter, self._slots = former._limiter, former._slots
        self._limiter.limit = limit

    def check_host(self, host: str | None, *, protocol: str) -> None:
        """Raises Forbidden for a name that is not this server's: a web page's that was rebound to us; and BadRequest
        for none at all where `protocol` demands one."""
        if host is None and protocol == "HTTP/1.1":
            raise BadRequest("the Host header is missing")
        if not self._hosts.serve(host or ""):
            raise Forbidden("this Host is not served here; if it should be, name it in server.hosts or MOE_HOSTS")

    def check_origin(self, origin: str, host: str) -> None:
        """Raises Forbidden for a page of an origin that is neither this server's own nor allowed."""
        if not origin or (host and origin in (f"http://{host}", f"https://{host}")):
            return
        if not any(_is_covered(origin, allowed) for allowed in self._server.cors_origins):
            raise Forbidden("this Origin is not allowed")

    def client_of(self, peer: str, forwarded: str) -> tuple[str, bool]:
        """The client as the limiter counts it, and whether it is exempt from the limit.

        X-Forwarded-For counts only from a trusted proxy; one from anybody else shows that there is a proxy
        nobody vouches for, so the peer loses its exemption. So does whoever is named by something unreadable.
        """
        if not forwarded:
            return self._judge_known_peer(peer)
        client = _parse(peer)
        if client is None or not _is_within(client, self._proxies):
            return _block(client, peer), False
        for hop in reversed(forwarded.rsplit(",", MOST_HOPS)):
            named = _parse_hop(hop)
            if named is None:
                return _block(client, peer), False
            client = named
            if not _is_within(client, self._proxies):
                break
        return _block(client, peer), _is_within(client, self._exempt)

    def _judge_peer(self, peer: str) -> tuple[str, bool]:
        address = _parse(peer)
        return _block(address, peer), address is not None and _is_within(address, self._exempt)

    def name_client(self, peer: str, forwarded: str, user: str) -> str:
        """Whose turn a request uses up where requests wait: the client's, and of one that is exempt from the limit, as
        a program on this machine that serves many, the user's whom it names."""
        client, is_exempt = self.client_of(peer, forwarded)
        return f"{client} {user}" if is_exempt and user else client

    def count(self, peer: str, forwarded: str) -> None:
        """One inference request. Raises TooManyRequests."""
        client, is_exempt = self.client_of(peer, forwarded)
        if not is_exempt:
            self._limiter.count(client)

    @property
    def most_bytes(self) -> int:
        """The largest body of any kind."""
        return self._server.max_body_bytes_media

    def check_size(self, body: bytes, *, may_carry_media: bool, may_be_long: bool = False) -> None:
        """Raises TooLarge before the body is parsed: over the media limit, or large for other reasons than media,
        unless it `may_be_long` as thousands of texts are."""
        size, limit = len(body), self._server.max_body_bytes
        if size <= limit:
            return
        if size > self._server.max_body_bytes_media:
            raise TooLarge(f"the body is larger than {self._server.max_body_bytes_media} bytes")
        if may_be_long:
            return
        has_media = may_carry_media and any(mark in body for mark in _MEDIA_MARKS)
        if not has_media or len(body.translate(None, _BASE64)) > limit:
            raise TooLarge(f"the body is larger than {limit} bytes")

    def check_text(self, body: bytes, asked: ChatRequest) -> None:
        """Raises TooLarge when what is not media exceeds the plain limit."""
        if len(body) <= self._server.max_body_bytes:
            return
        parts = [part for message in asked.messages for part in message.parts]
        media = sum(len(part.data) for part in parts if isinstance(part, Image | Document))
        if asked.completion is not None:
            media += sum(len(image.data) for image in asked.completion.images)
        if len(body) - media > self._server.max_body_bytes:
            raise TooLarge(f"the text of the body is larger than {self._server.max_body_bytes} bytes")

    def take_slot(self, client: str) -> Slot:
        """A thread for one answer to a client as `name_client` calls it; some stay free for other clients, and some
        for everything else. Raises Busy. Release what is returned."""
        return self._slots.take(client)


def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def _is_covered(origin: str, allowed: str) -> bool:
    """Whether `allowed` means `origin`: exactly, on any port where it names none, or by its scheme ("app://")."""
    if allowed in ("*", origin):
        return True
    if allowed.endswith("://"):
        return origin.startswith(allowed)
    name, _, port = origin.rpartition(":")
    return name == allowed and port.isdecimal()


def _parse(text: str) -> Address | None:
    """An address in its usual notation; an IPv4 address in IPv6 clothes is an IPv4 address."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _parse_hop(hop: str) -> Address | None:
    """One entry of X-Forwarded-For; some proxies append a port."""
    text = hop.strip()
    if text.startswith("["):
        return _parse(text[1:].partition("]")[0])
    return _parse(text.partition(":")[0] if text.count(":") == 1 else text)


def _is_within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


def _block(address: Address | None, peer: str) -> str:
    """What is counted as one client: an IPv4 address, or the /64 that every IPv6 customer has to itself."""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return peer if address is None else str(address)
