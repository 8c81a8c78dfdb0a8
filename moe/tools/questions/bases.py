"""Questions that are a number to be written to another base."""

from __future__ import annotations

import re
from typing import Any

from ..base import Language
from .question import Asked, Question, Reader
from .spelling import Phrase, loosen

_NAMES = {
    2: r"binary|binär|binario|dual|dualsystem|binärsystem|binärzahl|dualzahl|binärformat|base (?:2|two|dos)|basis 2",
    8: r"octal|oktal|oktalsystem|oktalzahl|base (?:8|eight|ocho)|basis 8",
    10: r"decimal|dezimal|dezimalsystem|dezimalzahl|base (?:10|ten|diez)|basis 10",
    16: r"hex|hexadecimal|hexadezimal|hexadezimalsystem|hexadezimalzahl|hexzahl|hexa|base (?:16|sixteen)|basis 16",
}
_NAME = "|".join(_NAMES.values()) + r"|base (?:[2-9]|[12][0-9]|3[0-6])|basis (?:[2-9]|[12][0-9]|3[0-6])"
_VALUE = r"-?(?:0[xbo])?[0-9a-f]*[0-9][0-9a-f]*|0x[0-9a-f]+|[a-f]{1,8}"
_VERB = (r"(?:what is|what's|whats|how (?:do (?:you|i)|to) (?:write|convert|express|say)|was ist|was sind|wie lautet|"
         r"wie ist|wie (?:schreibt man|schreibe ich)|qué es|cuál es|cuánto es|cómo se (?:escribe|dice|pasa)|"
         r"(?:convert|change|turn|translate|write|express|wandle|wandele|konvertiere|rechne|schreibe?|übersetze|"
         r"convierte|"
         r"convertir|convierta|pasa|pasar|transforma|escribe|expresa)(?: me| mir)?(?: bitte)?)")
_THE = r"(?:(?:the|die|der|das|el|la) )?(?:(?:number|zahl|número|numeral) )?"
_INTO = r"(?:in|en|as|to|into|als|ins|im|a|zur|nach)(?: an?| the| eine?| das)?"
_KIND = r"(?: (?:numbers?|notation|system|form|format|zahl|number system|schreibweise))?"
_ADVERB = r"(?:hexadezimal|binär|oktal|dezimal|dual)"
_BASES = tuple(map(Phrase, (
    rf"(?:{_VERB} )?{_THE}(?P<value>{_VALUE}) {_INTO} (?P<to>{_NAME}){_KIND}(?: um| geschrieben| umwandeln| "
    r"umrechnen)?",
    rf"(?:{_VERB} )?(?:the |das |el )?(?P<to>{_NAME}){_KIND} (?:of|for|von|für|de|del) {_THE}(?P<value>{_VALUE})",
    rf"{_VERB} {_THE}(?P<value>{_VALUE}) (?P<to>{_ADVERB})(?: geschrieben)?",
    rf"(?:{_VERB} )?{_THE}(?P<from>{_NAME})(?: number| zahl| número)? (?P<value>{_VALUE}) {_INTO} "
    rf"(?P<to>{_NAME}){_KIND}"
    r"(?: um| umwandeln| umrechnen)?",
    rf"(?:{_VERB} )?{_THE}(?P<value>{_VALUE}) (?:(?:from|von|vom|de|del|in|en|aus|desde)(?: dem)? "
    rf")?(?P<from>{_NAME}){_KIND} "
    rf"{_INTO} (?P<to>{_NAME}){_KIND}(?: um| umwandeln| umrechnen)?",
    rf"(?:{_VERB} )?{_THE}(?P<value>{_VALUE}) (?:from|von|vom|de|del|aus|desde) (?P<from>{_NAME}) (?:um )?{_INTO} "
    rf"(?P<to>{_NAME}){_KIND}",
)))
_BASE_CUE = re.compile(r"hex|bin(?:ä|ae?)r|o[ck]tal|de[cz]imal|dual|\bbas(?:e|is) [0-9]")


def _read_base(question: Question) -> Asked | None:
    for pattern in _BASES:
        found = pattern.fullmatch(question.folded)
        if not found:
            continue
        parts = found.groupdict()
        value, source, target = parts["value"], _base_of(parts.get("from")), _base_of(parts["to"])
        if target is None or (source is None and (parts.get("from") or not _is_plain(value, target))):
            return None
        arguments: dict[str, Any] = {"value": value, "to_base": target}
        return Asked("number_base", arguments | ({"from_base": source} if source else {}), _guess(question.folded))
    return None


def _is_plain(value: str, target: int) -> bool:
    """Whether the base of `value` is beyond doubt without a word about it."""
    if value.startswith(("0x", "0b", "0o")):
        return True
    return value.lstrip("-").isdigit() and target != 10 and (value == "0" or not value.startswith("0"))


def _base_of(name: str | None) -> int | None:
    if not name:
        return None
    for base, names in _NAMES.items():
        if re.fullmatch(loosen(names), name):
            return base
    return int(name.rpartition(" ")[2])


def _guess(folded: str) -> Language:
    if re.search(r"\b(?:en|qué|cuál|cuánto|convierte|pasa|escribe|binario|número|de|a)\b", folded) and not re.search(
            r"\b(?:what|convert|as|to|in)\b", folded):
        return "es"
    return "de" if re.search(r"\b(?:was|wie|wandle|konvertiere|schreibe?|als|ins|im|zur|nach|von)\b|"
                             r"z|bin(?:ä|ae)r|oktal|dualzahl|dualsystem", folded) else "en"


READERS: tuple[Reader, ...] = (Reader(_BASE_CUE, _read_base),)
