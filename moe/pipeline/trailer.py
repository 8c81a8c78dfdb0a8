"""How sure a model says it is, in a last line after its answer: read from there, and never shown to anybody."""

from __future__ import annotations

from collections.abc import Iterator

import regex

from ..core import Chunk, Done, Heartbeat, Refusal, Started, Text, Thinking
from .modes.fences import read

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

_FENCE_MARK = r"(?:`{3,8}|~{3,8})"
_DRESS = r"\\(?:boxed|text|textbf|mathbf|mathrm)\{"
# Its line begins anew, behind blank lines and a ruled one, alone in a block of code or in none.
_GAP = (r"(?:\A|(?P<inline>(?<=[.!?…)。*`\"'»”])[ \t]{1,3}(?=[^\s]|\Z))|\r?\n)[ \t]{0,8}(?:\r?\n[ \t]{0,8}){0,6}"
        r"(?:[-*_=]{3,16}[ \t]{0,4}(?:\r?\n[ \t]{0,8}){1,4})?"
        rf"(?P<fence>{_FENCE_MARK}[ \t]{{0,2}}\w{{0,10}}[ \t]{{0,4}}(?:\r?\n[ \t]{{0,8}}){{1,3}})?")
_LEAD = (rf"(?P<marks>(?:[*_`#>\[({{<\"'|~/!$•+\-–—\u200b\ufe0f \t]|\p{{So}}|\d{{1,2}}[.)]|{_DRESS}){{0,14}})"
         r"(?:(?P<lead>my|the|note|final|last line|meine?|mi|ma|la|hinweis|nota)\b:?[ \t*_`]{1,4})?")
_HYPHEN = r"(?:[ \t]{0,2}\\?[_\-‐‑–—−][ \t]{0,2}|[ \t]{1,2})?"
_NAME = (
    rf"(?:answer{_HYPHEN}confidence|antwort{_HYPHEN}(?:konfidenz|zuversicht|sicherheit|vertrauen)|"
    rf"(?:konfidenz|zuversicht){_HYPHEN}der{_HYPHEN}antwort|"
    rf"confianza{_HYPHEN}(?:(?:de|en){_HYPHEN})?(?:la{_HYPHEN})?respuesta|respuesta{_HYPHEN}confianza|"
    rf"confiance{_HYPHEN}(?:(?:de|dans|en){_HYPHEN})?(?:la{_HYPHEN})?r[ée]ponse|r[ée]ponse{_HYPHEN}confiance|"
    rf"(?:fiducia|confidenza){_HYPHEN}(?:(?:della|nella|di){_HYPHEN})?risposta|risposta{_HYPHEN}(?:fiducia|confidenza)|"
    rf"уверенность{_HYPHEN}(?:в{_HYPHEN})?ответ[еа]?|(?:答案|回答)的?(?:置信度|信心|可信度)|回答の?(?:信頼度|確信度|自信度))")
_AFTER_NAME = (r"(?:[ \t_-]{1,2}(?:score|level|rating|value|wert|grad))?(?!\w)"
               r"(?:[ \t]{0,2}[(\[]0[^()\[\]\n]{1,20}1[^()\[\]\n]{0,6}[)\]])?")
_SEPARATOR = r"[*_`\"'\]}]{0,4}[ \t]{0,3}(?P<sign>[:：=>|–—-]{1,2}|(?:is|ist|es|est|lautet)\b)?"
_BEFORE_VALUE = rf"[*_`\"']{{0,4}}(?:[ \t]{{0,3}}\r?\n){{0,2}}[ \t*_`\"'(\[{{}}~≈$|]{{0,8}}(?:{_DRESS})?"
_NUMBER = (r"(?P<number>\d{1,3}(?:[.,]\d{1,6})?|[.,]\d{1,6})[ \t]{0,2}(?P<percent>%|percent|prozent|por ciento)?"
           r"(?:[ \t]{0,2}(?:/|out of|von|de|sobre|sur)[ \t]{0,2}(?P<of>\d{1,3}))?(?![.,]?\d)")
