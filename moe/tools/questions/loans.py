"""Questions about the payment of a loan: its sum, its rate and its time in any order, and no word that is not known."""

from __future__ import annotations

import re

from msgspec import Struct

from ...errors import ToolError
from ..base import Language
from ..numbers import NUMBER, exact, localise, read_number
from .question import Asked, Question, Reader
from .spelling import flatten, loosen


class _Tongue(Struct, frozen=True):
    """Words of a language: those for a loan, those that ask what it costs, and those that add nothing."""

    loan: re.Pattern[str]
    asking: re.Pattern[str]
    words: frozenset[str]


def _speak(loan: str, asking: str, words: str) -> _Tongue:
    known = words.split()
    return _Tongue(re.compile(loosen(rf"\b(?:{loan})\b")), re.compile(loosen(rf"\b(?:{asking})\b")),
                   frozenset((*known, *map(flatten, known))))


_TONGUES: dict[Language, _Tongue] = {
    "en": _speak(
        "loans?|mortgages?|borrow(?:ed|ing)?|monthly payments?",
        "(?:monthly|loan|mortgage) (?:re)?payments?|monthly installments?|payments?|(?:per|a|each|every) month|"
        "monthly|(?:much|total) interest|"
        "interest (?:cost|do|will|would)",
        "what what's whats is are be will would the my a an on for of at with over in per each every month monthly "
        "year "
        "annual annually yearly apr interest rate fixed loan loans mortgage car auto home house personal student "
        "payment "
        "payments installment installments instalment repayment repayments how much do does i have to pay if borrow "
        "take out "
        "calculate compute principal term total me and it cost amount find get work lasting"),
    "de": _speak(
        "(?:auto|immobilien|raten)?kredits?|kreditrate|kredites|darlehens?|darlehensrate|hypothek|baufinanzierung|"
        "finanzierung|leihe|aufnehme|monatsrate|monatliche[nr]? rate",
        "(?:monats|kredit|darlehens)?raten?|(?:im|pro) monat|monatlich(?:e[nrs]?)?|zinsen zahle|viele? zinsen|"
        "zinskosten",
        "was wie hoch viel viele ist sind wäre beträgt kostet kosten zahle muss ich mich mir im pro monat monatlich "
        "monatliche monatlichen monatlicher rate raten monatsrate kreditrate darlehensrate für bei von über zu mit "
        "auf und "
        "ein eine einen einem einer eines der die das den dem des kredit kredits kredites autokredit ratenkredit "
        "darlehen "
        "darlehens hypothek immobilienkredit baufinanzierung finanzierung zinsen zins zinssatz zinskosten sollzins "
        "jahreszins "
        "jahr laufzeit insgesamt berechne bitte wenn aufnehme leihe kreditsumme darlehenssumme höhe summe zahlen lang"),
    "es": _speak(
        "préstamos?|hipotecas?|hipotecario|créditos?|cuota mensual|mensualidad",
        "cuotas?|mensualidad(?:es)?|letra|al mes|cada mes|por mes|intereses|mensual(?:es|mente)?|pago",
        "cuál qué es sería cuánto cuántos pagaría pagaré pago pagar pagas tendría tengo que al mes por cada una un de "
        "del a en "
        "el la las los con durante y interés intereses anual tipo fijo préstamo hipoteca hipotecario personal "
        "crédito cuota "
        "mensual mensualidad letra plazo si pido calcula calcular me cuesta será saldría quedaría para coche importe"),
}
_RATE = re.compile(rf"(?<![\w.,])({NUMBER}) ?(?:%|percent|per cent|prozent|por ciento)")
# Of a month, not of a year.
_MONTHLY = re.compile(r"(?: interest| zinsen| de interés)? ?(?:(?:per|a|each|pro|im|al|por) (?:month|monat|mes)\b|"
                      r"mensual\b|"
                      r"monatlich\b|monthly(?! (?:re)?payment| instal))")
_TIME = re.compile(loosen(r"(?<![\w.,])([0-9]{1,3})[- ]?(years?|yrs?|months?|jahren?|jahre|monaten?|monate|años?|"
                          r"mes(?:es)?)\b"))
_SUM = re.compile(rf"(?:[$€£] ?)?(?<![\w.,])({NUMBER})(k\b| thousand\b| tausend\b| mil\b)?"
                  r"(?: ?(?:dollars|euros?|pounds|d[oó]lares|pesos|usd|eur|[€$£]))?")
# Where the sum is what is asked for, or what is paid in a year; and a rate that ends before the loan does.
_OTHERWISE = re.compile(loosen(
    r"(?:annual|yearly) (?:re)?payments?|rate (?:pro|im) jahr|zinsen zahle ich im jahr|cuota anual|fixed for|"
    r"(?:what|which|how much) (?:mortgage|loan)|principal of|darlehenssumme bei|in total per year|"
    r"kredit bei [0-9.,]+ ?(?:€|euro)|de cuota|payments? (?:at|each)|(?:qué|cuánto) (?:préstamo|crédito)"))
# Two hundred thousand as much of Europe writes it, in English words.
_EUROPEAN = re.compile(r"[0-9]{1,3}[.][0-9]{3}")
_ENGLISH = re.compile(r"[0-9]{1,3},[0-9]{3}")
# What is paid each month, not what is lent.
_PAID = re.compile(r"(?:\bpay|payments? of|raten? (?:von|über)|cuotas? de|letra de|\bzahle|\bpago) ?$")
_EACH = re.compile(r" ?(?:(?:a|per|each|every|im|pro|al|por|cada) (?:month|monat|mes)\b|monthly\b|monatlich\b|mensual)")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


def _read_loans(question: Question) -> Asked | None:
    """"Monthly payment on a $200,000 loan at 6% over 30 years"."""
    rest = question.folded
    if _OTHERWISE.search(rest):
        return None
    parts: list[re.Match[str]] = []
    for slot in (_RATE, _TIME, _SUM):
        found = list(slot.finditer(rest))
        if len(found) != 1 or slot is _RATE and _MONTHLY.match(rest, found[0].end()):
            return None
        if slot is _SUM and (_PAID.search(rest, 0, found[0].start()) or _EACH.match(rest, found[0].end())):
            return None
        parts.append(found[0])
        rest = f"{rest[:found[0].start()]} ; {rest[found[0].end():]}"
    if not all(sign in " ;,.:?¿'’-" or sign.isalpha() for sign in rest):
        return None
    words = _WORD.findall(rest)
    for language, tongue in _TONGUES.items():
        if tongue.loan.search(rest) and tongue.asking.search(rest) and _are_known(words, tongue.words):
            return _ask(*parts, language=language, is_years=parts[1][2].startswith(("y", "j", "a")))
    return None


def _are_known(words: list[str], known: frozenset[str]) -> bool:
    return all(word in known for word in words)


def _ask(
    rate: re.Match[str], time: re.Match[str], money: re.Match[str], *, language: Language, is_years: bool,
) -> Asked | None:
    if (_EUROPEAN if language == "en" else _ENGLISH).fullmatch(money[1]):
        return None
    try:
        principal = read_number(money[1], language, is_settled=True) * (1000 if money[2] else 1)
        told = {"principal": exact(principal), "annual_rate": exact(read_number(rate[1], language))}
    except ToolError:
        return None
    arguments = {name: value if isinstance(value, int) else localise(value, language) for name, value in told.items()}
    return Asked("loan_payment", {**arguments, "years" if is_years else "months": int(time[1])}, language)


READERS: tuple[Reader, ...] = (
    Reader(re.compile(r"[0-9] ?(?:%|per ?cent|prozent|por ciento)"), _read_loans),
)
