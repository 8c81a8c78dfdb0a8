"""The names of files that stand before blocks of code, and how a block can carry its own."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .fences import Fence

_NAME = r"(?:[\w./\\@\[\]-]*\w?\.[A-Za-z][\w-]{0,14}|(?:[\w.-]+/)*(?:Makefile|Dockerfile|Procfile|Jenkinsfile|Gemfile))"
_LINE = re.compile(
    r"\s*(?:#{1,6}\s+)?(?:[-*+]\s+)?(?:\d{1,3}[.)]\s+)?(?:\*{1,3}|_{1,3}(?!\w+__\.))?(?:\d{1,3}[.)]\s+)?"
    r"(?:(?:[Ff]ile(?:name)?|[Dd]atei(?:name)?|[Aa]rchivo)\s*\d{0,3}\s*:?\s*)?"
    rf"(?:\*{{1,3}}|_{{1,3}}(?!\w+__\.))?`?(?P<name>{_NAME})`?[*_]{{0,3}}\s*(?:\([^()]*\))?\s*:?\s*[*_]{{0,3}}\s*:?(?P<more>\s[-–—]\s.*)?\s*")
_MADE = re.compile(
    r"(?i)\s*(?:(?:and|then|next|first|now|finally|und|dann|zuerst|y|luego|primero),?\s+)*"
    r"(?:(?:create|add|make|write|save|edit|update|open|in|erstellen?(?: sie)?|erstelle|crea|en)\s+)?"
    rf"(?:(?:the|a|new|another|file|die|eine|neue|datei|el|un|archivo)\s+){{0,3}}`(?P<name>{_NAME})`\s*[:：]\s*")
_STANDS_OUT = re.compile(r"\s*(?:#|\*\*|__|\d{1,3}[.)]\s+\*\*)")
_IN_INFO = re.compile(rf"(?:\b(?:title|file|filename|name|path)=|^[\w+#.-]+:)[\"']?(?P<name>{_NAME})[\"']?")
# Lines that count only where nothing but their like stands before them.
_FIRST = re.compile(r"\s*$|#!|#.*\bcoding[:=]|#\s*(?:syntax|escape)\s*=|<\?(?!.*\?>.)|<![Dd]|@charset\b|[\"']use ")
_COMMENTS: dict[str, str] = {
    language: form for form, languages in (
        ("# {}", "python py python3 bash sh shell zsh yaml yml ruby rb perl pl r make makefile dockerfile docker toml "
                 "elixir ex exs julia jl nix graphql gql cmake terraform tf hcl conf nginx env properties gitignore "
                 "powershell ps1 fish awk procfile gemfile"),
        ("// {}", "c h cpp c++ cc cxx hpp cs csharp c# java javascript js jsx mjs cjs node typescript ts tsx go golang "
                  "rust rs kotlin kt kts swift scala dart php scss less groovy jenkinsfile jsonc proto zig solidity"),
        ("-- {}", "sql lua haskell hs elm ada vhdl"), ("% {}", "tex latex matlab erlang erl"),
        ("; {}", "ini asm nasm lisp clojure clj scheme"), ("<!-- {} -->", "html htm xml svg vue svelte"),
        ("/* {} */", "css"),
    ) for language in languages.split()
}


def find_name(words: str) -> str:
    """Of the file that a block right after these words is; "" where no line says it and nothing else. A line that
    stands out may say more behind a dash, and have other words between itself and the block."""
    lines = [line for line in words.split("\n") if line.strip()]
    for place, line in enumerate(reversed(lines)):
        found = _LINE.fullmatch(line) if len(line) <= 200 and (not place or _STANDS_OUT.match(line)) else None
        if not place and found is None and len(line) <= 200:
            made = _MADE.fullmatch(line)
            if made:
                return made["name"]
        if found and (not found["more"] or _STANDS_OUT.match(line)):
            return found["name"]
    return ""


def name_in(info: str) -> str:
    """Of the file, where what follows the opening marks says it."""
    found = _IN_INFO.search(info)
    return found["name"] if found else ""


def is_told_apart(code: str) -> bool:
    """Whether so much of it is there that a name can be put into it."""
    return bool(_split(code)[1].strip())


def put_name(name: str, fence: Fence, code: str) -> tuple[str, str]:
    """(info, code): with the name in a comment, in the info where the language has none; unchanged where either says
    it already."""
    base = re.split(r"[/\\]", name)[-1]
    head, rest = _split(code)
    if not name or base in fence.info or base in rest.partition("\n")[0]:
        return fence.info, code
    form = _find_form([fence.language] if fence.language else [base.rpartition(".")[2].casefold(), base.casefold()])
    if not form or (rest.lstrip().startswith("<") and not form.startswith("<")):
        return f'{fence.info or "text"} title="{name}"', code
    return fence.info, f"{head}{form.format(name)}\n{rest}"


def _find_form(languages: Iterable[str]) -> str:
    return next((_COMMENTS[language] for language in languages if language in _COMMENTS), "")


def _split(code: str) -> tuple[str, str]:
    """What has to stay at the very beginning, and the rest."""
    end = 0
    for line in code.splitlines(keepends=True):
        if not _FIRST.match(line):
            break
        end += len(line)
    return code[:end], code[end:]
