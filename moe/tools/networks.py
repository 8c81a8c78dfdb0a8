"""Subnets, by arithmetic on their ends: no host is ever listed."""

from __future__ import annotations

import re
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import Annotated, Any

from msgspec import Meta

from ..errors import ToolError
from .base import Language, Outcome, Setting, tool
from .digests import one_line
from .numbers import exact

MOST_SUBNETS = 256
LONGEST = 120
SHOWN_SUBNETS = 8

_PREFIX = re.compile(r"/([0-9]{1,3})")
_SIZE: dict[Language, tuple[str, str, str]] = {
    "en": ("{net}: {hosts} usable {host}, {first} to {last}{rest}", "host", "hosts"),
    "de": ("{net}: {hosts} nutzbare {host}, {first} bis {last}{rest}", "Adresse", "Adressen"),
    "es": ("{net}: {hosts} {host}, de {first} a {last}{rest}", "dirección utilizable", "direcciones utilizables"),
}
_REST: dict[Language, str] = {
    "en": "; network {network}, broadcast {broadcast}, mask {mask}",
    "de": "; Netz {network}, Broadcast {broadcast}, Maske {mask}",
    "es": "; red {network}, difusión {broadcast}, máscara {mask}",
}
_BARE: dict[Language, str] = {
    "en": "A {net} has {hosts} usable {host} ({all}, mask {mask})",
    "de": "Ein {net} hat {hosts} nutzbare {host} ({all} insgesamt, Maske {mask})",
    "es": "Un {net} tiene {hosts} {host} ({all} en total, máscara {mask})",
}
_ALL: dict[Language, tuple[str, str]] = {
    "en": ("1 address", "{} addresses"), "de": ("1 Adresse", "{} Adressen"), "es": ("1", "{}"),
}
_SPLIT: dict[Language, str] = {
    "en": "{net} splits into {n} of /{prefix}: {nets}", "de": "{net} ergibt {n} /{prefix}: {nets}",
    "es": "{net} se divide en {n} /{prefix}: {nets}",
}
_SUBNETS: dict[Language, tuple[str, str]] = {
    "en": ("1 subnet", "{} subnets"), "de": ("1 Subnetz", "{} Subnetze"), "es": ("1 subred", "{} subredes"),
}
_INSIDE: dict[Language, tuple[str, str]] = {
    "en": ("{each} is not in {net}", "{each} is in {net}"),
    "de": ("{each} liegt nicht in {net}", "{each} liegt in {net}"),
    "es": ("{each} no está en {net}", "{each} está en {net}"),
}

Network = IPv4Network | IPv6Network


@tool("networks")
def subnet_calc(
    cidr: str, split_prefix: Annotated[int, Meta(ge=0, le=128)] | None = None, contains: str = "", *, setting: Setting,
) -> Outcome:
    """Works out an IPv4 or IPv6 subnet: network, broadcast, mask, usable hosts and their range; can split it into
    smaller ones or say whether an address lies in it. Example: 10.0.0.5/22 is in 10.0.0.0/22 with 1022 hosts.

    cidr: an address with its prefix or mask, as 192.168.1.0/24, 10.0.0.5/255.255.252.0 or 2001:db8::/48, or a
      prefix alone, as /27
    split_prefix: the prefix of the subnets to split it into
    contains: an address or a subnet, of which is told whether it lies within
    """
    bare = _PREFIX.fullmatch(cidr.strip()[:LONGEST])
    if bare and (split_prefix is not None or contains):
        raise ToolError("a prefix alone has no addresses; give one as in 10.0.0.0/24")
    network, address = _read_bare(int(bare[1])) if bare else _read(cidr)
    result = _describe(network, is_bare=bool(bare))
    if address is not None:
        result["address"] = str(address)
    text = _tell(network, result, setting.language, is_bare=bool(bare))
    if split_prefix is not None:
        result |= _split(network, split_prefix)
        nets = ", ".join(result["subnets"][:SHOWN_SUBNETS])
        nets += ", …" if result["subnet_count"] != len(result["subnets"][:SHOWN_SUBNETS]) else ""
        count = _count(_SUBNETS[setting.language], result["subnet_count"])
        text = _SPLIT[setting.language].format(net=network, n=count, prefix=split_prefix, nets=nets)
    if contains:
        result["contains"] = is_inside = _holds(network, contains)
        said = _INSIDE[setting.language][is_inside].format(each=contains.strip(), net=network)
        text = f"{text}. {said}" if split_prefix is not None else said
    return Outcome(result=result, text=text)


