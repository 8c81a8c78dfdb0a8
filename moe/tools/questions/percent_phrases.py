"""The phrases of questions about percent; {o} and {w} stand for the old and the new value, {p} for a percentage."""

from __future__ import annotations

from ..base import Language
from .spelling import Phrase

Patterns = tuple[tuple[Language, Phrase], ...]

_NUMBER = r"[-−]?[0-9][0-9.,']*"
_MONEY = r"(?: ?(?:€|\$|£|euros?|eur|usd|dollars?|dólares|pounds?|pesos))?"
_VALUE = rf"(?:[$€£] ?)?(?P<NAME>{_NUMBER}){_MONEY}"
_PERCENT = r"(?:percent(?:age)?|per cent|prozent|por ?ciento|%)"
_SLOTS = {
    "{o}": _VALUE.replace("NAME", "old"), "{w}": _VALUE.replace("NAME", "new"),
    "{p}": rf"(?P<share>{_NUMBER}) ?{_PERCENT}",
    "{pc}": r"(?:percent(?:age)?|per cent|%)", "{pz}": r"(?:prozent|%)",
    "{wieviel}": rf"(?:um )?wie ?viele? {_PERCENT}",
    "{cuanto}": r"(?:en )?(?:qué porcentaje|qué tanto por ciento|cuánto (?:por ?ciento|%)|cuántos por ?cientos?)",
    "{much}": r"(?:by )?(?:what|how (?:much|many)|which) {pc}",
    "{get}": r"(?:(?:what is|what's|whats|what was|calculate|compute|find|how much is|work out) )?(?:the )?",
    "{hole}": r"(?:(?:was ist|was war|wie (?:groß|hoch|lautet)(?: ist| war)?|berechnen? sie|berechne|bestimme|ermittle)"
              r"(?: bitte)? )?(?:die |der |den |das )?",
    "{halla}": r"(?:(?:cuál es|cuál fue|calcula|calcule|calcular|halla|determina|cuánto es) )?(?:el |la )?",
    "{noun}": r"(?:change|increase|decrease|growth|drop|rise|decline|difference|gain|reduction)",
    "{sache}": r"(?:änderung|veränderung|zunahme|abnahme|steigerung|erhöhung|senkung|zuwachs|rabatt|anstieg|rückgang|"
               r"differenz|wachstum|preisnachlass|nachlass|preisänderung|unterschied)",
    "{cosa}": r"(?:cambio|variación|aumento|incremento|disminución|descenso|crecimiento|reducción|subida|bajada|caída|"
              r"diferencia)",
    "{it}": r"(?:it|(?:the|my|our|a|its|his|her|their) [a-z]+(?: [a-z]+){0,2}?)",
    "{es}": r"(?:es|er|sie|(?:der|die|das|mein|meine|unser|unsere|ein|eine) [a-zäöüß-]+(?: [a-zäöüß-]+)?)",
    "{ello}": r"(?:(?:el|la|mi|nuestro|nuestra|un|una|su) [a-záéíóúñ]+(?: del? (?:la )?[a-záéíóúñ]+)?)",
    "{went}": r"(?:went|goes|go|gone|going|rose|rises?|fell|falls?|dropped|drops?|grew|grows?|increased?|increases|"
              r"decreased?|decreases|changed?|changes|jumped|climbed|declined?|moved)(?: up| down)?",
    "{stieg}": r"(?:(?:ge)?stiegen(?: ist)?|gefallen(?: ist)?|gesunken(?: ist)?|gewachsen(?: ist)?|geändert(?: hat)?|"
               r"steigt|"
               r"fällt|sinkt|wächst|stieg|fiel|sank|geht|ging|erhöht wird|gesenkt wird|reduziert wird|erhöht wurde|"
               r"gesenkt wurde|reduziert wurde|mehr|weniger)",
    "{steigt}": r"(?:steigt|fällt|sinkt|wächst|stieg|fiel|sank|wuchs|ändert sich|änderte sich|erhöht sich|verringert "
                r"sich)",
    "{sube}": r"(?:(?:se )?(?:ha )?(?:aumenta|aumentó|aumentado|sube|subió|subido|baja|bajó|bajado|disminuye|disminuyó|"
              r"disminuido|cambia|cambió|cambiado|crece|creció|cae|cayó|varía|varió|incrementa|incrementó|reduce|"
              r"redujo|"
              r"pasa|pasó))",
    "{than}": r"(?:more|higher|greater|larger|bigger|less|lower|smaller|fewer)",
    "{als}": r"(?:mehr|größer|höher|weniger|kleiner|niedriger)",
    "{que}": r"(?:mayor|superior|más alto|más grande|menor|inferior|más bajo|más pequeño) (?:que|a)",
}
# What may stand for {ft}: the way from the old value to the new one.
_WAYS: dict[Language, tuple[str, ...]] = {
    "en": ("from {o} to {w}", "between {o} and {w}"), "de": ("von {o} (?:auf|zu|nach) {w}", "zwischen {o} und {w}"),
    "es": ("de {o} a {w}", "entre {o} y {w}", "desde {o} (?:a|hasta) {w}"),
}