_WORD = rf"(?P<very>(?:very|sehr|muy|très)[ \t]{{1,3}})?(?P<word>{'|'.join(WORDS.values())})(?!\w)"
_AFTER = (r"[*_`\"'\])}>.!,;|$ \t]{0,8}(?:</?[\w/| -]{1,30}>)?[ \t]{0,3}(?:-->)?"
          r"(?:(?:[(\[–—-]|(?:because|since|as|weil|da|porque|ya que|car|parce)\b)[^\n]{0,160}|"
          r"(?<=\s)(?P<words>[^\W\d_][^\n]{0,200}))?")
_END = rf"(?:\s{{0,4}}{_FENCE_MARK})?(?:\s{{1,8}}[-*_=]{{3,16}})?\s{{0,64}}\Z"
_LINE = (rf"{_GAP}{_LEAD}(?P<name>{_NAME}){_AFTER_NAME}{_SEPARATOR}"
         rf"(?:{_BEFORE_VALUE}(?:{_NUMBER}|{_WORD}){_AFTER}|(?P<unread>[^\n]{{0,60}}))")
# Some models write it twice.
_TWICE = (rf"(?:\r?\n\s{{0,6}}[*_`>#\[( -]{{0,8}}(?P<twice>{_NAME})[*_`\"' ]{{0,4}}[:：=]?[*_` ]{{0,4}}[\d.,]{{1,6}}"
          r"[ %*_`)\].]{0,6}(?=\r?\n))?")
_TRAILER = regex.compile(rf"{_TWICE}{_LINE}{_END}", regex.IGNORECASE)
_HEAD = regex.compile(rf"{_GAP}{_LEAD}", regex.IGNORECASE)
_ONLY_NAME = regex.compile(_NAME, regex.IGNORECASE)
_PLACES = regex.compile(r"\r?\n|\r\Z|(?<=[.!?…)。*`\"'»”])[ \t]")
_SYMBOL = regex.compile(r"\s*\p{So}+")
# What only programs and data are written with: there it is a name like any other, unless it is in capitals as asked.
_CODE = frozenset("`{<|/$\"'")
# No trailer is longer; and of a name that was cut so many letters tell that it is one.
LONGEST = 700
_LEAST_LOUD, _LEAST_QUIET = 3, 8
_WORD_VALUES = tuple((regex.compile(pattern, regex.IGNORECASE), value) for value, pattern in WORDS.items())


class Trailer:
    """One answer as it comes, in whatever pieces. What is held back is never longer than a trailer may be."""

    def __init__(self) -> None:
        self.value: float | None = None
        self._shown: list[str] = []
        self._last = ""  # the last letter that was shown, for what may stand after it only
        self._text = ""

    def feed(self, text: str) -> str:
        """What may be shown of the answer so far, after what was shown already."""
        self._text += text
        whole = self._last + self._text
        least = max(0, len(whole) - LONGEST)
        for place in self._places(whole):
            if place >= least and _TRAILER.fullmatch(whole, place, partial=True):
                return self._show(place - len(self._last))
        return self._show(len(self._text))

    def finish(self, *, is_cut: bool = False) -> str:
        """What was held back and is no trailer. `is_cut`: a limit ended it, so that its last word may not be whole."""
        whole, skip = self._last + self._text, len(self._last)
        for place in self._places(whole):
            begin, rest = self._read(whole, place, is_cut=is_cut)
            if begin is None:
                continue
            shown = whole[skip:begin] + rest
            self._text = ""
            return shown
        return self._show(len(self._text))

    def _places(self, whole: str) -> Iterator[int]:
        """Where it may begin in what has not been shown."""
        if not self._last and not self._shown:
            yield 0
        for found in _PLACES.finditer(whole, len(self._last)):
            yield found.start()

    def _read(self, whole: str, place: int, *, is_cut: bool) -> tuple[int | None, str]:
        """Takes the value of the trailer that stands there: where it begins, None for none, and what stays of it."""
        found = _TRAILER.fullmatch(whole, place)
        if found is None:
            return (self._find_cut(whole, place) if is_cut else None), ""
        begin = self._find_begin(whole, found)
        if begin is None:
            return None, ""
        is_all = not any(map(str.strip, self._shown)) and not whole[:begin].strip()
        if not _is_asked(found, is_cut=is_cut, is_all=is_all):
            return None, ""
        if is_all and (symbol := _SYMBOL.match(whole, begin)):  # that may be all of the answer
            begin = symbol.end()
        number = found["number"] or ""
        is_part = is_cut and number.isdigit() and not whole[found.end("number"):].strip(".,")
        self.value = None if is_part else _read_value(found)
        return begin, whole[begin:found.start("marks")] + whole[found.start("words"):] if found["words"] else ""

    def _find_begin(self, whole: str, found: regex.Match[str]) -> int | None:
        """From where on it goes: not with a mark that ends a block of code, and nowhere within one."""
        if not found["fence"]:
            return None if self._is_open(whole, found.start("marks")) else int(found.start())
        if self._is_open(whole, found.start("fence")):
            return len(whole[:found.end("fence")].rstrip())
        return int(found.start())

    def _is_open(self, whole: str, end: int) -> bool:
        text = "".join(self._shown) + whole[len(self._last):end]
        return bool(find_open(text if text.endswith("\n") else f"{text}\n"))

    def _find_cut(self, whole: str, place: int) -> int | None:
        """Where the beginning of its name begins that a limit left."""
        head = _HEAD.match(whole, place)
        name = "" if head is None else whole[head.end():]
        if head is None or not _ONLY_NAME.fullmatch(name, partial=True):
            return None
        least = _LEAST_LOUD if name == name.upper() and not head["inline"] else _LEAST_QUIET
        return self._find_begin(whole, head) if len(name) >= least else None

    def _show(self, end: int) -> str:
        shown, self._text = self._text[:end], self._text[end:]
        if shown:
            self._shown.append(shown)
            self._last = shown[-1]
        return shown


