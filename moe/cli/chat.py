"""A conversation on a terminal; without one, standard input is a single prompt."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing, suppress
from importlib import import_module

from ..core import Message
from ..dialects.wire import explain
from ..errors import MoeError
from . import ask, route
from .line import Line, open_line, say
from .reply import Telling
from .terminal import Terminal

HELP = """\
/expert NAME   all further prompts go to this expert or model; /expert alone: the router chooses again
/route TEXT    who would answer, and why; asks no model
/reset         forget the conversation
/quit          end (also Ctrl-D); Ctrl-C stops an answer
/help          this text"""


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    if not sys.stdin.isatty():
        options.prompt, options.json = "-", False
        return ask.run(options, terminal)
    with suppress(ImportError):  # with it, input() edits its line and remembers the former ones
        import_module("readline")
    with closing(open_line(options)) as line:
        Chat(line, terminal, opening=ask.opening(options), model=options.model).run()
    return 0


class Chat:
    """One conversation. `opening` stands before it, also after a reset; `model` "" lets the router choose."""

    def __init__(self, line: Line, terminal: Terminal, *, opening: list[Message], model: str) -> None:
        self._line = line
        self._terminal = terminal
        self._opening = opening
        self._turns: list[Message] = []
        self._model = model

    def run(self) -> None:
        """Ctrl-C, however often, ends an answer and never the conversation."""
        self._terminal.whisper("moe: /help lists the commands, Ctrl-D ends\n")
        is_over = was_stopped = False
        while not is_over:
            try:
                if was_stopped:
                    was_stopped = False
                    self._terminal.whisper("\nstopped\n")
                is_over = self._step()
            except KeyboardInterrupt:
                was_stopped = True

    def _step(self) -> bool:
        """One line read and obeyed; whether it was the last."""
        text = self._read()
        if text is None:
            return True
        try:
            return bool(text.strip()) and self._obey(text)
        except MoeError as error:
            self._terminal.complain(explain(error))
            return False

    def _read(self) -> str | None:
        """The next line; None at the end. Ctrl-C only drops what was typed."""
        try:
            return input(f"{self._model}> ")
        except EOFError:
            self._terminal.print("")
            return None
        except KeyboardInterrupt:
            self._terminal.print("")
            return ""

    def _obey(self, text: str) -> bool:
        """Whether that was the last line."""
        word, _, rest = text.partition(" ")
        match word.strip():
            case "/quit" | "/exit":
                return True
            case "/help":
                self._terminal.print(HELP)
            case "/reset":
                self._turns.clear()
                self._terminal.tell("the conversation is forgotten")
            case "/expert":
                self._pin(rest.strip())
            case "/route":
                self._route(rest.strip())
            case _ if text.startswith("/") and "/" not in word[1:]:
                self._terminal.tell(f"there is no command {word} (/help); a blank before it makes it a prompt")
            case _:
                self._ask(text)
        return False

    def _pin(self, name: str) -> None:
        if not name:
            self._model = ""
            self._terminal.tell("the router chooses")
            return
        told = self._line.route([say("user", "?")], model=name)  # raises for a name that nothing has
        is_one = told["stage"] in ("explicit", "raw")
        self._model = str(told["expert"]) if is_one else ""
        self._terminal.tell(f"{self._model} answers from now on" if is_one else "the router chooses")

    def _route(self, text: str) -> None:
        if not text:
            self._terminal.tell("/route needs a text")
            return
        told = self._line.route([*self._opening, *self._turns, say("user", text)], model="")
        for line in route.lines(told):
            self._terminal.print(line)

    def _ask(self, text: str) -> None:
        """Both turns are remembered once something was said; a prompt that failed is not."""
        prompt = say("user", text)
        telling = Telling(self._line.answer([*self._opening, *self._turns, prompt], model=self._model), self._terminal)
        try:
            telling.run()
        finally:
            if telling.text and telling.is_answer:
                self._turns += [prompt, say("assistant", telling.text)]
