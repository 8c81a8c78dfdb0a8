"""Time zones by their IANA names, cities, countries of one zone, abbreviations that mean one thing, and offsets."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from msgspec import Struct

from ...errors import ToolError
from .reading import shorten

LONGEST_NAME = 60

_AREAS = ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
_OFFSET = re.compile(r"(?:utc|gmt)? ?([+\-−])([0-9]{1,2})(?::?([0-9]{2}))?")
# Hours from UTC, and the place whose clocks show it.
_ABBREVIATIONS: Mapping[str, tuple[float, str]] = {
    "utc": (0, "UTC"), "gmt": (0, "UTC"), "z": (0, "UTC"),
    "wet": (0, "Europe/Lisbon"), "west": (1, "Europe/Lisbon"), "cet": (1, "Europe/Berlin"),
    "cest": (2, "Europe/Berlin"), "mez": (1, "Europe/Berlin"), "mesz": (2, "Europe/Berlin"),
    "eet": (2, "Europe/Athens"), "eest": (3, "Europe/Athens"), "msk": (3, "Europe/Moscow"),
    "est": (-5, "America/New_York"), "edt": (-4, "America/New_York"), "cdt": (-5, "America/Chicago"),
    "mst": (-7, "America/Denver"), "mdt": (-6, "America/Denver"), "pst": (-8, "America/Los_Angeles"),
    "pdt": (-7, "America/Los_Angeles"), "akst": (-9, "America/Anchorage"), "akdt": (-8, "America/Anchorage"),
    "hst": (-10, "Pacific/Honolulu"), "jst": (9, "Asia/Tokyo"), "kst": (9, "Asia/Seoul"),
    "hkt": (8, "Asia/Hong_Kong"), "sgt": (8, "Asia/Singapore"), "aest": (10, "Australia/Sydney"),
    "aedt": (11, "Australia/Sydney"), "acst": (9.5, "Australia/Adelaide"), "acdt": (10.5, "Australia/Adelaide"),
    "awst": (8, "Australia/Perth"), "nzst": (12, "Pacific/Auckland"), "nzdt": (13, "Pacific/Auckland"),
}
_AMBIGUOUS: Mapping[str, str] = {
    "cst": "America/Chicago or Asia/Shanghai", "ist": "Asia/Kolkata, Asia/Jerusalem or Europe/Dublin",
    "bst": "Europe/London or Asia/Dhaka", "ast": "America/Halifax or Asia/Riyadh",
    "cordoba": "America/Argentina/Cordoba or Europe/Madrid", "merida": "America/Merida or Europe/Madrid",
    "portland": "America/Los_Angeles or America/New_York",
    "san juan": "America/Puerto_Rico or America/Argentina/San_Juan",
    "birmingham": "Europe/London or America/Chicago", "san jose": "America/Los_Angeles or America/Costa_Rica",
    "usa": "America/New_York, America/Chicago, America/Denver or America/Los_Angeles",
}
# The last parts of IANA names that are no name of a place by themselves.
_NO_PLACES = frozenset({"act", "casey", "center", "davis", "easter", "lhi", "north", "nsw", "resolute", "south",
                        "troll", "victoria", "wake", "west"})
_PLACES: Mapping[str, str] = {
    "Europe/Berlin": "germany deutschland alemania munich münchen hamburg cologne köln colonia frankfurt stuttgart "
                     "düsseldorf leipzig dresden hannover bremen nürnberg",
    "Europe/London": "londres edinburgh edimburgo manchester liverpool glasgow",
    "Europe/Vienna": "wien viena austria österreich salzburg graz",
    "Europe/Zurich": "zürich zúrich geneva genf ginebra bern basel switzerland schweiz suiza",
    "Europe/Madrid": "barcelona sevilla seville bilbao zaragoza málaga",
    "Europe/Paris": "parís lyon marseille marsella toulouse",
    "Europe/Rome": "rom roma milan mailand milán naples neapel nápoles turin turín italy italien italia",
    "Europe/Brussels": "brüssel bruselas",
    "Europe/Prague": "prag praga", "Europe/Warsaw": "warschau varsovia poland polen polonia",
    "Europe/Athens": "athen atenas greece griechenland grecia", "Europe/Lisbon": "lissabon lisboa",
    "Europe/Copenhagen": "kopenhagen copenhague", "Europe/Stockholm": "estocolmo sweden schweden suecia",
    "Europe/Moscow": "moskau moscú", "Europe/Kiev": "kiew kyiv", "Europe/Bucharest": "bukarest bucarest",
    "Europe/Istanbul": "estambul turkey türkei turquía ankara", "Europe/Dublin": "dublín ireland irland irlanda",
    "Europe/Helsinki": "finland finnland finlandia", "Europe/Oslo": "norway noruega",
    "America/New_York": "new_york_city nueva_york nyc boston miami atlanta philadelphia filadelfia washington_dc et "
                        "eastern_time",
    "America/Chicago": "houston dallas austin ct central_time",
    "America/Denver": "mt mountain_time salt_lake_city",
    "America/Los_Angeles": "san_francisco seattle san_diego las_vegas pt pacific_time silicon_valley los_ángeles",
    "America/Mexico_City": "mexiko-stadt ciudad_de_méxico cdmx",
    "America/Argentina/Buenos_Aires": "buenos_aires argentina argentinien",
    "America/Bogota": "colombia kolumbien medellín", "America/Lima": "peru perú", "America/Caracas": "venezuela",
    "America/Sao_Paulo": "rio_de_janeiro río_de_janeiro", "America/Toronto": "ottawa", "America/Montevideo": "uruguay",
    "America/Havana": "havanna la_habana",
    "Asia/Tokyo": "tokio japan japón osaka kyoto",
    "Asia/Kolkata": "india indien mumbai delhi new_delhi neu-delhi nueva_delhi "
                    "bangalore chennai hyderabad",
    "Asia/Shanghai": "beijing peking pekín china shenzhen",
    "Asia/Seoul": "seúl south_korea südkorea corea_del_sur", "Asia/Singapore": "singapur", "Asia/Hong_Kong": "hongkong",
    "Asia/Dubai": "dubái abu_dhabi uae",
    "Asia/Bangkok": "thailand tailandia", "Asia/Tehran": "teheran teherán iran irán",
    "Asia/Jerusalem": "tel_aviv israel", "Asia/Riyadh": "riad saudi_arabia", "Asia/Karachi": "pakistan pakistán",
    "Africa/Cairo": "kairo el_cairo egypt ägypten egipto",
    "Africa/Johannesburg": "cape_town kapstadt south_africa südafrika",
    "Africa/Casablanca": "morocco marokko marruecos", "Africa/Nairobi": "kenya kenia", "Africa/Lagos": "nigeria",
    "Australia/Sydney": "sídney canberra", "Pacific/Auckland": "new_zealand neuseeland nueva_zelanda wellington",
    "Pacific/Honolulu": "hawaii hawái",
}


class Zone(Struct, frozen=True):
    """`place` is the IANA zone whose clocks an abbreviation is about; otherwise the zone itself, None for an offset."""

    name: str
    rules: tzinfo
    place: str | None


def read_zone(text: str) -> Zone:
    """Raises ToolError for an unknown one and for one that may mean several."""
    if len(text) > LONGEST_NAME:
        raise ToolError(f"'{shorten(text)}' is not a time zone")
    words = _plain(text)
    if found := _OFFSET.fullmatch(words):
        return _fixed(found)
    if words in _ABBREVIATIONS:
        hours, place = _ABBREVIATIONS[words]
        return Zone(words.upper(), timezone(timedelta(hours=hours)), place)
    if words in _AMBIGUOUS:
        raise ToolError(f"'{shorten(text)}' may mean {_AMBIGUOUS[words]}: use one of these names")
    name = _cities().get(words)
    if name is None:
        raise ToolError(f"'{shorten(text)}' is not a time zone that is known: use a name such as Europe/Berlin, "
                        "a large city, UTC or UTC+2")
    try:
        return Zone(name, ZoneInfo(name), name)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ToolError(f"the time zone data of '{name}' cannot be read here") from error


def _fixed(found: re.Match[str]) -> Zone:
    hours, minutes = int(found[2]), int(found[3] or 0)
    if hours > 14 or minutes > 59:
        raise ToolError(f"'{found[0]}' is no offset from UTC that is in use")
    sign = "+" if found[1] == "+" else "-"
    away = timedelta(hours=hours, minutes=minutes)
    return Zone(f"UTC{sign}{hours:02}:{minutes:02}", timezone(away if sign == "+" else -away), None)


@cache
def _cities() -> dict[str, str]:
    """What a zone may be called to its IANA name; names that two zones share are left out."""
    known: dict[str, str] = {}
    shared: set[str] = set()
    zones = sorted(available_timezones())
    for name in zones:
        area, _, city = name.partition("/")
        if area in _AREAS and "/" not in city:
            plain = _plain(city)
            shared |= {plain} & known.keys()
            known[plain] = name
    for city in shared | _AMBIGUOUS.keys() | _NO_PLACES:
        known.pop(city, None)
    known |= {_plain(place): name for name, places in _PLACES.items() for place in places.split()}
    return known | {_plain(name): name for name in zones if "/" in name}


def _plain(text: str) -> str:
    """Small letters without accents, blanks between words."""
    letters = unicodedata.normalize("NFD", text.replace("_", " ").lower())
    return " ".join("".join(letter for letter in letters if not unicodedata.combining(letter)).split())
