"""Questions about equations, prime factors, common divisors and Roman numerals, in three languages."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...errors import ToolError
from ..base import Language
from ..equations.grammar import parse, symbols
from ..numbers import read_number
from .question import Asked, Finder, Question, Reader

_WHOLE = r"[0-9]{1,60}(?:[.,'’][0-9]{3})*"
_POWER = r"[0-9]{1,4} ?(?:\^|\*\*) ?[0-9]{1,3}(?: ?[-+−] ?[0-9]{1,6})?"
_POWER_PARTS = re.compile(r"([0-9]+) ?(?:\^|\*\*) ?([0-9]+)(?: ?([-+−]) ?([0-9]+))?")
_ASK: dict[Language, str] = {
    "en": r"(?:(?:what is|what's|whats|what are|find|compute|calculate|determine|give|show|get|work out) )?(?:me )?"
          r"(?:the )?",
    "de": r"(?:(?:was ist|was sind|wie lautet|wie lauten|wie groß ist|wie gross ist|was|wie groß|berechne|"
          r"berechnen sie|bestimme|bestimmen sie|finde|ermittle|nenne|nenn mir|gib mir) )?(?:der |die |das |den )?",
    "es": r"(?:(?:cuál es|cual es|cuáles son|cuales son|calcula|calcular|calcule|halla|hallar|encuentra|determina|dame|"
          r"di) )?(?:el |los |la )?",
}
_AND = r"(?: ?, ?(?:and |und |y |e )?| and | und | y | e | & )"
_PAIR = rf"(?:of |von |de |for |für |para |between |zwischen |entre |aus )?(?:the numbers |den zahlen |los números )?" \
        rf"\(?(?P<a>-?{_WHOLE}){_AND}(?P<b>-?{_WHOLE})\)?"
_GCD: dict[Language, str] = {
    "en": r"(?:gcd|gcf|hcf|(?:greatest|highest|largest) common (?:divisor|factor|denominator))",
    "de": r"(?:ggt|größte[rn]? gemeinsame[rn]? teiler|grösste[rn]? gemeinsame[rn]? teiler)",
    "es": r"(?:mcd|m\.c\.d\.|máximo común divisor|maximo comun divisor|máximo común denominador)",
}
_LCM: dict[Language, str] = {
    "en": r"(?:lcm|(?:least|lowest|smallest) common multiple)",
    "de": r"(?:kgv|kleinste[sn]? gemeinsame[sn]? vielfache[sn]?)",
    "es": r"(?:mcm|m\.c\.m\.|mínimo común múltiplo|minimo comun multiplo)",
}
_END: dict[Language, str] = {"en": "", "de": "(?: ist)?", "es": ""}
_COMMON = {
    language: re.compile(
        rf"{_ASK[language]}(?:(?P<both>{_GCD[language]} (?:and|und|y)(?: the| der| das| el)? {_LCM[language]})|"
        rf"(?P<gcd>{_GCD[language]})|(?P<lcm>{_LCM[language]})) ?{_PAIR}{_END[language]}")
    for language in _ASK
}
_N = rf"(?P<n>{_POWER}|{_WHOLE})"
_PRIMES: dict[Language, tuple[str, ...]] = {
    "en": (
        rf"is (?:the number )?{_N} (?:a )?prime(?: number)?(?: or not| or composite)?",
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
        rf"(?:zerlege|zerlegen sie|zerleg) (?:die zahl )?{_N} in (?:ihre )?(?:primfaktoren|primzahlen)",
        rf"(?:faktorisiere|faktorisieren sie) (?:die zahl )?{_N}",
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
        rf"(?:what is |what's |how do (?:you|i) write |how to write |how is |write |convert |express |change |turn )?"
        rf"(?:the )?(?:number |year )?{_D} (?:written |expressed )?(?:in|as a|as|to|into|to a|into a) "
        r"roman (?:numerals?|numbers?)",
        rf"{_ASK['en']}roman (?:numeral|number|numerals)s? (?:for|of) (?:the (?:number|year) )?{_D}",
        rf"(?:what is|what's|what number is|which number is|convert|translate|read|what does) (?:the )?"
        rf"roman (?:numeral|number) {_R}(?: mean| stand for| represent)?"
        r"(?: (?:in|to|as|into) (?:a |an )?(?:arabic numerals?|numbers?|digits|decimal|arabic|arabic numbers?))?",
        rf"(?:what is |what's |convert |write |translate )?{_R} (?:in|to|as|into) (?:a |an )?"
        r"(?:arabic numerals?|arabic numbers?|decimal number)",
        rf"(?:convert |what is |what's )?{_R} from roman(?: numerals?)?(?: to (?:arabic|decimal|a number|numbers))?",
        r"(?:what|which) number is (?P<long>[ivxlcdm]{3,15})(?: in roman numerals)?",
    ),
    "de": (
        rf"(?:was ist |wie lautet |schreibe |schreib |wie schreibt man |wie schreibe ich |wie ist |wandle |wandele )?"
        rf"(?:die (?:zahl )?|das jahr )?{_D} (?:als|in) (?:einer? )?römische[rn]? (?:zahl|zahlen|ziffern|ziffer)"
        r"(?: um)?(?: ist)?",
        rf"{_ASK['de']}römische (?:zahl|ziffer|schreibweise) (?:für|von) (?:die zahl )?{_D}",
        rf"(?:was ist|welche zahl ist|was bedeutet|wofür steht|wandle|was heißt|für welche zahl steht) (?:die )?"
        rf"römische (?:zahl|ziffer) {_R}(?: in (?:eine )?arabische[rn]? (?:zahl|zahlen|ziffern)(?: um)?)?",
        rf"(?:was ist |wandle |schreibe )?{_R} (?:in|als) arabische[rn]? (?:zahl|zahlen|ziffern)(?: um)?",
        r"welche (?:römische )?zahl ist (?P<long>[ivxlcdm]{3,15})",
    ),
    "es": (
        rf"(?:cuál es |cómo se escribe |como se escribe |cómo se escribe el |escribe |escribe el |convierte |"
        rf"convierte el |pasa |pasa el |convertir |qué es |cuánto es )?(?:el )?(?:número |año )?{_D} (?:en|a|como) "
        r"(?:números? romanos?|numeros? romanos?|romanos?)",
        rf"{_ASK['es']}número romano (?:de|para|del) (?:el )?{_D}",
        rf"(?:qué número es|que número es|qué es|qué significa|cuánto es|cuánto vale|convierte|lee) (?:el )?"
        rf"número romano {_R}(?: (?:en|a) números? (?:arábigos?|árabes?|decimal))?",
        rf"(?:cuánto es |qué es |convierte |pasa |escribe )?{_R} (?:en|a) números? (?:arábigos?|árabes?|decimal)",
        r"qué número es (?P<long>[ivxlcdm]{3,15})(?: en números romanos)?",
    ),
}
_X = r"(?P<variable>[a-z])"
_E = r"(?P<equation>[^?!]*?[=<>≤≥≠][^?!]*)"
_KIND: dict[Language, str] = {
    "en": r"(?:(?:the |this |these )?(?:following )?(?:quadratic |linear |cubic )?"
          r"(?:equation|equations|inequality|inequalities|system(?: of equations)?) ?:? )?",
    "de": r"(?:(?:die |das |diese |dieses )?(?:folgende )?(?:quadratische |lineare )?"
          r"(?:gleichung|gleichungen|ungleichung|gleichungssystem) ?:? )?",
    "es": r"(?:(?:la |el |las |esta |este )?(?:siguiente )?"
          r"(?:ecuación|ecuaciones|ecuacion|inecuación|desigualdad|sistema(?: de ecuaciones)?)(?: cuadrática| lineal)?"
          r" ?:? )?",
}
_SOLVE: dict[Language, tuple[str, ...]] = {
    "en": (
        rf"solve(?: for {_X}(?: in| if|:|,)?)?:? {_KIND['en']}{_E}",
        rf"solve:? {_KIND['en']}{_E},? for {_X}",
        rf"(?:what is|what's|find|calculate|compute|determine) (?:the value of )?{_X},?:? (?:if|when|in|for|where|"
        rf"such that|given(?: that)?) {_KIND['en']}{_E}",
        rf"(?:if|given(?: that)?) {_E}(?:, ?| )(?:then )?(?:what is|what's|find|calculate) (?:the value of )?{_X}",
        rf"find {_X}: {_E}",
        rf"{_E}[,.;:] ?(?:what is|what's|find|solve for|calculate) (?:the value of )?{_X}",
        rf"(?:what (?:is|are)|find|give) (?:all )?(?:the )?(?:real )?(?:solutions?|roots?) (?:of|to|for) "
        rf"{_KIND['en']}{_E}",
    ),
    "de": (
        rf"(?:löse|lösen sie|lös|loese) (?:bitte )?{_KIND['de']}{_E},? nach {_X}(?: auf)?",
        rf"(?:löse|lösen sie|lös|loese):? (?:bitte )?(?:nach {_X}(?: auf)?:? )?{_KIND['de']}{_E}",
        rf"(?:was ist|wie groß ist|berechne|bestimme|finde|ermittle),? {_X},? (?:wenn|falls|für|in|aus|mit)?:? "
        rf"?{_KIND['de']}{_E}",
        rf"(?:was|wie groß) {_X} ist, wenn {_E}",
        rf"wenn {_E}(?: ist| gilt)?, ?(?:dann )?(?:was ist|wie groß ist) (?:dann )?{_X}",
        rf"{_E}[,.;:] ?(?:was ist|wie groß ist|berechne|bestimme) {_X}",
        rf"(?:was (?:ist|sind)|wie (?:lautet|lauten)|bestimme|berechne|nenne) (?:alle )?(?:die )?(?:lösung|lösungen|"
        rf"nullstellen) (?:von|der|für|des) {_KIND['de']}{_E}",
    ),
    "es": (
        rf"(?:resuelve|resolver|resuelva|soluciona)(?: para {_X}(?: en)?)?:? {_KIND['es']}{_E}",
        rf"(?:resuelve|resolver|resuelva):? {_KIND['es']}{_E},? (?:para|en) {_X}",
        rf"despeja (?:la )?{_X} (?:en|de|si)?:? ?{_KIND['es']}{_E}",
        rf"(?:cuánto vale|cuánto es|cuanto vale|cuál es el valor de|qué valor tiene|halla|encuentra|calcula|"
        rf"qué es) (?:el valor de )?(?:la )?{_X},? (?:si|cuando|en|de)?:? ?{_KIND['es']}{_E}",
        rf"si {_E}, ?(?:entonces )?¿?(?:cuánto vale|cuánto es|cuanto vale|halla|cuál es el valor de) {_X}",
        rf"{_E}[,.;:] ?¿?(?:cuánto vale|cuánto es|halla|cuál es el valor de) {_X}",
        rf"(?:cuáles son|cuál es|halla|encuentra|calcula) (?:todas )?(?:las? )?(?:soluci(?:ón|ones)|raíces) (?:de|para)"
        rf" {_KIND['es']}{_E}",
    ),
}
_JOINED = re.compile(r"(?<=[0-9A-Za-z)²³]) (?:and|und|y) (?=[-+0-9A-Za-z(])")
_LETTERS = re.compile(r"[^\W\d_²³¹]+")
_KNOWN = frozenset(("sin", "cos", "tan", "ln", "log", "exp", "sqrt", "abs", "pi", "π"))
_RELATION = re.compile(r"[=<>≤≥≠]")


def _compile(patterns: dict[Language, tuple[str, ...]]) -> dict[Language, tuple[re.Pattern[str], ...]]:
    return {language: tuple(re.compile(each) for each in those) for language, those in patterns.items()}


_PRIME_PATTERNS, _ROMAN_PATTERNS, _SOLVE_PATTERNS = _compile(_PRIMES), _compile(_ROMANS), _compile(_SOLVE)


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


def _read_equation(question: Question) -> Asked | None:
    if not _RELATION.search(question.folded):
        return None
    for language, patterns in _SOLVE_PATTERNS.items():
        for pattern in patterns:
            found = pattern.fullmatch(question.folded)
            if found:
                start, end = found.span("equation")
                place = found.start("variable") if "variable" in pattern.groupindex else -1
                variable = question.text[place] if place >= 0 else ""
                asked = _equation(question.text[start:end], variable, language)
                if asked:
                    return asked
    return None


def _equation(text: str, variable: str, language: Language) -> Asked | None:
    """None unless it can be read as mathematics to the last letter."""
    equation = _JOINED.sub("; ", text.strip(" .,:"))
    if any(len(run) > 1 and run not in _KNOWN for run in _LETTERS.findall(equation)):
        return None
    try:
        relations = parse(equation, language, variable or "x")
    except ToolError:
        return None
    names = set().union(*(symbols(side) for each in relations for side in (each.left, each.right)))
    if not names or (variable and variable not in names):
        return None
    if len(relations) == 1 and not variable and len(names) > 1:
        return None
    chosen = variable or ("x" if "x" in names else min(names))
    return Asked("solve_equation", {"equation": equation, "variable": chosen}, language)


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
_ROMAN_CUE = re.compile(r"roman|römisch|arab|aráb|árab|(?:number|zahl) is[t]? |número es ")
_EQUATION_CUE = re.compile(r"[=<>≤≥≠]")

READERS: tuple[Reader, ...] = (
    Reader(_COMMON_CUE, _read_common),
    Reader(_PRIME_CUE, _read_primes),
    Reader(_ROMAN_CUE, _read_roman),
    Reader(_EQUATION_CUE, _read_equation),
)
FINDERS: tuple[Finder, ...] = (Finder(re.compile(r"(?:gcd|lcm|ggt|kgv|mcd|mcm) ?\("), _find_common),)
CUES: dict[str, re.Pattern[str]] = {
    "solve_equation": re.compile(
        r"solve|equation|inequalit|roots? of|gleichung|löse|nullstelle|ecuaci|resuelve|despeja|"
        r"[a-z0-9)²³] ?[=<>≤≥] ?[-(0-9a-z]"),
    "prime_factorize": re.compile(r"\bprim(?:e|es|zahl|zahlen|faktor\w*|o|os)\b|factori[sz]|faktorisier"),
    "gcd_lcm": re.compile(r"\b(?:gcd|gcf|hcf|lcm|ggt|kgv|mcd|mcm)\b|common (?:divisor|factor|multiple)|gemeinsame\w* "
                          r"(?:teiler|vielfache)|común (?:divisor|múltiplo)"),
    "roman_numeral": re.compile(r"roman num|römische\w* (?:zahl|ziffer)|números? romano"),
}
