"""How sure a model says it is, in a line after its answer: read from there, and never shown to anybody."""

from __future__ import annotations

from collections.abc import Iterator

import regex

from ..core import Chunk, Heartbeat, Refusal, Started, Text, Thinking

# For the system prompt of a model that tells no log probabilities.
REQUEST = (
    "When your answer is finished, write one last line of exactly this form, whatever the language of the answer: "
    "ANSWER-CONFIDENCE: 0.00\nThe number says how likely it is that your answer is right, from 0.00 to 1.00."
)
WORDS = {
    0.95: "certain|absolutely sure|sicher|ganz sicher|segur[oa]|muy segur[oa]|certaine?",
    0.9: "high|hoch|hohe?|alt[oa]|haute|élevée?",
    0.6: "medium|moderate|mittel|mittlere?|mäßig|medi[oa]|moderad[oa]|moyenne?",
    0.3: "low|niedrig|gering|baj[oa]|faible|uncertain|unsicher|insegur[oa]",
}
_VERY = 0.05
_HELD = Heartbeat(is_held=True)

_BREAK = r"[ \t]{0,4}\r?\n"
_MARKS = r"[*_`\"']{0,4}"
_HYPHEN = r"[ _\-‐‑–]"
# Blank lines and a ruled line before it belong to it.
_GAP = rf"(?:{_BREAK}){{0,4}}(?:[-*_=]{{3,16}}{_BREAK}(?:{_BREAK}){{0,2}})?[ \t]{{0,4}}"
_BEFORE = rf"{_GAP}(?:[*_`#>\[({{<\"'|~/!-]|[ \t](?=[^ \t\n])){{0,10}}(?<![^\W\d_])"
_SEPARATOR = rf"{_MARKS}[ \t]{{0,3}}(?:[:：=>–—-]|is|ist|es|est){_MARKS}[ \t]{{0,3}}[*_`\"'(~≈]{{0,4}}"
_NUMBER = (r"(?P<number>\d{1,3}(?:[.,]\d{1,6})?|[.,]\d{1,6})[ \t]{0,2}(?P<percent>%|percent|prozent|por ciento)?"
           r"(?:[ \t]{0,2}(?:/|out of|von|de|sobre|sur)[ \t]{0,2}(?P<of>\d{1,3}))?")
_WORD = rf"(?P<very>(?:very|sehr|muy|très)[ \t]{{1,3}})?(?P<word>{'|'.join(WORDS.values())})"
_AFTER = r"[*_`\"'\])}>.!,;|]{0,6}(?:</[\w -]{0,30}>)?[ \t]{0,3}(?:[(\[–—-][^\n]{0,160})?(?:-->)?(?=\s|\Z)"
_VALUE = rf"{_SEPARATOR}(?:{_NUMBER}|{_WORD}){_AFTER}"
_ASKED = (rf"(?:answer{_HYPHEN}?confidence|antwort{_HYPHEN}?(?:konfidenz|sicherheit|vertrauen)|"
          rf"confianza{_HYPHEN}(?:(?:de|en){_HYPHEN})?(?:la{_HYPHEN})?respuesta|respuesta{_HYPHEN}confianza)(?!\w)")
_LIKE = (r"(?:(?:my|overall|final|meine?|mi|gesamt)[ -]?)?(?:confidence|konfidenz|zuversicht|sicherheit|vertrauen|"
         r"(?:(?:nivel|grado|índice) de )?(?:confianza|certeza)|confiance)"
         r"(?:[ _-]?(?:level|score|rating|wert|grad|niveau))?")
# What was asked for goes wherever it stands, even with a value that cannot be read.
_WANTED = regex.compile(rf"{_BEFORE}{_ASKED}(?:{_VALUE}|[^\w\s]{{0,40}}(?:[ \t]{{1,3}}\S{{1,40}})?)", regex.IGNORECASE)
# What only resembles it may be the answer's own, unless it stands for itself at the very end.
_SIMILAR = regex.compile(
    rf"(?:(?<=[.!?…)\]*`\"'»”])(?=[ \t])|(?={_BREAK})){_BEFORE}{_LIKE}{_VALUE}"
    r"(?P<closing>\s{0,4}`{3})?\s{0,64}\Z", regex.IGNORECASE)
_NAME = regex.compile(rf"{_ASKED}|{_LIKE}", regex.IGNORECASE)
_OPENING = regex.compile(rf"{_GAP}`{{3}}\w{{0,10}}[ \t]{{0,2}}(?:\r?\n)?\Z")
_CLOSING = regex.compile(r"[ \t]{0,4}\r?\n?[ \t]{0,4}`{3}")
_TICKS = regex.compile(r"`+")
_FENCE = 3
# No trailer is longer, so one that began so long ago is there as a whole; and none has its name later than that.
LONGEST, LONGEST_HEAD = 600, 160
_WORD_VALUES = tuple((regex.compile(pattern, regex.IGNORECASE), value) for value, pattern in WORDS.items())


