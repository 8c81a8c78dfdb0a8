"""Questions about a text that comes with them: its digest, its Base64, its counts."""

from __future__ import annotations

import re
from collections.abc import Mapping

from . import extracts
from .question import Asked, Finder, Question, Reader
from .quoting import language_around, take_text
from .spelling import Phrase

_ALGORITHM = r"(?P<algorithm>md5|sha[- ]?(?:1|224|256|384|512))"
_THING = (r"(?:(?:the |der |dem |des |den |das |la |el )?(?:string|text|word|phrase|worts?|wortes|textes|textos?|"
          r"zeichenkette|strings|palabra|frase|cadena)(?:: ?| ))?")
_LEAD = (r"(?:what(?:'s|’s|s| is| would be)? |was (?:ist|wäre) |wie (?:lautet|ist) |cuál es |qué es |(?:compute|"
         r"calculate|"
         r"generate|get|show|find|create|make|give|berechne|bilde|erzeuge|erstelle|ermittle|gib|zeige?|nenne|calcula|"
         r"calcular|genera|generar|obtén|obtener|da|dame|dar|darme|muestra|halla)(?: me| mir)?(?: bitte)? )?"
         r"(?:the |der |den |die |das |el |la |un |einen |a |an )?")
_SUM = r"(?:[ -](?:hash(?:wert|es)?|digest|checksum|sum|prüfsumme|hash value))?"
_SLOT = r"(?P<text>.+)"
_QUOTED = r"(?P<text>[\"'`“„«].+)"
_IN_WITH = r"(?:with|using|to|into|as|in|mit|als|nach|con|en|a)"
_HASHES = tuple(Phrase(pattern) for pattern in (
    rf"{_LEAD}(?:hash |resumen |prüfsumme |checksum |suma )?{_ALGORITHM}{_SUM}(?: (?:of|for|von|vom|für|de|del|"
    r"para)|:) "
    rf"{_THING}(?P<text>.+?)(?: berechnen| ausrechnen| bilden| erzeugen)?",
    rf"{_LEAD}{_ALGORITHM}{_SUM} {_THING}(?P<text>[\"'`“„«].+)",
    rf"{_ALGORITHM} ?\((?P<text>.+)\)",
    rf"(?:hash(?:e|ea|ear)?|cifra)(?: me| mir)?(?: bitte)? {_THING}{_SLOT} (?:with|using|mit|con|in|en) {_ALGORITHM}",
))
_EMPTY = re.compile(rf"{_LEAD}(?:hash )?{_ALGORITHM}{_SUM} (?:(?:of|for|von|vom|für|de|del|para) )?(?:the |an |dem |"
                    r"des |der |einem |einer |la |una )?(?:empty string|leeren strings?|leeren "
                    r"zeichenkette|leerer string|cadena vacía)")
_VERB = r"(?:encode|kodiere|codiere|enkodiere|codifica|codificar|codifique)(?: me| mir)?(?: bitte)?"
_TURN = (r"(?:convert|turn|change|translate|write|wandle|konvertiere|übersetze|schreibe?|convierte|convertir|pasa|"
         r"pasar|"
         r"transforma|escribe)(?: me| mir)?(?: bitte)?")
_ENCODES = tuple(Phrase(pattern) for pattern in (
    r"(?:base-?64[- ]?encode|encode (?:as |to |in )?base-?64|base-?64[- ](?:kodieren?|codieren?)|"
    r"(?:kodiere|codiere) (?:in|als|nach) base-?64|(?:codifica|codificar) (?:en|a) base-?64)(?: of|:)? "
    rf"{_THING}{_SLOT}",
    rf"{_VERB} {_THING}{_SLOT} {_IN_WITH} base-?64",
    rf"{_TURN} {_THING}{_QUOTED} {_IN_WITH} base-?64(?: um)?",
    rf"{_TURN} {_THING}(?P<text>[^\s:@\"'`“„«]+[:@]\S+) {_IN_WITH} base-?64(?: um)?",
    rf"{_LEAD}base-?64(?:[- ](?:encoding|kodierung|codierung|code|string|version))? (?:of|for|von|für|de|del|para) "
    rf"{_THING}{_SLOT}",
    r"(?:(?:what is|what's|was ist|wie lautet|wie ist|qué es|cuál es|cómo es|cómo sería|how (?:do (?:you|i)|to|would "
    r"(?:you|i)) (?:write|encode|say|express)|wie (?:schreibt|kodiert|codiert) man|wie sieht|cómo se (?:escribe|"
    r"codifica|"
    rf"dice|pone)) )?{_THING}{_QUOTED} (?:in|en|als|as|to|a|nach) base-?64(?: (?:aus|kodieren|codieren|umwandeln|"
    r"kodiert|"
    r"codiert|encoded))?",
    r"base-?64 ?\((?P<text>.+)\)",
))
_PACKED = r"[\"'`“„«]?(?P<text>[A-Za-z0-9+/]{2,}={0,2})[\"'`”“»]?"
_UNDO = (r"(?:decode|dekodiere|decodiere|entschlüssle|decodifica|descodifica|decodificar|descodificar)"
         r"(?: me| mir)?(?: bitte)?")
