"""The phrases of questions about dates; {a} and {b} stand for a date, {n} for an amount of time."""

from __future__ import annotations

from collections.abc import Mapping

from ..base import Language
from .spelling import Phrase, loosen

Patterns = Mapping[Language, tuple[Phrase, ...]]

_UNITS: Mapping[Language, Mapping[str, str]] = {
    "en": {"days": "day days", "weeks": "week weeks", "months": "month months", "years": "year years",
           "business_days": "business_day business_days working_day working_days workday workdays"},
    "de": {"days": "tag tage tagen", "weeks": "woche wochen", "months": "monat monate monaten",
           "years": "jahr jahre jahren", "business_days": "arbeitstag arbeitstage arbeitstagen"},
    "es": {"days": "día días dia dias", "weeks": "semana semanas", "months": "mes meses", "years": "año años",
           "business_days": "día_laborable días_laborables día_hábil días_hábiles"},
}
# Where days from Monday to Friday are asked for.
WORKING = (r"\b(?:business|work(?:ing)?)[ -]?days?\b|\b(?:arbeits|werk)tage?n?\b|"
           r"\bd[ií]as? (?:laborable|h[áa]bil)")
UNITS: Mapping[Language, Mapping[str, str]] = {
    language: {word.replace("_", " "): unit for unit, words in units.items() for word in words.split()}
    for language, units in _UNITS.items()
}
NUMBERS: Mapping[str, int] = {
    word: number for number, words in enumerate((
        "a an one ein eine einem einen einer un una", "two zwei dos", "three drei tres", "four vier cuatro",
        "five fünf cinco", "six sechs seis", "seven sieben siete", "eight acht ocho", "nine neun nueve",
        "ten zehn diez", "eleven elf once", "twelve zwölf doce"), 1) for word in words.split()
}
_UNIT = "|".join(sorted((word for words in UNITS.values() for word in words), key=len, reverse=True))
AMOUNT = rf"(?<!\w)([0-9]{{1,6}}|{'|'.join(NUMBERS)}) ({_UNIT})(?!\w)"
_ONE = AMOUNT.replace("(", "(?:").replace("(?:?", "(?")
_SLOTS = {
    "{on}": r"(?:,? on {d})?", "{am}": r"(?:,? am {d})?",
    "{el}": loosen(r"(?:,? (?:el|del)(?: día)? {d})?"),
    "{a}": r"(?P<a>.{3,45}?)", "{b}": r"(?P<b>.{3,45}?)", "{n}": rf"(?P<n>{_ONE}(?:,? (?:and|und|y) {_ONE})?)",
    "{p}": r"(?P<p>.{2,30}?)", "{q}": r"(?P<q>.{2,30}?)", "{d}": r"(?P<d>.{6,45}?)",
    "{t}": r"(?P<t>[0-9]{1,2}(?:[:.h][0-9]{2})?(?: ?(?:uhr(?: [0-9]{2})?|h|hrs|horas|a\.m\.|p\.m\.|[ap]m|"
           r"de la (?:mañana|tarde|noche)))?|noon|midnight|midday|mittag|mitternacht|mediodía|medianoche)(?!\w)",
    "{lead}": loosen(r"(?:(?:wie (?:groß|lang|hoch) ist|was ist|berechne|bestimme|ermittle)(?: bitte)? )?"),
    "{span}": r"(?:zeitraum|zeitspanne|abstand|differenz|dauer|zeitdifferenz|unterschied)",
    "{tag}": loosen(r"(?:(?:welche[rs]? (?:tag|datum|wochentag)|was|wann) "
                    r"(?:ist|war|wäre|haben wir|liegt|kommt) )?"),
    "{dia}": loosen(r"(?:(?:(?:qué|cuál) (?:fecha|día)(?: de la semana)? (?:es|será|sería|era|fue|cae)|fecha) )?"),
    "{rechne}": r"(?:(?:rechne|wandle|konvertiere)(?: bitte)? )?",
    "{wann}": r"(?:wie sp(?:ä|ae?)t|wie ?viel uhr|welche uhrzeit) ist(?: es| das)?(?: dann)?",
    "{hora}": loosen(r"qué hora (?:es|será|sería)"),
    "{van}": r"(?:hay|pasan|pasaron|transcurren|transcurrieron|van|hubo|faltan|quedan|son)",
    "{which}": r"(?:(?:what|which) (?:date|day)(?: of the week)? "
               r"(?:is|was|will be|is it|was it|will it be|falls|comes)|"
               r"what is|what's|what was|when is|when was|(?:the )?date)",
    "{en}": r"(?:calendar |full |whole )?(?:days|weeks|years|business days|working days|workdays)",
    "{de}": r"(?:vollen? |ganzen? )?(?:tagen?|wochen|jahren?|arbeitstagen?)",
    "{es}": loosen(r"(?:días|semanas|años)(?: laborables| hábiles)?"),
}


