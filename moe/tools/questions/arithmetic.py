"""Questions that are a sum."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...errors import ToolError
from ..arithmetic.grammar import Parser
from ..arithmetic.tokens import Token, tokenise
from ..base import Language
from . import bases, looks, percents
from .question import Asked, Finder, Question, Reader, fold, is_unsettled
from .spelling import loosen
from .sums import GROUP, find_sums

# What asks for a number and nothing else; what may ask for anything; what tells the language.
_STRONG = (
    ("en", r"calculate|compute|evaluate|work out|solve|how much (?:is|are)|how many is|what do i get for|"
           r"(?:what is|what's|give me) the (?:result|value) of"),
    ("de", r"(?:berechnen sie|berechne|rechnen sie|rechne)(?: mir)?(?: bitte)?|wie ?viel (?:ist|sind|ergibt|ergeben|"
           r"macht|machen|gibt|wäre|wären)|"
           r"was (?:ergibt|ergeben|macht|gibt)|(?:was|wie) ist das ergebnis von"),
    ("es", r"(?:calcula|calcule|calcúlame|calcular|computa|resuelve|resolver)(?: por favor)?|"
           r"cuánto (?:es|son|da|dan|hace|hacen|vale|suman|sería|serían)|cuál es el (?:resultado|valor) de|qué "
           r"resultado da|a cuánto equivale"),
)
_WEAK = (
    ("en", r"what is|what's|whats|what are|what does|what would be|what would|and what is"),
    ("de", r"was ist|was sind|was wäre|was wären|und was ist|was|wie ?viel"),
    ("es", r"qué es|qué son|cuál es|cuáles son|cuál sería"),
)
_LEADS = tuple((language, is_strong, re.compile(loosen(rf"(?:{words})(?![^\W\d_]):? *")))
               for leads, is_strong in ((_STRONG, True), (_WEAK, False)) for language, words in leads)
_TAIL = re.compile(r" *(?:for me|= *\??|equals?(?: what)?|is what|is|ergibt(?: was)?|sind|ist|aus|ausrechnen|"
                   r"berechnen|equal|gleich|es igual a|"
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
_ENGLISH = re.compile(r"\b(?:of|times|divided|multiplied|percent|per cent|squared|cubed|root|half)\b")
_GERMAN = re.compile(r"\b(?:von|vom|aus|mal|hoch|geteilt|durch|prozent|wurzel|hälfte|fakultät|quadratwurzel|zum|im)\b")
_SPANISH = re.compile(r"\b(?:de|del|por|ciento|entre|dividido|elevado|raíz|mitad|más|menos|al)\b")
_WORDS: tuple[tuple[Language, re.Pattern[str]], ...] = (("de", _GERMAN), ("es", _SPANISH), ("en", _ENGLISH))
# Thousands or thousandths, by who writes them; nobody writes three zeros behind a decimal point.
_POINTED = re.compile(r"(?<![0-9.,])[1-9][0-9]{0,2}\.[0-9]{3}(?![0-9.,])")
_GROUPED = re.compile(r"(?<![0-9.,])[1-9][0-9]{0,2},[0-9]{3}(?![0-9.,])")
_ROUND = re.compile(r"[0-9][.,]000(?![0-9.,])")
_CURRENCY = re.compile(r"(?<![\w.,])[$€£] ?(?=[0-9])|(?<=[0-9]) ?(?:[€$£]|euros?|dollars?|d[oó]lares|pounds)(?![\w.,])",
                       re.IGNORECASE)
_SAME_MONEY = str.maketrans("edp", "€$£")
# Of what is it the remainder, of the last number or of all before?
_WRAPPED = re.compile(r"\bm[oó]d(?:ulo)?\b")
_REMAINDER = re.compile(r"[0-9](?: % |%)[0-9]")
_BY = re.compile(r"x|\bpor\b(?! ciento)")
_DIVIDED = re.compile(r"[0-9] (?:divided by|geteilt durch|dividido (?:por|entre)) [0-9]")
_SHOUTED = re.compile(r"[0-9)] ?!+ *[?.!]*$")


def _read_sum(question: Question) -> Asked | None:
    folded = question.folded
    if looks.is_item(folded):
        return None
    language, is_strong, start = _find_lead(folded)
    end = len(folded)
    if start and (tail := _TAIL.search(folded, start)):
        end = tail.start()
    elif not start and folded.endswith("="):
        end, is_strong = len(folded.rstrip("= ")), True
    if article := _ARTICLE.match(folded, start):
        start = article.end()
    text = question.text[start:end].strip()
    is_shouted = bool(_SHOUTED.search(question.whole))
    if _WRAPPED.search(fold(text)) and re.search(r"[+-]|plus|minus|más|menos", fold(text)):
        return None
    if looks.is_no_sum(text) or not (text and _OPERATOR.search(fold(text)) or is_shouted):
        return None
    settled = _settle(text, language)
    if settled is None:
        return None
    text, language = settled
    if is_shouted:
        if not (start and is_strong and text.isdigit()) or question.whole.rstrip("?. ").endswith("!!"):
            return None
        text += "!"
    return _ask(text, language, is_strong=is_strong, has_lead=bool(start))


def _ask(text: str, language: Language, *, is_strong: bool, has_lead: bool) -> Asked | None:
    try:
        tokens = tokenise(text, language)
        Parser(tokens).parse()
    except ToolError:
        return None
    is_sure = _is_sure(tokens, text, is_strong=is_strong, has_lead=has_lead)
    return Asked("calculate", {"expression": text}, language) if is_sure else None


def _settle(text: str, language: Language | None) -> tuple[str, Language] | None:
    """The sum as its language writes it, which its words tell where the question does not; None where a number may be
    thousands or thousandths."""
    plain = _drop_money(text)
    small = fold(plain)
    spoken = language or next((each for each, words in _WORDS if words.search(small)), None)
    if not GROUP.search(plain):
        return plain, spoken or "en"
    if spoken is None or is_unsettled(plain, spoken):
        return None
    if spoken == "en":
        return None if _POINTED.search(plain) and (language is None or _ROUND.search(plain)) else (plain, spoken)
    if _GROUPED.search(plain) and (language is None or _ROUND.search(plain)):
        return None
    if plain != text and language is not None:
        plain = _POINTED.sub(lambda group: group[0].replace(".", ""), plain)
    return plain, spoken


def _drop_money(text: str) -> str:
    """The amounts without their currency, where it is one."""
    signs = {sign.strip()[:1].lower().translate(_SAME_MONEY) for sign in _CURRENCY.findall(text)}
    return _CURRENCY.sub("", text) if len(signs) == 1 else text


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
    if any(mark.text == "%" and left.kind == right.kind == "number" and left.value < right.value
           for left, mark, right in zip(tokens, tokens[1:], tokens[2:], strict=False)):
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
    small = fold(text)
    if not has_lead and (set(signs) == {"/"} and not _DIVIDED.search(small) or _BY.search(small)):
        return False
    return text.replace(" ", "") not in ("50+1", "50/50", "24/7", "9/11") or "(" in marks


READERS: tuple[Reader, ...] = (
    Reader(_CUE, _read_sum), *percents.READERS, *bases.READERS,
)
FINDERS: tuple[Finder, ...] = (Finder(re.compile(r"[0-9] ?(?:[-+*/^×÷%]|percent|prozent|por ciento)"), find_sums),)
CUES: Mapping[str, re.Pattern[str]] = {
    # A sum, words for one, or two numbers and "how many".
    "calculate": re.compile(
        r"[0-9] ?(?:[+*^×÷%!²³]|[-/] ?[0-9]|x [0-9])|calculate|compute\b|berechne|\brechne|calcul[ae]|square root|"
        r"wurzel|raíz|percent|prozent|porcent|por ciento|"
        r"\A(?=\D*[0-9]+[^0-9.,]\D*[0-9])[\s\S]*?(?:how (?:much|many)|wie ?viele?|cu[aá]nt[oa]s?)\b"),
    "percent_change": re.compile(r"percent|prozent|porcent|por ciento|[0-9] ?%"),
    "number_base": re.compile(
        r"hex(?<![a-z]hex)(?:ade[cz]imal)?\b|0(?<![\w]0)[xb][0-9a-f]|bas(?:e|is) (?:2|16)\b|"
        r"(?:in|into|to|from|en|a|als|ins|nach|aus) (?:binary|binär|binario|octal|oktal|hexa)|"
        r"(?:binary|binär|octal|oktal)[ -]?(?:number|zahl|[0-9])|número (?:binario|octal|hexa)"),
}
