"""What stands around a question and changes nothing of it: greetings, thanks, signatures, routine log lines, orders to
the router, quotation marks and tags around all of it, an address after it, shouting."""

from __future__ import annotations

import re

from .orders import LEADING, TRAILING

# Only so much at either end is searched, so that the time is bounded.
HEAD_CHARS, TAIL_CHARS = 240, 1_000
# What would leave less than so many letters is the message itself, such as "thanks".
LEAST_LETTERS, LOUD_LETTERS = 6, 12
LEAST_WORDS = 3
LOUD_SHARE = 0.9

_GREETING = re.compile(
    r"\A\s*(?:hi|hello|hey|good (?:morning|evening|afternoon)|hallo|moin|servus|guten (?:tag|morgen|abend)|hola|buenas"
    r"(?: tardes| noches)?|buenos días|quick question|please|bitte hilf mir(?: mal)?|por favor,? ayúdame"
    r"|kurze frage)\b[^\n.,:;!?¡¿]{0,24}[,.!:?]+\s*"
    r"|\A\s*¿?(?:could|can|would) you (?:please |kindly )?help me(?: with (?:this|something))?[^\n.?!,]{0,12}[?.!,]\s*"
    r"|\A\s*(?:könntest|kannst|könnten|können) (?:du|sie) mir (?:bitte )?(?:mal |kurz )*helfen[?.!,]\s*"
    r"|\A\s*¿?(?:me )?(?:podrías|puedes|podría|puede) ayudar(?:me)?(?: con esto)?,?(?: por favor)?[?.!,]\s*"
    r"|\A\s*(?:i )?hope (?:you(?:'re| are)|all is|this finds you)[^\n.?!,]{0,16}[.!,]\s*"
    r"|\A\s*(?:i'd be glad of some help|i have a question|ich (?:hätte|habe) da? ?(?:eine|mal eine) frage"
    r"|tengo una (?:duda|pregunta))\s*[:.,!]\s*", re.IGNORECASE)
_THANKS = re.compile(
    r"(?<![\s,;])[\s,;]*[¡(]?\b(?:thanks|thank you|thx|many thanks|cheers|danke|vielen dank|besten dank|lg|gracias"
    r"|muchas gracias|mil gracias)\b[^\n.?¿]{0,40}[.!)\s]*\Z", re.IGNORECASE)
_SIGNATURE = re.compile(
    r"\n(?:-{2,3}[^\S\n]*\n)?[^\S\n]*(?:(?:best|kind|warm) (?:regards|wishes)|regards|sincerely|yours|cheers"
    r"|(?:viele|liebe|beste|schöne) grüße|mit freundlichen grüßen|mfg|(?:un )?(?:cordial )?saludos?|atentamente"
    r"|sent from my|von meinem \w+ gesendet|enviado desde mi)\b[^\n]{0,40}(?:\n[^\n]{0,48}){0,5}\Z", re.IGNORECASE)
_ROUTINE = re.compile(
    r"(?m)^(?=[^\n]{0,12}\d{2,4}[-/:.]\d\d?|\d{1,3}(?:\.\d{1,3}){3} )(?=[^\n]*(?:\b(?:INFO|DEBUG|TRACE)\b|\" 2\d\d\b))"
    r"[^\n]*\n?")
_LINE_CUT = re.compile(
    r"(?i)\n(?![^\n]*(?:error|warn|fatal|critical|exception|fail))\d{2,4}[-.\d:T]{0,24}(?: [^\n]{0,90})?\Z")