def _make(**phrases: str) -> Patterns:
    """One pattern for each line."""
    def fill(phrase: str) -> Phrase:
        for slot, pattern in _SLOTS.items():
            phrase = phrase.replace(slot, pattern)
        return Phrase(phrase)

    languages: tuple[Language, ...] = ("en", "de", "es")
    return {language: tuple(fill(line.strip()) for line in phrases[language].strip().splitlines())
            for language in languages}


DIFF = _make(
    en=r"""
    how many {en}(?: is it| are| are there| were| were there| lie| passed| elapsed| pass)? between {a} and {b}
    how many {en}(?: is it| are| are there| was it| were there)? from {a} (?:to|until|till) {b}
    (?:(?:count|calculate|compute|find) )?(?:the )?(?:number of )?{en} between {a} and {b}
    (?:(?:count|calculate|compute|find) )?(?:the )?(?:number of )?{en} from {a} (?:to|until|till) {b}
    (?:what is|what's) the (?:number of {en}|time) between {a} and {b}
    (?:what is|what's) the (?:date |time )?difference(?: in {en})? between {a} and {b}
    (?:calculate |compute |find )?(?:the )?(?:date |time )?difference(?: in {en})? between {a} and {b}
    how (?:long|much time)(?: is it| is there| was it| is)? between {a} and {b}(?: in {en})?
    how (?:long|much time)(?: is it| is there| was it| is)? from {a} (?:to|until|till) {b}(?: in {en})?
    (?:how many )?{en}(?: is it| are there| are left| left)? (?:until|till|to|before) {b},? (?:counting )?from {a}
    from {a} (?:to|until|till) {b},? how many {en}(?: is it| are there| is that| are that)?
    (?:the )?(?:time|time span|period|interval) between {a} and {b}(?: in {en})?
    (?:the )?(?:time|time span|period|interval) from {a} (?:to|until) {b}(?: in {en})?
    """,
    de=r"""
    wie ?viele? {de}(?: liegen| sind| sind es| gibt es| vergehen)? zwischen {a} und {b}
    wie ?viele? {de} (?:vergingen|lagen|waren|waren es) zwischen {a} und {b}
    wie ?viele? {de} zwischen {a} und {b} (?:liegen|sind|vergehen|vergingen|lagen|waren|vergangen sind)
    wie ?viele? {de}(?: sind| sind es| waren es| vergehen| vergingen| liegen)? (?:vom|von) {a} bis (?:zum )?{b}
    wie ?viele? {de} es (?:vom|von) {a} bis (?:zum )?{b} (?:sind|waren)
    (?:(?:berechne|zähle?) )?(?:die )?(?:(?:an)?zahl der )?{de} zwischen {a} und {b}
    (?:(?:berechne|zähle?) )?(?:die )?(?:(?:an)?zahl der )?{de} vom {a} bis(?: zum)? {b}
    {lead}(?:der |die |den )?{span}(?: in {de})? zwischen {a} und {b}(?: in {de})?
    {lead}(?:der |die |den )?{span}(?: in {de})? (?:vom|von) {a} bis(?: zum)? {b}(?: in {de})?
    (?:vom|von) {a} bis(?: zum)? {b},? wie ?viele? {de}(?: sind das| sind es)?
    wie lange? (?:ist es|dauert es|war es|ist die zeit) vom {a} bis(?: zum)? {b}(?: in {de})?
    wie lange? (?:ist es|dauert es|war es|ist die zeit) zwischen {a} und {b}(?: in {de})?
    """,
    es=r"""
    cu[aá]nt[oa]s {es} (?:hay|pasan|pasaron|transcurren|transcurrieron|van|han pasado|hubo|son) entre {a} y {b}
    cu[aá]nt[oa]s {es} {van} (?:desde|de) {a} (?:hasta|a) {b}
    cu[aá]nt[oa]s {es} {van} del {a} al {b}
    cu[aá]nt[oa]s {es} (?:hay|faltan|quedan) (?:para|hasta) {b} (?:desde|a partir de) {a}
    (?:el )?tiempo(?: transcurrido)?(?: en {es})? entre {a} y {b}(?: en {es})?
    (?:(?:calcula|cuenta) )?(?:el )?(?:n[uú]mero de |los |las )?{es}(?: transcurridos| que hay)? entre {a} y {b}
    (?:(?:calcula|cuenta) )?(?:el )?(?:n[uú]mero de |los |las )?{es}(?: transcurridos| que hay)? desde {a} hasta {b}
    (?:(?:calcula|cuenta) )?(?:el )?(?:n[uú]mero de |los |las )?{es}(?: transcurridos| que hay)? del {a} al {b}
    (?:cu[aá]l es )?(?:la )?diferencia(?: en {es}| de {es})? entre {a} y {b}(?: en {es})?
    cu[aá]nto tiempo (?:hay|pas[aó]|transcurre|transcurrió|va) entre {a} y {b}(?: en {es})?
    cu[aá]nto tiempo (?:hay|pas[aó]|transcurre|transcurrió|va) desde {a} hasta {b}(?: en {es})?
    cu[aá]nto tiempo (?:hay|pas[aó]|transcurre|transcurrió|va) del {a} al {b}(?: en {es})?
    """,
)
UNTIL = _make(
    en=r"""
    (?:how many )?{en}(?: is it| are there| are left| left| remain| to go| are there left)? (?:until|till|before|to) {a}
    how long(?: is it)? (?:until|till) {a}
    """,
    de=r"""
    wie ?viele? {de}(?: sind es| sind| bleiben| dauert es)?(?: noch)? bis (?:zum )?{a}
    wie ?viele? {de} es(?: noch)? bis (?:zum )?{a} sind
    wie lange?(?: ist es| dauert es)?(?: noch)? bis (?:zum )?{a}
    """,
    es=r"""
    cu[aá]nt[oa]s {es} (?:faltan|quedan|hay) (?:para|hasta) {a}
    cu[aá]nto(?: tiempo)? (?:falta|queda) (?:para|hasta) {a}
    """,
)
SINCE = _make(
    en=r"""
    how many {en} (?:have passed |have gone by |has it been |is it |passed )?since {a}
    how many {en} ago was {a}
    how long (?:has it been since|is it since|ago was) {a}
    how old is (?:someone|somebody|a person|anyone) (?:who (?:was|is) )?born (?:on )?{a}
    how old am i if i was born (?:on )?{a}
    """,
    de=r"""
    wie ?viele? {de}(?: sind)?(?: es)? seit (?:dem )?{a}(?: vergangen| her)?
    wie ?viele? {de} seit (?:dem )?{a} vergangen sind
    wie ?viele? {de} ist (?:der )?{a} her
    wie ?viele? {de} liegt (?:der )?{a} zurück
    wie lange? ist (?:der )?{a} her
    wie alt ist (?:jemand|man|eine person), ?(?:der|die|wenn man) (?:am )?{a} geboren (?:wurde|ist)
    wie alt bin ich,? wenn ich (?:am )?{a} geboren (?:wurde|bin)
    """,
    es=r"""
    cu[aá]nt[oa]s {es} (?:han pasado|pasaron|hace) desde {a}
    cu[aá]nto tiempo (?:ha pasado|pas[oó]) desde {a}
    (?:cu[aá]ntos años|qué edad) tiene (?:alguien|una persona) (?:que nació|nacid[oa]) {a}
    cu[aá]ntos años tengo si nací {a}
    """,
)
ADD = _make(
    en=r"""
    (?:{which} )?{n} (?:after|from|past) {a}
    (?:{which} )?{n} (?P<minus>before) {a}
    (?:what is|what's) the date {n} (?:after|from) {a}
    (?:what is|what's|what was) the date {n} (?P<minus>before) {a}
    (?:what is |what's |calculate )?{a} ?(?:plus|\+) ?{n}
    (?:what is |what's |calculate )?{a} ?(?P<minus>minus|-|−) ?{n}
    add {n} to {a}
    (?P<minus>subtract|take) {n} from {a}
    (?:(?:what|which) (?:date|day) (?:is it|will it be|is|will be)|(?:what is|what's|what will be) the date) in {n}
    (?:(?:what|which) (?:date|day) (?:was it|was)|what was the date) {n} (?P<minus>ago)
    """,
    de=r"""
    {tag}{n} (?:nach|ab) {a}
    {tag}{n} (?P<minus>vor) {a}
    welche[rs]? (?:tag|datum|wochentag) {n} nach {a} (?:ist|war)
    (?:was ist |berechne |welche[rs]? (?:tag|datum) ist )?{a} ?(?:plus|\+) ?{n}
    (?:was ist |berechne |welche[rs]? (?:tag|datum) ist )?{a} ?(?P<minus>minus|-|−) ?{n}
    (?:addiere|zähle|rechne)(?: bitte)? {n} zu[mr]? {a}(?: hinzu| dazu)?
    (?P<minus>subtrahiere|ziehe?)(?: bitte)? {n} (?:vom|von) {a}(?: ab)?
    welche[rs]? (?:tag|datum|wochentag) (?:ist|haben wir) (?:heute )?in {n}
    welche[rs]? (?:tag|datum|wochentag) (?:war|hatten wir) (?P<minus>vor) {n}
    """,
    es=r"""
    {dia}{n} (?:después|a partir) (?:de |del ){a}
    {dia}{n} (?P<minus>antes) (?:de |del ){a}
    (?:cuánto es |calcula |qué (?:fecha|día) es )?{a} ?(?:más|\+) ?{n}
    (?:cuánto es |calcula |qué (?:fecha|día) es )?{a} ?(?P<minus>menos|-|−) ?{n}
    (?:suma|sumar|añade|añadir|agrega|súmale) {n} al? {a}
    (?P<minus>resta|restar|quita|réstale) {n} al? {a}
    qué (?:fecha|día)(?: de la semana)? (?:será|es) (?:dentro de|en) {n}
    qué (?:fecha|día)(?: de la semana)? (?:fue|era) (?P<minus>hace) {n}
    """,
)
TODAY = _make(
    en=r"""
    (?:what|which) (?:day|date)(?: of the week)? is (?:it today|today|it)
    (?:what is|what's) (?:today's date|the date today|the date|today's day)
    """,
    de=r"""
    welche[rsn]? (?:tag|wochentag|datum) (?:ist heute|haben wir heute|ist es heute|haben wir)
    (?:welches|was für ein) datum ist heute|was für ein (?:wochen)?tag ist heute
    der wievielte ist heute|den wievielten haben wir(?: heute)?
    """,
    es=r"""
    qué (?:día|fecha)(?: de la semana)? (?:es hoy|es|tenemos hoy)
    (?:a )?qué (?:día|fecha) estamos(?: hoy)?|cuál es la fecha de hoy
    """,
)
DAY = _make(
    en=r"""
    (?:what|which) (?:day of the week|weekday|day) (?:is|was|will|is it on|was it on|will it be on)(?: on)? {a}(?: be)?
    (?:on )?(?:what|which) (?:day of the week|weekday|day) (?:did|does|will|do) {a} (?:fall|fall on|land on|be)
    on (?:what|which) (?:day of the week|weekday|day) (?:was|is) {a}
    (?:on )?(?:what|which) (?:day of the week|weekday|day) {a} (?:was|is|falls|falls on|fell|fell on|will be)
    (?:what is |what's |what was )?(?:the )?(?:day of the week|weekday)(?: (?:of|for|on))?:? {a}
    {a} (?:is|was) (?:what|which) (?:day of the week|weekday|day)
    (?:in )?(?:what|which) (?:calendar |iso )?week(?: number| of the year)? (?:is|was|does) {a}(?: in| fall in)?
    (?:what is |what's )?(?:the )?(?:calendar |iso )?week(?: number)? (?:of|for|on) {a}
    (?:what|which) day of the year (?:is|was) {a}
    """,
    de=r"""
    welcher (?:wochentag|tag) (?:ist|war|wird|war am|ist am) {a}(?: sein)?
    welcher (?:wochentag|tag) {a} (?:ist|war)
    (?:an|auf) welche[nm] (?:wochentag|tag)(?: der woche)? (?:ist|war|fällt|fiel|liegt|lag) {a}
    (?:an|auf) welche[nm] (?:wochentag|tag)(?: der woche)? {a} (?:ist|war|fällt|fiel|liegt|lag)
    was (?:ist|war) (?:am )?{a} für ein (?:wochentag|tag)
    was für ein (?:wochentag|tag) (?:ist|war) {a}
    (?:der )?wochentag(?: (?:vom|am|von|für))?:? {a}
    (?:in )?welche[r]? (?:kalenderwoche|kw) (?:liegt|ist|lag|war|fällt|hat) {a}
    (?:die )?(?:kalenderwoche|kw)(?: (?:vom|am|von|für))?:? {a}
    der wievielte tag (?:des jahres|im jahr) (?:ist|war) {a}
    """,
    es=r"""
    (?:en )?qu[eé] d[ií]a de la semana (?:es|fue|era|será|cae|cay[oó]|caerá) {a}
    (?:en )?qu[eé] d[ií]a (?:es|fue|era|será|cae|cay[oó]|caerá) {a}
    (?:cuál es )?(?:el )?d[ií]a de la semana(?: (?:del|de|para))?:? {a}
    (?:en|a) qu[eé] semana(?: del año)? (?:es|cae|está|cay[oó]|fue|pertenece) {a}
    qu[eé] (?:número de )?semana(?: del año)? (?:es|fue) {a}
    qu[eé] d[ií]a del año (?:es|fue) {a}
    """,
)
ZONE = _make(
    en=r"""
    what time (?:is it|is that|is this|will it be|would it be) in {p},? (?:when|if) it(?:'s| is) {t} in {q}{on}
    what time (?:is it|is that|will it be|would it be) in {p},? (?:when|if) it(?:'s| is) {t} on {d},? in {q}
    (?:when|if) it(?:'s| is) {t} in {q}{on},? (?:then )?what time is it in {p}
    (?:when|if) it(?:'s| is) {t} on {d},? in {q},? (?:then )?what time is it in {p}
    (?:on )?{d},? {t} in {q},? what time (?:is it|is that) in {p}
    (?:convert|change) {t} (?:from |in )?{q}(?: time)? (?:to|into) {p}(?: time)?{on}
    (?:convert|change) {t} on {d},? (?:from |in )?{q}(?: time)? (?:to|into) {p}(?: time)?
    (?:what is |what's |what time is )?{t} (?:in )?{q}(?: time)?,? (?:in|to) {p}(?: time)?{on}
    what time is {t} (?:in )?{q}(?: time)? on {d} in {p}(?: time)?
    """,
    de=r"""
    {wann} in {p},? wenn es (?:(?:am {d} )?in {q} )(?:um )?{t} ist
    {wann} in {p},? wenn es in {q} am {d},? (?:um )?{t} ist
    {wann} in {p},? wenn es (?:(?:am {d} )?um )?{t} in {q} ist
    wenn es (?:(?:am {d}) )?in {q} {t} ist,? {wann} in {p}
    wenn es in {q} am {d},? (?:um )?{t} ist,? {wann} in {p}
    wenn es {t} in {q} ist,? {wann} in {p}
    {t} in {q}{am},? {wann} in {p}
    (?:am )?{d},? (?:um )?{t} in {q},? {wann} in {p}
    {rechne}{t} (?:in |von |aus )?{q} (?:in|nach) {p}(?: um)?{am}
    {rechne}{t} (?:in |von |aus )?{q} am {d} (?:in|nach) {p}(?: um)?
    """,
    es=r"""
    {hora} en {p},? (?:cuando|si) (?:son|es) (?:las? )?{t} en {q}{el}
    {hora} en {p},? (?:cuando|si) en {q} (?:son|es) (?:las? )?{t}{el}
    {hora} en {p},? (?:cuando|si) el(?: día)? {d},? (?:son|es) (?:las? )?{t} en {q}
    {hora} en {p},? (?:cuando|si) el(?: día)? {d} en {q},? (?:son|es) (?:las? )?{t}
    (?:cuando|si) (?:son|es) (?:las? )?{t} en {q}{el},? ¿?{hora} en {p}
    (?:cuando|si) en {q} (?:son|es) (?:las? )?{t}{el},? ¿?{hora} en {p}
    (?:cuando|si) el(?: día)? {d},? (?:son|es) (?:las? )?{t} en {q},? ¿?{hora} en {p}
    (?:(?:convierte|convertir|pasa|pasar) )?(?:las? )?{t} (?:(?:de|en|desde) )?{q},? (?:a|en) {p}{el}
    qué hora son (?:las? )?{t} (?:de|en) {q} en {p}{el}
    """,
)
NOW_IN = _make(
    en=r"""
    what time is it(?: now| right now| currently)? in {p}(?: now| right now)?
    (?:what is|what's) the (?:current )?(?:local )?time(?: now)? in {p}(?: now| right now)?
    (?:current )?time in {p}
    """,
    de=r"""
    (?:wie spät|wie ?viel uhr) ist es(?: jetzt| gerade| aktuell)? in {p}(?: jetzt| gerade)?
    (?:aktuelle )?uhrzeit in {p}
    """,
    es=r"""
    qué hora es(?: ahora)? en {p}(?: ahora)?
    hora(?: actual)? en {p}
    """,
)
