"""Writes what was measured into a Markdown file: between the markers of each case, and leaves its other text alone."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.report import Section

MACHINE, SHORTFALLS = "machine", "shortfalls"
NOTHING = "None: every aim was met."
_FAULT = re.compile(r"^- \*\*(?:MISSED|not measured|error)\*\*.*|^- left out: .*")


class NoMarkers(ValueError):
    """The file has no place for something; the text says which."""


def write(file: Path, blocks: Mapping[str, str]) -> None:
    """Puts each block between `<!-- name -->` and `<!-- /name -->`, then lists anew what fell short in the whole file.

    Raises NoMarkers, and has written nothing then.
    """
    text = file.read_text("utf-8")
    for name, block in blocks.items():
        text = _put(text, name, block)
    file.write_text(_put(text, SHORTFALLS, list_shortfalls(text)), "utf-8")


def publish(
    sections: Sequence[Section], words: Sequence[str], *, marker: str, json_file: Path | None, report: Path | None
) -> None:
    """Prints the sections with the command that makes them, its `words` from the module's name on, and writes them
    where that is asked. Raises NoMarkers."""
    sections[-1].notes.append(f"`venv/bin/python -m {shlex.join(words)}`")
    block = "\n".join(map(str, sections))
    print(block)
    if json_file:
        json_file.write_text(json.dumps([section.tell() for section in sections], indent=1) + "\n", "utf-8")
    if report:
        write(report, {marker: block})


def list_shortfalls(text: str) -> str:
    """What was missed, could not be measured, failed or was left out, each with the title it stands under."""
    outside = _find(SHORTFALLS).sub("", text)
    title, found = "", []
    for line in outside.splitlines():
        if line.startswith("### "):
            title = line.removeprefix("### ")
        elif _FAULT.match(line):
            found.append(f"- {title}: {line.removeprefix('- ')}")
    return "\n".join(found) or NOTHING


def show_machine(rows: Mapping[str, str]) -> str:
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows.items())])


def _put(text: str, name: str, block: str) -> str:
    told, count = _find(name).subn(lambda _: f"<!-- {name} -->\n{block.strip()}\n<!-- /{name} -->", text)
    if count != 1:
        raise NoMarkers(f"{count} places for {name}: there has to be one `<!-- {name} -->` with its `<!-- /{name} -->`")
    return told


def _find(name: str) -> re.Pattern[str]:
    return re.compile(rf"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
