"""Code that stands in an answer without a fence: all of it, or indented in the old way of Markdown."""

from __future__ import annotations

import re

_INLINE = re.compile(r"\s*(?P<ticks>`{1,2})(?P<code>[^`\n]+)(?P=ticks)\s*")
# Lines that no sentence is like, in the languages that are asked for most.
_CODE = re.compile("|".join((
    r".*(?:[;{}]|\)\s*:|=>|->|\\)\s*(?:(?://|#|--).*)?$",
    r"\s*[)\]}]+[,;]?\s*$",
    r"\s*(?:from [\w.]+ import |import [\w.]+(?: as \w+|, ?[\w.]+)*$|import [{*\"'])",
    r"\s*(?:def \w+\(|@\w+|#include\b|using [\w.]+;)",
    r"\s*(?:class \w+\s*(?:[(:{<]|extends\b|implements\b|$)|package [\w.]+$|lambda\b.*:)",
    r"\s*(?:public|private|protected|static|async|export|const|let|var|fn|func|function|type|interface|struct|enum|impl)"
    r" [\w*<(]\S*.*[({=:;<,>]",
    r"\s*(?:(?:el)?if|for|while|except|with)\b.*:$|\s*(?:else|try|finally):$|\s*return\b(?! to\b).*[\w)\]}'\"]$",
    r"\s*(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE (?:TABLE|INDEX|VIEW)|WITH \w+ AS|FROM|WHERE|"
    r"(?:LEFT |INNER )?JOIN|GROUP BY|ORDER BY|RUN|CMD|COPY|WORKDIR|ENTRYPOINT) \S",
    r"\s*[\w.\[\]'\"$]+\s*(?:[-+*/|&]|:)?=\s*(?!(?:\w+ ){2,}\w+\.?$)\S.*$",
    r"\s*[\w.]+\((?!\s).*\)\s*$",
    r"\s*<[/!?]?\w[^<>]*>.*$",
    r"[$ ]*(?:git|npm|npx|pip3?|docker|ls|mkdir|curl|wget|sudo|apt(?:-get)?|brew|cargo|kubectl|grep|awk|sed|chmod|cd|"
    r"rm|cp|mv|ssh|scp|tar) (?!.*\w{2}\.$)\S",
)))
_COMMENT = re.compile(r"\s*(?:#|//|--|/?\*|;|<!--)")
_WORD = re.compile(r"[^\W\d_]{2,}")
_SOME_WORDS = 2
_SOME_LINES = 2
_ENDS = (".", "!", "?", ":", "。")
_INDENTED = re.compile(r"(?: {4}|\t)[ \t]*\S")
_INDENT = re.compile(r"^(?: {1,4}|\t)")
_LISTED = re.compile(r"\s*(?:[-*+•]\s|\d{1,9}[.)]\s|\||#{1,6}\s|\*\*|>)")
_LIST_ITEM = re.compile(r"\s{0,3}(?:[-*+•]|\d{1,9}[.)])\s")


def find_bare(text: str) -> str | None:
    """The code of an answer that has no fenced block; None where it has none at all."""
    inline = _INLINE.fullmatch(text)
    if inline:
        return inline["code"]
    lines = text.split("\n")
    return _find_unfenced(lines) or _find_indented(lines)


def is_words(text: str) -> bool:
    """Whether each of its lines could be what somebody says around code."""
    return all(_is_said(line) for line in text.split("\n") if line.strip())


def holds_more(text: str) -> bool:
    """Whether some of its lines are no sentences, nor parts of a list or a table: code that is not known as such."""
    lines = [line for line in text.split("\n") if line.strip()]
    return sum(1 for line in lines if not (_is_said(line) or _LISTED.match(line))) >= _SOME_LINES


def is_same(code: str, said: str) -> bool:
    """Whether `code` is the code that stood in what was `said`: of the lines of either, most are in the other."""
    found = [line.strip() for line in code.split("\n") if line.strip()]
    given = [line.strip() for line in said.split("\n") if line.strip() and not _is_said(line)]
    is_found, is_given = set(found).__contains__, set(given).__contains__
    return 2 * sum(map(is_given, found)) > len(found) and 2 * sum(map(is_found, given)) > len(given)


def _is_said(line: str) -> bool:
    return not (line[:1].isspace() or _COMMENT.match(line) or _CODE.match(line)) and _is_end(line)


def _is_end(line: str) -> bool:
    return line.rstrip().rstrip("*_\"'”’»)")[-1:] in _ENDS


def _find_unfenced(lines: list[str]) -> str | None:
    """What is left between words before and after it, if no sentence stands within and half of the lines are surely
    code."""
    first, last = 0, len(lines)
    while first < last and _is_around(lines[first]):
        first += 1
    while last > first and _is_around(lines[last - 1]):
        last -= 1
    inner = lines[first:last]
    told = [line for line in inner if line.strip() and not _COMMENT.match(line)]
    if all(map(_INDENTED.match, told)) or any(map(_LIST_ITEM.match, told)):
        return None
    if inner[0].startswith("#!"):
        return "\n".join(inner)
    sure = sum(1 for line in told if _CODE.match(line))
    if 2 * sure < len(told) or any(_is_prose(line) for line in told):
        return None
    return "\n".join(inner)


def _is_around(line: str) -> bool:
    return not line.strip() or _is_prose(line)


def _is_prose(line: str) -> bool:
    """Whether it is a sentence, or one's beginning that ends in a colon: several words, and no code."""
    if line[:1].isspace() or _COMMENT.match(line) or _CODE.match(line):
        return False
    return _is_end(line) and len(_WORD.findall(line)) >= _SOME_WORDS


def _find_indented(lines: list[str]) -> str | None:
    """Every block that is indented by four after an empty line, outside of lists."""
    blocks: list[list[str]] = []
    is_open, is_list, was_blank = False, False, True
    for line in lines:
        is_indented = bool(_INDENTED.match(line))
        if is_indented and not is_list and (is_open or was_blank):
            if not is_open:
                blocks.append([])
            is_open = True
        elif line.strip():
            is_open = False
            is_list = bool(_LIST_ITEM.match(line)) or (is_list and (is_indented or line[:1].isspace()))
        if is_open:
            blocks[-1].append(_INDENT.sub("", line))
        was_blank = not line.strip()
    return "\n\n".join("\n".join(block).strip("\n") for block in blocks) or None