class Trailer:
    """One answer as it comes, in whatever pieces. What is held back is never longer than a trailer may be."""

    def __init__(self) -> None:
        self.value: float | None = None
        # The last letter that was passed on stays, for what may stand after it only.
        self._text, self._said = "", 0
        self._is_found, self._is_blank = False, True
        self._fences = self._ticks = 0

    def feed(self, text: str) -> str:
        """What may be shown of the answer so far, after what was shown already."""
        self._text += text
        at, shown = self._remove(is_last=False)
        first = at if _NAME.search(self._text, at) else max(at, len(self._text) - LONGEST_HEAD)
        found = (pattern.search(self._text, first, partial=True) for pattern in (_WANTED, _SIMILAR))
        ends = [each.start() for each in found if each]
        end = min(ends, default=len(self._text))
        opening = _OPENING.search(self._text, at, end)
        end = opening.start() if opening else end
        shown += self._show(self._text[at:end])
        keep = max(0, end - 1)
        self._text, self._said = self._text[keep:], end - keep
        return shown

    def finish(self) -> str:
        """What was held back and is no trailer."""
        at, shown = self._remove(is_last=True)
        may_be = not self._is_found and _NAME.search(self._text, at)
        found = _SIMILAR.search(self._text, at) if may_be else None
        if found is not None:
            begin = self._find_opening(at, found) if found["closing"] else found.start()
            shown += self._show(self._text[at:begin])
            at = begin
            if self._fences % 2 == 0 and begin < len(self._text):
                self.value, at = _read(found, None), len(self._text)
        shown += self._show(self._text[at:])
        self._text, self._said = "", 0
        return shown

    def _remove(self, *, is_last: bool) -> tuple[int, str]:
        """Takes what was asked for out of the text, as far as it is certainly whole: how far that came, and what stood
        between."""
        at, shown = self._said, ""
        if not _NAME.search(self._text, at):
            return at, shown
        while found := _WANTED.search(self._text, at, partial=not is_last):
            if found.partial or not (is_last or len(self._text) - found.start() > LONGEST):
                break
            begin, end = found.span()
            closing = _CLOSING.match(self._text, end)
            if closing and (opened := self._find_opening(at, found)) < len(self._text):
                begin, end = opened, closing.end()
            shown += self._show(self._text[at:begin])
            self.value, self._is_found, at = _read(found, self.value), True, end
        return at, shown

    def _find_opening(self, at: int, found: regex.Match[str]) -> int:
        """Where the block of code begins in which it stands alone, behind the text for nowhere."""
        opening = _OPENING.search(self._text, at, found.start())
        return opening.start() if opening else len(self._text)

    def _show(self, text: str) -> str:
        """Where nothing but a trailer came before, the answer begins with its first letter."""
        if self._is_blank:
            text = text.lstrip() if self._is_found else text
            self._is_blank = not text.strip()
        for run in _TICKS.finditer(text):
            before = self._ticks if run.start() == 0 else 0
            self._fences += before < _FENCE <= before + len(run[0])
            self._ticks = before + len(run[0])
        if not text.endswith("`"):
            self._ticks = 0 if text else self._ticks
        return text


def part(chunks: Iterator[Chunk], trailer: Trailer) -> Iterator[Chunk]:
    """Passes `chunks` on without the trailer; a heartbeat for what is held back. Of a piece that is changed the log
    probabilities are lost: where there are any, no trailer is asked for."""
    for chunk in chunks:
        if isinstance(chunk, Text) and not isinstance(chunk, Refusal):
            shown = trailer.feed(chunk.text)
            yield (chunk if shown == chunk.text else Text(shown)) if shown else _HELD
            continue
        if not isinstance(chunk, (Heartbeat, Thinking, Started)) and (rest := trailer.finish()):
            yield Text(rest)
        yield chunk


def _read(found: regex.Match[str], otherwise: float | None) -> float | None:
    """The value as a probability; `otherwise` where it is none."""
    if found["word"]:
        value = next(value for pattern, value in _WORD_VALUES if pattern.fullmatch(found["word"]))
        return value + (0 if not found["very"] else _VERY if value > 0.5 else -_VERY)
    if not found["number"]:
        return otherwise
    number = float(found["number"].replace(",", "."))
    if found["of"]:
        scale = float(found["of"])
    elif found["percent"]:
        scale = 100.0
    else:
        scale = 1.0 if number <= 1 else 10.0 if number <= 10 else 100.0
    return number / scale if scale and number <= scale else otherwise
