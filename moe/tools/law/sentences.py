"""Where the sentences of a statute end: what is certain, what is no end, and what cannot be told."""

from __future__ import annotations

import re

INDENT = "   "
LONGEST_WORD = 100
LABEL = re.compile(r"( *)(\d{1,3}[a-z]{0,2}|[a-z]{1,2})[.)](?= |$)")
NUMBERED = re.compile(r"\((\d+[a-z]?)\) ?")

_MARK = re.compile(r"(?<!\w)([⁰¹²³⁴-⁹]+) ?(?=[\wÄÖÜ„»\"(])")
_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_END = re.compile(r"[.!?][\"“”»)]*(?=\s+[A-ZÄÖÜ„»\"(§0-9])")
_LAST = re.compile(r"[.!?:;,][\"“”»)]*$")
_COUNTED = re.compile(r"(?:§+|Absatz|Abs\.|Satz|Sätze|Nummer|Nr\.|Artikel|Art\.|Anlage|Kapitel|Abschnitt|Teil|Buch|"
                      r"Jahr|Jahre|(?:§§|Nummern|Absätze|Sätze|Artikel|Absätzen|Sätzen|Artikeln) \d+[a-z]? "
                      r"(?:und|bis|oder)) ?$")
_MONTHS = ("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November",
           "Dezember")
_DATED = re.compile(rf"(?:{'|'.join(_MONTHS)}) ?$")
_ORDINAL = re.compile(rf"\s+(?:{'|'.join(_MONTHS)}|Lebensjahr|Halbsatz|Alternative)")
# Before these points something always follows.
_OPEN = frozenset((
    "abs", "art", "nr", "nrn", "bzw", "vgl", "ggf", "evtl", "sog", "buchst", "lit", "ziff", "st", "dr", "prof", "bgbl",
    "rgbl", "abl", "banz", "bstbl", "gvbl", "hrsg", "gem", "einschl", "inkl", "max", "min", "unterabs", "abschn", "kap",
    "tz", "ca", "lfd", "rn", "rdnr", "bek", "anl", "i.v.m", "z.b", "d.h", "i.s.d", "i.s.v", "tel",
))
_OPEN_PAIR = re.compile(r"(?:\bz\. ?B|\bd\. ?h|\bi\. ?V\. ?m|\bi\. ?S\. ?[dv])$")
_BEGUN_PAIR = re.compile(r"(?:z\. B|d\. h|i\. V\. m|i\. S\. [dv])\.")
# Short words that are no abbreviations; a longer one, or one with such an ending, is a word.
_WORDS = frozenset((
    "ist", "sind", "hat", "haben", "wird", "kann", "darf", "gilt", "soll", "sollen", "muss", "muß", "war", "sei",
    "wäre", "steht", "liegt", "geht", "gibt", "hält", "fällt", "trägt", "tritt", "lässt", "läßt", "nimmt", "endet",
    "nicht", "an", "ab", "auf", "aus", "ein", "vor", "zu", "bei", "mit", "nach", "statt", "fest", "fort", "dar", "her",
    "hin", "los", "weg", "um", "teil", "frei", "dies", "das", "auch", "mehr", "nur", "ihm", "ihr", "ihn", "es", "sie",
    "er", "dazu", "davon", "daran", "recht", "staat", "welt", "euro", "land", "bund", "volk", "zeit", "jahr", "geld",
    "amt", "rat", "tag", "ziel", "zweck", "wert", "preis", "frist", "ort", "haus", "gut", "kind", "eid", "vertrag",
    "gericht", "markt", "bank", "lohn", "arzt", "last", "pacht", "recht", "zug", "weg", "eins", "zwei", "drei", "vor",
    "mai", "april", "hoch", "tief", "groß", "klein", "neu", "alt",
    "lang", "kurz", "gleich", "uhr", "ihnen", "ruht",
    "bleibt", "lautet", "treu", "paar", "wohl", "ganz", "voll", "leer", "hier", "dort", "wann", "zeuge", "vater",
    "märz", "juni", "juli", "satz", "haft", "geben", "buch", "form", "antrag",
))
_WORD_ENDING = re.compile(r"\w{2}(?:e|en|er|em|es|et|ht|lt|nd|rd|ng|tz|ss|ß)$")
_CUT_ENDING = re.compile(r"(?:[bg]l|sch[lnr]|spr|[dr]nr?|mtl|hrl|ichtl|str|insbes|entspr|zzgl|urspr|ehem)$")


def split_sentences(text: str) -> list[str]:
    """By the numbers that some statutes give to their sentences, else by their certain ends; a list belongs to its
    sentence."""
    return _split(text)[0]


