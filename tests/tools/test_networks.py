"""Subnets of any size, in no time."""

from __future__ import annotations

import contextlib
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.errors import BadArguments, ToolError
from moe.tools.base import Setting
from moe.tools.networks import MOST_SUBNETS, subnet_calc


@pytest.mark.parametrize(("cidr", "found"), [
    ("192.168.1.0/24", {"broadcast": "192.168.1.255", "netmask": "255.255.255.0", "hosts": 254,
                        "first_host": "192.168.1.1", "last_host": "192.168.1.254", "wildcard": "0.0.0.255"}),
    ("10.0.0.5/22", {"cidr": "10.0.0.0/22", "broadcast": "10.0.3.255", "hosts": 1022, "address": "10.0.0.5"}),
    ("172.20.128.0/19", {"hosts": 8190}),
    ("10.42.155.160/27", {"hosts": 30}),
    ("10.0.0.0/31", {"hosts": 2, "first_host": "10.0.0.0", "last_host": "10.0.0.1"}),
    ("10.0.0.1/32", {"hosts": 1, "first_host": "10.0.0.1"}),
    ("10.0.0.5 255.255.252.0", {"cidr": "10.0.0.0/22"}),
    ("10.0.0.5 / 22", {"cidr": "10.0.0.0/22"}),
    ("/27", {"hosts": 30, "addresses": 32, "netmask": "255.255.255.224"}),
    ("0.0.0.0/0", {"hosts": 4294967294, "broadcast": "255.255.255.255"}),
])
def test_an_ipv4_subnet(cidr: str, found: dict[str, Any]) -> None:
    result = subnet_calc(cidr).result
    assert {name: result[name] for name in found} == found


def test_bug_all_hosts_were_listed() -> None:
    eight = subnet_calc("10.0.0.0/8").result
    assert (eight["first_host"], eight["last_host"], eight["hosts"]) == ("10.0.0.1", "10.255.255.254", 16777214)
    six = subnet_calc("2001:db8::/64").result
    assert six["hosts"] == "18446744073709551616"
    assert six["last_host"] == "2001:db8::ffff:ffff:ffff:ffff"
    assert subnet_calc("::/0").result["addresses"] == str(2**128)
    assert "broadcast" not in six


def test_it_is_split_into_smaller_ones() -> None:
    found = subnet_calc("192.168.0.0/24", 26)
    assert found.result["subnets"] == [f"192.168.0.{start}/26" for start in (0, 64, 128, 192)]
    assert found.text == ("192.168.0.0/24 splits into 4 subnets of /26: 192.168.0.0/26, 192.168.0.64/26, "
                          "192.168.0.128/26, 192.168.0.192/26")
    many = subnet_calc("::/0", 128).result
    assert many["subnet_count"] == str(2**128) and len(many["subnets"]) == MOST_SUBNETS


@pytest.mark.parametrize(("cidr", "other", "is_inside"), [
    ("10.0.0.0/24", "10.0.0.5", True), ("10.0.0.0/24", "10.0.1.5", False), ("10.0.0.0/8", "10.3.0.0/16", True),
    ("10.3.0.0/16", "10.0.0.0/8", False), ("2001:db8::/32", "2001:db8:ffff::1", True),
])
def test_what_it_contains(cidr: str, other: str, is_inside: bool) -> None:
    assert subnet_calc(cidr, contains=other).result["contains"] is is_inside


@pytest.mark.parametrize(("language", "text"), [
    ("en", "10.0.0.5 is in 10.0.0.0/24"), ("de", "10.0.0.5 liegt in 10.0.0.0/24"),
    ("es", "10.0.0.5 está en 10.0.0.0/24"),
])
def test_the_line_is_in_the_language(language: str, text: str) -> None:
    found = subnet_calc("10.0.0.0/24", contains="10.0.0.5", setting=Setting(language=language))  # type: ignore[arg-type]
    assert found.text == text


@pytest.mark.parametrize("arguments", [
    {"cidr": ""}, {"cidr": "300.1.1.1/24"}, {"cidr": "10.0.0.0/33"}, {"cidr": "::/129"}, {"cidr": "/129"},
    {"cidr": "١٠.0.0.0/8"}, {"cidr": "x" * 1_000_000}, {"cidr": "10.0.0.0/24/24"}, {"cidr": "fe80::1%eth0/64"},
    {"cidr": "/24", "split_prefix": 26}, {"cidr": "10.0.0.0/24", "split_prefix": 8},
    {"cidr": "10.0.0.0/24", "split_prefix": 33}, {"cidr": "10.0.0.0/24", "contains": "::1"},
    {"cidr": "10.0.0.0/24", "contains": "hello"}, {"cidr": "10.0.0.0/24", "contains": "9" * 100_000},
])
def test_what_is_no_subnet_is_told(arguments: dict[str, Any]) -> None:
    with pytest.raises(ToolError):
        subnet_calc(**arguments)


def test_a_prefix_is_bounded_by_the_schema() -> None:
    with pytest.raises(BadArguments):
        subnet_calc.call({"cidr": "::/0", "split_prefix": 129}, Setting())


@given(st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_an_address_lies_in_its_own_network(number: int, prefix: int) -> None:
    address = ip_address(number)
    found = subnet_calc(f"{address}/{prefix}", contains=str(address)).result
    assert found["contains"] and found["addresses"] == 2 ** (32 - prefix)
    assert ip_address(found["network"]) <= ip_address(found["first_host"]) <= ip_address(found["last_host"])


@given(st.integers(0, 2**128 - 1), st.integers(0, 120), st.integers(0, 8))
def test_subnets_fill_the_network(number: int, prefix: int, more: int) -> None:
    network = ip_network((ip_address(number).compressed if number > 2**32 else f"::{number & 0xffff:x}", prefix), False)
    subnets = subnet_calc(str(network), prefix + more).result["subnets"]
    assert subnets == [str(each) for each in network.subnets(new_prefix=prefix + more)]


@given(st.text(max_size=40), st.text(max_size=20))
def test_nothing_but_a_tool_error_escapes(cidr: str, other: str) -> None:
    with contextlib.suppress(ToolError):
        assert subnet_calc(cidr, contains=other).text.isprintable()


@pytest.mark.parametrize(("language", "line"), [
    ("en", "A /32 has 1 usable host (1 address, mask 255.255.255.255)"),
    ("de", "Ein /32 hat 1 nutzbare Adresse (1 Adresse insgesamt, Maske 255.255.255.255)"),
    ("es", "Un /32 tiene 1 dirección utilizable (1 en total, máscara 255.255.255.255)"),
])
def test_one_address_is_no_plural(language: str, line: str) -> None:
    assert subnet_calc("/32", setting=Setting(language=language)).text == line  # type: ignore[arg-type]


@pytest.mark.parametrize(("language", "line"), [
    ("en", "10.0.0.0/24 splits into 1 subnet of /24: 10.0.0.0/24"),
    ("de", "10.0.0.0/24 ergibt 1 Subnetz /24: 10.0.0.0/24"),
    ("es", "10.0.0.0/24 se divide en 1 subred /24: 10.0.0.0/24"),
])
def test_one_subnet_is_no_plural(language: str, line: str) -> None:
    assert subnet_calc("10.0.0.0/24", 24, setting=Setting(language=language)).text == line  # type: ignore[arg-type]