_FACES = re.compile("[\u2600-\u27bf\ufe0f\u200d\U0001f300-\U0001faff]")
_QUOTES = {'"': '"', "'": "'", "“": "”", "„": "“”", "«": "»", "»": "«", "‘": "’"}
_TAGS = "p|div|span|b|i|strong|em"
_OPENING = re.compile(rf"(?i)\A\s*(?:<(?:{_TAGS}|br ?/?)>\s*){{1,8}}")
_CLOSING = re.compile(rf"(?i)(?<!\s)\s*(?:<(?:/(?:{_TAGS})|br ?/?)>\s*)+\Z")
_TAG = re.compile(r"</?[a-zA-Z!]")
# An address that a sentence leads to, or that it is about, is part of it.
_ADDRESS = re.compile(r"(?<=[^\s:=(<\"'`,-])\s+<?https?://[^\s<>\"'`]{1,400}>?\Z")
_ABOUT_IT = re.compile(
    r"(?i)://|\b(?:urls?|uri|(?:hyper)?links?|(?:web ?)?(?:sites?|pages?)|articles?|posts?|blogs?|domains?|curl|wget"
    r"|https?|seo|videos?|(?:web ?)?seiten?|artikel|enlaces?|páginas?|sitio|web|artículos?|api|endpoint|requests?"
    r"|fetch|download|crawl\w*|scrap\w*|browser|servers?|summar\w+|zusammen\w*|fass|resum\w+|read|lies|lee|open|öffne|abre|visit|see)\b"
    r"|\b(?:to|from|on|at|of|in|with|by|is|this|that|these|here|zu|von|vom|auf|bei|aus|unter|mit|über|dies\w*|das|hier"
    r"|ist|de|desde|con|en|esta|este|esto|aquí|es|a|for|für|para)\s*\Z")


def strip_noise(text: str) -> str:
    """The text without what says nothing of the question; as it is where nothing else would be left."""
    for strip in (_strip_logs, _strip_wrapping, _strip_tail, _strip_head, _strip_faces):
        less = strip(text)
        if less != text and _has_question(less):
            text = less
    return text.lower() if _is_loud(text) else text


def _strip_logs(text: str) -> str:
    """Without log lines that tell of nothing wrong; the last may have been cut off."""
    less = _ROUTINE.sub("", text)
    return text if less == text else _LINE_CUT.sub("", "\n" + less.rstrip()).strip("\n")


def _strip_tail(text: str) -> str:
    start = max(0, len(text) - TAIL_CHARS)
    tail = text[start:].rstrip()
    for pattern in (TRAILING, _ADDRESS, _SIGNATURE, _THANKS):
        found = pattern.search(tail)
        if found is None or (pattern is _ADDRESS and _needs_address(tail[:found.start()])):
            continue
        less = tail[:found.start()].rstrip()
        if _has_question(text[:start] + less):
            tail = less
    return text[:start] + tail


def _needs_address(before: str) -> bool:
    return len(before.split()) < LEAST_WORDS or _ABOUT_IT.search(before) is not None


def _strip_wrapping(text: str) -> str:
    """Without quotation marks around all of it, or tags with nothing but words between them."""
    opening, start = _OPENING.match(text), max(0, len(text) - HEAD_CHARS)
    closing = _CLOSING.search(text, start)
    if opening is not None and closing is not None and opening.end() < closing.start():
        inner = text[opening.end():closing.start()]
        if len(inner[:TAIL_CHARS].split()) >= LEAST_WORDS and not _TAG.search(inner):
            return inner
    bare = text.strip()
    closers = _QUOTES.get(bare[:1], "")
    if closers and bare[-1] in closers and not any(mark in bare[1:-1] for mark in bare[0] + closers):
        return bare[1:-1]
    return text


def _strip_head(text: str) -> str:
    head, rest = text[:HEAD_CHARS], text[HEAD_CHARS:]
    for pattern in (_GREETING, LEADING, _GREETING):  # "Hello! Could you help me?"
        head = pattern.sub("", head, count=1)
    return head + rest


def _strip_faces(text: str) -> str:
    return text if text.isascii() else _FACES.sub("", text)


def _has_question(text: str) -> bool:
    return sum(map(str.isalnum, text[:TAIL_CHARS])) >= LEAST_LETTERS


def _is_loud(text: str) -> bool:
    """Whether it is written in capitals; a few letters may be an abbreviation."""
    letters = [letter for letter in text[:TAIL_CHARS] if letter.isalpha()]
    return len(letters) >= LOUD_LETTERS and sum(map(str.isupper, letters)) > LOUD_SHARE * len(letters)
