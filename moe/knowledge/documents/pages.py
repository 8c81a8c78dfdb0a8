"""What is read of one file, page by page, and how much of it may be read."""

from __future__ import annotations

from msgspec import Struct


class Unreadable(Exception):
    """Why a file cannot be read, in words that follow its name."""


class Limits(Struct, frozen=True, kw_only=True):
    """`pages` counts sheets and slides too; `cpu_s` and `memory_bytes` are what the reading process may use."""

    pages: int
    chars: int
    cpu_s: int
    memory_bytes: int


class Pages:
    """The text of one file as it grows. Raises Unreadable as soon as it is too much."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lines: list[str] = []
        self._size = 0
        self._has_text = False

    def check_count(self, count: int, what: str) -> None:
        """`what` are called pages in this kind of file."""
        if count > self._limits.pages:
            raise Unreadable(f"has {count} {what}, more than documents.max_pages ({self._limits.pages}) allows")

    def begin(self, mark: str) -> None:
        """A new page; its mark is no text of the file."""
        self._lines.append(f"\n[{mark}]" if self._lines else f"[{mark}]")

    def add(self, text: str) -> None:
        text = text.rstrip().replace("\0", "")
        if not text:
            return
        self._has_text = True
        self.check_size(len(text) + 1)
        self._size += len(text) + 1
        self._lines.append(text)

    def check_size(self, more: int) -> None:
        """Whether so many characters may still be added."""
        if self._size + more > self._limits.chars:
            raise Unreadable(f"holds more text than documents.max_chars ({self._limits.chars}) allows")

    def join(self, lacking: str) -> str:
        """All of it. Raises Unreadable with the words `lacking` where there is no text."""
        if not self._has_text:
            raise Unreadable(lacking)
        return "\n".join(self._lines).encode("utf-8", "replace").decode()
