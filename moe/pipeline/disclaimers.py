"""One sentence at the end of an answer that nobody should act on alone, in the user's language and once."""

from __future__ import annotations

import re

import msgspec

from ..core import ChatRequest
from .languages import tell_language
from .modes.fences import read

# Under the labels of the experts whose answers need one.
DISCLAIMERS: dict[str, dict[str, str]] = {
    "medical_consult": {
        "en": "This is general information and no substitute for advice from a doctor.",
        "de": "Dies ist eine allgemeine Information und ersetzt keinen ärztlichen Rat.",
        "es": "Esta es información general y no sustituye el consejo de un médico.",
        "fr": "Ceci est une information générale et ne remplace pas l'avis d'un médecin.",
        "it": "Queste sono informazioni generali e non sostituiscono il parere di un medico.",
        "pt": "Esta é uma informação geral e não substitui o conselho de um médico.",
        "nl": "Dit is algemene informatie en vervangt geen advies van een arts.",
        "pl": "To są informacje ogólne i nie zastępują porady lekarza.",
    },
    "legal_advisor": {
        "en": "This is general information and no substitute for advice from a lawyer.",
        "de": "Dies ist eine allgemeine Information und ersetzt keine Rechtsberatung.",
        "es": "Esta es información general y no sustituye el asesoramiento de un abogado.",
        "fr": "Ceci est une information générale et ne remplace pas le conseil d'un avocat.",
        "it": "Queste sono informazioni generali e non sostituiscono la consulenza di un avvocato.",
        "pt": "Esta é uma informação geral e não substitui o aconselhamento de um advogado.",
        "nl": "Dit is algemene informatie en vervangt geen advies van een advocaat.",
        "pl": "To są informacje ogólne i nie zastępują porady prawnika.",
    },
}
_MEDICAL, _LEGAL = DISCLAIMERS

# What says the same, whoever wrote it: that it replaces nobody, or that somebody should be consulted. When to see a
# doctor, or whom to call in an emergency, is part of an answer and no such thing.
_WHO = {
    _MEDICAL: r"(?:doctors?|physicians?|gp|pharmacists?|medical|health(?:care)?|clinicians?|arzt\w*|ärzt\w*|"
              r"apotheke\w*|medizin\w*|médic\w*|farmacéutic\w*|farmacêutic\w*|médecin\w*|pharmacien\w*|medic[aoih]\w*|"
              r"farmacist\w*|arts\w*|huisarts\w*|medisch\w*|apotheker|lekar\w*|medyczn\w*|farmaceut\w*)",
    _LEGAL: r"(?:lawyers?|attorneys?|solicitors?|barristers?|legal\w*|counsel|rechtsanw\w+|anw[aä]lt\w*|rechtsberat\w*|"
            r"rechtliche\w*|juristi?\w*|abogad\w*|jurídic\w*|avocats?|juridique\w*|avvocat\w*|advogad\w*|advoca\w+|"
            r"juridisch\w*|prawn\w*|adwokat\w*|radc\w*)",
}
_NEAR = r".{0,80}?\b"
_IS_NONE = (
    r"(?:not|no|never|isn['’]t|aren['’]t) (?:an? |as )?(?:substitutes?|replacements?|alternatives?) (?:for|to)",
    r"(?:not|doesn['’]t|don['’]t|cannot|can['’]t|never) (?:replace|substitute|constitute)",
    r"(?:not|isn['’]t|no|as) (?:(?:specific|individual|personal|professional) )?(?=(?:medical|legal) advice)",
    r"kein(?:en|e)? ersatz für", r"ersetz(?:t|en) (?:\w+ )?(?:kein\w*|nicht)",
    r"kein\w* (?=rechtsberat|(?:rechtlich|juristisch|medizinisch|ärztlich)\w* (?:beratung|rat\b))",
    r"no (?:sustituyen?|reemplazan?|constituyen?)", r"no es (?:un )?(?:sustituto|consejo|asesoramiento)",
    r"ne (?:remplace|constitue)(?:nt)? (?:pas|en aucun cas)", r"non (?:sostituiscono|sostituisce|costituisc\w+)",
    r"não (?:substitu\w+|constitu\w+)", r"vervang(?:t|en) geen", r"geen vervanging voor",
    r"geen (?=(?:medisch|juridisch) advies)", r"nie (?:zastępuj\w*|stanowi\w*)",
)
_CONSULT = (
    r"(?:consult|contact|talk to|speak (?:to|with)|ask|check with|see|seek)",
    r"(?:konsultieren|fragen|kontaktieren|sprechen|wenden|suchen|holen|lassen) sie", r"(?:frage?|sprich|wende dich)",
    r"(?:consulte|consulta|consultar|acuda|hable|pregunte|pida)", r"(?:consultez|parlez|demandez|adressez-vous)",
    r"(?:consulta|consulti|consultare|si rivolga|chieda|chiedi|parli|parla)", r"(?:procure|fale|pergunte)",
    r"(?:raadpleeg|neem contact|vraag|overleg)", r"(?:skonsultuj|zapytaj|zwróć się|poradź się)",
)
_ON_CONDITION = re.compile(
    r"\b(?:if|when|whenever|unless|until|immediately|urgently|at once|right away|wenn|falls|sobald|sollten?|"
    r"sofort|umgehend|unverzüglich|si|cuando|inmediatamente|quand|immédiatement|se|quando|subito|imediatamente|"
    r"als|wanneer|indien|onmiddellijk|jeśli|gdy|natychmiast)\b", re.IGNORECASE)
