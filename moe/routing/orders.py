"""What a user tells the router rather than an expert: "send this to the lawyer expert", "route me to legal".

Whom it is for tells it from a request of theirs: a model or an expert, or a label with an underscore. "Send this to my
lawyer: …" stays.
"""

from __future__ import annotations

import re

_LABEL = r"\w+_\w+"
_ANY = r"[^\n.:!?]{1,40}"
_EXPERT_EN = (rf"(?:(?:the |our |your )?(?:[\w'-]+ ){{0,3}}(?:expert|model|bot|llm)(?: (?:for|in|on) [\w ]{{1,24}})?"
              rf"|{_LABEL})")
_EXPERT_DE = (rf"(?:(?:de[nmr] |das |die |eure[nm] |deine[nm] )?(?:[\w-]+ ){{0,2}}[\w-]*"
              rf"(?:expert(?:en?|in)|modell|bot)(?: (?:für|im|in) [\w ]{{1,24}})?|{_LABEL})")
_EXPERT_ES = (rf"(?:(?:el |la )?(?:expert[oa]|modelo|bot|especialista ia)(?: [\w]+){{0,3}}|{_LABEL})")
_SEND_EN = "(?:route|redirect|send|forward|pass|hand|direct|assign|give)"
_THIS_EN = "(?:this|it|me|that|my (?:question|message|request|prompt)|this (?:question|message|request|prompt))"
_SEND_DE = "(?:schicke?|sende?|leite|gib|reiche?|route|übergib|übergebe)(?: sie)?"
_THIS_DE = "(?:das|dies|es|mich|(?:diese|meine) (?:frage|nachricht|anfrage))(?: hier)?(?: bitte)?(?: nur| direkt)?"
_SEND_ES = "(?:envía|envia|envíe|m[aá]nda|mande|p[aá]sa|pase|reenvía|reenvia|dirige|redirige|deriva|enruta)"
_THIS_ES = ("(?:lo|la|me)?(?: (?:esto|eso|(?:esta|mi) (?:pregunta|consulta)|este mensaje))?"
            "(?: por favor)?(?: solo| directamente)?")
_ASKED = (r"(?:(?:please|kindly|bitte|por favor)[, ] ?|(?:can|could|would) you (?:please )?"
          r"|(?:kannst|könntest) du (?:bitte )?|(?:puedes|podrías) )?")
# "Do not send this to anyone but …" names one as well.
_SENTENCES = (
    rf"(?:do not|don'?t|never) {_SEND_EN} {_THIS_EN} to any(?:one|body|thing| \w+)(?: else)? "
    rf"(?:but|except|other than|than) {_ANY}",
    rf"{_SEND_EN} {_THIS_EN}(?: on| over| straight| only| directly)? to {_EXPERT_EN}",
    rf"route me(?: straight| only| directly)? to {_ANY}",
    rf"{_SEND_DE} {_THIS_DE} an (?:niemand(?:en)?|keinen?)(?: anderen?)?(?: außer|(?: anders)? als) {_ANY}",
    rf"{_SEND_DE} {_THIS_DE} (?:nur |direkt )?(?:an|zum?|zur) {_EXPERT_DE}(?: weiter)?",
    rf"(?:{_THIS_DE} )?(?:nur |direkt )?an {_EXPERT_DE} (?:weiter)?(?:leiten|schicken|senden|geben)",
    rf"no (?:envíes|mandes|pases|dirijas){_THIS_ES} a nadie (?:más que|salvo|excepto)(?: al?)? {_ANY}",
    rf"{_SEND_ES}{_THIS_ES} (?:al|a la|a) {_EXPERT_ES}",
)
_NAMED = f"(?:{'|'.join(_SENTENCES)})"
_ORDER = rf"\(?(?:[\w ]{{0,24}}\brouter: ?)?{_ASKED}{_NAMED}\)?"

# Before the question, and ended by a mark of its own.
LEADING = re.compile(rf"\A\s*{_ORDER}\s*(?:[:.!;,]+|[-–—]+\s|\n)\s*", re.IGNORECASE)
# After it. What is forgotten or whose role is taken on is no less an order.
TRAILING = re.compile(
    rf"(?:(?<=[.!?:;)\n—-])[^\S\n]*|(?<=\s)(?=\(|please |bitte |por favor)){_ORDER}[.!)\s]*\Z"
    r"|(?<!\s)\s*\(?(?:system: ?)?\b(?:(?:ignore|disregard|forget) (?:the above"
    r"|(?:the |my |your )?(?:previous|prior|earlier) (?:instructions|messages|rules|text)"
    r"|(?:all|everything|any)\b[^\n.]{0,24}\b(?:above|before|previous|prior|this|that|instructions|said))"
    r"|(?:ignoriere?|vergiss) (?:das alles|alles (?:davor|bisherige|oben|vorher\w*|andere)"
    r"|(?:die|alle) (?:\w+ ){0,2}(?:anweisungen|regeln|befehle))"
    r"|(?:ignora|olvida) (?:lo anterior|todo lo \w+|(?:todas )?las (?:\w+ ){0,2}instrucciones)"
    rf"|(?:please )?(?:route me to|(?:redirect|forward|route) (?:me|this) to {_EXPERT_EN})"
    r"|leite (?:mich|das)(?: bitte)? an\b|the right expert\b"
    r"|you are now the|du bist (?:jetzt|ab jetzt) (?:der|die)|(?:a partir de )?ahora eres (?:el|la))\b"
    r"[^\n]{0,80}\Z"
    r"|\s(\w+_\w+)(?:\s+\1)+\s*\Z", re.IGNORECASE)
