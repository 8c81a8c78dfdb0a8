"""An answer held to its mode while it is being written."""

from __future__ import annotations

from typing import Literal, Protocol

from msgspec import Struct

Kind = Literal["no_code", "cut", "over_limit", "no_sources", "missing_sections", "numbered", "no_steps"]
_REASONS: dict[Kind, str] = {
    "no_code": "there is no code in it",
    "cut": "cut at the end of a sentence",
    "over_limit": "still too long",
    "no_sources": "it had no sources",
    "missing_sections": "these sections are missing",
    "numbered": "its list got numbers",
    "no_steps": "there are no steps in it",
}


class Finding(Struct, frozen=True):
    """Where an answer was not as its mode wants it, or what was done about that; `detail` says it in figures or
    names, for a trace."""

    kind: Kind
    detail: str = ""


def explain(finding: Finding) -> str:
    """In words of ours."""
    return f"{_REASONS[finding.kind]} ({finding.detail})" if finding.detail else _REASONS[finding.kind]


class Enforcer(Protocol):
    """One answer. The texts that `feed` and `finish` give make up what the client sees, and are the same wherever the
    answer was cut. `findings` is complete once it is finished."""

    findings: list[Finding]

    def feed(self, text: str) -> str:
        """What may be passed on by now."""

    def finish(self, *, is_over: bool = True) -> str:
        """The rest. `is_over` is False where more will come in another answer, as after calls of tools: then only what
        was held back is given, and nothing said of the whole."""


class Passing:
    """Lets an answer through as it comes."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def feed(self, text: str) -> str:
        return text

    def finish(self, *, is_over: bool = True) -> str:
        return ""