def _is_asked(found: regex.Match[str], *, is_cut: bool, is_all: bool) -> bool:
    """Whether it is what was asked for, and not the answer's own, which in capitals it hardly is."""
    name, unread, twice = found["name"], found["unread"], found["twice"] or ""
    if twice != twice.upper():
        return False
    if name == name.upper():
        is_end = bool(found["sign"]) or unread is None or not unread.strip(" *_`\"'.:)]}>")
        return is_end and not (found["inline"] and unread is not None)
    is_dressed = bool(found["fence"]) or not _CODE.isdisjoint(found["marks"])
    is_code = "_" in name or name.casefold() == "answerconfidence"
    is_plain = not found["words"] and not found["inline"] and (found["lead"] or "").casefold() != "the"
    return (unread is None or is_cut) and is_plain and not is_all and not (is_code and is_dressed)


def find_open(text: str) -> str:
    """The mark that ends the block of code which the text leaves open, "" for none."""
    last = next(iter(read(text)[-1:]), None)
    return last.fence.mark if last is not None and last.fence is not None and last.kind in ("open", "code") else ""


def part(chunks: Iterator[Chunk], trailer: Trailer) -> Iterator[Chunk]:
    """Passes `chunks` on without the trailer; a heartbeat for what is held back. Of a piece that is changed the log
    probabilities are lost: where there are any, no trailer is asked for."""
    for chunk in chunks:
        if isinstance(chunk, Text) and not isinstance(chunk, Refusal):
            shown = trailer.feed(chunk.text)
            yield (chunk if shown == chunk.text else Text(shown)) if shown else _HELD
            continue
        if not isinstance(chunk, (Heartbeat, Thinking, Started)):
            is_cut = isinstance(chunk, Done) and chunk.finish == "length"
            if rest := trailer.finish(is_cut=is_cut):
                yield Text(rest)
        yield chunk


def _read_value(found: regex.Match[str]) -> float | None:
    """The value as a probability; None where it is none."""
    if found["word"]:
        value = next(value for pattern, value in _WORD_VALUES if pattern.fullmatch(found["word"]))
        return value + (0 if not found["very"] else _VERY if value > 0.5 else -_VERY)
    if not found["number"]:
        return None
    number = float(found["number"].replace(",", "."))
    if found["of"]:
        scale = float(found["of"])
    elif found["percent"]:
        scale = 100.0
    else:
        scale = 1.0 if number <= 1 else 10.0 if number <= 10 else 100.0
    return number / scale if scale and number <= scale else None
