"""Units and amounts as people write them: "km/h", "Quadratmeter", "litros a los 100", "5 ft 11 in"."""

from __future__ import annotations

import re
from fractions import Fraction

from msgspec import Struct

from ...errors import ToolError
from ..base import Language
from ..numbers import NUMBER, quote, read_number
from .names import CURRENCIES, LOOSE, UNCLEAR, UNCLEAR_AS_WRITTEN, Name, find_names
from .registry import Size, measure

LONGEST = 80
_PER = re.compile(r"\s*/\s*|\s+(?:per|pro|je|por)\s+", re.IGNORECASE)
_TIMES = re.compile(r"\s*(?<!\*)[*·⋅×](?!\*)\s*")
_TERM = re.compile(r"(?P<name>[^0-9^²³]+?)\s*(?:\^|\*\*)?\s*(?P<power>-?[1-9]|²|³)?")
_POWERED = (
    (re.compile(r"(?:square|sq\.?) (.+)|quadrat(.+)|(.+) cuadrad[oa]s?", re.IGNORECASE), 2),
    (re.compile(r"(?:cubic|cu\.?) (.+)|kubik(.+)|(.+) cúbic[oa]s?", re.IGNORECASE), 3),
)
_PLAIN = re.compile(r"[A-Za-z_µμΩ°Å]{1,40}")
_JOIN = re.compile(r"\s*(?:,|\+|\b(?:and|und|y|con)\b)\s*|\s+", re.IGNORECASE)
_PART = re.compile(rf"\s*(?:(?:and|und|y|con|,)\s+)?({NUMBER})\s*([^\s0-9,+-][^0-9,+-]*?)\s*(?=$|,|\s[0-9]|['\"′″’”]|"
                   rf"[0-9]|\s(?:and|und|y|con)\s)", re.IGNORECASE)
_MARKED = re.compile(r"([0-9]+)\s*['′’]\s*([0-9]+(?:[.,][0-9]+)?)\s*(?:[\"″”]|'')?")


class Unit(Struct, frozen=True):
    """A product of powers of units that the registry knows, times `factor`."""

    shown: str
    terms: tuple[tuple[str, int], ...]
    factor: Fraction = Fraction(1)
    is_sure: bool = True
    languages: frozenset[Language] = frozenset()

    @property
    def size(self) -> Size:
        """Raises ToolError for a unit that does not exist."""
        factor, powers = self.factor, dict[str, Fraction]()
        for name, power in self.terms:
            size = measure(name)
            factor *= size.factor**power
            for root, each in size.roots:
                powers[root] = powers.get(root, Fraction(0)) + each * power
        return Size(factor, tuple(sorted((root, power) for root, power in powers.items() if power)))


class Part(Struct, frozen=True):
    """One of the numbers of an amount with the unit that stands after it."""

    number: Fraction
    units: tuple[Unit, ...]


def read_unit(text: str, *, is_named: bool = False) -> tuple[Unit, ...]:
    """What `text` may mean, the likeliest first; with `is_named`, only by the table of names, without the registry.

    Raises ToolError for what is no unit.
    """
    clean = " ".join(text.split()).strip(".")
    if not clean or len(clean) > LONGEST:
        raise ToolError("a unit is missing" if not clean else f"a unit of more than {LONGEST} characters")
    if clean.lower() in UNCLEAR:
        raise ToolError(f"'{quote(clean)}' may mean {UNCLEAR[clean.lower()]}: say which")
    if clean in UNCLEAR_AS_WRITTEN:
        raise ToolError(f"'{quote(clean)}' may mean {UNCLEAR_AS_WRITTEN[clean]}: say which")
    if clean.lower() in CURRENCIES:
        raise ToolError(f"'{quote(clean)}' is money, and rates of exchange are not known here")
    names = find_names(clean)
    if names:
        return tuple(_from_name(name, clean) for name in names)
    return (_read_product(clean, is_named=is_named),)


def _from_name(name: Name, written: str) -> Unit:
    inner = _read_meaning(name.meaning)
    return Unit(name.shown, inner.terms, inner.factor, is_sure=name.shown not in LOOSE and written not in LOOSE,
                languages=name.languages)