def split_certainly(text: str) -> tuple[list[str], bool]:
    """The sentences, as many as can be told apart with certainty from the first on; whether they are all there are."""
    sentences, certain = _split(text)
    return (sentences, True) if certain is None else (sentences[:certain], False)


def _split(text: str) -> tuple[list[str], int | None]:
    """The sentences, and how many of them are certain, None for all."""
    begun = NUMBERED.match(text)
    body = text[begun.end():] if begun else text
    marks = [(found.start(), found[1].translate(_DIGITS)) for found in _MARK.finditer(body)]
    if [number for _, number in marks] == [str(place) for place in range(1, len(marks) + 1)] and len(marks) > 1:
        cuts = [place for place, _ in marks] + [len(body)]
        return [body[start:end].strip() for start, end in zip(cuts, cuts[1:], strict=False)], None
    sentences: list[str] = []
    start, certain = 0, 0 if LABEL.match(body) else None
    for place, is_end in _find_ends(body):
        if is_end is None:
            certain = len(sentences) if certain is None else certain
        elif is_end:
            sentences.append(body[start:place].strip())
            start = place
    sentences.append(body[start:].strip())
    return [sentence for sentence in sentences if sentence], certain


def _find_ends(body: str) -> list[tuple[int, bool | None]]:
    """Places at which a sentence ends, or None beside one where it may; none within the lines of a list."""
    found: list[tuple[int, bool | None]] = []
    lines = body.splitlines(keepends=True)
    offset, depth, quoted = 0, 0, 0
    for number, line in enumerate(lines):
        is_item = bool(LABEL.match(line) or line.startswith(INDENT))
        following = lines[number + 1] if number + 1 < len(lines) else ""
        begun = offset
        for end in _END.finditer(body, offset, min(offset + len(line) + 1, len(body))):
            if end.start() >= offset + len(line):
                break
            depth, quoted = _nest(body[begun:end.end()], depth, quoted)
            begun = end.end()
            is_last = not body[end.end():offset + len(line)].strip()
            if is_item and (not is_last or _is_item(following)):
                continue
            if not is_item and is_last and _is_item(following):
                continue
            judged = _judge(body, offset, end)
            if judged is not False:
                found.append((end.end(), None if depth or quoted else judged))
        depth, quoted = _nest(body[begun:offset + len(line)], depth, quoted)
        rest = line.strip()
        if rest and following.strip() and not _is_item(following) and not _LAST.search(rest) and \
                not following.lstrip()[0].islower():
            found.append((offset + len(line), None))
        offset += len(line)
    return found


def _is_item(line: str) -> bool:
    return bool(LABEL.match(line) or line.startswith(INDENT))


def _nest(text: str, depth: int, quoted: int) -> tuple[int, int]:
    """How many brackets and quotes are open after `text`."""
    for char in text:
        if char == "(":
            depth += 1
        elif char == ")":
            depth = max(depth - 1, 0)
        elif char == "„":
            quoted += 1
        elif char in "“”":
            quoted = max(quoted - 1, 0)
    return depth, quoted


def _judge(body: str, start: int, found: re.Match[str]) -> bool | None:
    """Whether a sentence ends there, and not an abbreviation, a date or an ordinal; None where that is not certain."""
    if body[found.start()] != ".":
        return True
    before = body[max(start, found.start() - LONGEST_WORD):found.start()]
    blank = max(before.rfind(" "), before.rfind("\u00a0"), -1) + 1
    written = before[blank:].lstrip("(„»\"")
    last = written.casefold()
    if _OPEN_PAIR.search(before) or _BEGUN_PAIR.match(body, found.start() - len(written)):
        return False
    if last in _OPEN:
        return False
    if last[:1].isdecimal():
        return _judge_number(body, last, before[max(blank - 40, 0):blank], found.end())
    if re.fullmatch("[ivx]+", last):
        return True if _COUNTED.search(before[max(blank - 40, 0):blank]) else None
    if "." in last or len(last) < 2:
        return None
    if len(written) <= 6 and sum(char.isupper() for char in written) > 1:
        return True if written[-1].isupper() else None
    if last in _WORDS or _WORD_ENDING.search(last):
        return True
    return None if len(last) <= 5 or _CUT_ENDING.search(last) else True


def _judge_number(body: str, last: str, before: str, end: int) -> bool | None:
    if _ORDINAL.match(body, end):
        return False
    if not last.isdecimal():
        return True if re.fullmatch(r"\d{1,2}\.\d{1,2}\.\d{2,4}|\d+[a-z]?|\d+(?:,\d+)", last) and \
            not last.isdecimal() else None
    if len(last) >= 4 or last.startswith("0") or _DATED.search(before) or _COUNTED.search(before):
        return True
    return None
