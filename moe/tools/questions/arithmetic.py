"""Questions that are a sum, a change in percent or a number to another base."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...errors import ToolError
from ..arithmetic.grammar import Parser
from ..arithmetic.tokens import Token, tokenise
from ..base import Language
from .question import Asked, Finder, Question, Reader, fold
from .sums import GROUP, find_sums

# What asks for a number and nothing else; what may ask for anything; what tells the language.
_STRONG = (
    ("en", r"calculate|compute|evaluate|work out|solve|how much (?:is|are)|how many is|what do i get for|"
           r"(?:what is|what's|give me) the (?:result|value) of"),
    ("de", r"(?:berechnen sie|berechne|rechnen sie|rechne)(?: mir)?(?: bitte)?|wie ?viel (?:ist|sind|ergibt|ergeben|"
           r"macht|machen|gibt)|"
           r"was (?:ergibt|ergeben|macht|gibt)|(?:was|wie) ist das ergebnis von"),
    ("es", r"calcula|calcule|calcúlame|computa|resuelve|cuánto (?:es|son|da|dan|hace|hacen|vale|suman)|"
           r"cuanto (?:es|son|da)|cuál es el (?:resultado|valor) de|qué resultado da|a cuánto equivale"),
)
_WEAK = (
    ("en", r"what is|what's|whats|what are|what does|what would be|what would|and what is"),
    ("de", r"was ist|was sind|was wäre|was wären|und was ist|was|wie ?viel"),
    ("es", r"qué es|qué son|cuál es|cuáles son|cuál sería"),
)
_LEADS = tuple((language, is_strong, re.compile(rf"(?:{words})(?![^\W\d_]):? *"))
               for leads, is_strong in ((_STRONG, True), (_WEAK, False)) for language, words in leads)
_TAIL = re.compile(r" *(?:= *\??|equals?(?: what)?|is what|is|ergibt(?: was)?|sind|ist|aus|equal|gleich|es igual a|"
                   r"es)$")
_ARTICLE = re.compile(r"(?:the|die|der|das|den|el|la|un|una|a|ein) (?=square|cube|half|absolute|quadrat|wurzel|"
                      r"kubik|hälfte|"
                      r"betrag|fakultät|raíz|raiz|mitad|valor|factorial|[0-9]+(?:[.,][0-9]+)? ?(?:%|por))")
_OPERATOR = re.compile(
    r"[-+*/^×·÷−–:!²³√%]|[0-9)] ?x ?[0-9(]|\*\*|plus|minus|times|divided|multipli|percent|per cent|prozent|"
    r"por ciento|mal|"
    r"hoch|durch|geteilt|más|mas|menos|por|entre|dividido|elevado|squared|cubed|quadrat|cuadrado|cubo|root|wurzel|"
    r"raíz|raiz|sqrt|factorial|fakultät|power|half|hälfte|mitad|mod|(?:log2|log10|ln|exp|abs|sin|cos|tan|max|min)\("
)
_CUE = re.compile(r"[0-9].*[-+*/^×·÷−–:!²³%(]|[0-9] ?x ?[0-9]|[-√(] ?[0-9]|[0-9] [a-záñ]+ [a-z ]*[0-9]|"
                  r"(?:of|de|del|von|aus|der|vom) [0-9]|[a-z]\([a-z]|\be\^|^[a-z]+ [0-9]+$|[0-9] (?:squared|cubed|"
                  r"factorial|zum|im|al)")
_MARKS = frozenset({"+", "-", "*", "/", "//", "^", "mod", "²", "³", "off"})
_SETTLED = frozenset({"^", "²", "³", "mod", "//", "off"})
_GERMAN = re.compile(r"\b(?:von|vom|aus|mal|hoch|geteilt|durch|prozent|wurzel|hälfte|fakultät|quadratwurzel|zum|im)\b")
_SPANISH = re.compile(r"\b(?:de|del|por|ciento|entre|dividido|elevado|raíz|mitad|más|menos|al)\b")
_CURRENCY = re.compile(r"(?<=of )[$€£](?=[0-9])|(?<=[0-9])(?: ?€| ?euros?| dollars| ?\$| dólares)$", re.IGNORECASE)
_REMAINDER = re.compile(r"[0-9](?: % |%)[0-9]")
_SHOUTED = re.compile(r"[0-9)] ?!+ *[?.!]*$")


def _read_sum(question: Question) -> Asked | None:
    folded = question.folded
    language, is_strong, start = _find_lead(folded)
    end = len(folded)
    if start and (tail := _TAIL.search(folded, start)):
        end = tail.start()
    elif not start and folded.endswith("="):
        end, is_strong = len(folded.rstrip("= ")), True
    if article := _ARTICLE.match(folded, start):
        start = article.end()
    text = question.text[start:end].strip()
    if not text or not _OPERATOR.search(fold(text)) and not _SHOUTED.search(question.whole):
        return None
    text = _CURRENCY.sub("", text)
    small = fold(text)
    language = language or ("de" if _GERMAN.search(small) else "es" if _SPANISH.search(small) else None)
    if language is None and GROUP.search(text):
        return None
    language = language or "en"
    if _SHOUTED.search(question.whole):
        if not (start and is_strong and text.isdigit()) or question.whole.rstrip("?. ").endswith("!!"):
            return None
        text += "!"
    try:
        tokens = tokenise(text, language)
        Parser(tokens).parse()
    except ToolError:
        return None
    if not _is_sure(tokens, text, is_strong=is_strong, has_lead=bool(start)):
        return None
    return Asked("calculate", {"expression": text}, language)


def _find_lead(folded: str) -> tuple[Language | None, bool, int]:
    for language, is_strong, lead in _LEADS:
        if found := lead.match(folded):
            known: Language = "de" if language == "de" else "es" if language == "es" else "en"
            return known, is_strong, found.end()
    return None, False, 0


def _is_sure(tokens: list[Token], text: str, *, is_strong: bool, has_lead: bool) -> bool:
    """Whether an expression is a sum to everybody, and the same one."""
    marks = [token.text for token in tokens if token.kind == "mark"]
    functions = [token.text for token in tokens if token.kind == "function"]
    numbers = [token for token in tokens if token.kind == "number"]
    if not numbers and not functions or tokens[0].text == "+" or _has_leading_zero(numbers):
        return False
    if not (_MARKS.intersection(marks) or _REMAINDER.search(text) or functions or "!" in marks or "of" in marks):
        return False
    if _may_be_read_otherwise(tokens, marks, functions):
        return False
    if ":" in text and not re.fullmatch(r"[0-9.,]+ : [0-9.,]+", text):
        return False
    if is_strong or _SETTLED.intersection(marks) or functions or "of" in marks or "!" in marks or "(" in marks:
        return not _is_dimension(text)
    return _is_no_idiom(tokens, marks, text, has_lead=has_lead)


def _has_leading_zero(numbers: list[Token]) -> bool:
    return any(len(token.text) > 1 and token.text[0] == "0" and token.text[1].isdigit() for token in numbers)


def _may_be_read_otherwise(tokens: list[Token], marks: list[str], functions: list[str]) -> bool:
    """Products without a sign behind a division, angles without a unit, logarithms without a base, "root of 16 + 9"."""
    kinds = [(left, right) for left, right in zip(tokens, tokens[1:], strict=False)]
    is_silent = any((left.kind in ("number", "constant") or left.text == ")") and
                    (right.kind == "constant" or right.text == "(" or
                     right.kind == "function" and right.text != "factorial") for left, right in kinds)
    if is_silent and ("/" in marks or "^" in marks or "%" in marks or marks == []):
        return True
    has_unit = "°" in marks or any(token.text in ("pi", "tau") for token in tokens)
    if not has_unit and any(name in ("sin", "cos", "tan") for name in functions):
        return True
    if "log" in functions and ";" not in marks or "round" in functions:
        return True
    bare = [left.text for left, right in kinds if left.kind == "function" and right.text != "("]
    bare += [left.text for left, right in kinds if right.text == "factorial"]
    if bare and (len(functions) > 1 or set(marks) - {"of", "°"}):
        return True
    is_share = "of" in marks and (bool({"+", "-"} & set(marks)) or marks.count("%") > 1)
    adds_to_share = any(left.text == "%" and right.text in ("+", "-") for left, right in kinds)
    return is_share or adds_to_share or marks.count("^") > 1 or ("^" in marks and tokens[0].text == "-")


def _is_dimension(text: str) -> bool:
    return bool(re.search(r"[0-9]x|x[0-9]|[0-9]{3,} x [0-9]{3,}", text))


def _is_no_idiom(tokens: list[Token], marks: list[str], text: str, *, has_lead: bool) -> bool:
    """"24/7", "9-5", "1920 x 1080", "12/25/2026" and "555-1234" are no sums, nor is "50+1"."""
    if _is_dimension(text) or re.fullmatch(r"[0-9]{1,4} ?[-–−/.][ 0-9]{1,3}[-–−/.] ?[0-9]{1,4}", text):
        return False
    signs = [mark for mark in marks if mark not in ("(", ")", "%")]
    if signs == ["/"] and " " not in text and "÷" not in text:
        first, second = tokens[0].value, tokens[-1].value
        return has_lead and first > 100 and not 1000 <= first <= 2100 and (first / second).denominator == 1 \
            and second <= 100 if second else False
    if set(signs) <= {"-"} and (" " not in text or not has_lead):
        return ("%" in marks and " " in text) or (has_lead and bool(re.search(r"[0-9][.,][0-9]", text)))
    if not has_lead and (set(signs) == {"/"} or re.search(r"x|\bpor\b(?! ciento)", fold(text))):
        return False
    return text.replace(" ", "") not in ("50+1", "50/50", "24/7", "9/11") or "(" in marks


_NUM = r"[-−]?[0-9][0-9.,']*"
_UNIT = r"(?: ?(?:€|\$|euros?|dollars?|dólares))?"
_FROM_TO = rf"\$?({_NUM}){_UNIT} (?:to|auf|a) \$?({_NUM}){_UNIT}"
_CHANGES: tuple[tuple[Language, re.Pattern[str]], ...] = (
    ("en", re.compile(
        r"(?:(?:what is|what's|calculate|compute|find|how much is)? ?(?:the )?"
        r"(?:percent(?:age)?|%) (?:change|increase|decrease|growth|drop|rise|decline)(?: (?:is it|going))?,? from |"
        r"(?:by )?(?:what|how many) percent(?:age)? (?:is|does it (?:change|grow|rise|fall|increase|"
        r"decrease)(?: going)?|is the "
        r"(?:change|increase|decrease|rise|drop)|more is it|change is it) from |"
        r"(?:what is|what's|how much is) (?:the )?(?:change|increase|decrease|rise|drop) (?:in percent|"
        r"as a percentage) from |"
        r"what percent(?:age)? (?:change|increase|decrease|rise|drop) is (?:it )?from )" + _FROM_TO)),
    ("de", re.compile(
        r"(?:(?:was ist|wie (?:groß|hoch) ist|berechnen? sie|berechne)? ?(?:die )?(?:prozentuale (?:änderung|"
        r"veränderung|"
        r"zunahme|abnahme|steigerung|erhöhung)|(?:änderung|veränderung|zunahme|abnahme|steigerung) in prozent) von |"
        r"(?:um )?wie ?viele? (?:prozent|%) (?:(?:ist|sind|beträgt) (?:es|das|die (?:änderung|veränderung|zunahme|"
        r"abnahme|"
        r"steigerung|erhöhung))?|steigt es|fällt es|sind es|mehr sind es) ?von )" + _FROM_TO + r"(?: in prozent|"
        r" gestiegen| gefallen| gesunken| gewachsen| mehr| weniger)?")),
    ("es", re.compile(
        r"(?:(?:cuál es|calcula|calcule|cuánto es)? ?(?:el |la )?(?:cambio|variación|aumento|incremento|disminución|"
        r"descenso|"
        r"crecimiento|reducción) (?:porcentual|en porcentaje|en por ciento) de |"
        r"(?:qué|cuál es el) porcentaje de (?:cambio|aumento|variación|incremento|disminución|descenso)(?: hay|"
        r" es)? de |"
        r"en qué porcentaje (?:aumenta|sube|baja|disminuye|cambia)(?: al pasar)? de )" + _FROM_TO)),
)
_YEAR = re.compile(r"(?:19|20)[0-9]{2}")
_CHANGE_CUE = re.compile(r"(?:percent|%|prozent|porcent).*[0-9] ?[^ ]* (?:to|auf|a) ")


def _read_change(question: Question) -> Asked | None:
    for language, pattern in _CHANGES:
        if found := pattern.fullmatch(question.folded):
            values = [value.rstrip(".,").replace("−", "-") for value in found.groups()]
            if all(_YEAR.fullmatch(value) for value in values):
                return None
            return Asked("percent_change", {"old": values[0], "new": values[1]}, language)
    return None


_NAMES = {
    2: r"binary|binär|binario|dual|dualsystem|binärsystem|binärzahl|dualzahl|base 2|basis 2",
    8: r"octal|oktal|oktalsystem|oktalzahl|base 8|basis 8",
    10: r"decimal|dezimal|dezimalsystem|dezimalzahl|base 10|base ten|basis 10",
    16: r"hex|hexadecimal|hexadezimal|hexadezimalsystem|hexadezimalzahl|hexa|base 16|basis 16",
}
_NAME = "|".join(_NAMES.values()) + r"|base (?:[2-9]|[12][0-9]|3[0-6])|basis (?:[2-9]|[12][0-9]|3[0-6])"
_VALUE = r"-?(?:0[xbo])?[0-9a-f]*[0-9][0-9a-f]*|0x[0-9a-f]+|[a-f]{1,8}"
_VERB = (r"(?:what is|what's|convert|how do (?:you|i) write|write|express|was ist|was sind|wie lautet|wie ist|wandle|"
         r"konvertiere|schreibe?|qué es|cuál es|cuánto es|convierte|convertir|convierta|pasa|pasar|escribe|"
         r"cómo se escribe)")
_KIND = r"(?: (?:number|notation|system|form|zahl|number system))?"
_BASES = tuple(re.compile(pattern) for pattern in (
    rf"(?:{_VERB} )?(?:the |die |el )?(?:number |zahl |número )?(?P<value>{_VALUE}) (?:(?:in|en|as|to|into|als|ins|"
    rf"im|a|"
    rf"zur|nach)(?: an?| the| eine)? )(?P<to>{_NAME}){_KIND}(?: um| geschrieben)?",
    rf"(?:{_VERB} )?(?:the |die |el )?(?P<from>{_NAME})(?: number|zahl| número)? (?P<value>{_VALUE}) (?:in|en|as|to|"
    rf"into|als|ins|"
    rf"im|a|nach)(?: an?| eine)? (?P<to>{_NAME}){_KIND}(?: um)?",
    rf"(?:{_VERB} )?(?:the |die |el )?(?:number |zahl |número )?(?P<value>{_VALUE}) (?:from |von |de |in |en |aus |"
    rf"vom )?"
    rf"(?P<from>{_NAME}) (?:in|en|as|to|into|als|ins|im|a|nach)(?: an?| eine)? (?P<to>{_NAME}){_KIND}(?: um)?",
))
_BASE_CUE = re.compile(r"hex|bin[aä]r|o[ck]tal|de[cz]imal|dual|\bbas(?:e|is) [0-9]")


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
        if re.fullmatch(names, name):
            return base
    return int(name.rpartition(" ")[2])


def _guess(folded: str) -> Language:
    if re.search(r"\b(?:en|qué|cuál|cuánto|convierte|pasa|escribe|binario|número|de|a)\b", folded) and not re.search(
            r"\b(?:what|convert|as|to|in)\b", folded):
        return "es"
    return "de" if re.search(r"\b(?:was|wie|wandle|konvertiere|schreibe?|als|ins|im|zur|nach|von)\b|"
                             r"z", folded) else "en"


READERS: tuple[Reader, ...] = (
    Reader(_CUE, _read_sum), Reader(_CHANGE_CUE, _read_change), Reader(_BASE_CUE, _read_base),
)
FINDERS: tuple[Finder, ...] = (Finder(re.compile(r"[0-9] ?(?:[-+*/^×÷%]|percent|prozent|por ciento)"), find_sums),)
CUES: Mapping[str, re.Pattern[str]] = {
    "calculate": re.compile(r"[0-9] ?(?:[-+*/^×÷%!²³]|x [0-9])|calculat|comput|berechn|\brechne|calcul|square root|"
    r"wurzel|"
                            r"raíz|prozent|percent|porcent|por ciento|how much|wie ?viel|cuánto"),
    "percent_change": re.compile(r"percent|prozent|porcent|por ciento|[0-9] ?%|increase|decrease|growth|zunahme|"
    r"abnahme|"
                                 r"steiger|aumento|crecimiento"),
    "number_base": re.compile(r"\bhex|binary|binär|binario|octal|oktal|\b0[xb][0-9a-f]|\bbas(?:e|is) (?:2|8|10|16)\b"),
}
