"""Reads a prompt: what it really asks, what the encoder needs of it, and whether a client asked on its own account."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..embed import excerpt

SOURCE_CHARS = 16_000
CODE_CHARS = 240

_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_MARKUP = re.compile(r"(?m)^[ \t]*[#>]+|[*`~|]+|_{2,}")
_TASK = "### Task:"
_CHORE = re.compile(
    r"### Task:\s*(?:Generate (?:a concise|1-3 broad tags|a detailed prompt)|Suggest 3-5 relevant follow-up"
    r"|Analyze the chat history|You are an autocompletion)"
)


def is_chore(text: str) -> bool:
    """Whether Open WebUI asks this for itself: a title, tags, follow-ups, search queries, a completion.

    Its prompts about retrieved documents also begin with "### Task:" but carry the user's own question.
    """
    text = text.lstrip()
    return text.startswith(_TASK) and (_CHORE.match(text) is not None or "<chat_history>" in text)


def find_question(text: str) -> str:
    """The user's own words: what follows the documents that Open WebUI puts before a question."""
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
    return " ".join(_MARKUP.sub(" ", _LINK.sub(r"\1", text)).split())


def join_newest(texts: Sequence[str], *, max_chars: int) -> str:
    """The texts, the newest first, so that a cut takes from the oldest."""
    return "\n".join(reversed(texts))[:max_chars]
