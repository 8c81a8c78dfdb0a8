"""Reads a prompt: what it really asks, what the encoder needs of it, and whether a client asked on its own account."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..core import ChatRequest
from ..embed import excerpt

SOURCE_CHARS = 16_000
CODE_CHARS = 240

_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
# Markup is what Markdown would read as such: "2*3", "x|y" and "~5" are the question itself. Each repeat stops at the
# mark that may end it, and none stands in another, so that the time is linear.
_LINE_START = re.compile(r"(?m)^[ \t]*(?:[#>]+|[*](?=[ \t]))")
_CODE = re.compile(r"`{1,2}([^`\n]+)`{1,2}")
_TABLE_RULE = re.compile(r"(?m)^[ \t]*\|[ \t]*:?-[-:| \t]*$")
_TABLE_ROW = re.compile(r"(?m)^[ \t]*\|.*$")
_SUMS = r"[\d\s.,+/^=()-]*"
_EMPHASES = tuple(
    re.compile(rf"(?<![\w)\]}}{mark[-1]}]){mark}(?=[^\s{mark[-1]}])(?!{_SUMS}{mark})"
               rf"((?:(?!{mark}).)+)(?<=\S){mark}(?![\w(\[{{{mark[-1]}])")
    for mark in (r"\*\*\*", r"\*\*", "~~", "__", r"\*")
)
_TASK = "### Task:"
_REMINDER = "</system-reminder>"
_EMOJI = "Your task is to reflect the speaker's likely facial expression"
_CHORE = re.compile(
    r"### Task:\s*(?:Generate (?:a concise|1-3 broad tags|a detailed prompt)|Suggest 3-5 relevant follow-up"
    r"|Analyze the chat history|You are an autocompletion)"
)


def is_chore(text: str) -> bool:
    """Whether Open WebUI asks this for itself: a title, tags, follow-ups, search queries, an emoji, a completion.

    Its prompts about retrieved documents also begin with "### Task:" but carry the user's own question.
    """
    text = text.lstrip()
    if text.startswith(_EMOJI):
        return True
    return text.startswith(_TASK) and (_CHORE.match(text) is not None or "<chat_history>" in text)


def is_housekeeping(request: ChatRequest) -> bool:
    """Whether a client asks for itself: a chore, or a completion that is no chat, as when an editor fills in code."""
    if request.completion is not None:
        return request.completion.raw or bool(request.completion.suffix)
    deciding = (m for m in (request.messages if request.has_tools else reversed(request.messages)) if m.role == "user")
    newest = next(deciding, None)
    return newest is not None and is_chore(newest.own_words)


def find_question(text: str) -> str:
    """The user's own words: what follows the documents that Open WebUI puts before a question, without the reminders
    that Claude Code puts around it."""
    if _REMINDER in text:
        *closed, last = text.split(_REMINDER)
        text = " ".join((*(piece.partition("<system-reminder>")[0] for piece in closed), last)).strip() or text
    if not text.lstrip().startswith(_TASK):
        return text
    asked = text.rpartition("</context>")[2].replace("<user_query>", " ").replace("</user_query>", " ")
    return asked.strip() or text


def clean(text: str) -> str:
    """`text` as the encoder should read it: links as their words, code blocks cut short, no markup."""
    text = excerpt(text, SOURCE_CHARS)
    if "```" in text:
        blocks = text.split("```")
        text = " ".join(block[:CODE_CHARS] if i % 2 else block for i, block in enumerate(blocks))
    text = _LINE_START.sub(" ", _strip_tables(_LINK.sub(r"\1", text)))
    for pattern in (_CODE, *_EMPHASES):
        text = pattern.sub(r"\1", text)
    return " ".join(text.split())


def _strip_tables(text: str) -> str:
    """Bars go only where a row of dashes makes a table of them."""
    if not _TABLE_RULE.search(text):
        return text
    return _TABLE_ROW.sub(lambda row: row[0].replace("|", " "), _TABLE_RULE.sub("", text))


def says_anything(text: str) -> bool:
    """Whether there is a word, a number or a formula in it: two different letters, a digit, or a letter of a script
    whose letters are all alike in case. "xxxx", "((((" and faces say nothing."""
    first = ""
    for character in text:
        if character.isdigit():
            return True
        if character.isalpha():
            letter = character.casefold()
            if letter == character.upper() or letter != (first := first or letter):
                return True
    return False


def join_newest(texts: Sequence[str], *, max_chars: int) -> str:
    """The texts, the newest first, so that a cut takes from the oldest."""
    return "\n".join(reversed(texts))[:max_chars]