_THIS = r"(?:(?:the|this|den|das|die|diesen|dieses|der|dem|diesem|dieser|el|la|este|esta) )?" \
        r"(?:(?:following|folgenden?|folgendes|siguiente) )?"
_NAMED_PACKED = rf"{_THIS}(?:(?:texto|cadena|código|string|text) )?(?:(?:en|de|in) )?base-?64" \
                rf"(?:[- ](?:encoded|kodierten?))?(?:[- ](?:string|text|code|zeichenkette))?:? {_PACKED}"
_DECODES = tuple(Phrase(pattern, re.IGNORECASE) for pattern in (
    r"base-?64[- ]?(?:decode|decoded|decoding|dekodieren?|dekodiert|decodieren|decodificar|decodifica|decodificado)"
    rf"(?: of| von| de|:)? {_PACKED}",
    rf"{_UNDO} {_NAMED_PACKED}",
    rf"{_UNDO} {_THIS}{_PACKED} (?:from|aus|von|de|desde|in|en) base-?64",
    rf"{_PACKED} (?:(?:from|aus|von|de|desde) )?base-?64[- ](?:decoded?|dekodieren|dekodiert|decodificado)",
    rf"what does {_PACKED} (?:decode to|mean|say) (?:in|from) base-?64",
    rf"what (?:does|is) {_NAMED_PACKED}(?: (?:decode to|mean|say|contain|stand for|decoded|in plain ?text))?",
    rf"(?:was (?:bedeutet|heißt|ist)|qué (?:significa|dice|es)) {_PACKED} (?:in|en|aus|de) base-?64",
    rf"was (?:bedeutet|heißt|sagt|ergibt|ist|steht in) {_NAMED_PACKED}(?: dekodiert| im klartext)?",
    rf"qué (?:significa|dice|contiene|es|hay en|pone en) {_NAMED_PACKED}(?: decodificado)?",
))
# What may be a word as well as Base64.
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_COUNTED = (r"(?:unique words|different words|words|characters|chars|sentences|paragraphs|wörter|worte|zeichen|sätze|"
            r"absätze|buchstaben und leerzeichen|palabras|caracteres|frases|oraciones|párrafos)")
_LETTERS = r"(?:letters|buchstaben|letras)"
_WITHIN = (r"(?:in|of|im|in dem|in der|des|hat|haben|hay en|tiene|en|de|contiene|does|enthält|are in|are there in|"
           r"is in|sind in|sind im|stehen in|stehen im|stecken in|gibt es in|gibt es im|von|for|für|are contained in)")
_KIND = (r"(?: (?:the|this|das|der|dieser|diesem|dem|den|la|esta|el|este|following|folgendem|folgender|folgenden))?"
         r"(?: (?:following|folgende|folgenden|siguiente))?"
         r"(?: (?:sentence|text|phrase|string|paragraph|satz|absatz|frase|texto|oración|cadena|word|wort|palabra))?")
_HAVE = r"(?: have| contain| has)?"
_MANY = r"(?:how many|wie ?viele|cuántas|cuántos)"
_LITERAL = r"(?P<text>[\"“„«'‘`].+?)"
_TALLY = (r"(?:(?:word|character|char|sentence|paragraph) ?count|wort(?:an)?zahl|wörter(?:an)?zahl|zeichen(?:an)?zahl|"
          r"satz(?:an)?zahl|textstatistik|text statistics|"
          r"(?:number of|anzahl(?: der| von)?|zahl der|(?:número|cantidad|recuento|conteo) de) " + _COUNTED + r")")
