"""What a local model writes -> text, thinking and tool calls, in pieces as it comes."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import TypeVar

from ...core import ChatRequest, Chunk, Text
from ..wishes import offer_tools
from .calls import read_calls
from .ledger import Ledger
from .prompt import Prompt
from .thought import Thought
from .transcript import dangling

_THINKING = {"<think>": "</think>", "[THINK]": "[/THINK]"}
_BLOCK, _BLOCK_END = "<tool_call>", "</tool_call>"
_REST = ("[TOOL_CALLS]", "<|python_tag|>")
_CALLS = (_BLOCK, *_REST)
# Tokens of these texts are part of the answer, though some vocabularies call them control tokens.
MARKS = frozenset({*_THINKING, *_THINKING.values(), *_CALLS, _BLOCK_END, "[ARGS]", "[CALL_ID]"})
# How calls begin that are JSON and nothing else (Llama 3.1 and others); any other JSON is an answer.
_BARE = re.compile(r'\s*\[?\s*\{\s*"(?:name|type|function|parameters|arguments)"')
_MAYBE_BARE = re.compile(r'\s*(?:\[\s*)?(?:\{\s*(?:"[a-z]{0,10})?)?')
Self = TypeVar("Self", bound="Speech")


class Speech:
    """One answer being cut into chunks. What looks like a call and is none stays text."""

    @classmethod
    def of(cls: type[Self], request: ChatRequest, prompt: Prompt, *, thinks: bool) -> Self:
        """The answer to this prompt; a bare completion is text and nothing else."""
        if not prompt.is_chat:
            return cls()
        functions = (tool.get("function") for tool in offer_tools(request))
        names = frozenset(str(each.get("name")) for each in functions if isinstance(each, dict))
        return cls(thinks=thinks, is_thinking=prompt.is_thinking, tools=names)

    def __init__(self, *, thinks: bool = False, is_thinking: bool = False, tools: Collection[str] = ()) -> None:
        """`is_thinking`: the prompt opened the thinking itself. `tools`: the names that may be called."""
        self.has_called = False
        self.ledger = Ledger()
        self._heard = 0
        self._tools = tools
        self._text = ""
        self._thought = Thought()
        answer = self._open if tools else self._speak
        self._read: Callable[[bool], list[Chunk]] = self._think if is_thinking else self._begin if thinks else answer

    def feed(self, text: str) -> list[Chunk]:
        self._text += text
        self._heard += len(text)
        return self._advance(is_last=False)

    def finish(self) -> list[Chunk]:
        """What was held back until the end."""
        return self._advance(is_last=True)

    def _advance(self, *, is_last: bool) -> list[Chunk]:
        """Lets the current state take what it can of the text, until no state changes any more."""
        chunks: list[Chunk] = []
        before = None
        while before != self._read:
            before = self._read
            chunks += before(is_last)
        return chunks

    def _begin(self, is_last: bool) -> list[Chunk]:
        """Nothing but white space so far: the answer may open with thinking."""
        stripped = self._text.lstrip()
        opened = next((mark for mark in _THINKING if stripped.startswith(mark)), None)
        if opened is not None:
            self._thought = Thought(_THINKING[opened])
            self._text = stripped[len(opened) :]
            self._read = self._think
        elif is_last or (stripped and dangling(stripped, _THINKING) < len(stripped)):
            self._read = self._open if self._tools else self._speak
        return []

    def _think(self, is_last: bool) -> list[Chunk]:
        said, self._text = self._thought.take(self._text, is_last=is_last)
        if self._thought.is_over:
            self._read = self._pause
        return [*said]

    def _pause(self, is_last: bool) -> list[Chunk]:
        """After a thought, and between calls, lie empty lines that belong to neither side."""
        self._text = self._text.lstrip()
        if self._text or is_last:
            self._read = self._open if self._tools and not self.has_called else self._speak
        return []

    def _open(self, is_last: bool) -> list[Chunk]:
        """The first words show whether all of the answer is a call in bare JSON."""
        if _BARE.match(self._text):
            self._read = self._hear_bare
        elif is_last or not _MAYBE_BARE.fullmatch(self._text):
            self._read = self._speak
        return []

    def _speak(self, is_last: bool) -> list[Chunk]:
        if not self._tools:
            return self._say(len(self._text))
        found = [(self._text.find(mark), mark) for mark in _CALLS if mark in self._text]
        if not found:
            return self._say(len(self._text) - (0 if is_last else dangling(self._text, _CALLS)))
        place, mark = min(found)
        self._read = self._hear_block if mark == _BLOCK else self._hear_rest
        return self._say(place)

    def _hear_block(self, is_last: bool) -> list[Chunk]:
        """One call between its marks; the next may follow."""
        body, found, rest = self._text.partition(_BLOCK_END)
        if not found and not is_last:
            return []
        calls = read_calls(body.removeprefix(_BLOCK))
        if not calls:
            self._read = self._speak
            return self._say(len(body) + len(found))
        self.has_called = True
        self._read = self._pause
        self._text = rest
        return list(calls)

    def _hear_rest(self, is_last: bool) -> list[Chunk]:
        """Everything from the mark on is calls."""
        if not is_last:
            return []
        for mark in _REST:
            calls = read_calls(self._text.removeprefix(mark)) if self._text.startswith(mark) else []
            if calls:
                return self._end_with(list(calls))
        return self._say(len(self._text))

    def _hear_bare(self, is_last: bool) -> list[Chunk]:
        if not is_last:
            return []
        calls = read_calls(self._text, self._tools)
        return self._end_with(list(calls)) if calls else self._say(len(self._text))

    def _end_with(self, calls: list[Chunk]) -> list[Chunk]:
        self.has_called = True
        self._text = ""
        return calls

    def _say(self, length: int) -> list[Chunk]:
        start = self._heard - len(self._text)
        said, self._text = self._text[:length], self._text[length:]
        return [Text(said, self.ledger.take(start, start + len(said)))] if said else []
