"""Questions about what is found in a text or a JSON document that comes with them."""

from __future__ import annotations

import json
import re

from .question import Asked, Question, Reader
from .quoting import language_around, place, take_text
from .spelling import Phrase, loosen

_FENCE = (r"(?:`(?P<ticked>[^`]+)`|/(?P<slashed>[^/]+)/|[\"“'](?P<quoted>[^\"”']+)[\"”']|"
          r"(?P<bare>[^\s`/\"'“„«‘]\S*))")
# What tells a pattern from a word.
_SIGN = re.compile(r"[\\\[({+*?|^$.]")
# What nobody writes who means a text: a name, a price, a path.
_STRONG = re.compile(r"(?<![:\\])\\[dwsbDWSB]|\[[^\]]+\]|\.[*+]|\)[*+?{]")
_NAME = (r"(?:regexp?|regex pattern|pattern|regular expression|regulären? ausdrucks?|reguläre ausdruck|muster|"
         r"expresión regular|patrón|expresión)")
_TOLD = re.compile(loosen(rf"{_NAME}|match|occurrence|treffer|vorkommen|coincidencia|aparicion|ocurrencia"))
_THE = r"(?:(?:the|a|this|den|dem|der|das|des|die|la|el|una|un) )?"
_MAYBE = rf"(?:{_THE}{_NAME}:? )?"
_CERTAIN = rf"{_THE}{_NAME}:? "
_TEXT = (r"(?: (?:the|this|dem|der|diesem|den|la|el|este))?(?: following| folgenden)?(?: text| string| satz| texto| "
         r"cadena| "
         r"frase)?:? ?(?P<text>[\"“„«'‘].+?)")
_ALL = r"(?: me| mir)?(?: bitte)?(?: all| every| alle| todas| todos)?(?: of)?(?: the| die| las| los)?"
_MATCHES = tuple(Phrase(pattern, re.IGNORECASE) for pattern in (
    rf"(?:extract|find|get|list|show|return|give){_ALL} (?:match|matches|occurrences?) (?:of|for) {_MAYBE}{_FENCE} "
    rf"(?:in|from|on|within){_TEXT}",
    rf"(?:apply|run|use|test|try|execute|match) {_MAYBE}{_FENCE} (?:on|to|against|in|over){_TEXT}",
    rf"(?:extract|find|match|search|get|search for){_ALL} {_MAYBE}{_FENCE} (?:in|from|on|against|within){_TEXT}",
    rf"(?:search|extract|find){_ALL}(?: [a-z]+)? (?:with|using) {_MAYBE}{_FENCE} (?:in|from|on){_TEXT}",
    rf"{_CERTAIN}{_FENCE} (?:on|in|against|for|auf|für|gegen|an|en|sobre|a|para){_TEXT}",
    rf"what (?:does|would) {_MAYBE}{_FENCE} (?:match|find|extract|return|give|capture) (?:in|on|from|against){_TEXT}",
    rf"what are the (?:matches|results) (?:of|for) {_MAYBE}{_FENCE} (?:in|on){_TEXT}",
    rf"(?:finde|suche|zeige?|extrahiere|liste|gib){_ALL} (?:treffer|vorkommen|übereinstimmungen) (?:von|für|zu|mit|"
    r"des) "
    rf"{_MAYBE}{_FENCE} (?:in|aus|auf){_TEXT}",
    rf"(?:wende|teste|nutze|benutze|verwende)(?: bitte)? {_MAYBE}{_FENCE} (?:auf|in|an|gegen){_TEXT}(?: an)?",
    rf"(?:suche?|finde|extrahiere)(?: bitte)?(?: mit| nach| per)? {_MAYBE}{_FENCE}(?: alle [a-zäöüß]+)? (?:in|aus|auf)"
    rf"{_TEXT}(?: heraus)?",
    rf"welche (?:treffer|übereinstimmungen) (?:hat|liefert|findet|ergibt|gibt es für) {_MAYBE}{_FENCE} (?:in|auf|bei)"
    rf"{_TEXT}",
    rf"was (?:findet|trifft|liefert|ergibt|passt auf) {_MAYBE}{_FENCE} (?:in|auf){_TEXT}",
    rf"(?:encuentra|busca|extrae|muestra|dame|lista|saca){_ALL} (?:coincidencias|apariciones|ocurrencias) (?:de|del|"
    r"para|con) "
    rf"{_MAYBE}{_FENCE} (?:en|de){_TEXT}",
    rf"(?:aplica|aplicar|usa|ejecuta|prueba) {_MAYBE}{_FENCE} (?:a|en|sobre|contra){_TEXT}",
    rf"(?:busca|extrae|encuentra|saca)(?: con| todos los| todas las)? {_MAYBE}{_FENCE} (?:de|en){_TEXT}",
    rf"qué (?:coincidencias|resultados) (?:tiene|hay de|hay para|da|encuentra|devuelve) {_MAYBE}{_FENCE} (?:en|"
    rf"sobre){_TEXT}",
    rf"qué (?:encuentra|devuelve|extrae|da) {_MAYBE}{_FENCE} (?:en|de|sobre){_TEXT}",
))
_PATH = r"[`\"']?(?P<path>[^\s`\"']{1,120}|\$[^`]{1,120})[`\"']?"
_LEAD = (r"(?:what is|what's|whats|what value (?:is at|has)|was ist|was steht (?:in|unter|bei|an)|welchen wert hat|"
         r"welcher wert steht (?:in|unter|bei|an)|wie lautet|wie ist|qué (?:es|hay en|valor tiene|valor hay en|vale)|"
         r"cuál es|cuánto vale|(?:get|give|fetch|extract|find|read|return|select|query|show|look up|print|hole?|"
         r"extrahiere|lies|finde|gib|zeige?|nenne|obtén|obtener|extrae|extraer|da|dame|busca|lee|muestra|consulta)"
         r"(?: me| mir)?(?: bitte)?) ")
