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

# More is doubtful in a few words that take the place of others than in a whole answer, which may say it to its reader.
_FAULTY = (r"(?:(?:simply|just|also|factually|not) )?(?:wrong|incorrect|inaccurate|false|mistaken|erroneous|misleading|"
           r"outdated|correct|accurate)\b")
_WORDING = r"(?:answer|response|reply|sentence|passage|paragraph|wording|author|assistant|writer)"
_PASSAGE = rf"(?:statement|claim|figure|number|value|text|{_WORDING})"
_GERMAN_PASSAGE = r"(?:antwort|aussage|angabe|behauptung|zahl|satz|text|absatz|stelle|formulierung|autor|verfasser)"
_SPANISH_PASSAGE = r"(?:respuesta|afirmación|cifra|frase|dato|texto|párrafo|número|valor|autora?)"
_MENDED = (r"(?:correct(?:ed|ion)|fixed|edited|amended|korrigiert|korrektur|berichtigt|geändert|corregid[oa]|"
           r"corrección|modificad[oa])")
_FORMERLY = r"(?:was|formerly|originally|previously|not|vorher|bisher|ursprünglich|zuvor|antes|anteriormente)"
_CHECKED = (r"(?:needs?|check\w*|verif\w*|unverified|citation|source|todo|sic|errors?|wrong|note|editor\w*|prüf\w*|"
            r"überprüf\w*|quelle|fehler|falsch|anmerkung|comprobar|verificar|revisar|fuente|nota)")
_NOTE = re.compile("|".join((
    rf"\b(?:this|that|which|(?:the|this|that) {_PASSAGE}(?: above| before| here)?) (?:is|was|are|were) {_FAULTY}",
    rf"\b(?:the|this|that) {_PASSAGE} (?:above|below|before|here)\b",
    rf"\b(?:the|this|that) {_WORDING} (?:should|must|needs?|ought|says|states|claims)\b",
    r"\bthe (?:author|assistant|writer) (?:is|was|has|had|forgot|means|meant|confuse[sd]|wrote|made)\b",
    r"\bthe (?:correct|accurate) (?:figure|number|value|answer|statement|wording|version|phrasing|text)\b",
    r"\bI(?:['’]d| would) (?:rather )?(?:write|say|put|state|phrase|word|formulate|suggest writing)\b",
    rf"\b{_MENDED} (?:from|to|von|zu|auf|aus|de|a)\b", rf"[\[(]\s?(?:{_MENDED}\b|{_FORMERLY}:? ?\d)",
    rf"\[[^\]\n]{{0,40}}\b{_CHECKED}\b[^\]\n]{{0,40}}\](?!\()",
    rf"\b(?:das|dies|(?:die|der|diese|dieser) (?:obige )?{_GERMAN_PASSAGE}(?: oben)?) "
    r"(?:ist|war|wäre) (?:\w+ )?(?:falsch|unrichtig|ungenau|unzutreffend|inkorrekt|nicht korrekt|irreführend)\b",
    rf"\b(?:obige[nrs]?|vorige[nrs]?|genannte[nrs]?|richtige[nrs]?|korrekte[nrs]?) {_GERMAN_PASSAGE}\b",
    r"\b(?:der autor|die autorin|der verfasser) (?:hat|irrt|lag|liegt|meint|verwechselt)\b",
    r"\b(?:sollte|muss|müsste)\b[^.\n]{0,60}\b(?:heißen|lauten)\b|\brichtig (?:ist|wäre|muss|heißt|lautet)\b",
    r"\bich würde\b[^.\n]{0,60}\b(?:schreiben|sagen|formulieren|nennen)\b",
    rf"\b(?:est[oae]|eso|(?:la|el|esta|este) {_SPANISH_PASSAGE}(?: anterior)?) (?:es|era|está) (?:\w+ )?"
    r"(?:incorrect[oa]|fals[oa]|erróne[oa]|inexact[oa]|equivocad[oa])\b",
    rf"\b(?:la|el) {_SPANISH_PASSAGE} "
    r"(?:anterior|correct[oa]|dice|se equivoc\w+|est(?:á|aba) equivocad\w+)",
    r"\b(?:la|el) (?:respuesta|frase|afirmación|texto|autora?) deb(?:e|ería)\b",
    r"\blo correcto (?:es|sería)\b|\b(?:yo )?(?:escribiría|diría|pondría)\b",
)), re.IGNORECASE)
_OUGHT = re.compile(
    r"\W*(?:(?:it|this|that|es|das|esto) )?(?:(?:should|must|ought to|needs to) (?:be|read|say|state|have)|"
    r"(?:sollte|müsste)\b|debería\b)", re.IGNORECASE)
_VERB = re.compile(
    r"\W*(?:(?:it|this|that|es|das|esto) )?(?:is|are|was|were|be|may|might|can|could|must|should|shall|will|would|"
    r"has|have|had|needs?|ought|ist|sind|war|darf|dürfen|kann|können|muss|müssen|soll\w*|wird|werden|hat|haben|es|son|está|"
    r"puede\w*|debe\w*|tiene\w*)\b", re.IGNORECASE)
_DIGITS = r"\d(?:[\d.,]*\d)?"
_FIGURE = re.compile(_DIGITS)
_NOT_THIS = re.compile(
    rf"\b(?:not|instead of|rather than|nicht|statt|anstatt|anstelle von|no|en lugar de|en vez de) ({_DIGITS})",
    re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?:[^\W\d_]{4}|[\d%)])[.!?][\"'”“»)]{0,2}(?=\s+[^\W\d_a-zäöüß]|\s*\Z)")
_FULL_STOP = re.compile(r"[.!?:](?=\s|\W*\Z)")
_MOST_READ = 40_000
# As much longer may be what takes a phrase's place.
_TIMES, _MORE = 3, 80


def is_note(new: str, old: str, answer: str) -> bool:
    """Whether a few words, meant to stand in the place of `old` in `answer`, are about what should stand there, or who
    wrote it. What the answer says itself it may go on to say."""
    new = new[:_MOST_READ]
    if (_OUGHT.match(new) and not _VERB.match(old)) or speaks_of_text(new, answer):
        return True
    was, shows = set(_FIGURE.findall(old)), set(_FIGURE.findall(new))
    return bool(shows - was) and bool((set(_NOT_THIS.findall(new)) & was) - set(_NOT_THIS.findall(old)))


def speaks_of_text(new: str, old: str) -> bool:
    """Whether it tells of a text, or of who wrote it, in words that `old` does not have."""
    known = old.casefold()
    return any(note not in known for note in {found[0].casefold() for found in _NOTE.finditer(new[:_MOST_READ])})


def outgrows(new: str, old: str) -> bool:
    """Whether `old` is part of a sentence, and `new` more than that."""
    if _FULL_STOP.search(old):
        return False
    return len(new) > _TIMES * len(old) + _MORE or _SENTENCE_END.search(new) is not None


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
