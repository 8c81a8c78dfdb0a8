"""Questions about a text that comes with them: its digest, its Base64, its counts, what is found in it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from ..base import Language
from .question import Asked, Finder, Question, Reader

_PAIRS = {'"': '"', "'": "'", "`": "`", "“": "”", "„": "“", "«": "»", "»": "«", "‘": "’", "”": "”"}
_QUOTES = "\"'`“”„«»‘’"
_TAIL = re.compile(r"[\s?.!]*(?:[,;]?\s*(?:please|pls|thanks|thank you|thx|bitte|danke|por favor|gracias)[\s?.!]*)?",
                   re.IGNORECASE)
_BLANKS = re.compile(r"\s+")
# Words that say the text lies elsewhere, or that more is wanted than its digest.
_VAGUE = frozenset((
    "the", "a", "an", "this", "that", "these", "those", "it", "its", "my", "your", "our", "their", "all", "each",
    "every",
    "some", "any", "and", "then", "with", "in", "using", "as", "for", "file", "files", "data", "password", "passwords",
    "string", "strings", "text", "value", "image", "images", "message", "messages", "me", "everything", "following",
    "something", "random", "to", "from", "on", "by", "via", "or", "is", "of", "hash", "input", "key", "keys", "url",
    "json", "python", "javascript", "java", "go", "rust", "php", "bash", "linux", "windows", "sql", "mysql", "if",
    "not",
    "der", "die", "das", "den", "dem", "des", "ein", "eine", "einen", "einem", "einer", "eines", "diese", "diesen",
    "dieser", "dieses", "diesem", "mein", "meine", "meinem", "meiner", "meinen", "datei", "dateien", "daten",
    "passwort",
    "passwörter", "passwörtern", "und", "oder", "mit", "im", "für", "als", "aus", "bild", "bilder", "bildern", "texte",
    "texten", "nachricht", "folgenden", "folgendem", "es", "von", "zu", "wie", "unter", "mich", "mir", "zeichenkette",
    "el", "la", "los", "las", "un", "una", "este", "esta", "esto", "mi", "mis", "tu", "su", "archivo", "archivos",
    "fichero", "datos", "contraseña", "contraseñas", "y", "o", "con", "en", "para", "como", "imagen", "imágenes",
    "texto",
    "document", "documents", "iso", "block", "pdf", "png", "jpg", "jpeg", "svg", "video", "audio", "binary", "bytes",
    "blob",
    "hex", "bytearray", "html", "xml", "zip", "credentials", "username", "token", "utf8", "utf-8", "unicode", "padding",
    "object", "buffer", "dokument", "dokumente", "binär", "binärdaten", "documento", "documentos", "binario",
    "mensaje", "siguiente", "cadena", "de", "del", "al", "por", "todo", "que",
    "nothing", "twice", "times", "reversed", "backwards", "uppercase", "lowercase", "salted", "nichts", "zweimal",
    "rückwärts", "nada", "veces", "invertido",
))
_MOST_PLAIN_WORDS = 2

_ALGORITHM = r"(?P<algorithm>md5|sha[- ]?(?:1|224|256|384|512))"
_THING = (r"(?:(?:the |der |dem |des |den |das |la |el )?(?:string|text|word|phrase|worts?|wortes|textes|textos?|"
          r"zeichenkette|strings|palabra|frase|cadena)(?:: ?| ))?")
_LEAD = (r"(?:what(?:'s|’s| is| would be)? |was (?:ist|wäre) |wie (?:lautet|ist) |cuál es |cual es |qué es |compute |"
         r"calculate |generate |get |show |find |create |make |berechne |bilde |erzeuge |gib mir |zeig(?:e)? mir |"
         r"calcula |genera |obtén |dame |muestra )?(?:me )?(?:the |der |den |die |das |el |la |un |einen |a |an )?")
_SUM = r"(?:[ -](?:hash(?:wert|es)?|digest|checksum|sum|prüfsumme|hash value))?"
_SLOT = r"(?P<text>.+)"
_QUOTED = r"(?P<text>[\"'`“„«].+)"
_IN_WITH = r"(?:with|using|to|into|as|in|mit|als|nach|con|en|a)"
_HASHES = tuple(re.compile(pattern) for pattern in (
    rf"{_LEAD}(?:hash |resumen |prüfsumme |checksum |suma )?{_ALGORITHM}{_SUM}(?: (?:of|for|von|vom|für|de|del|"
    rf"para)|:) "
    rf"{_THING}(?P<text>.+?)(?: berechnen| ausrechnen| bilden| erzeugen)?",
    rf"{_LEAD}{_ALGORITHM}{_SUM} {_THING}(?P<text>[\"'`“„«].+)",
    rf"{_ALGORITHM} ?\((?P<text>.+)\)",
    rf"(?:hash(?:e|ea)?|cifra) {_THING}{_SLOT} (?:with|using|mit|con|in|en) {_ALGORITHM}",
))
_EMPTY = re.compile(rf"{_LEAD}(?:hash )?{_ALGORITHM}{_SUM} (?:(?:of|for|von|vom|für|de|del|para) )?(?:the |an |dem |"
                    rf"des |der |einem |einer |la |una )?(?:empty string|leeren strings?|leeren "
                    r"zeichenkette|leerer string|cadena vacía)")
_ENCODES = tuple(re.compile(pattern) for pattern in (
    rf"(?:base-?64[- ]?encode|encode (?:as |to |in )?base-?64|base-?64[- ]kodiere|codifica en base-?64)(?: of|"
    rf":)? {_THING}{_SLOT}",
    rf"(?:encode|kodiere|codiere|enkodiere|codifica) {_THING}{_SLOT} {_IN_WITH} base-?64",
    rf"(?:convert|wandle|konvertiere|convierte|pasa) {_THING}{_QUOTED} "
    rf"{_IN_WITH} base-?64(?: um)?",
    rf"{_LEAD}base-?64(?:[- ](?:encoding|kodierung|codierung|code))? (?:of|for|von|für|de) {_THING}{_SLOT}",
    rf"(?:what is|what's|was ist|wie lautet|cómo es|qué es|cuál es) {_THING}{_QUOTED} (?:in|en|als|as) base-?64",
    r"base-?64 ?\((?P<text>.+)\)",
))
_PACKED = r"[\"'`“„«]?(?P<text>[A-Za-z0-9+/]{2,}={0,2})[\"'`”“»]?"
_DECODES = tuple(re.compile(pattern, re.IGNORECASE) for pattern in (
    rf"(?:base-?64[- ]?decode|decode (?:the |this )?base-?64(?: string| text)?|base-?64[- ]dekodiere|"
    rf"(?:dekodiere|entschlüssle) (?:den |das )?base-?64(?:[- ](?:string|text|code))?|"
    rf"(?:decodifica|descodifica) (?:el |la )?(?:cadena |texto )?base-?64)(?: of|:)? {_PACKED}",
    rf"(?:decode|dekodiere|decodifica|descodifica) {_PACKED} (?:from|aus|von|de|desde) base-?64",
    rf"what does {_PACKED} (?:decode to|mean) (?:in|from) base-?64",
    rf"(?:was (?:bedeutet|heißt)|qué (?:significa|dice)) {_PACKED} (?:in|en) base-?64",
))
# What may be a word as well as Base64.
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_FILE = re.compile(r"\S*(?:[/\\]|\.[A-Za-z][A-Za-z0-9]{0,4}$)")
_COUNTED = (r"(?:unique words|different words|words|characters|chars|sentences|paragraphs|wörter|worte|zeichen|sätze|"
            r"absätze|buchstaben und leerzeichen|palabras|caracteres|frases|oraciones|párrafos)")
_WITHIN = (r"(?:in|of|im|in dem|in der|des|hat|haben|hay en|tiene|en|de|contiene|does|enthält|are in|are there in|"
           r"sind in|"
           r"sind im|stehen in|stehen im|gibt es in|gibt es im)")
_KIND = (r"(?: (?:the|this|das|der|dieser|diesem|dem|den|la|esta|el|este|following|folgendem|folgender|folgenden))?"
         r"(?: (?:following|folgende|folgenden|siguiente))?"
         r"(?: (?:sentence|text|phrase|string|paragraph|satz|absatz|frase|texto|oración|cadena|word|wort|palabra))?")
_HAVE = r"(?: have| contain| has)?"
_COUNTS = tuple(re.compile(pattern) for pattern in (
    rf"(?:how many|wie ?viele|cuántas|cuántos|cuantas|cuantos) {_COUNTED} {_WITHIN}{_KIND}(?::| siguiente:)? ?"
    rf"(?P<text>[\"“„«].+?){_HAVE}",
    rf"(?:count|zähle?|cuenta) (?:the |all |die |alle |las |los |me |"
    rf"mir )?{_COUNTED} {_WITHIN}{_KIND}:? ?(?P<text>[\"“„«].+)",
    r"(?:(?:the )?word count (?:of|for)|wortzahl von|número de palabras (?:de|en)|analyze the text|analysiere den text|"
    r"analiza el texto|text statistics (?:of|for)|textstatistik (?:von|für)):? ?(?P<text>[\"“„«].+)",
))
_NAMED = re.compile(r"(?:sentence|text|phrase|string|satz|frase|texto|oración|cadena|word|wort|palabra):? ?$")
_FENCE = r"(?:`(?P<pattern>[^`]+)`|/(?P<slashed>[^/]+)/)"
_MATCHES = tuple(re.compile(pattern, re.IGNORECASE) for pattern in (
    rf"(?:extract|find|get|list|show) (?:me )?(?:all |every )?(?:the )?(?:matches?|occurrences?) (?:of|for) "
    rf"(?:the )?(?:regex |pattern |regular expression )?{_FENCE} (?:in|from):? ?(?P<text>[\"“„«].+)",
    rf"(?:apply|run|wende) (?:the |den |die )?(?:regex |pattern |regulären ausdruck )?{_FENCE} (?:on|to|against|auf|"
    rf"in) "
    rf"(?P<text>[\"“„«].+?)(?: an)?",
    rf"(?:finde|suche|zeige?|extrahiere) (?:mir )?(?:alle )?(?:treffer|vorkommen) (?:von|für|des regulären ausdrucks) "
    rf"(?:regex )?{_FENCE} (?:in|aus):? ?(?P<text>[\"“„«].+)",
    rf"(?:encuentra|busca|extrae|muestra) (?:todas )?(?:las )?(?:coincidencias|apariciones) (?:de|para) "
    rf"(?:la )?(?:regex |expresión regular )?{_FENCE} (?:en|de):? ?(?P<text>[\"“„«].+)",
))
_PATH = r"[`\"']?(?P<path>[^\s`\"']{1,120}|\$[^`]{1,120})[`\"']?"
_QUERIES = tuple(re.compile(pattern, re.IGNORECASE) for pattern in (
    rf"(?:what(?:'s| is)|get|extract|find|read|was ist|was steht (?:in|unter|bei)|hole?|extrahiere|lies|finde|"
    rf"qué (?:es|hay en)|cuál es|obtén|extrae|dame|busca|lee) (?:the value (?:of|at) |value of |den wert von |"
    rf"el valor de )?{_PATH} (?:in|from|of|aus|von|en|de)(?: the| this| diesem| dem| este| el)?(?: json)?:? ?"
    r"(?P<text>[\[{].*[\]}])(?: heraus)?",
))
_LANGUAGES: tuple[tuple[Language, re.Pattern[str]], ...] = (
    ("de", re.compile(r"\b(?:was|wie|wieviele|von|vom|für|mit|und|ist|kodiere|codiere|enkodiere|dekodiere|wandle|um|"
                      r"aus|"
                      r"als|berechne|bilde|erzeuge|zähle?|wende|finde|suche|hole?|extrahiere|lies|prüfsumme|hashe|"
                      r"konvertiere|textstatistik|wortzahl|analysiere|heraus|bitte|zeige?|gib|entschlüssle|"
                      r"kodierung)\b")),
    ("es", re.compile(r"¿|\b(?:cuál|cual|qué|cuántas|cuántos|cuantas|cuantos|cuenta|calcula|genera|obtén|dame|"
                      r"muestra|el|la|"
                      r"codifica|convierte|pasa|decodifica|descodifica|encuentra|busca|extrae|lee|en|con|hashea|del|de|"
                      r"número|analiza|cómo|cifra|para)\b")),
)


def _place(question: Question, span: tuple[int, int]) -> str | None:
    """The same part of the prompt as it came, with all its blanks; to its very end where the question goes so far."""
    stripped = _BLANKS.sub(" ", question.whole).strip()
    start = stripped.find(question.text)
    if start < 0 or stripped.rfind(question.text) != start:
        return None
    first = start + span[0]
    last = len(stripped) if span[1] == len(question.text) else start + span[1]
    whole = question.whole.strip()
    places = [m for m, letter in enumerate(whole) if not letter.isspace() or not whole[m - 1].isspace()]
    end = places[last] if last < len(places) else len(whole)
    return whole[places[first]:end].strip()


def _unwrap(rest: str, *, is_question: bool) -> str | None:
    """What is meant literally: what stands in quotes if they surround all of it; without any quotes a few plain
    words. None where it is not certain."""
    close = _PAIRS.get(rest[:1])
    if close:
        end = rest.find(close, 1)
        if end < 0 and rest[0] == "„":
            end = max(rest.find("”", 1), rest.find('"', 1))
        return rest[1:end] if end > 0 and _TAIL.fullmatch(rest, end + 1) else None
    if is_question:
        rest = rest.removesuffix("?").rstrip()
    words = rest.split()
    if not words or len(words) > _MOST_PLAIN_WORDS or _VAGUE.intersection(word.casefold() for word in words):
        return None
    if any(_FILE.match(word) for word in words):
        return None
    if any(mark in rest for mark in _QUOTES + ",;:()<>{}[]\n") or (rest[-1] in "?!." or _is_polite(words[-1])):
        return None
    return rest


def _is_polite(word: str) -> bool:
    return word.casefold() in ("please", "pls", "thanks", "thx", "bitte", "danke", "favor", "gracias")


def _language(question: Question, span: tuple[int, int]) -> Language:
    around = f"{question.folded[:span[0]]} {question.folded[span[1]:]}"
    if "¿" in question.whole[:3]:
        return "es"
    return next((language for language, words in _LANGUAGES if words.search(around)), "en")


def _slot(question: Question, found: re.Match[str]) -> str | None:
    place = _place(question, found.span("text"))
    is_question = bool(re.match(r"[\s¿]*(?:what|was|wie|cuál|cual|qué|cómo)\b|.*¿", question.whole, re.IGNORECASE))
    return None if place is None else _unwrap(place, is_question=is_question)


def _hash(question: Question, found: re.Match[str], text: str, span: tuple[int, int]) -> Asked:
    algorithm = re.sub("[- ]", "", found["algorithm"])
    return Asked("hash_text", {"text": text, "algorithm": algorithm}, _language(question, span))


def read_hash(question: Question) -> Asked | None:
    empty = _EMPTY.fullmatch(question.folded)
    if empty:
        return _hash(question, empty, "", (empty.end("algorithm"),) * 2)
    for pattern in _HASHES:
        found = pattern.fullmatch(question.folded)
        text = _slot(question, found) if found else None
        if found and text is not None:
            return _hash(question, found, text, found.span("text"))
    return None


def read_base64(question: Question) -> Asked | None:
    for pattern in _DECODES:
        found = pattern.fullmatch(question.text)
        if found and len(found["text"]) % 4 == 0 and not _WORD.fullmatch(found["text"]):
            language = _language(question, found.span("text"))
            return Asked("base64_codec", {"text": found["text"], "mode": "decode"}, language)
    for pattern in _ENCODES:
        found = pattern.fullmatch(question.folded)
        text = _slot(question, found) if found else None
        if found and text:
            language = _language(question, found.span("text"))
            return Asked("base64_codec", {"text": text, "mode": "encode"}, language)
    return None


def _may_be_title(text: str, before: str) -> bool:
    """Whether the name of a book or a film may be meant, and not these words."""
    return text[:1].isupper() and text[-1] not in ".!?" and len(text.split()) <= 6 and not _NAMED.search(before)


def read_counts(question: Question) -> Asked | None:
    for pattern in _COUNTS:
        found = pattern.fullmatch(question.folded)
        text = _slot(question, found) if found else None
        if found and text and not _may_be_title(text, question.folded[:found.start("text")]):
            return Asked("text_analyze", {"text": text}, _language(question, found.span("text")))
    return None


def read_matches(question: Question) -> Asked | None:
    for pattern in _MATCHES:
        found = pattern.fullmatch(question.text)
        text = _slot(question, found) if found else None
        if found and text:
            expression = found["pattern"] or found["slashed"]
            start = found.start("pattern" if found["pattern"] else "slashed")
            language = _language(question, (start, found.end("text")))
            return Asked("regex_extract", {"pattern": expression, "text": text}, language)
    return None


def read_query(question: Question) -> Asked | None:
    for pattern in _QUERIES:
        found = pattern.fullmatch(question.text)
        if found:
            try:
                json.loads(found["text"])
            except (ValueError, RecursionError):
                return None
            document = _place(question, found.span("text"))
            if document is None:
                return None
            document = document[:document.rfind("]" if document.startswith("[") else "}") + 1]
            language = _language(question, (found.start("path"), found.end("text")))
            return Asked("json_query", {"json_str": document, "path": found["path"]}, language)
    return None


READERS: tuple[Reader, ...] = (
    Reader(re.compile(r"\bmd5\b|\bsha[- ]?[1235]"), read_hash, takes_text=True),
    Reader(re.compile(r"base-?64"), read_base64, takes_text=True),
    Reader(re.compile(
        r"how many |wie ?viele |cuánt[ao]s |cuant[ao]s |^count |^zähle? |^cuenta |word ?count|wortzahl|"
        r"número de palabras|"
        r"^analy[sz]|^analiza|text ?statisti"), read_counts, takes_text=True),
    Reader(re.compile(r"`[^`]+`|/[^/]+/"), read_matches, takes_text=True),
    Reader(re.compile(r"[\]}]$|[\]}] heraus$"), read_query, takes_text=True),
)
FINDERS: tuple[Finder, ...] = ()
CUES: Mapping[str, re.Pattern[str]] = {
    "hash_text": re.compile(r"\bmd5\b|\bsha-?(?:1|2|224|256|384|512)\b|checksum|prüfsumme|\bhash(?:es|ed|wert)?\b|"
                            r"suma de verificación"),
    "base64_codec": re.compile(r"base-?64"),
    "regex_extract": re.compile(r"\bregexp?\b|regular expression|reguläre[rn]? ausdr|expresi(?:ón|ones) regular"),
    "text_analyze": re.compile(r"word ?count|\b(?:how many|count|wie ?viele|zähle?|cuánt[ao]s|"
                               r"cuenta)\b.{0,20}\b(?:words|characters|"
                               r"sentences|paragraphs|wörter|zeichen|sätze|absätze|palabras|caracteres|frases|"
                               r"párrafos)\b"),
    "json_query": re.compile(r"\bjson ?path\b|\bjson\b.{0,200}[{\[]|[}\]].{0,80}\bjson\b"),
}
