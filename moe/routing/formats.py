"""What a prompt looks like, whatever it says: code, tables, formulas, mail, numbers, questions, its length."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..embed import excerpt

READ_CHARS = 2_000

_CODE_STARTS = (
    "def ", "class ", "import ", r"from \w+ import", "#include", "public ", "private ", "function ", "const ", "let ",
    "var ", "func ", "fn ", "package ", "using ", r"return\b", r"if ?\(", r"for ?\(", r"while ?\(",
)
_QUESTION_STARTS = (
    "who", "what", "when", "where", "why", "how", "which", "is", "are", "can", "could", "do", "does", "did", "should",
    "wer", "was", "wann", "wo", "warum", "wieso", "wie", "welche[rsnm]?", "ist", "sind", "kann", "darf", "muss",
    "qui[eé]n", "qu[eé]", "cu[aá]ndo", "d[oó]nde", "por qu[eé]", "c[oó]mo", "cu[aá]l", "puedo", "es",
)
_LANGUAGES = (
    "english", "german", "spanish", "french", "italian", "portuguese", "dutch", "polish", "russian", "turkish",
    "arabic", "chinese", "japanese", "korean", "latin", "englische?", "deutsche?", "spanische?", "französische?",
    "italienische?", "portugiesische?", "russische?", "türkische?", "polnische?", "inglés", "alemán", "español",
    "francés", "italiano", "portugués", "ruso", "polaco", "chino", "japonés", "árabe",
)
_PICTURES = (
    "image", "picture", "photo", "screenshot", "pic", r"bild\w*", r"foto\w*", "imagen", "captura", "chart",
    r"diagram\w*", "ocr",
)
_GREETINGS = ("dear", "hi", "hello", r"sehr geehrte\w*", "hallo", "lieber?", "estimad[oa]s?", "querid[oa]")
# The time each takes grows with the text and no faster: what repeats without a limit never spans a line's end and is
# never followed by what it could hold itself.
_PATTERNS = {
    "fence": r"```|~~~",
    "code": rf"(?m)^[ \t]*(?:{'|'.join(_CODE_STARTS)})",
    "sql": r"(?i)\bselect\s[^.?!]{0,300}\sfrom\s|\b(?:insert into|update \w+ set|delete from|create table"
           r"|alter table)\b",
    "latex": r"\\(?:frac|int|sum|sqrt|begin|lim|cdot|alpha|beta|theta|pi|infty|left|text|mathbb)\b|\$[^$\n]{1,200}\$",
    "equation": r"[\w)\]]\s?[=<>≤≥]\s?[-+]?[\w(\[]|\d\s?[-+*/^×÷·]\s?\d|\b[a-z]\s?\^\s?\d|[²³√∫∑π]",
    "question": r"\?[\"'”»)]?\s*\Z",
    "asks": rf"(?i)\A\W*(?:{'|'.join(_QUESTION_STARTS)})\b",
    "options": r"(?:^|\s)\(?A[).:]\s[\s\S]{1,600}?\s\(?B[).:]\s",
    "translate": r"(?i)\b(?:translat|übersetz|uebersetz|trad[uú][cz])",
    "to_language": rf"(?i)\b(?:to|into|in|ins|auf|al|en|a)\s+(?:{'|'.join(_LANGUAGES)})\b",
    "picture": rf"(?i)\b(?:{'|'.join(_PICTURES)})\b",
    "table": r"\|[^|\n]*\||\t[^\t\n]+\t",
    "csv": r"(?m)^[^,;\n]{1,40}(?:[,;][^,;\n]{0,40}){2,20}\n[^,;\n]{1,40}[,;][^,;\n]{0,40}[,;]",
    "log": r"(?i)(?m:^)[^\w\n]{0,4}\d{2,4}[-/:.]\d\d[-/:.]\d\d|\b(?:error|fatal|exception|traceback|errno)\b[: ]"
           r"|0x[0-9a-f]{4}",
    "path": r"(?:^|\s)(?:[A-Za-z]:\\|/(?:etc|usr|var|home|dev|opt)/|~/)|\bsudo\b|\b\d{1,3}(?:\.\d{1,3}){3}\b",
    "mail": rf"(?im)^[ \t]*(?:{'|'.join(_GREETINGS)})\b[^\n]{{0,40}},[ \t]*$|^(?:subject|betreff|asunto)[ \t]*:",
    "quote": r"[\"“„«][^\"”“»]{12,}[\"”“»]",
    "colon": r"\A[^\n]{3,80}:[ \t]*\n|:[ \t]+[\"“„«]?\w",
    "lines": r"\n[^\n]+\n[^\n]+\n",
}
_TESTS: tuple[Callable[[str], object], ...] = tuple(re.compile(pattern).search for pattern in _PATTERNS.values())
_SYMBOLS = re.compile(r"[{}();=<>\[\]]|->|=>|::|&&|\|\|")
_LENGTHS = (3, 6, 12, 25, 60, 150, 400)

FEWEST_SYMBOLS, SYMBOL_SHARE = 4, 0.02
DIGIT_SHARE = 0.06
FORMATS = (*_PATTERNS, "symbols", "some_digits", "many_digits", *(f"words_{i}" for i in range(len(_LENGTHS) + 1)))


def find_formats(text: str) -> list[int]:
    """The places in FORMATS of what `text`, as it was sent, shows."""
    text = excerpt(text, READ_CHARS)
    found = [place for place, test in enumerate(_TESTS) if test(text)]
    size, next_place = max(1, len(text)), len(_TESTS)
    symbols, digits = len(_SYMBOLS.findall(text)), sum(map(str.isdigit, text))
    if symbols >= FEWEST_SYMBOLS and symbols / size > SYMBOL_SHARE:
        found.append(next_place)
    if digits:
        found.append(next_place + (2 if digits / size > DIGIT_SHARE else 1))
    words = len(text.split())
    found.append(next_place + 3 + sum(words >= length for length in _LENGTHS))
    return found
