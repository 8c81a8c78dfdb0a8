"""Upstream addresses: every spelling of what must not be reached, and everything else let through."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moe import net
from moe.errors import Unreachable

METADATA = ("169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
REFUSED_V4 = st.one_of(
    st.sampled_from(METADATA),
    st.integers(0, 0xFFFF).map(lambda low: str(ipaddress.IPv4Address(0xA9FE0000 | low))),  # 169.254.0.0/16
    st.integers(0, 0x0FFFFFFF).map(lambda low: str(ipaddress.IPv4Address(0xE0000000 | low))),  # 224.0.0.0/4
)
FINE_V4 = st.one_of(
    st.integers(0, 0xFFFFFF).map(lambda low: str(ipaddress.IPv4Address(0x0A000000 | low))),  # 10.0.0.0/8
    st.integers(0, 0xFFFF).map(lambda low: str(ipaddress.IPv4Address(0xC0A80000 | low))),  # 192.168.0.0/16
    st.sampled_from(("127.0.0.1", "1.1.1.1", "8.8.8.8", "100.64.0.1", "169.253.255.255", "169.255.0.0")),
)
PART = (str, hex, lambda part: f"0{part:o}")


@st.composite
def spellings_v4(draw: st.DrawFn, addresses: st.SearchStrategy[str]) -> str:
    """An IPv4 address as some resolver would still read it: any base in each part, the last parts run together."""
    value = int(ipaddress.IPv4Address(draw(addresses)))
    count = draw(st.integers(1, 4))
    parts = [value >> 8 * (3 - i) & 0xFF for i in range(count - 1)]
    parts.append(value & (1 << 8 * (5 - count)) - 1)
    text = ".".join(draw(st.sampled_from(PART))(part) for part in parts)
    return draw(st.sampled_from((text, text.upper().replace("0X", "0x"), text + ".")))


@st.composite
def hidden_in_v6(draw: st.DrawFn, addresses: st.SearchStrategy[str]) -> str:
    """An IPv6 address that carries an IPv4 address: mapped, compatible, NAT64, 6to4, Teredo."""
    low = int(ipaddress.IPv4Address(draw(addresses)))
    value = draw(st.sampled_from((
        0xFFFF << 32 | low,
        low,
        0x0064FF9B << 96 | low,
        0x2002 << 112 | low << 80 | 1,
        0x20010000 << 96 | low ^ 0xFFFFFFFF,
    )))
    address = ipaddress.IPv6Address(value)
    return draw(st.sampled_from((address.compressed, address.exploded, address.exploded.upper())))


def in_url(host: str) -> str:
    return f"http://[{host}]:11434" if ":" in host else f"http://{host}:11434/v1"


@given(host=st.one_of(spellings_v4(REFUSED_V4), hidden_in_v6(REFUSED_V4)))
@example(host="169.254.169.254")
@example(host="2852039166")
@example(host="0xA9FEA9FE")
@example(host="0251.0376.0251.0376")
@example(host="169.0xfea9fe")
@example(host="::ffff:169.254.169.254")
@example(host="fe80::1")
@example(host="fe80::1%1")
@example(host="fd00:ec2::254")
@example(host="ff02::1")
def test_metadata_link_local_and_multicast_are_refused_in_every_spelling(host: str) -> None:
    assert net.check_url(in_url(host)) != ""
    address = net.parse_address(host)
    assert address is not None
    assert net.refusal(address) != ""


@given(host=spellings_v4(FINE_V4))
def test_private_local_and_public_addresses_are_let_through_in_every_spelling(host: str) -> None:
    assert net.check_url(in_url(host)) == ""


@given(host=spellings_v4(st.ip_addresses(v=4).map(str)))
def test_a_spelling_means_to_us_what_it_means_to_the_resolver(host: str) -> None:
    found = socket.getaddrinfo(host.rstrip("."), 80, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    assert str(net.parse_address(host)) == found[0][4][0]


@given(text=st.text(max_size=60))
@example(text="http://[::1")
@example(text="http://a:99999")
@example(text="http://\u2100.example")
@example(text="http://a\x00b/")
def test_no_text_is_too_odd_to_be_judged(text: str) -> None:
    assert isinstance(net.check_url(text), str)
    net.parse_address(text)
    net.is_private(text)
    net.is_loopback(text)


@pytest.mark.parametrize("name", ["metadata", "METADATA.google.internal", "metadata.google.internal.", "instance-data"])
def test_metadata_host_names_are_refused_before_they_are_resolved(name: str) -> None:
    assert "metadata" in net.check_url(f"http://{name}/latest")
    with pytest.raises(Unreachable) as refused:
        net.check_resolved(name, 80)
    assert refused.value.reason == "address refused"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.com", "must begin with http"),
        ("file:///etc/passwd", "must begin with http"),
        ("example.com:11434", "must begin with http"),
        ("", "must begin with http"),
        ("http://", "names no valid host"),
        ("http://:11434", "names no valid host"),
        ("http://exa mple.com", "names no valid host"),
        ("http://example.com:0", "names no valid host"),
        ("http://１６９.254.169.254", "names no valid host"),
        ("http://good.example\\@169.254.169.254/", "must not carry a user name"),
        ("http://user:secret@example.com", "must not carry a user name"),
        ("http://example.com/v1?key=secret", "must not carry a query"),
        ("http://example.com/#x", "must not carry a query"),
        ("http://example.com/ü", "plain ASCII"),
        ("http://example.com/a b", "plain ASCII"),
        ("http://example.com:port", "is not a URL"),
        ("http://example.com:65536", "is not a URL"),
    ],
)
def test_what_is_no_plain_http_address_is_refused_with_its_reason(url: str, why: str) -> None:
    assert why in net.check_url(url)


def test_a_refused_url_does_not_tell_its_password() -> None:
    assert "hunter2" not in net.check_url("http://ann:hunter2@example.com")


@pytest.mark.parametrize(
    "url",
    ["http://localhost:11434", "https://api.example.com/v1/", "http://[::1]:11434", "http://gpu_box:11434", "http://a.b."],
)
def test_plain_addresses_pass(url: str) -> None:
    assert net.check_url(url) == ""


@pytest.mark.parametrize(
    ("host", "is_loopback", "is_private"),
    [
        ("localhost", True, True),
        ("LOCALHOST.", True, True),
        ("web.localhost.", True, True),
        ("127.9.9.9", True, True),
        ("0x7f000001", True, True),
        ("::1", True, True),
        ("[::1]", True, True),
        ("::ffff:127.0.0.1", True, True),
        ("0.0.0.0", True, True),
        ("192.168.1.5", False, True),
        ("gpu", False, True),
        ("gpu.lan", False, True),
        ("nas.local.", False, True),
        ("example.com", False, False),
        ("8.8.8.8", False, False),
        ("localhost.example.com", False, False),
        ("127.0.0.1.example.com", False, False),
    ],
)
def test_the_spelling_tells_who_is_near(host: str, *, is_loopback: bool, is_private: bool) -> None:
    assert net.is_loopback(host) is is_loopback
    assert net.is_private(host) is is_private


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), (socket.gethostname(), True), ("203.0.113.7", False),
     ("2001:db8::1", False), ("example.com", False)],
)
def test_this_machine_knows_its_own_addresses(host: str, *, is_ours: bool) -> None:
    assert net.is_own(host) is is_ours


@pytest.mark.parametrize(
    ("named", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("  ", "http://127.0.0.1:11434"),
        ("gpu", "http://gpu:11434"),
        ("gpu:8080", "http://gpu:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("::", "http://127.0.0.1:11434"),
        ("[::]:8080", "http://127.0.0.1:8080"),
        ("::1", "http://[::1]:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("fd00::5", "http://[fd00::5]:11434"),
        ("http://gpu", "http://gpu:80"),
        ("http://gpu:8080/", "http://gpu:8080"),
        ("HTTPS://gpu", "https://gpu:443"),
        ("https://gpu/ollama/", "https://gpu:443/ollama"),
        ("gpu:8080/ollama", "http://gpu:8080/ollama"),
        ("'gpu:8080'", "http://gpu:8080"),
        ('"gpu"', "http://gpu:11434"),
        (" gpu ", "http://gpu:11434"),
        ("http://0.0.0.0:8080", "http://127.0.0.1:8080"),
    ],
)
def test_every_form_of_ollama_host_becomes_a_url(named: str, url: str) -> None:
    assert net.spell_url(named) == url
    assert net.check_url(url) == ""


@given(port=st.integers(1, 65535), host=st.sampled_from(("gpu", "10.0.0.5", "[fd00::5]", "a.example")))
def test_a_spelled_url_is_spelled_the_same_again(host: str, port: int) -> None:
    url = net.spell_url(f"{host}:{port}")
    assert net.spell_url(url) == url == f"http://{host}:{port}"


def test_a_connection_is_made_to_what_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with net.connect("127.0.0.1", port, timeout_s=5) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)


def test_the_next_address_of_a_name_is_tried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with net.connect("localhost", port, timeout_s=5) as sock:  # ::1 comes first where there is IPv6
            assert sock.getpeername()[1] == port


def test_a_port_that_nobody_serves_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port} does not accept connections"):
        net.connect("127.0.0.1", port, timeout_s=5)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 300, "a..b", "exa\x00mple"])
def test_a_name_that_does_not_resolve_is_unreachable(host: str) -> None:
    with pytest.raises(Unreachable):
        net.connect(host, 80, timeout_s=5)


@pytest.mark.parametrize("host", ["169.254.169.254", "0xa9fea9fe", "fe80::1", "::ffff:169.254.169.254", "224.0.0.1"])
def test_a_refused_address_is_not_connected_to(host: str) -> None:
    with pytest.raises(Unreachable) as refused:
        net.connect(host, 80, timeout_s=5)
    assert refused.value.reason == "address refused"


@pytest.mark.parametrize("text", [
    "127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "100.64.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:10.0.0.1",
    "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1", "100.100.100.200", "168.63.129.16",
])
def test_nothing_but_the_open_internet_is_outside(text: str) -> None:
    assert net.outside_refusal(ipaddress.ip_address(text)) != ""


@pytest.mark.parametrize("text", ["8.8.8.8", "2606:4700:4700::1111"])
def test_the_open_internet_is_outside(text: str) -> None:
    assert net.outside_refusal(ipaddress.ip_address(text)) == ""


def test_a_stricter_judge_is_heard_before_anything_is_connected() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(Unreachable, match="no address of the open internet"):
            net.connect("127.0.0.1", port, timeout_s=1, judge=net.outside_refusal)
        listener.settimeout(0.1)
        with pytest.raises(TimeoutError):
            listener.accept()
