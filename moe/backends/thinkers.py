"""Models whose template opens a thought for them, so that their answers begin within it: known by their names."""

from __future__ import annotations

import re

_FAMILIES = re.compile(
    r"(?<![a-z0-9])(?:r1|qwq|openthinker\d?|exaone-deep|glm-z1|minimax-m[12]|(?<!no-)(?<!non-)thinking)(?![a-z])"
)
# They think too, but tell no thought within an answer.
_DISCREET = re.compile(r"(?<![a-z])(?:gemini|claude|grok|gpt)(?![a-z])")


def always_thinks(model: str) -> bool:
    name = model.casefold()
    return _FAMILIES.search(name) is not None and _DISCREET.search(name) is None
