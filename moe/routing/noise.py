"""What stands around a question and changes nothing of it: greetings, thanks, signatures, routine log lines, orders to
the router, shouting."""

from __future__ import annotations

import re

# Only so much at either end is searched, so that the time is bounded.
HEAD_CHARS, TAIL_CHARS = 240, 1_000
# What would leave less than so many letters is the message itself, such as "thanks".
LEAST_LETTERS, LOUD_LETTERS = 6, 12
LOUD_SHARE = 0.9

_GREETING = re.compile(
    r"\A\s*(?:hi|hello|hey|good (?:morning|evening|afternoon)|hallo|moin|servus|guten (?:tag|morgen|abend)|hola|buenas"
    r"(?: tardes| noches)?|buenos días|quick question|please|bitte hilf mir(?: mal)?|por favor,? ayúdame"
    r"|kurze frage)\b[^\n.,:;!?¡¿]{0,24}[,.!:?]+\s*"
    r"|\A\s*¿?(?:could|can|would) you (?:please |kindly )?help me(?: with (?:this|something))?[^\n.?!,]{0,12}[?.!,]\s*"
    r"|\A\s*(?:könntest|kannst|könnten|können) (?:du|sie) mir (?:bitte )?(?:mal |kurz )*helfen[?.!,]\s*"
    r"|\A\s*¿?(?:me )?(?:podrías|puedes|podría|puede) ayudar(?:me)?(?: con esto)?,?(?: por favor)?[?.!,]\s*"
    r"|\A\s*(?:i'd be glad of some help|i have a question|ich (?:hätte|habe) da? ?(?:eine|mal eine) frage"
    r"|tengo una (?:duda|pregunta))\s*[:.,!]\s*", re.IGNORECASE)
_THANKS = re.compile(
    r"[\s,;]*[¡(]?\b(?:thanks|thank you|thx|many thanks|cheers|danke|vielen dank|besten dank|lg|gracias|muchas gracias"
    r"|mil gracias)\b[^\n.?¿]{0,40}[.!)\s]*\Z", re.IGNORECASE)
_SIGNATURE = re.compile(
    r"\n\s*(?:(?:best|kind|warm) (?:regards|wishes)|regards|sincerely|yours|cheers|(?:viele|liebe|beste|schöne) grüße"
    r"|mit freundlichen grüßen|mfg|(?:un )?(?:cordial )?saludos?|atentamente|sent from my|von meinem \w+ gesendet"
    r"|enviado desde mi)\b[^\n]{0,40}(?:\n[^\n]{0,48}){0,5}\Z", re.IGNORECASE)
_ORDER = re.compile(
    r"\s*\(?(?:system: ?)?\b(?:(?:ignore|disregard|forget) (?:the above|(?:all|everything|any)[^\n.]{0,40})"
    r"|(?:ignoriere?|vergiss) (?:das alles|alles|die)[^\n.]{0,40}|(?:ignora|olvida) (?:lo anterior|todo)[^\n.]{0,40}"
    r"|(?:please )?(?:route|redirect|forward) (?:me|this)\b|leite (?:mich|das)\b|the right expert\b"
    r"|you are now the|du bist (?:jetzt|ab jetzt) (?:der|die)|(?:a partir de )?ahora eres (?:el|la))\b"
    r"[^\n]{0,80}\Z", re.IGNORECASE)
_ROUTINE = re.compile(
    r"(?m)^(?=[^\n]{0,12}\d{2,4}[-/:.]\d\d?|\d{1,3}(?:\.\d{1,3}){3} )(?=[^\n]*(?:\b(?:INFO|DEBUG|TRACE)\b|\" 2\d\d\b))"
    r"[^\n]*\n?")
_LINE_CUT = re.compile(
    r"(?i)\n(?![^\n]*(?:error|warn|fatal|critical|exception|fail))\d{2,4}[-.\d:T]{0,24}(?: [^\n]{0,90})?\Z")
_FACES = re.compile("[\u2600-\u27bf\ufe0f\u200d\U0001f300-\U0001faff]")


def strip_noise(text: str) -> str:
    """The text without what says nothing of the question; as it is where nothing else would be left."""
    for strip in (_strip_logs, _strip_tail, _strip_head, _strip_faces):
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
    for pattern in (_ORDER, _SIGNATURE, _THANKS):
        less = pattern.sub("", tail)
        if _has_question(text[:start] + less):
            tail = less
    return text[:start] + tail


def _strip_head(text: str) -> str:
    head, rest = text[:HEAD_CHARS], text[HEAD_CHARS:]
    for _ in range(2):  # "Hello! Could you help me?"
        head = _GREETING.sub("", head, count=1)
    return head + rest


def _strip_faces(text: str) -> str:
    return text if text.isascii() else _FACES.sub("", text)


def _has_question(text: str) -> bool:
    return sum(map(str.isalnum, text[:TAIL_CHARS])) >= LEAST_LETTERS


def _is_loud(text: str) -> bool:
    """Whether it is written in capitals; a few letters may be an abbreviation."""
    letters = [letter for letter in text[:TAIL_CHARS] if letter.isalpha()]
    return len(letters) >= LOUD_LETTERS and sum(map(str.isupper, letters)) > LOUD_SHARE * len(letters)
