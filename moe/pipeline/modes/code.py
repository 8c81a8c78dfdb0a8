"""Code and nothing else: what a model says around it is left out but for names of files, and no byte of it altered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from ...core import Message
from ..symptoms import read_symptoms
from .bare import find_bare, holds_more, is_same, is_words
from .enforcer import Finding
from .fences import MARKDOWN, Fence, Piece, Reader, read
from .names import find_name, is_told_apart, name_in, put_name

_TICKS = re.compile(r"(?m)^[ \t>]*(`{3,})")


class Begun(Struct, frozen=True):
    """The block that an earlier answer left open. `is_same`: it is the very turn that is to be gone on with, so that
    the client has the opening already."""

    fence: Fence
    is_same: bool


def find_begun(messages: Sequence[Message]) -> Begun | None:
    """In the last turn of the model's, where nothing but questions came after it."""
    turns = [message for message in messages if message.role != "system"]
    is_same = bool(turns) and turns[-1].role == "assistant"
    while turns and turns[-1].role == "user":
        turns.pop()
    if not turns or turns[-1].role != "assistant":
        return None
    reader = Reader(is_patient=True)
    for _ in (*reader.feed(f"{turns[-1].text}\n"), *reader.finish()):
        pass
    return Begun(reader.fence, is_same) if reader.fence is not None else None


