"""Who may come in, how often, and with how much: the guard alone, and before a live server."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.config.schema import RateLimitConfig, ServerConfig
from moe.errors import Busy, TooManyRequests
from moe.web.guard import Guard
from moe.web.limiter import MAX_CLIENTS, WINDOW_S, Limiter
from tests.adversarial.kit import CHATS, ECHO, ask, assert_refused, assert_serves, call, open_stream, post, write_prompt
from tests.fakes import FakeOllama, endless, fake_ollama
from tests.live import Live, live_server, write_config

JSON = "application/json"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("live"), experts=[ECHO]) as live:
        yield live


def make_guard(*, host: str = "127.0.0.1", rate: dict[str, Any] | None = None, **server: Any) -> Guard:
    return Guard(ServerConfig(**server), RateLimitConfig(**(rate or {})), host=host)


# Host: a page whose name was rebound to this address must not be served

FOREIGN_HOSTS = (
    "evil.example", "evil.example:11435", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example.",
    "8.8.8.8", "[2606:4700::1]", "[2606:4700::1]:11435", "[::ffff:8.8.8.8]", "134744072", "0x08080808",
    "010.010.010.010", "evil.example@127.0.0.1", "127.0.0.1@evil.example", "evil.example\\@127.0.0.1",
    "evil.example#.local",
    "evil.example/.local", "evil.example?.local", "127.0.0.1, evil.example", "evil.example, 127.0.0.1", "[::1", "::1]",
    "[::1]evil.example", "[::1]:x", "localhost:port", "localhost:123456", "a b", "\xe9.local", "x" * 60_000,
    "x" * 260 + ".local", "local", "evilinternal", "evil-localhost", "127.0.0.1:80:80", ":11435", "[]", "http://localhost",
)
OWN_HOSTS = (
    "127.0.0.1", "127.0.0.1:11435", "127.1", "2130706433", "0x7f000001", "127.0.0.1.", "localhost", "LOCALHOST:1",
    "localhost.", "[::1]", "[::1]:11435", "[::ffff:127.0.0.1]", "0.0.0.0", "192.168.1.5:11435", "10.0.0.1", "[fd00::1]",
    "nas.local", "moe.localhost", "host.docker.internal:11435", "",
)


@pytest.mark.parametrize("host", FOREIGN_HOSTS, ids=lambda host: host[:30])
def test_a_foreign_host_is_refused_on_a_loopback_bind(server: Live, host: str) -> None:
    for path in ("/health", "/v1/models", "/nowhere"):
        assert_refused(call(server, "GET", path, headers={"Host": host}), path, 403)
    reply = post(server, "/api/chat", write_prompt("/api/chat", "x"), headers={"Host": host})
    assert_refused(reply, "/api/chat", 403)
    assert "access-control-allow-origin" not in reply.headers
    assert_serves(server)


@pytest.mark.parametrize("host", OWN_HOSTS)
def test_every_name_of_this_machine_and_its_network_is_served(server: Live, host: str) -> None:
    assert call(server, "GET", "/health", headers={"Host": host}).status == 200


def test_the_machines_own_name_is_served(server: Live) -> None:
    assert call(server, "GET", "/health", headers={"Host": f"{socket.gethostname()}:11435"}).status == 200


# Origin: no page but a local one may use the server from a browser

FOREIGN_ORIGINS = (
    "http://evil.example", "https://evil.example:443", "null", "http://127.0.0.1.evil.example",
    "http://localhost.evil.example", "http://localhost@evil.example", "http://evil.example/http://localhost",
    "http://localhost:3000:1", "http://localhost:x", "http://localhost:", "http://localhost:\xb2", "localhost",
    "//localhost", "ftp://localhost", "javascript:alert(1)", "data:text/html,x", "http://[::1", "http://[", "http://]",
    "http://localhost, http://evil.example", "chrome-extension://abcdef", "apps://x", "\xff", "http://" + "a" * 60_000,
    " http://evil.example", "http://LOCALHOST.evil.example",
)
LOCAL_ORIGINS = (
    "http://localhost", "http://localhost:3000", "https://127.0.0.1:8443", "http://[::1]:5173", "app://obsidian.md",
    "file://", "tauri://localhost", "vscode-webview://0a1b2c", "http://0.0.0.0:8080",
)


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS, ids=lambda origin: origin[:30])
def test_a_foreign_page_is_refused_and_reads_nothing(server: Live, origin: str) -> None:
    body = json.dumps(write_prompt("/api/chat", "x")).encode()
    for method, data in (("POST", body), ("OPTIONS", None)):
        reply = call(server, method, "/api/chat", data, headers={"Origin": origin, "Content-Type": "text/plain"})
        assert_refused(reply, "/api/chat", 403)
        assert "access-control-allow-origin" not in reply.headers
    assert_serves(server)


@pytest.mark.parametrize("origin", LOCAL_ORIGINS)
def test_a_local_page_may_ask_and_read(server: Live, origin: str) -> None:
    for reply in (call(server, "OPTIONS", "/api/chat", headers={"Origin": origin}),
                  call(server, "GET", "/v1/models", headers={"Origin": origin}),
                  call(server, "GET", "/nowhere", headers={"Origin": origin})):
        assert reply.status in (200, 204, 404)
        assert reply.headers["access-control-allow-origin"] == origin
        assert reply.headers["vary"] == "Origin"
        assert "X-MoE-Expert" in reply.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in reply.headers


def test_the_servers_own_page_may_ask(server: Live) -> None:
    for scheme in ("http", "https"):
        headers = {"Host": "nas.local:11435", "Origin": f"{scheme}://nas.local:11435"}
        assert call(server, "GET", "/health", headers=headers).status == 200


def test_an_origin_that_the_config_names_may_ask_on_that_port_only(tmp_path: Path) -> None:
    config = {"server": {"cors_origins": ["https://chat.example:8443"], "port": 0}}
    with live_server(tmp_path, config=config, experts=[ECHO]) as live:
        for origin, status in (("https://chat.example:8443", 200), ("https://chat.example", 403),
                               ("http://chat.example:8443", 403), ("http://localhost", 403)):
            assert call(live, "GET", "/health", headers={"Origin": origin}).status == status


def test_a_star_allows_every_page(tmp_path: Path) -> None:
    with live_server(tmp_path, config={"server": {"cors_origins": ["*"], "port": 0}}, experts=[ECHO]) as live:
        reply = call(live, "GET", "/health", headers={"Origin": "http://any.example"})
        assert reply.headers["access-control-allow-origin"] == "http://any.example"


def test_a_request_without_an_origin_gets_no_cors_headers(server: Live) -> None:
    assert not [name for name in call(server, "GET", "/health").headers if name.startswith("access-control")]


# Whose request it is

PROXY = "10.0.0.1"
CLIENTS = [
    # peer, X-Forwarded-For, the client that is counted, whether it is exempt
    ("203.0.113.9", "", "203.0.113.9", False),
    ("127.0.0.1", "", "127.0.0.1", True),
    ("127.8.9.10", "", "127.8.9.10", True),
    ("::1", "", "::/64", True),
    ("::ffff:127.0.0.1", "", "127.0.0.1", True),
    ("::ffff:203.0.113.9", "", "203.0.113.9", False),
    ("fe80::1%eth0", "", "fe80::/64", False),
    ("2001:db8::1", "", "2001:db8::/64", False),
    ("2001:db8::ffff:1", "", "2001:db8::/64", False),
    ("", "", "", False),
    # nobody vouches for the header
    ("203.0.113.9", "127.0.0.1", "203.0.113.9", False),
    ("127.0.0.1", "198.51.100.7", "127.0.0.1", False),
    ("127.0.0.1", "127.0.0.1", "127.0.0.1", False),
    # a proxy that is trusted
    (PROXY, "198.51.100.7", "198.51.100.7", False),
    (PROXY, "127.0.0.1, 198.51.100.7", "198.51.100.7", False),
    (PROXY, "127.0.0.1", "127.0.0.1", True),
    (PROXY, "198.51.100.7, 10.0.0.2", "198.51.100.7", False),
    (PROXY, "1.1.1.1, 198.51.100.7, 10.0.0.2, 10.0.0.3", "198.51.100.7", False),
    (PROXY, "10.0.0.2, 10.0.0.3", "10.0.0.2", False),
    (PROXY, "198.51.100.7:4711", "198.51.100.7", False),
    (PROXY, "[2001:db8::7]:4711", "2001:db8::/64", False),
    (PROXY, "2001:db8:0:1::7", "2001:db8:0:1::/64", False),
    (PROXY, "::ffff:198.51.100.7", "198.51.100.7", False),
    (PROXY, "  198.51.100.7\t", "198.51.100.7", False),
    # what is unreadable is nobody
    (PROXY, "garbage", PROXY, False),
    (PROXY, "127.0.0.1, garbage", PROXY, False),
    (PROXY, ",,,", PROXY, False),
    (PROXY, "2130706433", PROXY, False),
    (PROXY, "0x7f.1", PROXY, False),
    (PROXY, "127.0.0.1, 10.0.0.2 ", "127.0.0.1", True),
    (PROXY, "unknown, 10.0.0.2", "10.0.0.2", False),
    (PROXY, "127.0.0.1," + "10.0.0.2," * 5_000 + "10.0.0.2", "10.0.0.2", False),
]


@pytest.mark.parametrize(("peer", "forwarded", "client", "is_exempt"), CLIENTS, ids=lambda value: str(value)[:40])
def test_the_client_is_the_last_address_that_nobody_trusted_could_have_made_up(
    peer: str, forwarded: str, client: str, is_exempt: bool
) -> None:
    guard = make_guard(trusted_proxies=("10.0.0.0/24",))
    assert guard.client_of(peer, forwarded) == (client, is_exempt)


@given(st.text(max_size=60), st.text(alphabet="0123456789abcdef.:,[]% \t", max_size=80))
def test_no_header_frees_an_unknown_peer_or_breaks_the_guard(peer: str, forwarded: str) -> None:
    assert make_guard(trusted_proxies=(PROXY,)).client_of("203.0.113.9", forwarded) == ("203.0.113.9", False)
    make_guard(trusted_proxies=(PROXY,)).client_of(peer, forwarded)
    _, is_exempt = make_guard(trusted_proxies=(PROXY,)).client_of(PROXY, "127.0.0.1," + forwarded + ",198.51.100.7")
    assert not is_exempt


# How often

class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_the_window_slides_and_says_exactly_how_long_to_wait() -> None:
    clock = Clock()
    limiter = Limiter(3, clock=clock)
    for _ in range(3):
        limiter.count("a")
        clock.now += 10
    with pytest.raises(TooManyRequests) as refusal:
        limiter.count("a")
    assert refusal.value.retry_after_s == 30  # the first of the three was 30 s ago
    clock.now += 29.5
    with pytest.raises(TooManyRequests) as refusal:
        limiter.count("a")
    assert refusal.value.retry_after_s == 1
    clock.now += refusal.value.retry_after_s
    limiter.count("a")
    with pytest.raises(TooManyRequests):
        limiter.count("a")


@given(st.lists(st.floats(0, 40, allow_nan=False), max_size=60), st.integers(1, 5))
def test_no_window_ever_holds_more_than_the_limit_and_the_wait_is_never_too_short(
    pauses: list[float], limit: int
) -> None:
    clock = Clock()
    limiter = Limiter(limit, clock=clock)
    taken: list[float] = []
    for pause_s in pauses:
        clock.now += pause_s
        try:
            limiter.count("a")
        except TooManyRequests as refusal:
            assert len([at for at in taken if at > clock.now + refusal.retry_after_s - WINDOW_S + 1e-6]) < limit
            assert 1 <= refusal.retry_after_s <= WINDOW_S
        else:
            taken.append(clock.now)
            assert len([at for at in taken if at > clock.now - WINDOW_S]) <= limit


def test_clients_are_counted_apart_and_the_longest_idle_is_forgotten() -> None:
    limiter = Limiter(1, clock=Clock())
    for number in range(MAX_CLIENTS + 1):
        limiter.count(str(number))
    with pytest.raises(TooManyRequests):
        limiter.count(str(MAX_CLIENTS))
    limiter.count("0")


def test_zero_is_no_limit() -> None:
    limiter = Limiter(0, clock=Clock())
    for _ in range(1_000):
        limiter.count("a")


RATE = {"rate_limit": {"requests_per_minute": 3, "exempt": []}}


def test_over_the_limit_is_a_429_with_the_seconds_to_wait_and_other_paths_stay_open(tmp_path: Path) -> None:
    with live_server(tmp_path, config=RATE, experts=[ECHO]) as live:
        assert [ask(live, path=path).status for path in CHATS] == [200, 200, 200]
        for path in CHATS:
            reply = ask(live, path=path)
            assert_refused(reply, path, 429)
            assert 1 <= int(reply.headers["retry-after"]) <= 60
        for path in ("/", "/health", "/v1/models", "/api/tags", "/api/version", "/v1/route?text=x"):
            assert [call(live, "GET", path).status for _ in range(5)] == [200] * 5


def test_a_refused_request_counts_only_once_and_an_unreadable_one_counts_too(tmp_path: Path) -> None:
    with live_server(tmp_path, config=RATE, experts=[ECHO]) as live:
        statuses = [post(live, "/api/chat", body).status for body in (b"{", b"", b"[]", b"{", b"{}")]
        assert statuses == [400, 400, 400, 429, 429]


def test_a_spoofed_address_buys_no_more_requests(tmp_path: Path) -> None:
    forged = ("127.0.0.1", "::1", "203.0.113.1", "203.0.113.2", "garbage", "1.1.1.1, 2.2.2.2")
    with live_server(tmp_path, config={"rate_limit": {"requests_per_minute": 3}}, experts=[ECHO]) as live:
        headers = [{name: value} for value in forged for name in ("X-Forwarded-For",)]
        replies = [post(live, "/api/chat", write_prompt("/api/chat", "x"), headers=each) for each in headers]
        assert [reply.status for reply in replies] == [200, 200, 200, 429, 429, 429]
        for _ in range(5):
            assert_serves(live)  # without the header this machine's own clients are exempt


def test_behind_a_trusted_proxy_each_client_has_its_own_count(tmp_path: Path) -> None:
    config = {**RATE, "server": {"port": 0, "trusted_proxies": ["127.0.0.1"]}}
    with live_server(tmp_path, config=config, experts=[ECHO]) as live:
        def statuses(*forwarded: str) -> list[int]:
            return [post(live, "/api/chat", write_prompt("/api/chat", "x"), headers={"X-Forwarded-For": each}).status
                    for each in forwarded]

        assert statuses(*["203.0.113.1"] * 4) == [200, 200, 200, 429]
        assert statuses(*["203.0.113.2"] * 4) == [200, 200, 200, 429]
        assert statuses(*[f"1.2.3.{i}, 203.0.113.2" for i in range(3)]) == [429] * 3
        assert statuses(*[f"2001:db8::{i:x}" for i in range(5)]) == [200, 200, 200, 429, 429]


def test_a_reload_gives_nobody_more_requests(tmp_path: Path) -> None:
    with live_server(tmp_path, config=RATE, experts=[ECHO]) as live:
        assert [ask(live).status for _ in range(4)] == [200, 200, 200, 429]
        write_config(tmp_path, config={"rate_limit": {"requests_per_minute": 4, "exempt": []}}, experts=[ECHO])
        assert live.service.reload()
        assert [ask(live).status for _ in range(2)] == [200, 429]


# Threads

@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with fake_ollama(["gemma3:4b"]) as fake:
        fake.script("gemma3:4b", [endless(interval_s=0.05)])
        yield fake


def test_streams_never_take_the_last_threads_and_one_that_ends_makes_room(tmp_path: Path, ollama: FakeOllama) -> None:
    config = {"server": {"threads": 8, "port": 0}, "expert_runner": {"ollama_url": ollama.url}}
    experts = [{"id": 0, "label": "fallback", "model_name": "gemma3:4b"}]
    with live_server(tmp_path, config=config, experts=experts) as live:
        streams = [open_stream(live) for _ in range(4)]
        with streams[0], streams[1], streams[2]:
            with streams[3]:
                for path in CHATS:
                    reply = ask(live, path=path)
                    assert_refused(reply, path, 503)
                    assert reply.headers["retry-after"] == "1"
                assert live.service.reload()  # what is taken stays taken
                assert_refused(ask(live), "/v1", 503)
                assert call(live, "GET", "/health").status == 200
            ollama.script("gemma3:4b", [])
            assert any(ask(live).status == 200 for _ in _patiently())


def _patiently() -> Iterator[int]:
    """A few tries: a client that left is noticed with the next chunk."""
    for attempt in itertools.count():
        yield attempt
        if attempt > 200:
            return


def test_a_slot_that_is_not_given_back_stays_taken() -> None:
    guard = make_guard(threads=4)
    slots = [guard.take_slot("a"), guard.take_slot("a")]
    with pytest.raises(Busy):
        guard.take_slot("b")
    slots[0].release()
    slots[0].release()  # the second time it is not there any more
    guard.take_slot("b")
    with pytest.raises(Busy):
        guard.take_slot("b")


def take_all(guard: Guard, *clients: str) -> dict[str, int]:
    """How many each gets where they ask in turns until nobody gets any more."""
    held = dict.fromkeys(clients, 0)
    is_over = False
    while not is_over:
        is_over = True
        for client in clients:
            with contextlib.suppress(Busy):
                guard.take_slot(client)
                held[client] += 1
                is_over = False
    return held


def test_no_client_takes_all_threads_and_the_more_ask_the_fewer_each_may_hold() -> None:
    guard = make_guard()  # 120 for answers
    assert take_all(guard, "greedy") == {"greedy": 105}
    assert guard.take_slot("newcomer")
    assert take_all(make_guard(), "a", "b") == {"a": 56, "b": 56}
    assert sum(take_all(make_guard(), *map(str, range(200))).values()) == 120


def test_a_greedy_client_leaves_threads_for_the_next_one(tmp_path: Path, ollama: FakeOllama) -> None:
    config = {"server": {"threads": 24, "port": 0, "trusted_proxies": ["127.0.0.1"]},
              "expert_runner": {"ollama_url": ollama.url}, "rate_limit": {"requests_per_minute": 0}}
    experts = [{"id": 0, "label": "fallback", "model_name": "gemma3:4b"}, {**ECHO, "id": 1, "label": "parrot"}]
    with live_server(tmp_path, config=config, experts=experts) as live, contextlib.ExitStack() as streams:
        for _ in range(14):
            streams.enter_context(open_stream(live))
        for path, prompt in (("/api/chat", write_prompt("/api/chat", "x", model="parrot")),
                             ("/v1/embeddings", {"model": "x", "input": "x"}), ("/api/pull", {"model": "parrot"})):
            assert_refused(post(live, path, prompt), path, 503)
        reply = post(live, "/api/chat", write_prompt("/api/chat", "x", model="parrot"),
                     headers={"X-Forwarded-For": "203.0.113.5"})
        assert reply.status == 200


def test_whose_turn_a_request_uses_up_is_the_client_and_of_an_exempt_one_its_user() -> None:
    guard = make_guard(trusted_proxies=("127.0.0.1",))
    assert guard.name_client("127.0.0.1", "", "ann") != guard.name_client("127.0.0.1", "", "bob")
    assert guard.name_client("127.0.0.1", "", "") == "127.0.0.1"
    assert guard.name_client("203.0.113.7", "", "ann") == guard.name_client("203.0.113.7", "", "bob") == "203.0.113.7"
    assert guard.name_client("127.0.0.1", "203.0.113.7", "ann") == "203.0.113.7"
