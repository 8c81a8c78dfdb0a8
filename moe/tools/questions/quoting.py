"""Text that a prompt brings along to be taken literally, in quotes or as a plain word."""

from __future__ import annotations

import re

from ..base import Language
from .question import Question

_PAIRS = {'"': '"', "'": "'", "`": "`", "“": "”", "„": "“", "«": "»", "»": "«", "‘": "’", "”": "”"}
_QUOTES = "\"'`“”„«»‘’"
_TAIL = re.compile(r"[\s?.!]*(?:[,;]?\s*(?:please|pls|thanks|thank you|thx|bitte|danke|por favor|gracias)[\s?.!]*)?",
                   re.IGNORECASE)
_BLANKS = re.compile(r"\s+")
# "user:secret", but not "of: this".
_JOINED = re.compile(r"[^\s:]+:[^\s:]+")
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
_FILE = re.compile(r"\S*(?:[/\\]|\.[A-Za-z][A-Za-z0-9]{0,4}$)")
_LANGUAGES: tuple[tuple[Language, re.Pattern[str]], ...] = (
    ("de", re.compile(r"\b(?:was|wie|wieviele|von|vom|für|mit|und|ist|kodiere|codiere|enkodiere|dekodiere|wandle|um|"
                      r"aus|"
                      r"als|berechne|bilde|erzeuge|zähle?|wende|finde|suche|hole?|extrahiere|lies|prüfsumme|hashe|"
                      r"konvertiere|textstatistik|wortzahl|analysiere|heraus|bitte|zeige?|gib|entschlüssle|"
                      r"kodierung|auf|welche|der|den|dem|das|welchen|wert|anzahl|wortanzahl|zeichenzahl|gib)\b")),
    ("es", re.compile(r"¿|\b(?:cuál|cual|qué|cuántas|cuántos|cuantas|cuantos|cuenta|calcula|genera|obtén|dame|"
                      r"muestra|el|la|"
                      r"codifica|convierte|pasa|decodifica|descodifica|encuentra|busca|extrae|lee|en|con|hashea|del|de|"
                      r"número|analiza|cómo|cifra|para|sobre|aplica|usa|recuento|cantidad|codificar|decodificar)\b")),
)


def place(question: Question, span: tuple[int, int]) -> str | None:
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
    if ":" in rest and not _JOINED.fullmatch(rest) or any(mark in rest for mark in _QUOTES + ",;()<>{}[]\n"):
        return None
    if rest[-1] in "?!." or _is_polite(words[-1]):
        return None
    return rest


def _is_polite(word: str) -> bool:
    return word.casefold() in ("please", "pls", "thanks", "thx", "bitte", "danke", "favor", "gracias")


def language_around(question: Question, span: tuple[int, int]) -> Language:
    """Of the words around what is taken literally."""
    around = f"{question.folded[:span[0]]} {question.folded[span[1]:]}"
    if "¿" in question.whole[:3]:
        return "es"
    return next((language for language, words in _LANGUAGES if words.search(around)), "en")


def take_text(question: Question, found: re.Match[str]) -> str | None:
    """What stands in the group "text", meant literally; None where it is not certain."""
    words = place(question, found.span("text"))
    is_question = bool(re.match(r"[\s¿]*(?:what|was|wie|cuál|cual|qué|cómo)\b|.*¿", question.whole, re.IGNORECASE))
    return None if words is None else _unwrap(words, is_question=is_question)
