"""Questions about prime factors, common divisors and Roman numerals, in three languages."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...errors import ToolError
from ..base import Language
from ..numbers import read_number
from . import equations
from .question import Asked, Finder, Question, Reader
from .spelling import Phrase, loosen

_WHOLE = r"[0-9]{1,60}(?:[.,'’][0-9]{3})*"
_POWER = r"[0-9]{1,4} ?(?:\^|\*\*) ?[0-9]{1,3}(?: ?[-+−] ?[0-9]{1,6})?"
_POWER_PARTS = re.compile(r"([0-9]+) ?(?:\^|\*\*) ?([0-9]+)(?: ?([-+−]) ?([0-9]+))?")
_ASK: dict[Language, str] = {
    "en": r"(?:(?:what is|what's|whats|what are|find|compute|calculate|determine|give|show|get|work out|tell me) "
          r")?(?:me )?"
          r"(?:the )?",
    "de": r"(?:(?:was ist|was sind|wie lautet|wie lauten|wie groß ist|wie gross ist|was|wie groß|berechne|"
          r"berechnen sie|bestimme|bestimmen sie|finde|ermittle|nenne|nenn mir|gib mir|"
          r"berechnen|rechne)(?: mir)?(?: bitte)? )?(?:der |die |das |den )?",
    "es": r"(?:(?:cuál es|cual es|cuáles son|cuales son|calcula|calcular|calcule|halla|hallar|encuentra|determina|dame|"
          r"di|cuánto es|cuánto vale|obtén)(?: por favor)? )?(?:el |los |la )?",
}
_AND = r"(?: ?, ?(?:and |und |y |e )?| and | und | y | e | & | )"
_PAIR = r"(?:of |von |de |for |für |para |between |zwischen |entre |aus )?(?:the numbers |den zahlen |los números )?" \
        rf"\(?(?P<a>-?{_WHOLE}){_AND}(?P<b>-?{_WHOLE})\)?"
_GCD: dict[Language, str] = {
    "en": r"(?:gcd|gcf|hcf|(?:greatest|highest|largest) common (?:divisor|factor|denominator))",
    "de": r"(?:ggt|größte[rn]? gemeinsame[rn]? teiler)",
    "es": r"(?:mcd|m\.c\.d\.|máximo común divisor|máximo común denominador)",
}
_LCM: dict[Language, str] = {
    "en": r"(?:lcm|(?:least|lowest|smallest) common multiple)",
    "de": r"(?:kgv|kleinste[sn]? gemeinsame[sn]? vielfache[sn]?)",
    "es": r"(?:mcm|m\.c\.m\.|mínimo común múltiplo)",
}
_END: dict[Language, str] = {"en": "", "de": "(?: ist| bestimmen| berechnen| ausrechnen| bilden| finden)?", "es": ""}
_COMMON = {
    language: re.compile(loosen(
        rf"{_ASK[language]}(?:(?P<both>{_GCD[language]} (?:and|und|y)(?: the| der| das| el)? {_LCM[language]})|"
        rf"(?P<gcd>{_GCD[language]})|(?P<lcm>{_LCM[language]})) ?{_PAIR}{_END[language]}"))
    for language in _ASK
}
_N = rf"(?P<n>{_POWER}|{_WHOLE})"
_PRIMES: dict[Language, tuple[str, ...]] = {
    "en": (
        rf"is (?:the number )?{_N} (?:a )?prime(?: number)?(?: or not| or composite)?",
        rf"{_N} in(?:to)? (?:its )?prime factors",

        rf"(?:check|tell me|test) (?:if|whether) (?:the number )?{_N} is (?:a )?prime(?: number)?",
        rf"(?:if|whether) (?:the number )?{_N} is (?:a )?prime(?: number)?",
        rf"{_ASK['en']}(?:prime factori[sz]ation|prime factors|prime decomposition) (?:of|for) (?:the number )?{_N}",
        rf"(?:prime )?factori[sz]e (?:the number )?{_N}(?: into (?:its )?primes?(?: factors| numbers)?)?",
        rf"(?:prime )?factor (?:the number )?{_N} into (?:its )?primes?(?: factors| numbers)?",
        # Below, it may be sun cream.
        rf"(?:prime )?factor (?:the number )?(?=[0-9.,]{{3}}|[0-9]+ ?(?:\^|\*\*)){_N}",
        rf"(?:decompose|split|break|break down|write|express) (?:the number )?{_N} (?:down )?"
        r"(?:into|as a product of) (?:its )?(?:primes|prime factors|prime numbers)",
    ),
    "de": (
        rf"ist (?:die zahl )?{_N} (?:eine )?(?:primzahl|prim)",
        rf"(?:prüfe,? )?ob (?:die zahl )?{_N} (?:eine )?(?:primzahl|prim) ist",
        rf"{_ASK['de']}(?:primfaktorzerlegung|primfaktoren|primzahlzerlegung) (?:von|der zahl|für) {_N}(?: ist| sind)?",
        rf"(?:zerlege|zerlegen sie|zerleg)(?: mir)?(?: bitte)? (?:die zahl )?{_N} in (?:ihre )?(?:primfaktoren|"
        r"primzahlen)",
        rf"(?:die zahl )?{_N} in (?:ihre )?(?:primfaktoren|primzahlen)(?: zerlegen| zerlegt)?",
        rf"(?:faktorisiere|faktorisieren sie)(?: bitte)? (?:die zahl )?{_N}",
        rf"(?:aus )?welche[nr]? primfaktoren (?:besteht|hat|enthält) (?:die zahl )?{_N}",
    ),
    "es": (
        rf"es (?:el (?:número )?)?{_N} (?:un )?(?:número |numero )?primo", rf"es primo (?:el (?:número )?)?{_N}",
        rf"(?:el (?:número )?)?{_N} es (?:un )?(?:número |numero )?primo",
        rf"(?:si )(?:el (?:número )?)?{_N} es (?:un )?(?:número |numero )?primo",
        rf"{_ASK['es']}(?:factores primos|factorización prima|factorización en (?:factores )?primos|"
        rf"descomposición en (?:factores )?primos|descomposición factorial) (?:de|del número) {_N}",
        rf"(?:descompón|descompon|descomponer|descomponga) (?:el (?:número )?)?{_N} en (?:sus )?"
        r"(?:factores primos|números primos)",
        rf"(?:factoriza|factorizar|factorice) (?:el (?:número )?)?{_N}(?: en (?:sus )?(?:factores )?primos)?",
    ),
}
_R = r"(?P<roman>[ivxlcdm]{1,15})"
_D = r"(?P<digits>[0-9]{1,4})"
_ROMANS: dict[Language, tuple[str, ...]] = {
    "en": (
        r"(?:what is |what's |how do (?:you|i) write |how to write |how is |write |convert |express |change |turn )?"
        rf"(?:the )?(?:number |year )?{_D} (?:written |expressed )?(?:in|as a|as|to|into|to a|into a) "
        r"roman (?:numerals?|numbers?)",
        rf"{_ASK['en']}roman (?:numeral|number|numerals)s? (?:for|of) (?:the (?:number|year) )?{_D}",
        r"(?:what is|what's|what number is|which number is|convert|translate|read|what does) (?:the )?"
        rf"roman (?:numeral|number) {_R}(?: mean| stand for| represent)?"
        r"(?: (?:in|to|as|into) (?:a |an )?(?:arabic numerals?|numbers?|digits|decimal|arabic|arabic numbers?))?",
        rf"(?:what is |what's |convert |write |translate )?{_R} (?:in|to|as|into) (?:a |an )?"
        r"(?:arabic numerals?|arabic numbers?|decimal number)",
        r"(?:convert|translate|change|turn) (?P<long>[ivxlcdm]{3,15}|ii|iv|vi|ix|xi|xv|xx|xl|lx|xc|cx) (?:to|into) "
        r"(?:a |an )?(?:regular |normal |"
        r"ordinary )?"
        r"(?:numbers?|digits|decimal|integer)",
        r"(?:what|which) number (?:does|do) (?:the )?(?:roman (?:numeral|number) )?(?P<long>[ivxlcdm]{3,15}|ii|iv|vi|"
        r"ix|xi|xv|xx|xl|lx|xc|cx) "
        r"(?:mean|stand for|represent)",
        rf"(?:convert |what is |what's )?{_R} from roman(?: numerals?)?(?: to (?:arabic|decimal|a number|numbers))?",
        r"(?:what|which) number is (?P<long>[ivxlcdm]{3,15}|ii|iv|vi|ix|xi|xv|xx|xl|lx|xc|cx)(?: in roman numerals)?",
    ),
    "de": (
        r"(?:was ist |wie lautet |(?:schreibe |schreib |wandle |wandele |konvertiere )(?:mir )?(?:bitte )?|"
        r"wie schreibt man |wie schreibe ich |wie schreibt sich |wie ist )?"
        rf"(?:die (?:zahl )?|das jahr )?{_D} (?:als|in) (?:einer? )?römische[rn]? (?:zahl|zahlen|ziffern|ziffer)"
        r"(?: um)?(?: ist)?",
        rf"{_ASK['de']}römische (?:zahl|ziffer|schreibweise) (?:für|von) (?:die zahl )?{_D}",
        r"(?:was ist|welche zahl ist|was bedeutet|wofür steht|wandle|was heißt|für welche zahl steht) (?:die )?"
        rf"römische (?:zahl|ziffer) {_R}(?: in (?:eine )?arabische[rn]? (?:zahl|zahlen|ziffern)(?: um)?)?",
        rf"(?:was ist |wandle |schreibe )?{_R} (?:in|als) (?:eine )?arabische[rn]? (?:zahl|zahlen|ziffern)(?: um)?",
        r"(?:wandle|konvertiere|rechne|übersetze)(?: bitte)? (?P<long>[ivxlcdm]{3,15}|ii|iv|vi|ix|xi|xv|xx|xl|lx|xc|"
        r"cx) in (?:eine )?(?:normale |"
        r"gewöhnliche )?"
        r"(?:zahl|dezimalzahl)(?: um)?",
        r"welche (?:römische )?zahl ist (?P<long>[ivxlcdm]{3,15}|ii|iv|vi|ix|xi|xv|xx|xl|lx|xc|cx)",
    ),
    "es": (
        r"(?:cuál es |cómo se escribe |como se escribe |cómo se escribe el |escribe |escribe el |convierte |"
        rf"convierte el |pasa |pasa el |convertir |qué es |cuánto es )?(?:el )?(?:número |año )?{_D} (?:en|a|como) "
        r"(?:números? romanos?|romanos?)",
        rf"{_ASK['es']}número romano (?:de|para|del) (?:el )?{_D}",
        r"(?:qué número es|que número es|qué es|qué significa|cuánto es|cuánto vale|convierte|lee) (?:el )?"
        rf"número romano {_R}(?: (?:en|a) números? (?:arábigos?|árabes?|decimal))?",
        r"(?:convierte|pasa|traduce|convertir|pasar) (?P<long>[ivxlcdm]{3,15}|ii|iv|vi|ix|xi|xv|xx|xl|lx|xc|cx) a "
        r"(?:un )?(?:número|números|"
        r"decimal)(?: normal| normales)?",
        rf"(?:cuánto es |qué es |convierte |pasa |escribe )?{_R} (?:en|a) números? (?:arábigos?|árabes?|decimal)",
        r"qué número es (?P<long>[ivxlcdm]{3,15}|ii|iv|vi|ix|xi|xv|xx|xl|lx|xc|cx)(?: en números romanos)?",
    ),
}
def _compile(patterns: dict[Language, tuple[str, ...]]) -> dict[Language, tuple[Phrase, ...]]:
    return {language: tuple(map(Phrase, those)) for language, those in patterns.items()}


_PRIME_PATTERNS, _ROMAN_PATTERNS = _compile(_PRIMES), _compile(_ROMANS)


def _read_common(question: Question) -> Asked | None:
    for language, pattern in _COMMON.items():
        found = pattern.fullmatch(question.folded)
        if found:
            a, b = (_read_whole(found[name], language) for name in ("a", "b"))
            if a is None or b is None:
                return None
            operation = "both" if found["both"] else "gcd" if found["gcd"] else "lcm"
            return Asked("gcd_lcm", {"a": a, "b": b, "operation": operation}, language)
    return None


def _read_primes(question: Question) -> Asked | None:
    for language, patterns in _PRIME_PATTERNS.items():
        for pattern in patterns:
            found = pattern.fullmatch(question.folded)
            if found:
                n = _read_whole(found["n"], language)
                return None if n is None else Asked("prime_factorize", {"n": n}, language)
    return None


def _read_roman(question: Question) -> Asked | None:
    for language, patterns in _ROMAN_PATTERNS.items():
        for pattern in patterns:
            found = pattern.fullmatch(question.folded)
            if found:
                name = found.lastgroup or ""
                value = question.text[found.start(name) : found.end(name)]
                is_plain = value.isupper() or value.isdigit()
                return Asked("roman_numeral", {"value": value}, language) if is_plain else None
    return None


def _read_whole(text: str, language: Language) -> int | None:
    power = _POWER_PARTS.fullmatch(text)
    if power:
        rest = int(power[4] or 0)
        whole: int = int(power[1]) ** int(power[2])
        return whole + (rest if power[3] == "+" else -rest)
    try:
        value = read_number(text, language)
    except ToolError:
        return None
    return value.numerator if value.denominator == 1 else None


_FOUND_COMMON = re.compile(
    r"(?<![\w.])(?P<what>gcd|lcm|ggt|kgv|mcd|mcm) ?\((?P<a>[0-9]{1,40}) ?[,;] ?(?P<b>[0-9]{1,40})\)", re.IGNORECASE)
_OPERATIONS = {"gcd": "gcd", "ggt": "gcd", "mcd": "gcd", "lcm": "lcm", "kgv": "lcm", "mcm": "lcm"}
_LANGUAGES: dict[str, Language] = {"ggt": "de", "kgv": "de", "mcd": "es", "mcm": "es"}


def _find_common(text: str) -> Iterator[tuple[str, Asked]]:
    for found in _FOUND_COMMON.finditer(text):
        what = found["what"].lower()
        arguments = {"a": int(found["a"]), "b": int(found["b"]), "operation": _OPERATIONS[what]}
        yield found[0], Asked("gcd_lcm", arguments, _LANGUAGES.get(what, "en"))


_COMMON_CUE = re.compile(r"gcd|gcf|hcf|lcm|ggt|kgv|mcd|mcm|m\.c\.|common|gemeinsam|com[úu]n")
_PRIME_CUE = re.compile(r"prim|factor|faktor")
_ROMAN_CUE = re.compile(r"roman|r(?:ö|oe?)misch|[aá]r[aá]b|number|zahl|n[uú]mero|\b(?:digits|decimal|integer)$")

READERS: tuple[Reader, ...] = (
    Reader(_COMMON_CUE, _read_common),
    Reader(_PRIME_CUE, _read_primes),
    Reader(_ROMAN_CUE, _read_roman),
    *equations.READERS,
)
FINDERS: tuple[Finder, ...] = (Finder(re.compile(r"(?:gcd|lcm|ggt|kgv|mcd|mcm) ?\("), _find_common),)
CUES: dict[str, re.Pattern[str]] = {
    "solve_equation": re.compile(
        r"\bsolve (?:for\b|[^.?!]{0,40}[0-9])|equation|\binequalit|gleichung|\blös(?:e|en|t)\b[^.?!]{0,40}[0-9]|"
        r"nullstelle|ecuaci|inecuaci|resuelve[^.?!]{0,40}[0-9]|despeja\b|"
        r"(?<![\w.])[0-9]{0,6}[a-z](?:\^[0-9]{1,3}|[²³])?(?: ?[-+] ?[0-9]{0,6}[a-z]?){0,6} ?[=<>≤≥] ?-?[0-9]"
        r"(?!\w*[;)])"),
    "prime_factorize": re.compile(
        r"prime (?:number|factor|decomp)|[0-9] (?:a )?prime\b(?!-)|primzahl|primfaktor|números? primo|factores primos|"
        r"[0-9] (?:es )?primo\b|factori[sz]|faktorisier"),
    "gcd_lcm": re.compile(r"\b(?:gcd|gcf|hcf|lcm|ggt|kgv|mcd|mcm)\b|common (?:divisor|factor|multiple)|gemeinsame\w* "
                          r"(?:teiler|vielfache)|común (?:divisor|múltiplo)"),
    "roman_numeral": re.compile(r"roman num|römische\w* (?:zahl|ziffer)|números? romano"),
}