def _make(**phrases: str) -> Patterns:
    """One pattern for each line and way."""
    languages: tuple[Language, ...] = ("en", "de", "es")
    return tuple((language, _fill(line.strip(), way)) for language in languages
                 for line in phrases[language].strip().splitlines()
                 for way in (_WAYS[language] if "{ft}" in line else ("",)))


def _fill(phrase: str, way: str) -> Phrase:
    phrase = phrase.replace("{ft}", way)
    for slot, pattern in (*_SLOTS.items(), *_SLOTS.items()):
        phrase = phrase.replace(slot, pattern)
    return Phrase(phrase)


CHANGES = _make(
    en=r"""
    {get}{pc} {noun}(?: in {it})?(?: is it| going)?,? {ft}
    {get}{noun} (?:in percent|as a percentage) {ft}
    {much} (?:is|was|is it|is the {noun}|more is it|change is it|does it {went}) {ft}
    {much} (?:did|does|has|will|would) {it} {went}(?:,? (?:if|when) {it} {went})? {ft}
    {much} {noun} (?:is|was) (?:it |that |there )?{ft}
    (?:if |when )?{it} (?:has )?{went} {ft},? (?:then )?{much}(?: {noun})? (?:is|was) (?:that|it|this|the {noun})
    (?:if |when )?{it} (?:has )?{went} {ft},? (?:then )?{much}(?: did it {went}| {noun})?
    (?:if |when )?{it} (?:has )?{went} {ft},? what (?:is|was) (?:the {pc} {noun}|that in percent|the {noun} in percent)
    {ft},? (?:{much}(?: {noun})?(?: is (?:that|it|this))?|(?:in|as) (?:a )?{pc}|{pc} {noun})
    {o} to {w},? {pc} {noun}
    {ft} is {much} {noun}
    {much} {than} (?:is|are) {w} than {o}
    {much} (?:is|are) {w} {than} than {o}
    {w} is {much} {than} than {o}
    """,
    de=r"""
    {hole}prozentuale[rsn]? {sache} {ft}
    {hole}{sache} in {pz} {ft}
    {wieviel} (?:ist|sind|beträgt|hat(?: sich)?)(?: es| das| {es}| die {sache})? {ft}(?: {stieg}| in prozent)?
    {wieviel} (?:steigt es|fällt es|sind es|mehr sind es|(?:{es} )?{steigt}|{steigt} {es}) {ft}
    {wieviel} {sache} (?:sind es|ist es|ist das|sind das|sind|ist|war es|waren es) {ft}
    {wieviel}(?: {sache})? (?:sind es|ist es|ist das|sind das|sind|ist),? wenn {es} {ft} {stieg}
    wenn {es} {ft} {stieg},? {wieviel}(?: {sache})?(?: sind das| ist das| sind es| ist es)?
    (?:{es} (?:{steigt}|ist) )?{ft}(?: {stieg})?[,:]? {wieviel}(?: {sache})?(?: (?:sind|ist) das)?(?: mehr| weniger)?
    {ft}[,:]? (?:in prozent|prozentuale {sache}|was ist die prozentuale {sache})
    {wieviel} (?:ist|sind) {w} {als} als {o}
    {wieviel} {als} (?:ist|sind) {w} als {o}
    """,
    es=r"""
    {halla}{cosa} (?:porcentual|en porcentaje|en por ciento) {ft}
    {halla}(?:qué )?porcentaje de {cosa}(?: hay| es)?,? {ft}
    {cuanto} {sube}(?: {ello})?(?: al pasar| si pasa)? {ft}
    {cuanto} de {cosa} (?:hay|es|supone) {ft}
    (?:si )?{ello} {sube} {ft},? ¿?{cuanto}(?: de {cosa})?(?: es| representa| supone| ha subido| ha bajado| {sube})?
    (?:si )?{ello} {sube} {ft},? ¿?(?:cuál es|cuál fue) (?:el|la) {cosa} porcentual
    {ft},? ¿?(?:{cuanto}(?: de {cosa})?(?: es| más| menos| {sube})?|en porcentaje|{cosa} porcentual)
    {cuanto} es {w} {que} {o}
    {cuanto} (?:más|menos) es {w} que {o}
    """,
)
SHARES = _make(
    en=r"""
    (?:what|which|how many) {pc} of {o} (?:is|are) {w}
    (?:what|which|how many) {pc} (?:is|are) {w} (?:out )?of {o}
    {w} (?:is|are) (?:what|which|how many) {pc} of {o}
    (?:what is |what's |express |write |calculate )?{w} (?:out )?of {o} (?:in|as(?: a)?) {pc}
    {w} as (?:a )?{pc} of {o}
    (?:what is|what's|express|calculate) {w} as (?:a )?{pc} of {o}
    """,
    de=r"""
    wie ?viele? {pz} von {o} (?:ist|sind) {w}
    wie ?viele? {pz} (?:ist|sind) {w} von {o}
    {w} (?:ist|sind) wie ?viele? {pz} von {o}
    (?:was (?:ist|sind) |wie ?viel (?:ist|sind) )?{w} von {o} in {pz}
    """,
    es=r"""
    {cuanto} de {o} (?:es|son|representan?) {w}
    {cuanto} (?:es|son|representan?) {w} (?:de|sobre) {o}
    {w} (?:es|son|representan?) qué porcentaje de {o}
    (?:cuánto (?:es|son) )?{w} (?:de|sobre) {o} en porcentaje
    """,
)
_WHAT = {"en": r"(?:(?:what is|what's|whats|how much is|calculate|compute|what number is) )?",
         "de": r"(?:(?:was (?:ist|sind)|wie ?viel (?:ist|sind)|berechne|welche zahl ist) )?(?:um )?",
         "es": r"(?:(?:cuánto (?:es|son)|qué es|calcula|cuál es|qué número es) )?(?:un |el )?"}
