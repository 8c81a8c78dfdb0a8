"""What a model says around what it was asked to add."""

from __future__ import annotations

import re

_LEAD_IN = re.compile(
    r"(?i)\s*(?:sure|certainly|of course|absolutely|here (?:are|is)|here['’]s|okay|ok|gerne?|natürlich|"
    r"klar|hier (?:sind|ist)|claro|por supuesto|aquí (?:están?|tienes?))\b"
    r"[^\n]{0,160}(?:[:：!.][*_]*[ \t]*\n\s*)(?=\S)")
_CLOSING = re.compile(
    r"(?i)\n\s*\n(?:let me know|feel free|i hope|hope this|if you (?:need|want|would|['’]d|have)|would you like|"
    r"lass(?:en sie)? (?:es )?mich wissen|ich hoffe|möchtest du|möchten sie|wenn (?:du|sie)|"
    r"avísame|espero que|si (?:necesitas|quieres|deseas)|¿quieres)\b[^\n]{0,240}\s*\Z")


def strip_chat(text: str) -> str:
    """Without the line that announces it and the one that offers more."""
    return _CLOSING.sub("", _LEAD_IN.sub("", text, count=1) if _LEAD_IN.match(text) else text)
