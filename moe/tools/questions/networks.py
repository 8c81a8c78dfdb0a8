"""Questions about subnets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network

from ..base import Language
from .question import Asked, Finder, Question, Reader
from .spelling import Phrase

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


def _compile(patterns: Iterable[tuple[Language, str]]) -> tuple[tuple[Language, Phrase], ...]:
    return tuple((language, Phrase(pattern)) for language, pattern in patterns)


# What a prefix alone tells, and what only an address with it.
_SIZE: Mapping[Language, str] = {
    "en": rf"(?:number of {_HOSTS}|(?:subnet ?|net ?|network )?mask|{_HOSTS})",
    "de": rf"(?:(?:subnetz|netz|netzwerk)-?maske|(?:(?:anzahl|zahl) (?:der )?)?{_HOSTS})",
    "es": rf"(?:máscara(?: de (?:sub)?red)?|(?:(?:número|cantidad) de )?{_HOSTS})",
}
_PLACE: Mapping[Language, str] = {
    "en": r"(?:broadcast(?: address| ip)?|network(?: address| id)?|wildcard(?: mask)?|"
          r"first and last(?: usable| available| valid| host)? (?:ips?|addresses|hosts?|ip addresses)|"
          r"(?:first|last)(?: usable| available| valid)? (?:ip|address|host|ip address)|"
          r"(?:(?:usable|valid|available) )?(?:ip|host|address|ip address) range|"
          r"range of (?:(?:usable|valid|available) )?(?:ips|hosts|addresses|ip addresses))",
    "de": r"(?:broadcast(?:-?adresse)?|netz(?:werk)?-?adresse|wildcard(?:-?maske)?|"
          r"(?:erste und (?:die )?letzte|erste|letzte)(?: nutzbaren?| verfügbaren?| gültigen?)? "
          r"(?:ips?|adressen?|ip-adressen?|hosts?|host-?adressen?)|"
          r"(?:(?:nutzbarer?|verfügbarer?|gültiger?) )?(?:ip-?)?(?:adress|host)?-?bereich)",
    "es": r"(?:(?:dirección|ip) de (?:broadcast|difusión|red)|broadcast|(?:máscara )?wildcard|"
          r"(?:primera y (?:la )?última|primera|última) (?:ip|dirección|dirección ip)(?: utilizable| disponible| "
          r"válida)?|"
          r"rango de (?:ips?|direcciones(?: ip)?|hosts)(?: utilizables?| disponibles?| válid[ao]s?)?)",
}
_GET: Mapping[Language, str] = {
    "en": r"(?:(?:what(?:'s|’s|s| is| are)|find|calculate|compute|show|get)(?: me)? )?(?:the )?",
    "de": r"(?:(?:was ist|was sind|wie lautet|wie lauten|wie ist|nenne|zeige?|bestimme|berechne)(?: mir)?(?: bitte)? )?"
          r"(?:die |der |den )?",
    "es": r"(?:(?:cuál es|cuáles son|calcula|calcular|dame|muestra|obtén) )?(?:la |el |las |los )?",
}
_OF: Mapping[Language, str] = {
    "en": "(?:in|of|for)", "de": "(?:von|in|für|des|vom|zu|der|bei)", "es": "(?:de|del|en|para)"}
_PATTERNS = _compile((
    *((language, rf"{_GET[language]}{_SIZE[language]} {_OF[language]} {_KIND}{_NET}{_AFTER}") for language in _SIZE),
    *((language, rf"{_GET[language]}{_PLACE[language]} {_OF[language]} {_KIND}{_CIDR}{_AFTER}") for language in _PLACE),
    *((language, rf"{_KIND}{_NET}{_AFTER},? {_SIZE[language]}") for language in _SIZE),
    *((language, rf"{_KIND}{_CIDR}{_AFTER},? {_PLACE[language]}") for language in _PLACE),
    ("en", rf"how many {_HOSTS} (?:are (?:there )?(?:in|on)|in|fit in(?:to)?|does|can|has|are available in|"
           rf"can i have in) {_KIND}{_NET}{_AFTER}(?: have| has| hold| contain| provide| support| allow| give)?"),
    ("en", rf"what {_PLACE['en']} does {_KIND}{_CIDR}{_AFTER} have"),
    ("en", r"(?:calculate |compute |show )?(?:the )?subnet(?: calc(?:ulator)?| details| info)?(?: (?:of|"
           rf"for))? {_CIDR}"),
    ("de", rf"wie ?viele {_HOSTS} (?:hat|gibt es in|sind in|passen in|gibt es|enthält|umfasst|bietet|liegen in) "
           rf"{_KIND}{_NET}(?:er)?(?:[ -](?:netz|netzwerk|subnetz))?"),
    ("de", rf"welche[rs]? (?:{_PLACE['de']}|{_SIZE['de']}) (?:hat|gehört zu|gehören zu) {_KIND}{_CIDR}{_AFTER}"),
    ("de", rf"welche {_SIZE['de']} (?:hat|gehört zu) {_KIND}{_NET}(?:er)?(?:[ -](?:netz|netzwerk|subnetz))?"),
    ("es", rf"cuánt[ao]s {_HOSTS} (?:hay en|tiene|caben en|contiene|en|admite|permite) {_KIND}{_NET}"),
    ("es", rf"qué (?:{_PLACE['es']}|{_SIZE['es']}) (?:tiene|corresponde a|le corresponde a) {_KIND}{_CIDR}"),
    ("es", rf"qué {_SIZE['es']} (?:tiene|corresponde a|le corresponde a) {_KIND}{_NET}"),
))
_OTHER = rf"(?P<other>{_IP}(?:/[0-9]{{1,3}})?)"
_INSIDE = _compile((
    ("en", rf"(?:is|does) (?:the )?(?:ip |address |ip address )?{_OTHER} (?:in|within|inside|part of|belong to|"
           r"a part of|"
           rf"contained in|lie in|fall in) {_KIND}{_CIDR}{_AFTER}"),
    ("en", rf"does {_KIND}{_CIDR} (?:contain|include) {_OTHER}"),
    ("de", rf"(?:ist|liegt|gehört|befindet sich) (?:die )?(?:ip |adresse |ip-adresse )?{_OTHER} "
           rf"(?:in|im|teil von|zu|zum|innerhalb von) {_KIND}{_CIDR}(?: enthalten)?"),
    ("de", rf"enthält {_KIND}{_CIDR} {_KIND}{_OTHER}"),
    ("es", rf"(?:está|pertenece|se encuentra) (?:la )?(?:ip |dirección |dirección ip )?{_OTHER} "
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
    "subnet_calc": re.compile(r"(?=[0-9scn:])(?:subnet|subred|cidr\b|netmask|netzmaske|[0-9]\.[0-9]{1,3}/[0-9]|"
                              r"::/[0-9])"),
}