_EN_TAX = r"(?:vat|tax|sales tax|tip|gst|interest)"
_DE_TAX = r"(?:mwst|mehrwertsteuer|umsatzsteuer|ust|steuern?|aufschlag|trinkgeld|zinsen)"
_ES_TAX = r"(?:de )?(?:iva|impuestos?|propina|recargo|intereses)"
MORE = _make(
    en=rf"""
    {_WHAT["en"]}{{p}} (?:more|higher|greater|larger|bigger) than {{o}}
    {_WHAT["en"]}{{o}} (?:increased|raised) by {{p}}
    (?:increase|raise) {{o}} by {{p}}
    add {{p}} (?:{_EN_TAX} )?to {{o}}
    {_WHAT["en"]}{{o}} (?:plus|with|including|\+) {{p}} {_EN_TAX}
    """,
    de=rf"""
    {_WHAT["de"]}{{p}} (?:mehr|höher|größer) als {{o}}
    {_WHAT["de"]}{{o}} um {{p}} (?:erhöht|gesteigert|vermehrt)
    (?:erhöhe|steigere) {{o}} um {{p}}
    {_WHAT["de"]}{{o}} (?:plus|mit|zuzüglich|zzgl|inklusive|inkl|\+)\.? {{p}} {_DE_TAX}
    """,
    es=rf"""
    {_WHAT["es"]}{{p}} (?:más|mayor|superior) (?:que|a) {{o}}
    {_WHAT["es"]}{{o}} (?:aumentado|incrementado) (?:en )?(?:un )?{{p}}
    (?:aumenta|incrementa) {{o}} (?:en )?(?:un )?{{p}}
    {_WHAT["es"]}{{o}} (?:más|con|incluido|\+) (?:el |un )?{{p}} {_ES_TAX}
    """,
)
LESS = _make(
    en=rf"""
    {_WHAT["en"]}{{p}} (?:less|lower|smaller|fewer) than {{o}}
    {_WHAT["en"]}{{o}} (?:decreased|reduced|lowered|discounted) by {{p}}
    (?:decrease|reduce|lower|discount) {{o}} by {{p}}
    (?:subtract|take) {{p}} from {{o}}
    {_WHAT["en"]}{{o}} (?:with|after|minus) (?:a |an )?{{p}} (?:discount|reduction)
    """,
    de=rf"""
    {_WHAT["de"]}{{p}} (?:weniger|niedriger|kleiner) als {{o}}
    {_WHAT["de"]}{{o}} um {{p}} (?:reduziert|verringert|gesenkt|vermindert)
    (?:reduziere|senke|verringere) {{o}} um {{p}}
    {_WHAT["de"]}{{o}} (?:minus|mit|abzüglich|nach) {{p}} (?:rabatt|skonto|nachlass|preisnachlass)
    """,
    es=rf"""
    {_WHAT["es"]}{{p}} (?:menos|menor|inferior) (?:que|a) {{o}}
    {_WHAT["es"]}{{o}} (?:reducido|rebajado|disminuido) (?:en )?(?:un )?{{p}}
    (?:reduce|rebaja|disminuye) {{o}} (?:en )?(?:un )?{{p}}
    {_WHAT["es"]}{{o}} (?:con|menos|tras) (?:el |un )?{{p}} de (?:descuento|rebaja)
    """,
)
