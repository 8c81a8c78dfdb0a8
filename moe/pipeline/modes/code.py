"""Code and nothing else: what a model says around it is left out, and no byte of it altered."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .bare import find_bare
from .enforcer import Finding
from .fences import MARKDOWN, Fence, Piece, Reader

_ALIASES = {"py": "python", "python3": "python", "js": "javascript", "jsx": "javascript", "node": "javascript",
            "ts": "typescript", "sh": "bash", "shell": "bash", "zsh": "bash", "yml": "yaml", "c++": "cpp",
            "golang": "go", "rs": "rust", "rb": "ruby",
            "ps1": "powershell", "cs": "csharp", "c#": "csharp", "kt": "kotlin"}
_FILE_NAME = re.compile(r"\s*(?:#|//|--|;|%|/\*+|<!--|\"|')\s*(?:[Ff]ile(?:name)?|[Dd]atei|[Aa]rchivo)?:?\s*"
                        r"[\w./\\-]*\w\.\w{1,10}\s*(?:\*/|-->)?\s*")
_TICKS = re.compile(r"(?m)^[ \t>]*(`{3,})")


class CodeOnly:
    """The code of an answer, in fences of backticks or bare.

    Blocks of one language that follow each other are one block, unless the later one begins with the name of its file
    in a comment. The first lines of a block are held back until that is clear, a block in tildes to its end; where
    there is no fence the whole answer is, and stays as it is if there is no code in it: a question back or a refusal is
    of more use than nothing.
    """

    def __init__(self, *, is_fenced: bool = True) -> None:
        self.findings: list[Finding] = []
        self._is_fenced = is_fenced
        self._reader = Reader()
        self._said: list[str] = []
        self._out: list[str] = []
        self._shown: Fence | None = None  # the one that is open in what the client sees
        self._block: Fence | None = None  # the one that is open in what the model says
        self._begun: list[str] = []
        self._is_begun = False
        self._line_end = ""

    def feed(self, text: str) -> str:
        if self._shown is None:
            self._said.append(text)
        return self._pass(self._reader.feed(text))

    def finish(self, *, is_over: bool = True) -> str:
        shown = self._pass(self._reader.finish())
        self._end_block()
        shown += self._take()
        if self._shown is None:
            return self._finish_bare(is_over=is_over)
        closing = f"\n{self._shown.mark}" if self._is_fenced else ""
        self._shown = None
        return shown + closing

    def _finish_bare(self, *, is_over: bool) -> str:
        """An answer without a block. Words before a call of a tool are left out as any others are."""
        said = "".join(self._said)
        code = find_bare(said) if said.strip() else None
        if code is None:
            if is_over and said.strip():
                self.findings.append(Finding("no_code"))
            return said if is_over else ""
        mark = _choose_mark(Fence("~~~"), code)
        return f"{mark}\n{code}\n{mark}" if self._is_fenced else code

    def _pass(self, pieces: Iterable[Piece]) -> str:
        for piece in pieces:
            if piece.kind == "open":
                self._block = piece.fence
            elif piece.kind == "code":
                self._heed(piece.code)
            elif piece.kind == "close":
                self._end_block()
        return self._take()

    def _take(self) -> str:
        out = "".join(self._out)
        self._out.clear()
        return out

    def _heed(self, code: str) -> None:
        assert self._block is not None
        if self._is_begun:
            self._write(code)
            return
        self._begun.append(code)
        if self._block.mark[0] == "`" and (self._is_other() or code.endswith("\n")) and "".join(self._begun).strip():
            self._begin()

    def _end_block(self) -> None:
        """One of white space alone is none."""
        if self._block is not None and not self._is_begun and "".join(self._begun).strip():
            self._begin()
        self._begun.clear()
        self._block, self._is_begun, self._line_end = None, False, ""

    def _is_other(self) -> bool:
        assert self._block is not None
        return self._shown is None or _name(self._block) != _name(self._shown)

    def _begin(self) -> None:
        assert self._block is not None
        code = "".join(self._begun)
        mark = _choose_mark(self._block, code)
        names_file = _FILE_NAME.fullmatch(code.lstrip().partition("\n")[0])
        if self._shown is not None and (not self._is_fenced or not (
                self._is_other() or names_file or len(mark) > len(self._shown.mark))):
            self._out.append("\n\n")
        else:
            self._open(Fence(mark, self._block.info.replace("`", "")))
        self._is_begun = True
        self._begun.clear()
        self._write(code)

    def _open(self, fence: Fence) -> None:
        if self._is_fenced:
            closing = f"\n{self._shown.mark}\n\n" if self._shown is not None else ""
            self._out.append(f"{closing}{fence.mark}{fence.info}\n")
        self._shown = fence
        self._said.clear()

    def _write(self, code: str) -> None:
        """All but the end of the last line, which stands before a closing fence anyway."""
        code = self._line_end + code
        self._line_end = "\n" if code.endswith("\n") else ""
        self._out.append(code.removesuffix("\n"))


def _name(fence: Fence) -> str:
    return _ALIASES.get(fence.language, fence.language)


def _choose_mark(fence: Fence, code: str) -> str:
    """A row of backticks that no row within ends. Of a block in backticks its own will do, unless it is Markdown, where
    rows as long as its own may stand."""
    if fence.mark[0] == "`":
        return f"{fence.mark}`" if fence.language in MARKDOWN else fence.mark
    return "`" * max((len(row) + 1 for row in _TICKS.findall(code)), default=3)