class CodeOnly:
    """The code of an answer, in fences of backticks or bare: each block on its own, with the name of its file where
    that stood before it. Where there is no block the whole answer is held back, and stays as it is if there is no code
    in it: a question back or a refusal is of more use than nothing.

    Where an earlier answer has `begun` a block, this one may begin inside it: its first fence, if it names no language,
    then ends that block unless there are only words before it.
    """

    def __init__(self, *, is_fenced: bool = True, begun: Begun | None = None) -> None:
        self.findings: list[Finding] = []
        self._is_fenced = is_fenced
        self._begun_before = begun
        self._opening: str | None = "" if begun and begun.is_same else None  # while its first line is awaited
        self._reader = Reader(is_patient=True)
        self._said: list[str] = []
        self._words: list[str] = []  # since the last block
        self._out: list[str] = []
        self._block: Fence | None = None
        self._name = ""
        self._begun: list[str] = []  # of the block, before anything of it is shown
        self._mark = ""  # of the block that is shown
        self._is_joined = False  # the client has the block's opening
        self._has_shown = False
        self._line_end = ""

    def feed(self, text: str) -> str:
        if not self._has_shown:
            self._said.append(text)
        if self._opening is not None:
            text = self._await(text)
        return self._pass(self._reader.feed(text))

    def finish(self, *, is_over: bool = True) -> str:
        shown = ""
        if self._opening is not None:
            text = self._decide(self._opening)
            shown = self._pass(self._reader.feed(text))
        shown += self._pass(self._reader.finish())
        self._end_block()
        shown += self._take()
        return shown if self._has_shown else self._finish_bare(is_over=is_over)

    def lacks_block(self) -> bool:
        """Whether code seems to be there that no block holds and nobody can tell from the words, of an answer that is
        all there."""
        said = "".join(self._said)
        return (not self._has_shown and self._reader.fence is None and "```" not in said and holds_more(said)
                and find_bare(said) is None and not read_symptoms(said).refuses)

    def again(self, answer: str) -> CodeOnly | None:
        """For an `answer` that gives the same code in whole blocks; None if it does not."""
        pieces = read(answer, is_patient=True)
        code = "".join(piece.code for piece in pieces)
        opened, closed = (sum(1 for piece in pieces if piece.kind == kind) for kind in ("open", "close"))
        is_whole = code.strip() and opened == closed and is_same(code, "".join(self._said))
        return CodeOnly(is_fenced=self._is_fenced) if is_whole else None

    def _await(self, text: str) -> str:
        """What of the text may be read, as soon as its first line tells whether it goes on inside the block."""
        assert self._opening is not None
        self._opening += text
        if "\n" not in self._opening.lstrip():
            return ""
        return self._decide(self._opening)

    def _decide(self, text: str) -> str:
        self._opening = None
        first = text.lstrip().partition("\n")[0]
        piece = next(iter(read(f"{first}\n")))
        begins = piece.kind == "open" and piece.fence is not None and piece.fence.info
        if self._begun_before is not None and text and not begins and not is_words(first):
            self._block, self._is_joined = self._begun_before.fence, True
            self._reader = Reader(is_patient=True, within=self._block)
            self._begun_before = None
        return text

    def _finish_bare(self, *, is_over: bool) -> str:
        """An answer without a block. Words before a call of a tool are left out as any others are."""
        said = "".join(self._said)
        code = find_bare(said) if said.strip() else None
        if code is None:
            if is_over and said.strip():
                self.findings.append(Finding("no_code"))
            return said if is_over else ""
        begun = self._begun_before
        if begun is not None:
            code = said.strip("\n")
        mark = _choose_mark(Fence("~~~"), code)
        return f"{mark}{begun.fence.info if begun else ''}\n{code}\n{mark}" if self._is_fenced else code

    def _pass(self, pieces: Iterable[Piece]) -> str:
        for piece in pieces:
            if piece.kind == "open":
                self._open(piece)
            elif piece.kind == "code":
                self._heed(piece.code)
            elif piece.kind == "close":
                self._end_block()
            else:
                self._words.append(piece.raw)
        return self._take()

    def _take(self) -> str:
        out = "".join(self._out)
        self._out.clear()
        return out

    def _open(self, piece: Piece) -> None:
        words, begun = "".join(self._words), self._begun_before
        self._words.clear()
        self._begun_before = None
        assert piece.fence is not None
        if begun is not None and not piece.fence.info and piece.fence.mark == begun.fence.mark and not is_words(words):
            self._reader.leave()
            self._block, self._is_joined = begun.fence, begun.is_same
            self._heed(words)
            self._end_block()
            return
        self._block = piece.fence
        self._name = find_name(words) or ("" if self._is_fenced else name_in(piece.fence.info))

    def _heed(self, code: str) -> None:
        assert self._block is not None
        if self._mark:
            self._write(code)
            return
        self._begun.append(code)
        if (self._block.mark[0] == "~" and not self._is_joined) or (self._name and not code.endswith("\n")):
            return  # what it is to look like is open
        begun = "".join(self._begun)
        if begun.strip() and (not self._name or is_told_apart(begun)):
            self._begin()

    def _begin(self) -> None:
        assert self._block is not None
        code = "".join(self._begun)
        self._begun.clear()
        if self._is_joined:
            self._mark = self._block.mark
        else:
            self._mark = _choose_mark(self._block, code)
            fence = Fence("", self._block.info if self._is_fenced else self._block.language.partition(":")[0])
            info, code = put_name(self._name, fence, code)
            gap = "\n\n" if self._has_shown else ""
            self._out.append(f"{gap}{self._mark}{info.replace('`', '')}\n" if self._is_fenced else gap)
        self._has_shown = True
        self._said.clear()
        self._write(code)

    def _end_block(self) -> None:
        """One of white space alone is none, unless it is a file's."""
        if self._block is not None and not self._mark and (self._name or "".join(self._begun).strip()):
            self._begin()
        if self._mark and self._is_fenced:
            self._out.append(f"\n{self._mark}")
        self._begun.clear()
        self._block, self._mark, self._name, self._line_end, self._is_joined = None, "", "", "", False

    def _write(self, code: str) -> None:
        """All but the end of the last line, which stands before a closing fence anyway."""
        code = self._line_end + code
        self._line_end = "\n" if code.endswith("\n") else ""
        self._out.append(code.removesuffix("\n"))


def ask_block() -> str:
    """What to ask a model whose code stands between words without a fence, after its answer."""
    return ("Give the code of that answer again, unchanged and whole, in one fenced block and with no words around it. "
            "If there is no code in it, write only a dash.")


def _choose_mark(fence: Fence, code: str) -> str:
    """A row of backticks that no row within ends. Of a block in backticks its own will do, unless it is Markdown, where
    rows as long as its own may stand."""
    if fence.mark[0] == "`":
        return f"{fence.mark}`" if fence.language in MARKDOWN else fence.mark
    return "`" * max((len(row) + 1 for row in _TICKS.findall(code)), default=3)
