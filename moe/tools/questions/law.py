"""Questions for the words of a statute."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from ..base import Language
from ..law.finding import join_apart
from ..law.references import SIGN, read_references
from .question import Asked, Finder, Question, Reader, fold

LONGEST_LAW = 80
LONGEST_CITED = 160
LONGEST_ASKED = 200
MOST_CITED = 50

_CORE = "(?P<core>.+?)"
_WORDS_DE = (r"(?:d(?:en|er|ie|as) )?(?:genaue[rnm]? |vollständige[rnm]? |volle[rnm]? |aktuelle[rnm]? )?"
             r"(?:wortlaut|gesetzestext|text|inhalt) (?:(?:von|des|der|zu|zum|vom|in) )?")
_WORDS_EN = r"(?:the )?(?:exact |full |complete |german |official )?(?:text|wording|words) of "
_WORDS_ES = r"(?:el |la )?(?:texto|contenido|redacción)(?: literal| completo| exacto| íntegro)? (?:del?|de la) "
_ENDINGS_DE = r"(?: (?:im wortlaut|wörtlich|genau|im volltext|vor|nach|auf|an))?"


def _compile(patterns: Iterable[tuple[Language, str]]) -> tuple[tuple[Language, re.Pattern[str]], ...]:
    return tuple((language, re.compile(pattern)) for language, pattern in patterns)


_ASKED = _compile((
    ("de", rf"(?:was|wie)(?: genau| wörtlich)? (?:steht|heißt es|heisst es)(?: denn)?(?: genau| wörtlich)? "
           rf"(?:in|im|unter) (?:dem )?{_CORE}{_ENDINGS_DE}"),
    ("de", rf"was(?: denn| genau| wörtlich)* (?:in|im) (?:dem )?{_CORE} steht"),
    ("de", rf"was (?:sagt|besagt|steht)(?: denn)? (?:der |das )?{_CORE}{_ENDINGS_DE}"),
    ("de", rf"wie lautet (?:{_WORDS_DE})?(?:der |das )?{_CORE}{_ENDINGS_DE}"),
    ("de", rf"(?:zeige?|zeigen sie|nenne?|nennen sie|zitiere?|zitieren sie|gib|geben sie|lies|lesen sie|schlage?)"
           rf"(?: mir| uns)?(?: bitte)?(?: mal)? (?:{_WORDS_DE})?(?:den |das |die )?{_CORE}{_ENDINGS_DE}"),
    ("de", rf"{_WORDS_DE}{_CORE}"),
    ("de", rf"{_CORE} (?:im wortlaut|wortlaut|gesetzestext|volltext|im volltext|wörtlich)"),
    ("de", rf"(?:{_WORDS_DE}|den )?{_CORE} (?:anzeigen|zeigen|zitieren|nachschlagen|vorlesen|nennen|ausgeben)"),
    ("en", rf"what(?: exactly)? (?:does|do) (?:the )?(?:german )?{_CORE} (?:say|state|read|contain)"
           rf"(?: exactly| verbatim| literally| word for word)?"),
    ("en", rf"what(?:['’]s| is| does it say| is written| stands| it says)? (?:in|under|{_WORDS_EN.strip()}) {_CORE}"),
    ("en", rf"(?:show|quote|cite|read|display|print|recite|look up|pull up|get)(?: me| us)?(?: out)? "
           rf"(?:{_WORDS_EN})?(?:the )?{_CORE}(?: verbatim| to me| for me| in full| word for word)?"),
    ("en", rf"{_WORDS_EN}{_CORE}"),
    ("en", rf"how does {_CORE} read"),
    ("es", rf"qu[eé] (?:dice|establece|dispone|pone)(?: exactamente| literalmente)?(?: en)? (?:el |la )?{_CORE}"
           rf"(?: exactamente| literalmente| textualmente)?"),
    ("es", rf"(?:muestra|mu[eé]strame|cita|c[ií]tame|ens[eé]ñame|lee|l[eé]eme|dame|busca|b[uú]scame|transcribe)"
           rf"(?: literalmente| textualmente)? "
           rf"(?:{_WORDS_ES})?(?:el |la )?{_CORE}"),
    ("es", rf"(?:cu[aá]l es )?{_WORDS_ES}{_CORE}"),
    ("es", rf"c[oó]mo (?:reza|dice) (?:el |la )?{_CORE}"),
    ("es", rf"(?:el|la) {_CORE}"),
))
_OVERVIEWS = _compile((
    ("de", r"(?:zeige?(?: mir)? |gib mir |wie lautet |wie ist )?(?:d(?:ie|as|en) )?"
           r"(?:gliederung|inhaltsübersicht|inhaltsverzeichnis|aufbau) (?:von|des|der|vom|zum) (?P<law>.+)"),
    ("en", r"(?:show(?: me)? )?(?:the )?(?:structure|table of contents|outline) of (?:the )?(?P<law>.+)"),
    ("es", r"(?:muestra|mu[eé]strame )?(?:la |el )?(?:estructura|índice|indice) de(?:l| la)? (?P<law>.+)"),
))
_QUOTED = "[\"„“»«](?P<query>[^\"„“”»«]{3,100})[\"“”«»]"
_SEARCHES = _compile((
    ("de", rf"(?:wo (?:steht|kommt|findet sich)|suche?(?: bitte)?(?: nach)?|finde) (?:im (?P<first>\S+) )?(?:nach )?"
           rf"{_QUOTED}(?: (?:im|in der|in dem) (?P<law>.+?))?(?: vor)?"),
    ("en", rf"(?:where (?:does|is)|search(?: for)?|find) {_QUOTED}(?: (?:appear|occur|written|mentioned))? "
           rf"in (?:the )?(?:german )?(?P<law>.+)"),
    ("es", rf"(?:d[oó]nde (?:aparece|está|figura)|busca) {_QUOTED} en (?:el |la )?(?P<law>.+)"),
))
# The law of another country, anywhere in a prompt; one that is no longer or not yet in force, beside a citation.
_ABROAD = re.compile(r"österreich|oesterreich|austria|schweiz|switzerland|swiss|suiz|liechtenstein|\bö(?:stgb|abgb)|"
                     r"\babgb\b|\bddr\b|\bgdr\b|\bat-?(?:stgb|recht)|\bch-?recht", re.IGNORECASE)
_OLD = re.compile(
    r"\b[an]\. ?f\b|\baf\b|(?:alte|früher|damalige|ursprüngliche|vorherige|künftige|neue|ehemalige)[rns]?e?[nrs]? "
    r"(?:fassung|version|wortlaut)|fassung (?:von|vom|bis|vor)|i\. ?d\. ?f\b|in der fassung|"
    r"(?:ref|reg|gesetz)?entwurf\w* (?:de[rs]|zu[mr]?|von|eines)|\(?(?:ref|reg)-?e\b|"
    r"\bold version|former version|versión anterior|antigua|draft of", re.IGNORECASE)
_DRAFT = re.compile(r"-?E\b|-Entw|[ (]+(?:Entwurf|RefE|RegE|draft|borrador|alt\b|aF\b|a\. ?F|nF\b)|-alt\b")
NEARBY = 50
# Codes that are cited without a sign: "BGB 242".
_CODES = (r"bgb|stgb|hgb|zpo|stpo|gvg|estg|ustg|aktg|gmbhg|inso|vwvfg|vwgo|stvo|stvg|betrvg|kschg|burlg|arbzg|bdsg|"
          r"urhg|markeng|uwg|gwb|famfg|egbgb|tzbfg|baugb|aufenthg|asylg|sgb [ivx]{1,4}")
_BARE = re.compile(rf"(?P<law>{_CODES}) (?P<number>[0-9]{{1,4}}[a-z]?)")
_BARE_ARTICLE = re.compile(r"gg (?P<number>[0-9]{1,3}[a-z]?)")
_LINK = re.compile(r"(?:(?:des|der|dem|vom|im|in der|aus dem|of the|of|in the|from the|del|de la|de) )?",
                   re.IGNORECASE)
_LAW = re.compile(r"[^\W\d_][\w.-]*(?: [\w.-]+){0,7}")
_LEADING = re.compile(rf" (?=(?:{SIGN}) ?[0-9IVX])", re.IGNORECASE)
_CITED = re.compile(r"§§? ?[0-9]|\bArt(?:\.|ikel|icle)? ?[0-9]")
# A name in a longer text must be unmistakable: two capitals, or a compound for a code.
_NAMED = re.compile(r"(?:(?:des|der|vom|im|of the|of|in the|del|de la|de) )?(?:deutschen )?"
                    r"(?P<law>[A-ZÄÖÜ][A-Za-zÄÖÜäöüß]{0,15}[A-ZÄÖÜ](?: (?:[IVX]{1,4}|1?[0-9])(?!\w))?|"
                    r"(?:Bürgerlichen |Bürgerliches )?[A-ZÄÖÜ][a-zäöüß]{2,40}(?:buch|gesetz|ordnung)(?:e?s)?|"
                    r"(?:Bürgerlichen |Bürgerliches )Gesetzbuch(?:e?s)?)(?!\w)")


def read_paragraph(question: Question) -> Asked | None:
    """"Was steht in § 433 Abs. 1 BGB?", "§ 242 BGB"."""
    if len(question.text) > LONGEST_ASKED or _ABROAD.search(question.text) or _OLD.search(question.text):
        return None
    for language, pattern in _ASKED:
        found = pattern.fullmatch(question.folded)
        if found:
            asked = _read_citation(question.text[slice(*found.span("core"))], language)
            if asked:
                return asked
    return _read_citation(question.text, _guess(question.folded))


def read_bare(question: Question) -> Asked | None:
    article = _BARE_ARTICLE.fullmatch(question.folded)
    if article:
        return Asked("legal_get_paragraph", {"law": "gg", "paragraph": f"Art. {article['number']}"}, "de")
    found = _BARE.fullmatch(question.folded)
    return Asked("legal_get_paragraph", {"law": found["law"], "paragraph": f"§ {found['number']}"}, "de") \
        if found else None


def read_overview(question: Question) -> Asked | None:
    for language, pattern in _OVERVIEWS:
        found = pattern.fullmatch(question.folded)
        if found and (law := _read_law(question.text[slice(*found.span("law"))])):
            return Asked("legal_get_law_overview", {"law": law}, language)
    return None


def read_search(question: Question) -> Asked | None:
    """Only for a phrase in quotes, in a law that is named."""
    for language, pattern in _SEARCHES:
        found = pattern.fullmatch(question.folded)
        if not found:
            continue
        names = [name for name in ("first", "law") if name in pattern.groupindex and found[name]]
        law = _read_law(question.text[slice(*found.span(names[0]))]) if len(names) == 1 else ""
        if law:
            query = question.text[slice(*found.span("query"))].strip()
            return Asked("legal_fulltext_search", {"law": law, "query": f'"{query}"'}, language)
    return None


def _read_citation(text: str, language: Language) -> Asked | None:
    """A reference with its law after it, or before it."""
    references, rest = read_references(text)
    if references and (references[0].kind or references[0].name):
        apart = join_apart(text)
        if apart:
            return _ask(_read_law(apart[1]), apart[0], language) if _read_law(apart[1]) else None
        law = _read_law(rest)
        return _ask(law, text[:len(text) - len(rest)], language) if law else None
    for cut in islice(_LEADING.finditer(text), 3):
        references, rest = read_references(text[cut.end():])
        law = _read_law(text[:cut.start()].rstrip(","))
        if references and not rest and law:
            return _ask(law, text[cut.end():], language)
    return None


def _ask(law: str, paragraph: str, language: Language) -> Asked:
    return Asked("legal_get_paragraph", {"law": law, "paragraph": paragraph.strip(" ,")}, language)


def _read_law(text: str) -> str:
    """The name of a law without what links it, "" for what cannot be one; whether it is one the store knows."""
    link = _LINK.match(text.strip())
    name = text.strip()[link.end():] if link else text.strip()
    return name if len(name) <= LONGEST_LAW and _LAW.fullmatch(name) else ""


def _guess(folded: str) -> Language:
    if re.match(r"(?:the )?(?:article|section|sec\.)", folded):
        return "en"
    return "es" if re.match(r"(?:el |la )?(?:artículo|articulo|sección|seccion)", folded) else "de"


# The words that were law once are not stored.
_FORMER = re.compile(
    r"\balte[nrs]? (?:fassung|version|recht|wortlaut|rechtslage|gesetz)|\ba\. ?f\.|\baf\b|\bfrüher\w*|\bdamal\w*|"
    r"(?<!wie )\balt\b|[a-z]{3} (?:18|19|20)[0-9]{2}\b|\behemal\w*|\bhistorisch\w*|\bursprünglich\w*|\bvorherige\w*|"
    r"\bgalt(?:en)?\b|\blautete|\baufgehoben\w*|\b(?:reform|änderung)\b|"
    r"\b(?:old|older|former|previous|earlier|prior|historic\w*|original|repealed|outdated|amended) (?:german )?"
    r"(?:version|wording|text|law|form|bgb|code)|\bused to (?:say|read)|\bformerly\b|"
    r"\b(?:versión|redacción|texto) (?:antigu|anterior|original|históric|previ|derogad)\w*|\bantigu[oa]\b|\bderogad\w*|"
    r"\bbis (?:zum )?(?:[0-9. ]{3,12})?(?:19|20)[0-9]{2}\b|\b(?:in|im jahr|vor|before|until|stand|antes de|hasta|en) "
    r"(?:18|19|20)[0-9]{2}\b")


def find_citations(text: str) -> Iterator[tuple[str, Asked]]:
    if _FORMER.search(fold(text)):
        return
    if _ABROAD.search(text):
        return
    for found in islice(_CITED.finditer(text), MOST_CITED):
        chunk = text[found.start():found.start() + LONGEST_CITED].partition("\n")[0]
        references, rest = read_references(chunk)
        named = _NAMED.match(rest)
        end = found.start() + len(chunk) - len(rest) + (named.end() if named else 0)
        if _DRAFT.match(text, end) or _OLD.search(text, max(found.start() - NEARBY, 0), end + NEARBY):
            continue
        if references and named and not references[-1].until and not references[-1].following:
            paragraph = chunk[:len(chunk) - len(rest)].strip()
            words = chunk[:len(chunk) - len(rest) + named.end()].strip()
            yield words, Asked("legal_get_paragraph", {"law": named["law"], "paragraph": paragraph}, "de")


_SIGNED = re.compile(r"§|\bart(?:ikel|icle|[ií]culo)?s?\.? ?[0-9]|\bparagra(?:ph|f)e?n? [0-9]|\bsection [0-9]|"
                     r"\bp[aá]rrafo [0-9]|präambel|eingangsformel|schlussformel|\banlage [0-9]|\bsecci[oó]n [0-9]")
READERS: tuple[Reader, ...] = (
    Reader(_SIGNED, read_paragraph),
    Reader(re.compile(r"^[a-z]{2,9} (?:[ivx]{1,4} )?[0-9]{1,4}[a-z]?$"), read_bare),
    Reader(re.compile(r"gliederung|inhalts(?:übersicht|verzeichnis)|aufbau|structure|table of contents|outline|"
                      r"estructura|índice|indice"), read_overview),
    Reader(re.compile(r"[\"„“»«].*(?: i[mn] | en )|(?: i[mn] | en ).*[\"„“»«]"), read_search),
)
FINDERS: tuple[Finder, ...] = (Finder(re.compile(r"§ ?§? ?[0-9]|\bart(?:\.|ikel|icle)? ?[0-9]"), find_citations),)
_FIELDS = (r"(?:miet|kauf|arbeits|straf|familien|erb|vertrags|steuer|handels|gesellschafts|verkehrs|urheber|marken|"
           r"verwaltungs|staats|insolvenz|datenschutz|schuld|sachen|wettbewerbs|versicherungs|sozial|bau|verfassungs|"
           r"zivil|reise|kündigungs)recht")
_SUBJECT = re.compile(rf"\b{_FIELDS}|\bgesetz(?:e|es|buch|lich)?\b|german (?:federal )?(?:law|statute|civil code)|"
                      r"deutsche[sn]? recht|ley(?:es)? alemanas?|derecho alemán|\bbgb\b|\bstgb\b|\bhgb\b|grundgesetz")
CUES: Mapping[str, re.Pattern[str]] = {
    "legal_get_paragraph": re.compile(rf"§|\bart(?:\.|ikel) ?[0-9]|\bgrundgesetz|\b(?:{_CODES})\b"),
    "legal_fulltext_search": _SUBJECT,
    "legal_search_laws": _SUBJECT,
    "legal_get_law_overview": re.compile(r"gliederung|aufbau|inhaltsübersicht|structure of|table of contents"),
}
