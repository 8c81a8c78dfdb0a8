"""What an answer shows of itself: that it refuses, hedges or says no more than that it depends, was cut, goes
round in circles, or is none at all."""

from __future__ import annotations

import re
from collections import Counter

from msgspec import Struct

from ..core import Finish

# Of a long answer the beginning and the end are read: there it refuses, there it breaks off.
MOST_READ = 20_000
_OPENING, _FEW_WORDS, _LONG_LINE, _REPEATS = 240, 60, 12, 5
_WEAK = 0.25
_PER_WORDS = 100

_CODE = re.compile(r"(?:```|~~~).*?(?:```|~~~|\Z)|`[^`\n]*`", re.DOTALL)
_QUOTED = re.compile(r"^[ \t]*>.*$|[\"“„«][^\"“”„«»\n]{0,400}[\"”“»]", re.MULTILINE)
_WORD = re.compile(r"\w+(?:['’]\w+)?")
_ENGLISH_NOT = (r"(?:can(?:['’]?t|not| not)|(?:am|['’]m) (?:not able|unable)|(?:am|['’]m) not (?:allowed|permitted)|"
                r"won['’]?t|will not)")
_ENGLISH_DO = (r"(?:help|assist|answer|provide|give|create|write|comply|fulfil+|discuss|do (?:that|this)|share|offer|"
               r"generate|support|access|browse|open|see|view|verify|predict|determine)")
_GERMAN_DO = (r"(?:helfen|beantworten|sagen|antworten|geben|liefern|erstellen|schreiben|unterstützen|weiterhelfen|"
              r"zugreifen|beurteilen|dienen|mitteilen|öffnen|sehen|ausführen|bestimmen)")
_SPANISH_DO = (r"(?:ayudar(?:te|le)?|responder|proporcionar|dar(?:te)?|ofrecer|crear|escribir|cumplir|hacer eso|"
               r"acceder|abrir|ver|asistir|contestar|determinar)")
