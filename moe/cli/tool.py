"""One call of an exact tool."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from ..errors import BadArguments, UnknownTool
from ..tools.base import MOST_CHARS, Outcome, Tool
from ..tools.telling import details, report
from ..tools.toolbox import Toolbox
from .options import Misuse
from .terminal import Terminal
from .toolbox import open_tools
from .tools import usage

# What a file may hold before it is certain to be longer than any tool takes.
_MOST_BYTES = 4 * MOST_CHARS + 4


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Exit code 1 where the tool has no answer, 2 for a name or arguments that are wrong."""
    with open_tools(options) as toolbox:
        tool = _find(toolbox, options.name)
        arguments = _read_arguments(options.arguments, tool)
        try:
            outcome = toolbox.call(tool.name, arguments, language=options.language)
        except BadArguments as error:
            faults = [f"{path}: {fault}" for path, fault in error.faults]
            raise Misuse("\n".join([*faults, f"usage: {tool.name} {usage(tool)}"])) from error
    if options.json:
        terminal.print_json(report(tool.name, outcome))
    else:
        _print(outcome, terminal)
    return 0


def _print(outcome: Outcome, terminal: Terminal) -> None:
    terminal.print(outcome.text)
    for line in details(outcome):
        terminal.print(f"  {line}".rstrip())


def _find(toolbox: Toolbox, name: str) -> Tool:
    try:
        return toolbox.find(name)
    except UnknownTool as error:
        close = get_close_matches(name.lower(), [tool.name for tool in toolbox], n=3, cutoff=0.5)
        advice = f"; is it {' or '.join(close)}?" if close else "; python -m moe tools lists them"
        raise Misuse(f"{error.message}{advice}") from error


def _read_arguments(words: list[str], tool: Tool) -> dict[str, Any]:
    """Raises Misuse for a word that is no key=value, and for a key said twice."""
    read: dict[str, Any] = {}
    for word in words:
        key, sign, text = word.partition("=")
        if not sign:
            raise Misuse(f'"{word}" is not of the form key=value; usage: {tool.name} {usage(tool)}')
        if key in read:
            raise Misuse(f"{key} is given twice")
        read[key] = _value(_text(key, text), tool.schema["properties"].get(key, {}))
    return read


def _text(key: str, given: str) -> str:
    """What the argument is: the words themselves, or for "@file" and "-" all that is in there."""
    if given.startswith("@@"):
        return given[1:]
    if given == "-":
        return _decode(key, sys.stdin.buffer.read(_MOST_BYTES))
    if given.startswith("@"):
        with open(given[1:], "rb") as file:
            return _decode(key, file.read(_MOST_BYTES))
    return given.encode("utf-8", "replace").decode("utf-8")  # what was no UTF-8 on the command line becomes "?"


def _decode(key: str, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Misuse(f"{key}: what is read there is no text in UTF-8") from error


def _value(text: str, schema: Mapping[str, Any]) -> Any:
    """A list or an object where the tool takes one. Everything else stays text: a tool reads numbers from that itself,
    and more exactly than JSON would."""
    kinds = {each.get("type") for each in schema.get("anyOf", [schema])}
    if not kinds & {"array", "object"}:
        return text
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return value if isinstance(value, list | dict) else text
