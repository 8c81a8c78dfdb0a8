"""One prompt in, the answer out: `ask`, and whatever comes through a pipe."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

from ..core import Message
from .line import open_line, say
from .options import Misuse
from .reply import Telling
from .terminal import Terminal


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Exit code 1 when no model answered."""
    prompt = read_text(options.prompt)
    with closing(open_line(options)) as line:
        telling = Telling(line.answer(opening(options) + [say("user", prompt)], model=options.model), terminal)
        telling.run(aloud=not options.json)
    if options.json:
        terminal.print_json(telling.summary())
    return 0 if telling.is_answer else 1


def opening(options: argparse.Namespace) -> list[Message]:
    """What stands before the first prompt."""
    return [say("system", options.system)] if options.system else []


def read_text(given: str | None) -> str:
    """The text given, or for "-" and nothing what standard input holds. Raises Misuse where there is none."""
    if given is None and sys.stdin.isatty():
        raise Misuse('there is no prompt: give it as an argument, or "-" and type it, or use a pipe')
    text = given
    if given in (None, "-"):
        stream = getattr(sys.stdin, "buffer", None)
        read = stream.read().decode("utf-8-sig", "replace") if stream is not None else sys.stdin.read()
        text = read.rstrip("\r\n")  # echo's line end is not part of the prompt
    if not text or not text.strip():
        raise Misuse("the prompt is empty")
    return text