_SENTENCE = re.compile(r"[^.!?\n]+")
_LONGEST_SENTENCE = 600


class _Words:
    """How one domain says it."""

    def __init__(self, who: str) -> None:
        self._who = re.compile(rf"\b{who}\b", re.IGNORECASE)
        self._is_none = re.compile(rf"\b(?:{'|'.join(_IS_NONE)}){_NEAR}{who}\b|\b{who}\b.{{0,60}}?\bnicht ersetzen\b",
                                   re.IGNORECASE)
        self._consult = re.compile(rf"\b(?:{'|'.join(_CONSULT)})\b{_NEAR}{who}\b", re.IGNORECASE)

    def are_in(self, sentence: str) -> bool:
        if not self._who.search(sentence):
            return False
        if self._is_none.search(sentence):
            return True
        return self._consult.search(sentence) is not None and not _ON_CONDITION.search(sentence)


_WORDS = {label: _Words(who) for label, who in _WHO.items()}


def find_disclaimer(request: ChatRequest, answer: str, label: str) -> str:
    """What has to follow a whole `answer` of the expert with this label, blank line and all; "" for nothing: its domain
    has none, it was said already in this conversation, or the answer is no prose that it could follow."""
    if label not in DISCLAIMERS or not _ends_in_prose(answer):
        return ""
    before = (message.text for message in request.messages if message.role == "assistant")
    if any(has_disclaimer(text, label) for text in (answer, *before)):
        return ""
    texts = DISCLAIMERS[label]
    gap = "\n" * max(0, 2 - (len(answer) - len(answer.rstrip("\n"))))
    return gap + texts.get(_find_language(request, answer), texts["en"])


def has_disclaimer(text: str, label: str) -> bool:
    """Whether it carries this domain's sentence in any language, or words to that effect."""
    if any(each in text for each in DISCLAIMERS[label].values()):
        return True
    sentences = (found[0][:_LONGEST_SENTENCE] for found in _SENTENCE.finditer(text))
    return any(map(_WORDS[label].are_in, sentences))


def _find_language(request: ChatRequest, answer: str) -> str:
    """The newest question's; where it is too short to tell, that of the questions before it, or of the answer."""
    newest = "\n".join(request.user_texts[-1:])
    texts = (newest, answer, "\n".join(request.user_texts))
    return next((language for language in map(tell_language, texts) if language), "en")


def _ends_in_prose(answer: str) -> bool:
    """Whether there are words outside of code, and no block of it is left open."""
    pieces = read(f"{answer}\n")  # a fence that opens has a line of its own
    if not pieces or pieces[-1].kind in ("open", "code"):
        return False
    return any(piece.kind == "prose" and piece.raw.strip() for piece in pieces) and not _is_json(answer)


def _is_json(answer: str) -> bool:
    if answer.lstrip()[:1] not in ("{", "["):
        return False
    try:
        msgspec.json.decode(answer)
    except (ValueError, RecursionError):
        return False
    return True
