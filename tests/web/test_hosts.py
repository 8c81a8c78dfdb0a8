"""Which names a server answers to: a web page that rebinds its own name to the server's address must not be served."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.config.settings import ROOT
from moe.web.hosts import Hosts
from tests.adversarial.kit import CHATS, ECHO, OMIT, assert_refused, assert_serves, call, post, send, write_prompt
from tests.adversarial.program import running_program
from tests.live import Live, live_server, write_config

EVERYWHERE = "0.0.0.0"
LISTED = ["moe.example.org", "*.team.example", "XN--Mnchen-3ya.Example.", "8.8.4.4", "2001:DB8:0::7"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """It listens on every interface, as in a container whose port is published."""
    config = {"server": {"host": EVERYWHERE, "port": 0}}
    with live_server(tmp_path_factory.mktemp("live"), config=config, experts=[ECHO]) as live:
        yield live._replace(host="127.0.0.1")


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """As `server`, with names."""
    config = {"server": {"host": EVERYWHERE, "port": 0, "hosts": LISTED}}
    with live_server(tmp_path_factory.mktemp("named"), config=config, experts=[ECHO]) as live:
        yield live._replace(host="127.0.0.1")


def status(server: Live, host: str) -> int:
    return call(server, "GET", "/health", headers={"Host": host}).status


# On every interface

FOREIGN = (
    "evil.example", "EVIL.Example:11435", "evil.example.", "evil.example.:80", "xn--vil-9ma.example",
    "127.0.0.1.evil.example", "127.0.0.1.nip.io", "10-0-0-5.evil.example", "localhost.evil.example",
    "local.evil.example", "moe.local.evil.example", "evillocal.example", "evil.notlocal", "evil.localhosts",
    "evil.internal.example", "evil.lan.example", "evil.local.x", "1.2.3.4.5", "256.256.256.256",
    "evil.example@127.0.0.1", "127.0.0.1@evil.example", "user:pass@nas", "evil.example#.local", "evil.example/.local",
    "evil.example?.local", "evil.example\\.local", "evil.example%00.local", "evil.example%2elocal",
    "127.0.0.1, evil.example", "evil.example, 127.0.0.1", "nas, evil.example", "nas evil.example", "http://nas",
    "//nas", "[::1", "::1]", "::1", "[]", "[abc]", "[evil.example]", "[::1]evil.example", "[::1].local", "[::1]:x",
    "nas:port", "nas:123456", "nas:80:80", "nas:-1", "127.0.0.1:80:80", ":11435", ".", "..", ".local", "nas..",
    "a..local", "*", "*.local", "na's", '"nas"', "nas;", "\xe9.local", "n\xe4s", "nas\xa0", "nas\x85",
    "x" * 260 + ".local", "x" * 300, "a." * 30_000 + "local", "[" + ":" * 250 + "]", "a b",
    "-" * 259 + ".example",
)  # fmt: skip
OWN = (
    "127.0.0.1", "127.0.0.1:11435", "192.168.1.5:11435", "10.0.0.1", "203.0.113.9", "8.8.8.8:80", "127.1",
    "2130706433", "0x7f000001", "127.0.0.1.", "0.0.0.0", "[::1]", "[::1]:11435", "[2606:4700::1]:443", "[FE80::1]",
    "[::ffff:203.0.113.9]", "localhost", "LOCALHOST:1", "localhost.", "moe", "MOE:11435", "nas.", "my_box", "moe:",
    "nas.local", "NAS.Local.:11435", "a.b.local", "moe.localhost", "host.docker.internal:11435",
    "moe.svc.cluster.local", "xn--nas-0ra.local", "",
)


@pytest.mark.parametrize("host", FOREIGN, ids=lambda host: ascii(host[:30]))
def test_a_foreign_host_is_refused_on_every_interface_too(server: Live, host: str) -> None:
    for path in ("/", "/health", "/v1/models", "/v1/nowhere"):
        assert_refused(call(server, "GET", path, headers={"Host": host}), path, 403)
    assert_serves(server)


@pytest.mark.parametrize("host", OWN)
def test_what_no_page_can_rebind_is_served(server: Live, host: str) -> None:
    assert status(server, host) == 200


def test_the_machines_own_name_is_served_in_any_case(server: Live) -> None:
    assert status(server, f"{socket.gethostname().upper()}:11435") == 200


def test_a_rebound_page_neither_asks_nor_reads_nor_learns_anything(server: Live) -> None:
    """Its Origin is its Host, so that only the Host gives it away."""
    host = f"evil.example:{server.port}"
    headers = {"Host": host, "Origin": f"http://{host}", "Content-Type": "text/plain"}
    for path in CHATS:
        for reply in (post(server, path, write_prompt(path, "a secret"), headers=headers),
                      call(server, "OPTIONS", path, headers={**headers, "Access-Control-Request-Method": "POST"})):
            assert_refused(reply, path, 403)
            assert not [name for name in reply.headers if name.startswith("access-control")]
            assert "server.hosts" in reply.message and "MOE_HOSTS" in reply.message
            assert b"evil" not in reply.body and b"a secret" not in reply.body


@pytest.mark.parametrize("lines", [
    "Host: nas\r\nHost: evil.example", "Host: evil.example\r\nHost: nas", "Host: evil.example\r\nX-Forwarded-Host: nas",
    "host:evil.example", "Host: evil.example\r\nForwarded: host=nas", "Host:\tevil.example",
    "Host: evil.example\r\n .local",
])  # fmt: skip
def test_no_second_header_makes_a_foreign_host_an_own_one(server: Live, lines: str) -> None:
    reply = send(server, f"GET /health HTTP/1.1\r\n{lines}\r\nConnection: close\r\n\r\n".encode(), method="GET")
    assert_refused(reply, "/health", 400, 403)


@pytest.mark.parametrize("target", ["http://nas/health", "http://127.0.0.1/health"])
def test_the_host_of_an_absolute_target_does_not_count(server: Live, target: str) -> None:
    assert call(server, "GET", target, headers={"Host": "evil.example"}).status == 403


def test_a_request_without_a_host_is_no_web_page_s(server: Live) -> None:
    assert send(server, b"GET /health HTTP/1.0\r\n\r\n", method="GET").status == 200


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/nowhere"])
def test_a_newer_request_without_a_host_is_malformed(server: Live, path: str) -> None:
    reply = call(server, "GET", path, headers={"Host": OMIT})
    assert_refused(reply, path, 400)
    assert reply.message == "the Host header is missing"
    assert call(server, "GET", "/health", headers={"Host": ""}).status == 200


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
@pytest.mark.parametrize("bound", ["::", "0:0::0"])
def test_the_wildcard_of_ipv6_is_one_too(tmp_path: Path, bound: str) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with live_server(tmp_path, config={"server": {"host": bound, "port": 0}}, experts=[ECHO]) as live:
        local = live._replace(host="::1")
        assert status(local, "evil.example") == 403
        assert [status(local, host) for host in ("[::1]", "[2606:4700::1]", "moe")] == [200] * 3


@pytest.mark.parametrize("bound", ["0.0.0.0", "0", "0x0", "0.0", "000.0.0.0", "::", "::0", "0:0:0:0:0:0:0:0",
                                   "192.168.1.5", "2001:db8::1", "nas.example.org"])  # fmt: skip
def test_no_address_but_a_loopback_one_asks_for_private_addresses_and_none_is_open(bound: str) -> None:
    hosts = Hosts(bound, ())
    assert hosts.serve("8.8.8.8") and hosts.serve("moe") and not hosts.serve("evil.example")


@pytest.mark.parametrize("bound", ["127.0.0.1", "127.1", "127.8.9.10", "0x7f.1", "::1", "::ffff:127.0.0.1",
                                   "localhost"])  # fmt: skip
def test_a_loopback_address_in_any_notation_keeps_to_the_private_network(bound: str) -> None:
    hosts = Hosts(bound, ())
    assert hosts.serve("10.0.0.1") and hosts.serve("nas.local") and hosts.serve("localhost")
    assert [host for host in ("8.8.8.8", "moe", "evil.example") if hosts.serve(host)] == []


def test_the_name_listened_on_is_served() -> None:
    hosts = Hosts("NAS.example.org.", ())
    assert hosts.serve("nas.example.org:11435") and not hosts.serve("www.nas.example.org")


NAMES = st.from_regex(r"[a-z0-9-]{1,8}(\.[a-z0-9-]{1,8}){1,3}", fullmatch=True)


@given(NAMES.filter(lambda name: not name[-1].isdigit()))
def test_no_public_name_is_served_whatever_is_put_around_it(name: str) -> None:
    hosts = Hosts(EVERYWHERE, ("*.team.example", "moe.example.org"))
    for host in (f"{name}.evil", f"local.{name}.evil:80", f"team.example.{name}.evil", f"moe.example.org.{name}.evil."):
        assert not hosts.serve(host)


@given(st.text(max_size=60) | st.text(alphabet="[]:.0123456789abcdefx@/-%*\t ", max_size=60))
def test_no_host_breaks_it(host: str) -> None:
    for bound in (EVERYWHERE, "127.0.0.1"):
        assert Hosts(bound, ()).serve(host) in (True, False)


# Names that the config gives

SERVED = (
    "moe.example.org", "MOE.Example.ORG:443", "moe.example.org.", "a.team.example", "A.B.Team.Example.:1",
    "xn--mnchen-3ya.example", "XN--MNCHEN-3YA.EXAMPLE:8443", "8.8.4.4", "[2001:db8::7]",
    "[2001:0DB8:0:0::0007]:443", "moe",
)  # fmt: skip
UNSERVED = (
    "example.org", "www.moe.example.org", "moe.example.org.evil.example", "xmoe.example.org", "team.example",
    "ateam.example", "team.example.evil.example", "mnchen-3ya.example", "m\xfcnchen.example", "*.team.example",
    ".team.example",
)


@pytest.mark.parametrize("host", SERVED)
def test_a_listed_name_is_served_however_it_is_spelt(named: Live, host: str) -> None:
    assert status(named, host) == 200


@pytest.mark.parametrize("host", UNSERVED, ids=ascii)
def test_what_only_looks_like_a_listed_name_is_not(named: Live, host: str) -> None:
    assert_refused(call(named, "GET", "/v1/models", headers={"Host": host}), "/v1", 403)


def test_the_page_of_a_listed_name_may_ask(named: Live) -> None:
    headers = {"Host": "moe.example.org", "Origin": "https://moe.example.org"}
    assert call(named, "GET", "/health", headers=headers).status == 200
    assert call(named, "GET", "/health", headers={**headers, "Origin": "https://evil.example"}).status == 403


def test_names_add_to_the_rule_of_a_loopback_address(tmp_path: Path) -> None:
    with live_server(tmp_path, config={"server": {"port": 0, "hosts": LISTED}}, experts=[ECHO]) as live:
        assert [status(live, host) for host in ("moe.example.org", "x.team.example", "8.8.4.4")] == [200] * 3
        assert [status(live, host) for host in ("evil.example", "8.8.8.8", "moe", "team.example")] == [403] * 4


@pytest.mark.parametrize("bound", [EVERYWHERE, "127.0.0.1"])
def test_a_star_switches_the_check_off_and_a_reload_switches_it_on_again(tmp_path: Path, bound: str) -> None:
    config = {"server": {"host": bound, "port": 0, "hosts": ["*"]}}
    with live_server(tmp_path, config=config, experts=[ECHO]) as live:
        local = live._replace(host="127.0.0.1")
        assert status(local, "evil.example") == 200
        origin = {"Host": "moe.example.org", "Origin": "https://evil.example"}
        assert call(local, "GET", "/health", headers=origin).status == 403
        write_config(tmp_path, config={"server": {"host": bound, "port": 0}}, experts=[ECHO])
        assert live.service.reload()
        assert status(local, "evil.example") == 403


def test_behind_a_proxy_that_names_itself_only_the_address_has_to_fit(tmp_path: Path) -> None:
    """It rewrites Host, as nginx does by default; whom it vouches for is another question."""
    config = {"server": {"host": EVERYWHERE, "port": 0, "trusted_proxies": ["127.0.0.1"]}}
    with live_server(tmp_path, config=config, experts=[ECHO]) as live:
        told = {"X-Forwarded-For": "203.0.113.1", "X-Forwarded-Host": "moe.example.org"}
        headers = {"Host": f"127.0.0.1:{live.port}", **told}
        local = live._replace(host="127.0.0.1")
        assert post(local, "/api/chat", write_prompt("/api/chat", "x"), headers=headers).status == 200
        assert status(local, "moe.example.org") == 403


# This machine's name with its domain

ASK = """
import socket, sys
asked = []
socket.sethostname("box")
sys.addaudithook(lambda event, told: asked.append(told) if event == "socket.gethostbyaddr" else None)
from moe.web.hosts import Hosts
hosts = Hosts("0.0.0.0", ())
print([hosts.serve(host) for host in ("evil.example", "boxer.corp.example", "a.box.corp.example")], len(asked))
print([hosts.serve(host) for host in ("BOX.corp.example.:80", "box.evil.example", "box.corp.example.evil")], len(asked))
print(Hosts("127.0.0.1", ()).serve("box.corp.example"), len(asked))
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare here")
def test_the_domain_of_this_machine_is_asked_for_only_when_it_may_matter(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n192.0.2.5 box.corp.example box\n", encoding="utf-8")
    inside = 'mount --bind "$1" /etc/hosts && exec "$2" -c "$3"'
    words = ["sh", "-c", inside, "sh", str(tmp_path / "hosts"), sys.executable, ASK]
    for way in (["--uts", "--mount"], ["--uts", "--mount", "--map-root-user"]):
        done = subprocess.run(["unshare", *way, *words], cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            assert done.stdout.splitlines() == [
                "[False, False, False] 0", "[True, False, False] 1", "False 1",
            ]  # fmt: skip
            return
    if "Operation not permitted" not in done.stderr and "denied" not in done.stderr:
        raise AssertionError(done.stderr)
    pytest.skip("no name of its own may be given to a process here")


def test_the_environments_names_are_added(tmp_path: Path) -> None:
    config = {"server": {"port": 0, "host": EVERYWHERE, "hosts": ["a.example"]}}
    env = {"MOE_HOSTS": "moe.example.org, *.team.example,"}
    with running_program(tmp_path, config=config, experts=[ECHO], env={**env, "MOE_HOST": "127.0.0.1"}) as program:
        for host, wanted in (("a.example", 200), ("moe.example.org", 200), ("x.team.example", 200), ("b.example", 403)):
            reply = call(program, "GET", "/v1/models", headers={"Host": host})
            assert reply.status == wanted
            assert json.loads(reply.body)