_REFUSAL = re.compile("|".join((
    rf"\bI {_ENGLISH_NOT} (?:to )?(?:\w+ )?{_ENGLISH_DO}\b",
    r"\bI['’]m (?:unable|not (?:able|allowed|permitted)) to\b",
    r"\b(?:sorry|apologi[sz]e)\b[^.\n]{0,40}\bI (?:can|do|am|won)",
    r"\bI must decline\b",
    r"\bI (?:do not|don['’]t) (?:know|have (?:any|enough|access|the|real|current|up)\b)",
    r"\bas an? (?:AI|language model|artificial)[^.\n]{0,60}\b(?:can|do|am|have|not)",
    r"\b(?:it is|it['’]s) (?:not possible|impossible) (?:for me )?to (?:answer|say|determine|tell)\b",
    rf"\bich kann (?:\w+ ){{0,5}}?nicht (?:\w+ ){{0,3}}?{_GERMAN_DO}",
    r"\b(?:darf|werde) ich (?:\w+ ){0,4}nicht\b|\bich (?:darf|werde) (?:\w+ ){0,4}nicht (?:helfen|beantworten|geben)",
    r"\b(?:tut mir|bedau[e]?re)\b[^.\n]{0,60}\b(?:nicht|kein)",
    r"\b(?:das )?wei(?:ß|ss) ich (?:leider )?nicht\b|\bich wei(?:ß|ss) (?:es|das)? ?(?:leider )?nicht\b",
    r"\bich habe (?:leider )?(?:keinen zugriff|keine (?:informationen|angaben|kenntnis))",
    r"\bals (?:eine? )?(?:KI|sprachmodell|künstliche)[^.\n]{0,60}\b(?:kann|darf|habe|nicht|kein)",
    rf"\bno puedo (?:\w+ ){{0,2}}?{_SPANISH_DO}",
    r"\blo siento\b[^.\n]{0,60}\bno (?:puedo|tengo|s[eé])\b",
    r"\bno (?:lo )?s[eé](?: la respuesta)?(?=[.,;]|$)",
    r"\bno tengo (?:acceso|información|datos)\b",
    r"\bcomo (?:una? )?(?:IA|modelo de lenguaje|inteligencia)[^.\n]{0,60}\bno\b",
    r"(?:很抱歉|对不起|抱歉)[^。\n]{0,20}(?:不能|无法)",
    r"申し訳(?:ありません|ございません)[^。\n]{0,30}(?:できません|ません)",
    r"\bje (?:ne peux|suis (?:désolée?,? (?:mais )?)?(?:incapable|dans l['’]impossibilité))\b[^.\n]{0,30} (?:pas|de)\b",
)), re.IGNORECASE)
_DOUBT = re.compile("|".join((
    r"\bnot (?:entirely |completely |quite |100 ?% )?(?:sure|certain)\b",
    r"\b(?:unsure|uncertain|unclear|guess(?:ing)?|double[- ]check|please verify|wait,|correction:)",
    r"\bactually, (?:no|that)\b",
    r"\b(?:hard to (?:say|tell)|can(?:no|['’])t (?:verify|confirm)|(?:don['’]t|do not) know|no way to know)\b",
    r"\bI (?:could|may|might) be (?:wrong|mistaken)\b|\bI made (?:a|an) (?:mistake|error)\b",
    r"\blet me (?:re-?check|re-?think|try again)\b|\bdoes(?: not|n['’]t) make sense\b",
    r"\bthere (?:seems|appears) to be (?:an?|some) (?:error|mistake|inconsistency)\b",
    r"\bnicht (?:ganz |völlig |hundertprozentig )?sicher\b(?! (?:gestellt|ist das))",
    r"\b(?:unsicher bin|schwer zu sagen|ich könnte mich irren|wei(?:ß|ss) (?:ich )?nicht|ich rate|unklar)\b",
    r"\b(?:kann|lässt sich)[^.\n]{0,30}nicht (?:überprüfen|bestätigen|verifizieren)\b",
    r"\b(?:moment,|korrektur:|mein fehler|ohne gewähr|ergibt keinen sinn)",
    r"\bno estoy (?:del todo |completamente |totalmente )?segur[oa]\b|\bno (?:está|queda) claro\b|\bno tiene sentido\b",
    r"\b(?:difícil de decir|no puedo (?:verificar|confirmar)|podría (?:estar equivocad|equivocarme)|no sé)",
    r"\b(?:espera,|me equivoqué|corrección:|adivin)",
)), re.IGNORECASE)
_HEDGE = re.compile("|".join((
    r"\b(?:might|may be|perhaps|possibly|probably|presumably|maybe|seems?(?: to)?|appears? to|as far as I know)\b",
    r"\b(?:I (?:think|believe|assume|suppose)|likely|assuming|roughly|approximately|could be|it depends)\b",
    r"\b(?:vielleicht|möglicherweise|eventuell|vermutlich|wahrscheinlich|wohl|anscheinend|scheinbar|ungefähr)\b",
    r"\b(?:ich (?:glaube|denke|vermute|nehme an)|soweit ich weiß|könnte sein|unter der annahme|es kommt darauf an)\b",
    r"\b(?:quizás?|tal vez|posiblemente|probablemente|a lo mejor|parece(?: que)?|creo que|supongo que|que yo sepa)\b",
    r"\b(?:podría ser|aproximadamente|suponiendo|depende)\b",
)), re.IGNORECASE)
_WHATEVER = (
    r"(?: \w+){0,3} (?:factors?|things|situation|circumstances|context|case|details|umstände[n]?|faktoren|fall|kontext|"
    r"situación|circunstancias|factores|cosas|contexto|caso)")