def _read(cidr: str) -> tuple[Network, IPv4Address | IPv6Address]:
    text = re.sub(r"[ \t]+", "/", cidr.strip()) if len(cidr) <= LONGEST else ""
    text = text.replace("///", "/")
    try:
        if "%" in text:
            raise ValueError("a zone")
        found: IPv4Interface | IPv6Interface = ip_interface(text)
    except ValueError as error:
        shown = one_line(cidr[:LONGEST])
        raise ToolError(f"{shown} is no subnet; write it as 192.168.1.0/24 or 2001:db8::/48") from error
    return found.network, found.ip


def _read_bare(prefix: int) -> tuple[Network, None]:
    if prefix > 128:
        raise ToolError(f"/{prefix} is no prefix: 32 is the longest of IPv4, 128 of IPv6")
    return (IPv4Network((0, prefix)) if prefix <= 32 else IPv6Network((0, prefix))), None


def _describe(network: Network, *, is_bare: bool) -> dict[str, Any]:
    version, size = network.version, network.num_addresses
    is_plain = version == 6 or network.prefixlen >= 31
    sizes = {"version": version, "prefix": network.prefixlen, "netmask": str(network.netmask),
             "hosts": exact(size if is_plain else size - 2), "addresses": exact(size)}
    if is_bare:
        return sizes
    edge = 0 if is_plain else 1
    found = {"network": str(network.network_address), "cidr": str(network), **sizes,
             "first_host": str(network[edge]), "last_host": str(network[-1 - edge])}
    if version == 4:
        found |= {"broadcast": str(network.broadcast_address), "wildcard": str(network.hostmask)}
    return found | {"is_private": network.is_private}


def _tell(network: Network, result: dict[str, Any], language: Language, *, is_bare: bool) -> str:
    sentence, one, many = _SIZE[language]
    host = one if result["hosts"] == 1 else many
    if is_bare:
        return _BARE[language].format(net=f"/{network.prefixlen}", hosts=result["hosts"], host=host,
                                      all=_count(_ALL[language], result["addresses"]), mask=result["netmask"])
    rest = _REST[language].format(network=result["network"], broadcast=result["broadcast"],
                                  mask=result["netmask"]) if network.version == 4 else ""
    return sentence.format(net=network, hosts=result["hosts"], host=host, first=result["first_host"],
                           last=result["last_host"], rest=rest)


def _count(names: tuple[str, str], count: int | str) -> str:
    return names[count != 1].format(count)


def _split(network: Network, prefix: int) -> dict[str, Any]:
    """The first of them, and how many there are."""
    if not network.prefixlen <= prefix <= network.max_prefixlen:
        raise ToolError(f"{network} splits into prefixes from {network.prefixlen} to {network.max_prefixlen}")
    count: int = 2 ** (prefix - network.prefixlen)
    step: int = 2 ** (network.max_prefixlen - prefix)
    start = int(network.network_address)
    make = IPv4Network if network.version == 4 else IPv6Network
    subnets = [str(make((start + number * step, prefix))) for number in range(min(count, MOST_SUBNETS))]
    return {"subnet_count": exact(count), "subnets": subnets}


def _holds(network: Network, other: str) -> bool:
    text = other.strip() if len(other) <= LONGEST else ""
    try:
        if "%" in text:
            raise ValueError("a zone")
        within = ip_network(text, strict=False) if "/" in text else ip_network(ip_address(text))
    except ValueError as error:
        raise ToolError(f"{one_line(other[:LONGEST])} is neither an address nor a subnet") from error
    if within.version != network.version:
        raise ToolError(f"{network} and {text} are of different versions of IP")
    return within.prefixlen >= network.prefixlen and within.network_address in network