_COUNTS = tuple(Phrase(pattern) for pattern in (
    rf"{_MANY} {_COUNTED} {_WITHIN}{_KIND}(?::| siguiente:)? ?{_LITERAL}{_HAVE}",
    r"(?:count|zähle?|cuenta|contar)(?: me| mir)?(?: bitte)? (?:the |all |die |alle |las |los )?"
    rf"(?:number of |anzahl der )?{_COUNTED} {_WITHIN}{_KIND}:? ?{_LITERAL}",
    r"(?:(?:what is|what's|was ist|wie (?:groß|hoch|lautet)(?: ist)?|cuál es|dame|calcula) )?(?:the |die |el |la )?"
    rf"{_TALLY}(?:(?: {_WITHIN})?{_KIND}:? ?|: ){_LITERAL}",
    r"(?:analyze the text|analysiere den text|analiza el texto):? ?(?P<text>[\"“„«].+)",
))
# Of one word, every character of which is a letter.
_SPELT = tuple(Phrase(pattern) for pattern in (
    rf"{_MANY} {_LETTERS} {_WITHIN}{_KIND} ?[\"“„«'‘`](?P<text>[^\W\d_]+)[\"”“»'’`]{_HAVE}",
    rf"{_MANY} {_LETTERS} (?:does|do) the word (?P<text>[^\W\d_]+) (?:have|contain)",
    rf"{_MANY} {_LETTERS} (?!do){_WITHIN} (?:the word|das wort|dem wort|la palabra):? (?!of\b|hat\b|have\b)"
    r"(?P<text>[^\W\d_]+)",
    rf"(?:count|zähle?|cuenta)(?: me| mir)?(?: bitte)? (?:the |die |las )?{_LETTERS} {_WITHIN}{_KIND} ?"
    r"[\"“„«'‘`](?P<text>[^\W\d_]+)[\"”“»'’`]",
))
_NAMED = re.compile(r"(?:sentence|text|phrase|string|satz|frase|texto|oraci[oó]n|cadena|word|wort|palabra):? ?$")


def _hash(question: Question, found: re.Match[str], text: str, span: tuple[int, int]) -> Asked:
    algorithm = re.sub("[- ]", "", found["algorithm"])
    return Asked("hash_text", {"text": text, "algorithm": algorithm}, language_around(question, span))


def read_hash(question: Question) -> Asked | None:
    empty = _EMPTY.fullmatch(question.folded)
    if empty:
        return _hash(question, empty, "", (empty.end("algorithm"),) * 2)
    for pattern in _HASHES:
        found = pattern.fullmatch(question.folded)
        text = take_text(question, found) if found else None
        if found and text is not None:
            return _hash(question, found, text, found.span("text"))
    return None


def read_base64(question: Question) -> Asked | None:
    for pattern in _DECODES:
        found = pattern.fullmatch(question.text)
        if found and len(found["text"]) % 4 == 0 and not _WORD.fullmatch(found["text"]):
            language = language_around(question, found.span("text"))
            return Asked("base64_codec", {"text": found["text"], "mode": "decode"}, language)
    for pattern in _ENCODES:
        found = pattern.fullmatch(question.folded)
        text = take_text(question, found) if found else None
        if found and text:
            language = language_around(question, found.span("text"))
            return Asked("base64_codec", {"text": text, "mode": "encode"}, language)
    return None


def _may_be_title(text: str, before: str) -> bool:
    """Whether the name of a book or a film may be meant, and not these words."""
    return text[:1].isupper() and text[-1] not in ".!?" and len(text.split()) <= 6 and not _NAMED.search(before)


def read_counts(question: Question) -> Asked | None:
    for pattern in _SPELT:
        found = pattern.fullmatch(question.folded)
        if found:
            word = question.text[slice(*found.span("text"))]
            return Asked("text_analyze", {"text": word}, language_around(question, found.span("text")))
    for pattern in _COUNTS:
        found = pattern.fullmatch(question.folded)
        text = take_text(question, found) if found else None
        if found and text and not _may_be_title(text, question.folded[:found.start("text")]):
            return Asked("text_analyze", {"text": text}, language_around(question, found.span("text")))
    return None


READERS: tuple[Reader, ...] = (
    Reader(re.compile(r"\bmd5\b|\bsha[- ]?[1235]"), read_hash, takes_text=True),
    Reader(re.compile(r"base-?64"), read_base64, takes_text=True),
    Reader(re.compile(
        r"how many |wie ?viele |cu[aá]nt[ao]s |^count |^z(?:ä|ae?)hle? |^cuenta |^contar |count|zahl|tatisti|"
        r"n[uú]mero de |"
        r"number of |cantidad de|recuento|conteo|^analy[sz]|^analiza"), read_counts, takes_text=True),
    *extracts.READERS,
)
FINDERS: tuple[Finder, ...] = ()
CUES: Mapping[str, re.Pattern[str]] = {
    "hash_text": re.compile(r"(?:md5|sha-?(?:1|2|224|256|384|512)|checksums?|prüfsummen?|hash(?:es|ed|wert)?|"
                            r"suma de verificación)\b"),
    "base64_codec": re.compile(r"base-?64"),
    "regex_extract": re.compile(r"\bregexp?\b|regular expression|reguläre[rn]? ausdr|expresi(?:ón|ones) regular"),
    "text_analyze": re.compile(r"word ?count|\b(?:how many|count|wie ?viele|zähle?|cuánt[ao]s|"
                               r"cuenta)\b.{0,20}\b(?:words|characters|"
                               r"sentences|paragraphs|wörter|zeichen|sätze|absätze|palabras|caracteres|frases|"
                               r"párrafos)\b"),
    "json_query": re.compile(r"\bjson ?path\b|\bjson\b.{0,200}[{\[]|[}\]].{0,80}\bjson\b"),
}