_OPEN = "|".join((
    r"maybe(?: not)?", "perhaps", "possibly", "yes and no", "who knows", "not (?:really )?sure", "unclear", "no idea",
    rf"(?:(?:it|that|this) )?(?:all |really )?depends(?: (?:up)?on{_WHATEVER})?", "it varies", "hard to (?:say|tell)",
    r"(?:(?:it|that|this) )?(?:could|might|may)(?: well)? be", "(?:it )?(?:could|can) go either way",
    "vielleicht(?: auch nicht)?", "möglicherweise", "eventuell", "jein", "ja und nein", "wer weiß", "unklar",
    r"(?:(?:das|es) )?(?:kommt|hängt) (?:ganz )?(?:darauf|drauf|davon) (?:an|ab)", "je nachdem", "nicht sicher",
    rf"(?:(?:das|es) )?(?:kommt auf|hängt von){_WHATEVER} (?:an|ab)", "schwer zu sagen", "keine ahnung",
    r"(?:(?:das|es) )?(?:kann|könnte|mag) (?:schon |gut )?sein",
    r"quizás?", "tal vez", "a lo mejor", "posiblemente", "sí y no", "quién sabe", "ni idea", "difícil de decir",
    rf"(?:eso )?depende(?: de{_WHATEVER})?", "(?:eso )?(?:puede|podría)(?: ser)?", "no est(?:á|oy) (?:claro|segur[oa])",
))
# Nothing else is said. Each pattern has a word in it, and so has what may stand between two.
_VAGUE = re.compile(
    rf"\W*(?:(?:well|hmm+|tja|na ?ja|bueno|pues)\W+)?(?:{_OPEN})"
    rf"(?:\W+(?:(?:and|or|but|und|oder|aber|o|y|pero)\W+)?(?:{_OPEN})){{0,3}}\W*", re.IGNORECASE)
_LONGEST_VAGUE = 120
# A text that ends so was meant to go on.
_DANGLING = re.compile(
    r"(?:[,;:([{/\\&+=–—]|\s-|(?<!\S)(?:and|or|the|an?|of|to|with|because|und|oder|der|die|das|ein|eine|mit|weil|y|o|el|"
    r"la|los|las|de|que|con|porque))\s*\Z", re.IGNORECASE)
_FENCE = re.compile(r"^[ \t]{0,3}(?:```|~~~)", re.MULTILINE)


class Symptoms(Struct, frozen=True, kw_only=True):
    """Each False or 0 in an answer that shows nothing. `hedges`: words of doubt, for each hundred of the answer; such
    that only soften what is said count for little. `is_vague`: they are all of it."""

    is_empty: bool = False
    is_vague: bool = False
    refuses: bool = False
    hedges: float = 0.0
    is_cut: bool = False
    loops: bool = False


def read_symptoms(text: str, finish: Finish = "stop") -> Symptoms:
    """Of a whole answer; what stands in code or quotes is not the answer's own voice."""
    if len(text) > MOST_READ:
        text = f"{text[: MOST_READ // 2]}\n{text[-MOST_READ // 2 :]}"
    said = _QUOTED.sub(" ", _CODE.sub(" ", text))
    words = max(len(_WORD.findall(said)), 1)
    doubts = len(_DOUBT.findall(said)) + _WEAK * len(_HEDGE.findall(said))
    return Symptoms(
        is_empty=not text.strip(),
        is_vague=len(text) <= _LONGEST_VAGUE and _VAGUE.fullmatch(text) is not None,
        refuses=_refuses(said, words),
        hedges=doubts * _PER_WORDS / max(words, _PER_WORDS),
        is_cut=finish == "length" or _is_cut(text),
        loops=_loops(text),
    )


def _refuses(said: str, words: int) -> bool:
    """Where it is said first, or is about all that is said: an answer may well add what it cannot know."""
    found = _REFUSAL.search(said[:_OPENING].replace("\n", " "))
    if found is None:
        return False
    return found.start() < _OPENING // 3 or words < _FEW_WORDS


def _is_cut(text: str) -> bool:
    """Whether a block of code was never closed, or the last line breaks off."""
    return len(_FENCE.findall(text)) % 2 == 1 or (_DANGLING.search(text[-80:]) is not None and "```" not in text[-8:])


def _loops(text: str) -> bool:
    """Whether a line of some length comes again and again, or one passage does at the end."""
    lines = Counter(line for line in map(str.strip, text.splitlines()) if len(line) >= _LONG_LINE)
    if any(count >= _REPEATS and count * 2 > lines.total() for count in lines.values()):
        return True
    tail = text[-600:].strip()
    size = next((size for size in range(_LONG_LINE, len(tail) // _REPEATS + 1)
                 if tail.endswith(tail[-size:] * _REPEATS)), 0)
    return size > 0 and len(set(tail[-size:])) > 2