_VALUE = (r"(?:(?:the )?values? (?:of|at|under|for) |(?:(?:den|der|die) )?werte? (?:von|unter|bei|an) |"
          r"(?:el )?valor(?:es)? (?:de|en) )")
_STEPS = r"(?P<path>(?=[^\s{\"']*[.\[$])[^\s`\"'{]{1,120})"
_JSON_PATH = (r"(?:(?:run|apply|evaluate|use|execute|query|wende|werte|nutze|aplica|evalúa|ejecuta|usa) )?"
              r"(?:the |den |das |el |la )?json[- ]?(?:path|query|pfad)(?:[- ](?:query|expression|ausdruck))? ")
_DOCUMENT = (r"(?: the| this| diesem| dem| este| el| folgendem| das)?(?: following| folgenden)?(?: json)?"
             r"(?:[- ]?(?:document|object|dokument|objekt|documento|objeto))?:? ?(?P<text>[\[{].*[\]}])")
_QUERIES = tuple(Phrase(pattern, re.IGNORECASE) for pattern in (
    rf"(?:{_LEAD}(?:{_VALUE})?|{_VALUE}){_PATH} (?:in|from|of|on|within|inside|aus|von|im|en|de|del){_DOCUMENT}(?: "
    r"heraus)?",
    rf"{_STEPS} (?:in|from|of|on|aus|von|en|de){_DOCUMENT}",
    rf"{_JSON_PATH}{_PATH} (?:on|to|in|for|against|from|of|auf|für|aus|von|en|a|sobre|para|de){_DOCUMENT}(?: an| aus)?",
    rf"(?:in|from|given|aus|von|de|en|dado|für|para){_DOCUMENT}(?=.{{1,200}}$)[,:]? (?:{_LEAD}|"
    rf"{_JSON_PATH})(?:{_VALUE})?{_PATH}",
))


def _read_matches(question: Question) -> Asked | None:
    for pattern in _MATCHES:
        found = pattern.fullmatch(question.text)
        text = take_text(question, found) if found else None
        if found and text:
            name = next(name for name in ("ticked", "slashed", "quoted", "bare") if found[name])
            around = question.folded[:found.start(name)] + question.folded[found.end(name):found.start("text")]
            if not (_SIGN if _TOLD.search(around) else _STRONG).search(found[name]):
                return None
            language = language_around(question, (found.start(name), found.end("text")))
            return Asked("regex_extract", {"pattern": found[name], "text": text}, language)
    return None


def _read_query(question: Question) -> Asked | None:
    for pattern in _QUERIES:
        found = pattern.fullmatch(question.text)
        if found:
            try:
                json.loads(found["text"])
            except (ValueError, RecursionError):
                return None
            document = place(question, found.span("text"))
            if document is None:
                return None
            document = document[:document.rfind("]" if document.startswith("[") else "}") + 1]
            spans = sorted((found.span("path"), found.span("text")))
            language = language_around(question, (spans[0][0], spans[1][1]))
            return Asked("json_query", {"json_str": document, "path": found["path"]}, language)
    return None


READERS: tuple[Reader, ...] = (
    Reader(re.compile(r"[\"'`“”»’](?: an| heraus)?$"), _read_matches, takes_text=True),
    Reader(re.compile(r"[\]}](?: heraus| an| aus)?$|[\]}][,:]? [a-z¿]"), _read_query, takes_text=True),
)