def _read_meaning(meaning: str) -> Unit:
    """Of the table: "mile/gallon", "0.01 liter/kilometer", "43560 foot^2"."""
    number, _, rest = meaning.partition(" ")
    if rest:
        inner = _read_meaning(rest)
        return Unit(meaning, inner.terms, Fraction(number))
    if any(sign in meaning for sign in "/*²³"):
        return _read_product(meaning)
    name, _, power = meaning.partition("^")
    return Unit(meaning, ((name, int(power or 1)),))


def _read_product(text: str, *, is_named: bool = False) -> Unit:
    above, *below = _PER.split(text)
    if len(below) > 4:
        raise ToolError(f"'{quote(text)}' is not a unit known here")
    units = [(_read_term(each, is_named=is_named), 1) for each in _TIMES.split(above)]
    units += [(_read_term(each, is_named=is_named), -1) for group in below for each in _TIMES.split(group)]
    if len(units) == 1:
        return units[0][0]
    factor = Fraction(1)
    for unit, sign in units:
        factor *= unit.factor**sign
    shown = "·".join(unit.shown for unit, sign in units if sign > 0)
    shown += "".join(f"/{unit.shown}" for unit, sign in units if sign < 0)
    terms = tuple((name, power * sign) for unit, sign in units for name, power in unit.terms)
    tongues = frozenset(language for unit, _ in units for language in unit.languages)
    return Unit(shown, terms, factor, all(unit.is_sure for unit, _ in units), tongues)


def _read_term(text: str, *, is_named: bool) -> Unit:
    """One name with its power."""
    names = find_names(text)
    if names:
        return _from_name(names[0], text)
    for pattern, power in _POWERED:
        found = pattern.fullmatch(text)
        if found:
            return _raise(_read_term(next(filter(None, found.groups())).strip(), is_named=is_named), power)
    term = _TERM.fullmatch(text)
    if not term:
        raise ToolError(f"'{quote(text)}' is not a unit known here")
    if term["power"]:
        power = {"²": 2, "³": 3}.get(term["power"]) or int(term["power"])
        return _raise(_read_term(term["name"], is_named=is_named), power)
    if is_named or not _PLAIN.fullmatch(text):
        raise ToolError(f"'{quote(text)}' is not a unit known here")
    measure(text)
    return Unit(text, ((text, 1),), is_sure=False)


def _raise(unit: Unit, power: int) -> Unit:
    if any(abs(each * power) > 9 for _, each in unit.terms):
        raise ToolError("a unit to a power above 9")
    sign = {1: "", 2: "²", 3: "³"}.get(power, f"^{power}")
    return Unit(unit.shown + sign, tuple((name, each * power) for name, each in unit.terms), unit.factor**power,
                unit.is_sure, unit.languages)


def read_targets(text: str) -> tuple[tuple[Unit, ...], ...]:
    """One unit, or several that share an amount: "ft in", "Stunden und Minuten"."""
    try:
        return (read_unit(text),)
    except ToolError:
        parts = [part for part in _JOIN.split(text.strip()[:LONGEST]) if part]
        if not 2 <= len(parts) <= 4 or not all(find_names(part) for part in parts):
            raise
    return tuple(read_unit(part) for part in parts)


def read_amount(text: str, language: Language) -> tuple[Part, ...]:
    """Numbers with their units. Raises ToolError for what is not that."""
    text = text.strip()
    if len(text) > LONGEST:
        raise ToolError(f"an amount of more than {LONGEST} characters")
    sign = -1 if text.startswith(("-", "−")) else 1
    text = text.lstrip("-−+ ")
    marked = _MARKED.fullmatch(text)
    if marked:
        return (Part(sign * Fraction(marked[1]), read_unit("ft")),
                Part(sign * read_number(marked[2], language), read_unit("in")))
    parts, place = [], 0
    while place < len(text):
        found = _PART.match(text, place)
        if not found:
            raise ToolError(f"'{quote(text)}' is neither a number nor an amount such as '5 ft 11 in'")
        parts.append(Part(sign * read_number(found[1], language), read_unit(found[2])))
        place = found.end()
    if not parts:
        raise ToolError("a value is missing")
    return tuple(parts)
