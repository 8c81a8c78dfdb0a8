"""What a critic writes that is no answer: remarks on one, deliberation, headings, and texts with something left out."""

from __future__ import annotations

import re

_JUDGED = (
    r"(?:(?:not|all|mostly|largely|partly|partially|generally|basically|essentially|almost|quite|entirely|completely|"
    r"factually|medically|legally|broadly|fully|still|also|very|an?) ){0,3}"
    r"(?:right|correct|wrong|incorrect|accurate|inaccurate|incomplete|complete|misleading|good|fine|sound|valid)\b")
_GERMAN_JUDGED = (
    r"(?:\w+ ){0,4}?"
    r"(?:richtig|korrekt|falsch|unvollständig|vollständig|ungenau|irreführend|zutreffend|gut|in ordnung)\b")
_OTHER_JUDGED = (
    r"(?:\w+ ){0,3}?"
    r"(?:correct[ao]|incorrect[ao]|incomplet[ao]|exact[ao]|acertad[ao]|errónea?|engañosa|fals[ao]|correcte|"
    r"exacte|fausse|incomplète|corretta|sbagliata|errata)\b")
_CHANGE = r"(?:change|correct|rephrase|reword|replace|rewrite|edit|revise|remove|mark|rate|judge|fix|amend)"
_EARLIER = r"(?:original|previous|given|first|provided|initial|earlier|above)"
_ABOUT = re.compile("|".join((
    rf"\b(?:the|this|that|your) (?:answer|response|reply) (?:is|was|seems|looks|appears)(?: to be)? {_JUDGED}",
    rf"\b(?:the|this|that|your) {_EARLIER} (?:answer|response|reply)\b",
    r"\b(?:the|this|that|your) (?:answer|response|reply) (?:above|given|provided|contains? (?:an? |some |several )?"
    r"(?:\w+ )?(?:errors?|mistakes?)|needs?|should be|could be|correctly|wrongly|omits|fails)\b",
    rf"\bI(?:['’]d| would| will|['’]ve| have) (?:only |also |not )?{_CHANGE}(?:e?d)?\b",
    rf"\bdie (?:gegebene |obige |ursprüngliche |vorliegende )?antwort (?:ist|war|scheint|wirkt) {_GERMAN_JUDGED}",
    r"\b(?:die|der|dieser) (?:ursprüngliche|vorherige|obige|gegebene|bisherige|vorliegende)n? antwort\b",
    r"\bich (?:würde|habe|werde)\b[^.\n]{0,80}\b(?:ändern|geändert|korrigieren|korrigiert|ergänzt|umformulieren|"
    r"überarbeitet|streichen|ersetzen|bewerten)\b",
    r"\b(?:la|esta|tu|su|cette|votre|questa) (?:respuesta|réponse|risposta)(?: \w+)? "
    rf"(?:es|está|era|parece|est|semble|è) {_OTHER_JUDGED}",
    r"\b(?:la|esta|tu|su) respuesta (?:original|anterior|dada|previa|inicial)\b",
    r"\b(?:la|cette|votre) réponse (?:originale|précédente|donnée|initiale)\b",
    r"\b(?:cambiaría|corregiría|reformularía|he corregido|he revisado|je (?:changerais|corrigerais|modifierais))\b",
    r"[\"']?\bverdict\b[\"']?\s{0,3}[:=]", r"\"(?:edits|find|replace)\"\s{0,3}:", r"(?-i:\bCONFIRMED\b)",
)), re.IGNORECASE)
_BEGINNING = re.compile(
    r"[\s\"'“„*_#>(\[]{0,6}(?:"
    r"(?:(?:overall|in general|mostly|largely|partly|partially|insgesamt|größtenteils|en general)[, ]{1,2})?"
    r"(?:right|correct|wrong|incorrect|confirmed|richtig|korrekt|falsch|bestätigt|correcto|incorrecto|confirmado)"
    r"(?:[.,:;!–—]|[ ](?:but|except|however|aber|bis auf|jedoch|pero|salvo)\b|\s*\Z)|"
    r"(?:wait|hmm+|moment|korrektur|correction|corrección)[,.:!–—]|"
    r"(?:let me (?:check|verify|review|re-?think|see)|lass mich|on reflection|first, (?:i|let)|okay, (?:so|let|i))\b|"
    r"(?:n/?a|none|unchanged|no changes?|same as (?:above|before)|see above|wie oben|unverändert|sin cambios)\W*\Z)",
    re.IGNORECASE)
_REVISED = (r"(?:corrected|revised|improved|better|updated|complete|korrigierte|verbesserte|überarbeitete|bessere|"
            r"vollständige|corregida|mejorada|revisada|corrigée|améliorée|révisée)")
_ANSWER = r"(?:answer|version|response|antwort|fassung|respuesta|versión|réponse)"
_HEADING = re.compile(
    rf"\A[\s*_#>]{{0,8}}(?:(?:here(?:['’]s| is)|hier ist|aquí (?:está|tiene)|voici) (?:\w+ ){{1,2}})?"
    rf"(?:{_REVISED} (?:{_REVISED} )?{_ANSWER}|{_ANSWER} {_REVISED})"
    r"[*_]{0,3}[ \t]{0,2}:[*_]{0,3}[ \t]{0,4}\n{0,3}", re.IGNORECASE)
_LEFT_OUT = re.compile(r"\A\W{0,2}(?:\.\.\.|…)|(?:\.\.\.|…)\W{0,2}\Z|\[(?:\.\.\.|…)\]")
_OF_CODE = re.compile(
    r"\b(?:code|snippets?|scripts?|commands?|functions?|syntax|quer(?:y|ies)|program\w*|befehl\w*|skript\w*|quelltext\w*|"
    r"funktion\w*|abfrage\w*|código|comandos?|función|consulta|commande|fonction)\b", re.IGNORECASE)
_EMERGENCY = re.compile(
    r"\b(?:call|dial|ring|phone|emergency|notruf\w*|rettungs\w*|wähl\w*|ruf\w*|llam\w*|marqu\w*|emergencia\w*|appel\w*|"
    r"compos\w*|urgence\w*|chiam\w*|emergenz\w*|ligu\w*|emergência\w*|bel|alarmnummer|zadzwo\w*|alarmow\w*)\b"
    r"[^.\n]{0,40}?\b(?:112|911|999|000|le 15|le 18|061|118|144|192|995)\b", re.IGNORECASE)


def is_remark(new: str, old: str) -> bool:
    """Whether `new`, meant to stand in the place of `old`, speaks of an answer or deliberates. What `old` did itself is
    no remark: the question may be about an answer."""
    begins = _BEGINNING.match(new) is not None and _BEGINNING.match(old) is None
    return begins or (_ABOUT.search(new) is not None and _ABOUT.search(old) is None)


def drop_heading(text: str) -> str:
    """Without "Corrected answer:" before it."""
    return _HEADING.sub("", text)


def leaves_out(text: str) -> bool:
    """Whether dots stand for the rest."""
    return _LEFT_OUT.search(text) is not None


def blames_code(why: str) -> bool:
    return _OF_CODE.search(why) is not None


def loses_emergency(new: str, old: str) -> bool:
    """Whether only `old` says whom to call in an emergency."""
    return _EMERGENCY.search(old) is not None and _EMERGENCY.search(new) is None
