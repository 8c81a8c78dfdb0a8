"""Questions about subnets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network

from ..base import Language
from .question import Asked, Finder, Question, Reader

_V4 = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
_V6 = r"[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}"
_IP = rf"(?:{_V4}|{_V6})"
_CIDR = rf"(?P<cidr>{_IP} ?/ ?(?:[0-9]{{1,3}}|{_V4}))"
_NET = rf"(?P<cidr>(?:{_IP})? ?/ ?[0-9]{{1,3}})"
_KIND = (r"(?:an? |the |einem |einer |ein |eine |dem |der |das |im |in der |una? |la |el |los |las )?(?:ipv[46][ -])?"
         r"(?:subnet |network |netz |netzwerk |subnetz |subred |red |range |block |cidr )?")
_AFTER = r"(?: (?:subnet|network|netz|netzwerk|subnetz|block|cidr|range))?"
_HOSTS = (r"(?:(?:usable |available |valid |nutzbare |verfügbare |gültige )?(?:ip[ -]?|host[ -]?)?"
          r"(?:hosts?|ips|addresses|adressen|direcciones(?: ip)?|ip)"
          r"(?: (?:utilizables|disponibles|válid[ao]s|usables))?)")


def _compile(patterns: Iterable[tuple[Language, str]]) -> tuple[tuple[Language, re.Pattern[str]], ...]:
    return tuple((language, re.compile(pattern)) for language, pattern in patterns)


_PATTERNS = _compile((
    ("en", rf"how many {_HOSTS} (?:are (?:there )?(?:in|on)|in|fit in(?:to)?|does|can|has|are available in|"
           rf"can i have in) "
           rf"{_KIND}{_NET}{_AFTER}(?: have| has| hold| contain| provide| support| allow| give)?"),
    ("en", rf"(?:what(?:'s|’s| is| are) )?(?:the )?(?:number of {_HOSTS}|(?:subnet ?|net ?|network )mask) (?:in|"
           rf"of|for) "
           rf"{_KIND}{_NET}{_AFTER}"),
    ("en", rf"(?:what(?:'s|’s| is| are) )?(?:the )?(?:broadcast(?: address| ip)?|network(?: address| id)?|"
           rf"wildcard mask|"
           rf"first and last(?: usable| host)? (?:ips?|addresses|hosts?|ip addresses)|"
           rf"(?:first|last)(?: usable)? (?:ip|address|host|ip address)|(?:usable )?(?:ip|host|address) range) "
           rf"(?:in|of|for) {_KIND}{_CIDR}{_AFTER}"),
    ("en", rf"(?:calculate |compute |show )?(?:the )?subnet(?: calc(?:ulator)?| details| info)?(?: (?:of|"
           rf"for))? {_CIDR}"),
    ("de", rf"wie ?viele {_HOSTS} (?:hat|gibt es in|sind in|passen in|gibt es|enthält|umfasst|bietet|liegen in) "
           rf"{_KIND}{_NET}(?:er)?(?:[ -](?:netz|netzwerk|subnetz))?"),
    ("de", rf"(?:was ist |wie lautet |wie ist |nenne |was sind |wie lauten )?(?:die |"
           rf"der )?(?:broadcast(?:-?adresse)?|"
           rf"netz(?:werk)?adresse|erste und (?:die )?letzte (?:nutzbare )?(?:ip|adresse|ip-adresse)|"
           rf"(?:erste|letzte) (?:nutzbare )?(?:ip|adresse|ip-adresse)|adressbereich|ip-bereich) "
           rf"(?:von|in|für|des|vom) {_KIND}{_CIDR}"),
    ("de", rf"(?:was ist |wie lautet |wie ist )?(?:die )?(?:subnetz|netz|netzwerk)maske (?:von|für|"
           rf"zu) {_KIND}{_NET}"),
    ("es", rf"(?:cuánt[ao]s|cuant[ao]s) {_HOSTS} (?:hay en|tiene|caben en|contiene|en|admite|"
           rf"permite) {_KIND}{_NET}"),
    ("es", rf"(?:cuál es |cual es |cuáles son )?(?:la |el )?(?:dirección de (?:broadcast|difusión|red)|broadcast|"
           rf"primera y (?:la )?última (?:ip|dirección)(?: utilizable)?|(?:primera|última) (?:ip|"
           rf"dirección)(?: utilizable)?|"
           rf"rango de (?:ips?|direcciones)) (?:de|en|para) {_KIND}{_CIDR}"),
    ("es", rf"(?:cuál es |cual es )?(?:la )?máscara(?: de (?:sub)?red)? (?:de|para) {_KIND}{_NET}"),
))
_OTHER = rf"(?P<other>{_IP}(?:/[0-9]{{1,3}})?)"
_INSIDE = _compile((
    ("en", rf"(?:is|does) (?:the )?(?:ip |address |ip address )?{_OTHER} (?:in|within|inside|part of|belong to|"
           rf"a part of|"
           rf"contained in|lie in|fall in) {_KIND}{_CIDR}{_AFTER}"),
    ("en", rf"does {_KIND}{_CIDR} (?:contain|include) {_OTHER}"),
    ("de", rf"(?:ist|liegt|gehört|befindet sich) (?:die )?(?:ip |adresse |ip-adresse )?{_OTHER} "
           rf"(?:in|im|teil von|zu|zum|innerhalb von) {_KIND}{_CIDR}(?: enthalten)?"),
    ("de", rf"enthält {_KIND}{_CIDR} {_KIND}{_OTHER}"),
    ("es", rf"(?:está|esta|pertenece|se encuentra) (?:la )?(?:ip |dirección |dirección ip )?{_OTHER} "
           rf"(?:en|a|dentro de) {_KIND}{_CIDR}"),
    ("es", rf"contiene {_KIND}{_CIDR} (?:a )?{_KIND}{_OTHER}"),
))
_SPLITS = _compile((
    ("en", rf"(?:split|divide|subnet|break) (?:up )?{_KIND}{_CIDR} (?:into|in|"
           rf"to) (?:(?P<count>[0-9]{{1,6}}) (?:equal )?"
           rf"(?:subnets|networks|parts)|(?:subnets of )?/(?P<prefix>[0-9]{{1,3}})(?:s| subnets| networks)?)"),
    ("de", rf"(?:teile|zerlege|unterteile) {_KIND}{_CIDR} in (?:(?P<count>[0-9]{{1,6}}) (?:gleiche |gleich große )?"
           rf"(?:subnetze|netze|teile)|/(?P<prefix>[0-9]{{1,3}})(?:er)?(?:[ -](?:netze|subnetze))?)(?: auf)?"),
    ("es", rf"(?:divide|separa|parte) {_KIND}{_CIDR} en (?:(?P<count>[0-9]{{1,6}}) (?:subredes|redes|partes)"
           rf"(?: iguales)?|(?:(?:subredes|redes) (?:de )?)?/(?P<prefix>[0-9]{{1,3}}))"),
))
_FOUND = re.compile(rf"(?<![\w./:]){_V4}/(?:3[0-2]|[12]?[0-9])(?![\w/]|\.[0-9])")


def read_subnet(question: Question) -> Asked | None:
    for language, pattern in _PATTERNS:
        found = pattern.fullmatch(question.folded)
        if found:
            return Asked("subnet_calc", {"cidr": _plain(found["cidr"])}, language)
    return None


def read_inside(question: Question) -> Asked | None:
    for language, pattern in _INSIDE:
        found = pattern.fullmatch(question.folded)
        if found:
            return Asked("subnet_calc", {"cidr": _plain(found["cidr"]), "contains": found["other"]}, language)
    return None


def read_split(question: Question) -> Asked | None:
    for language, pattern in _SPLITS:
        found = pattern.fullmatch(question.folded)
        if found:
            cidr = _plain(found["cidr"])
            prefix = int(found["prefix"]) if found["prefix"] else _prefix_for(cidr, int(found["count"]))
            return None if prefix is None else Asked("subnet_calc", {"cidr": cidr, "split_prefix": prefix}, language)
    return None


def _plain(cidr: str) -> str:
    return cidr.replace(" ", "")


def _prefix_for(cidr: str, count: int) -> int | None:
    """None unless so many subnets of one size fill it."""
    try:
        network = ip_network(cidr, strict=False)
    except ValueError:
        return None
    bits = count.bit_length() - 1
    return network.prefixlen + bits if count == 2**bits and network.prefixlen + bits <= network.max_prefixlen else None


def find_subnets(text: str) -> Iterator[tuple[str, Asked]]:
    for found in _FOUND.finditer(text):
        yield found[0], Asked("subnet_calc", {"cidr": found[0]})


_SLASH = re.compile(r"/ ?[0-9]")
READERS: tuple[Reader, ...] = (
    Reader(_SLASH, read_subnet), Reader(_SLASH, read_inside), Reader(_SLASH, read_split),
)
FINDERS: tuple[Finder, ...] = (Finder(re.compile(r"[0-9]/[0-9]"), find_subnets),)
CUES: Mapping[str, re.Pattern[str]] = {
    "subnet_calc": re.compile(r"\bsubnets?\b|\bsubnetze?\b|\bsubred(?:es)?\b|\bcidr\b|\bnetmask\b|netzmaske|"
                              r"[0-9]\.[0-9]{1,3}/[0-9]|::/[0-9]"),
}
