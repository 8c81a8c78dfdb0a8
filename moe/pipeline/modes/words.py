"""Words counted as Unicode divides them, and where sentences end."""

from __future__ import annotations

import re

import regex

from ...tools.prose import count_sentences

_WIDE = r"\p{Han}\p{Hiragana}\p{Katakana}"
_JOINED = r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_PART = rf"[^\W_{_WIDE}{_JOINED}]"
# Chinese and Japanese are written without blanks, and each letter is a word by custom, as the tools count them. So are
# Thai, Lao, Khmer and Burmese, whose words have about four letters.
_WORD = regex.compile(rf"[{_WIDE}]|[{_JOINED}]{{1,4}}|{_PART}+(?:(?:['’.:·]|_+|(?<=\d),(?=\d)){_PART}+)*")
_TOKEN = re.compile(r"[^\s。！？]*[。！？]+[\"'”’»)\]*_」』】）]*|\S+")
# Arabic and Urdu, Hindi, Chinese and Japanese have marks of their own.
_WIDE_END = re.compile(r"[。！？؟۔।॥][\"'”’»)\]*_」』】）]*$")
# What is said before a name, though elsewhere it may end a sentence.
_TITLES = frozenset(("sr.", "sra.", "srta.", "dr.", "dra.", "sres.", "mme.", "mlle.", "sig."))
_LETTER = re.compile(r"[^\W_]")
_CODE = re.compile(r"(?<!`)(`+)(?!`)[^\n]+?(?<!`)\1(?!`)")


def find_words(text: str) -> list[int]:
    """Where each word ends. A hyphen parts two words, an apostrophe or a decimal point does not."""
    return [found.end() for found in _WORD.finditer(text)]


def count_words(text: str) -> int:
    return sum(1 for _ in _WORD.finditer(text))


def find_sentence_ends(text: str) -> list[int]:
    """Where each sentence of a paragraph ends, by the rules of the tool that counts them; never in a span of code. What
    follows the last mark is one too."""
    masked = _CODE.sub(lambda code: "x" * len(code[0]), text)
    tokens = list(_TOKEN.finditer(masked))
    ends = [token.end() for token, following in zip(tokens, tokens[1:], strict=False)
            if _ends(token[0], following[0])]
    return [*ends, tokens[-1].end()] if tokens else []


def _ends(token: str, following: str) -> bool:
    if _WIDE_END.search(token):
        return True
    if token.casefold().lstrip("\"'“„«(*_") in _TITLES:
        return False
    if not _LETTER.search(following):  # a dash or a face after it says nothing of it
        following = f"A{following}"
    return count_sentences([token if _LETTER.search(token) else f"A{token}", following]) > 1
