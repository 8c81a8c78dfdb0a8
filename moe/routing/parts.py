"""What a prompt asks for, part by part: the instruction without what is pasted beside it, and the requests in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import combinations
from typing import NamedTuple

from .words import fold, split_words

# A quotation of so many characters is material; so is a block, beside an instruction that is shorter than the other.
LEAST_QUOTED, LEAST_PASTED, MOST_INSTRUCTION = 12, 60, 300
# So many parts at most are told apart, each as far as so many characters.
MOST_PARTS, MOST_PART_CHARS = 6, 300

# A part is for an expert from this probability on.
SURE = 0.5

Rate = Callable[[str], Mapping[str, float]]

# What is asked for, by the work it is; "*" stands for whatever ends a word. English, German, Spanish.
_WORK = {
    "write": "write draft compose rewrite word formulate schreib* verfass* entwirf entwerf* formulier* escrib* redact* "
             "prepar* hazme turn refactor* dicht* invent* erfind* create "
             "document* dokumentier* documenta stell",
    "translate": "translat* ubersetz* uebersetz* traduc*",
    "reckon": "calculat* comput* work estimat* convert* solve resuelv* forecast* count rechne* berechn* ermittl* "
              "schatz* schaetz* calcul* estim* pasa cuenta zahl zahle zaehle determine bestimm*",
    "explain": "explain* describ* tell erklar* erklaer* beschreib* sag expli* describ* dime cuenta",
    "judge": "compare* check review* analys* analyz* diagnos* evaluat* vergleich* pruf* pruef* analysier* bewert* "
             "compar* revis* analiz* comprueb* lies read look proofread* correct* korrigier* corrig* mejora* improve* "
             "fix rate classif* klassifizier* clasific* extract* extrahier* uberarbeit* ueberarbeit*",
    "plan": "plan* organi* schedule build erstell* plan* organis* organiz* haz",
    "find": "find list name give suggest* propos* nenn* find* schlag* frag ask busc* encuentr* propon* di dame "
            "recommend* recomiend* empfiehl* empfehl* gib brauche necesito",
    "design": "design* model* implement* entw* disen*",
    "shorten": "summari* fass* zusammenfass* resum* shorten* kurz* kuerz*",
    "show": "draw show prove zeig zeige zeichn* beweis* dibuj* demuestr*",
}
_ASKING = frozenset((
    "what", "whats", "who", "when", "where", "why", "how", "hows", "which", "can", "could", "should", "is", "are",
    "does", "do", "did", "was", "will", "would", "may", "must", "am", "whether", "wer", "wen", "wem", "wann", "wo",
    "warum", "wieso", "weshalb", "wie", "welche", "welcher", "welches", "welchen", "kann", "darf", "muss", "soll",
    "sollte", "worauf", "woran", "wozu", "womit", "ist", "sind", "gilt", "ob", "que", "quien", "cuando", "donde", "por",
    "como", "cual", "cuales", "cuanto", "cuanta", "cuantos", "cuantas", "puedo", "puede", "debo", "es", "hay"))
_JOINTS = "and|or|und|oder|y|e|o|then|dann|luego|also|plus|außerdem|ausserdem|además"
_CLAUSES = re.compile(
    rf"[;:¿¡]+\s*|[.?!]+(?:\s+|\Z)|,\s+(?:(?:{_JOINTS})\s+)*|\s[–—-]\s+|\s+(?:{_JOINTS})\s+(?:(?:{_JOINTS})\s+)*",
    re.IGNORECASE)
_SENTENCES = re.compile(r"(?<=[.?!])\s+|\n+|(?<=[\s,.;:])(?=¿)|(?<=\s)(?=\(?\d{1,2}[.)]\s+\S)")
_ITEM_MARK = re.compile(r"\A\s*(?:\(?\d{1,2}[.)]|[-*•])\s+")
_LEAST_STEM, _MOST_STEM = 3, 12
# How far into a clause its verb or question word may stand: "please also write", "can you explain".
_OPENING = 3
# "my list", "the plan": no order. Nor is a verb that tells what somebody does or did.
_ARTICLES = frozenset(
    ("the", "a", "an", "my", "your", "our", "his", "her", "their", "this", "that", "of", "to", "der", "die", "das",
     "den", "dem", "mein", "meine", "dein", "ein", "eine", "im", "zu", "el", "la", "los", "las", "un", "una", "mi",
     "tu", "su", "de", "del", "al"))
_TOLD = ("s", "ed", "ing")
# A request that says so little by itself leans on the one before, and so does one about what that is about.
_FEW_WORDS = 4
_OF_IT = frozenset(
    ("it", "they", "them", "he", "she", "him", "this", "these", "sie", "ihn", "ihm", "ihnen", "diese", "dieser",
     "dieses", "diesen", "dagegen", "dazu", "dabei", "davon", "damit", "daran", "ellos", "ellas", "esta", "este"))
_AT_LAST = frozenset(("that", "those", "das", "dies", "es", "eso", "esto", "ello"))
_OF_THE = _OF_IT | frozenset(
    ("the", "its", "your", "that", "das", "der", "die", "den", "dem", "deine", "el", "la", "los", "las", "tu", "tus"))

# "a story about a man who finds a key and solves a riddle": what they do is not asked for.
_PEOPLE = re.compile(r"\w\s+who\b[^,;.?!]*\s(?:and|or)\s+\Z", re.IGNORECASE)
_MARKS = re.compile("[\"'“„«>:\n]|```|~~~|tl;?dr", re.IGNORECASE)
_FENCE = re.compile(r"(```|~~~).*?(?:\1|\Z)", re.DOTALL)
_QUOTED_LINE = re.compile(r"(?m)^[ \t]*>.*$")
_QUOTED = re.compile("|".join(
    rf"(?<!\w){opening}(?=\S)[^{ending}]{{{LEAST_QUOTED},}}(?<=\S)[{ending}](?!\w)"
    for opening, ending in (('"', '"'), ("“", "”"), ("„", "“”"), ("«", "»"), ("'", "'"))))
_TL_DR = re.compile(r"\A\W*tl;?dr\b.*|.*\btl;?dr\W*\Z", re.IGNORECASE | re.DOTALL)
# Work that is done on a text: what follows its colon is that text.
_ON_TEXT = re.compile(
    r"\b(?:translat|proof ?read|correct|fix|improve|polish|edit|rephras|reword|rewrit|paraphras|summari|shorten|condens"
    r"|simplif|grammar|spell|typo|make (?:this|it)|ubersetz|uebersetz|korrigier|verbesser|uberarbeit|formulier|kurz"
    r"|fasse?\b|vereinfach|lektorier|korrektur|rechtschreib|grammatik|zusammenfass|traduc|traduz|corrig|correg|mejora|reescrib"
    r"|reformul|resum|acort|parafras|simplifi|ortograf|gramatic|hazlo)")
_POINTING = re.compile(
    r"\b(?:this|these|following|below|above|attached|diese[mnrs]?|folgende[mnrs]?|unten|oben|hier|est[aeo]s?"
    r"|siguientes?|abajo|arriba)\b|:\s*\Z")
_POINTING_BACK = re.compile(
    r"\b(?:this|the|that|above|diese[mnrs]?|de[rnms]|die|das|oben|est[aeo]|el|la|arriba)\b"
    r"(?:\W+\w+)?\W+(?:text|article|passage|mail|e-?mail|letter|code|log|abstract|paragraph|artikel|abschnitt|brief"
    r"|schreiben|texto|articulo|correo|carta|parrafo)\b|\b(?:above|oben|arriba|summari|zusammenfass|resum)")
_MORE = re.compile(r"\A\W*(?:also|then|and|afterwards|finally|plus|ausserdem|und|danach|dann|zuletzt|ademas|luego|y)\b")


class Part(NamedTuple):
    """A request in its own words, and the `context` that leads to `work` is "" for a question; one that
    `leans` means nothing without the one before."""

    context: str
    words: str
    work: str
    leans: bool = False

    @property
    def text(self) -> str:
        return f"{self.context} {self.words}".strip()


def find_instruction(text: str) -> str:
    """`text` without what it is to be done to; as it is where nothing would be left to do."""
    if not _MARKS.search(text):
        return text
    bare = _FENCE.sub("\n", text) if "```" in text or "~~~" in text else text
    bare = _QUOTED.sub('""', _QUOTED_LINE.sub("", bare))
    if (short := _TL_DR.fullmatch(bare.strip())) is not None:
        return short[0][:LEAST_QUOTED] if short[0].lstrip().lower().startswith("tl") else short[0][-LEAST_QUOTED:]
    bare = _drop_material(bare.strip())
    return bare if split_words(fold(bare)) else text


def list_parts(instruction: str) -> list[Part]:
    """The requests in their order; what else is said goes to the next one, or else to the last."""
    parts: list[Part] = []
    context = ""
    for sentence in filter(str.strip, _SENTENCES.split(instruction)):
        sentence = _ITEM_MARK.sub("", sentence)
        starts = _find_starts(sentence)
        if not starts:
            context = f"{context} {sentence}".strip()
            continue
        context = f"{context} {sentence[:starts[0][0]]}".strip()
        ends = [*(start for start, _ in starts[1:]), len(sentence)]
        for (start, work), end in zip(starts, ends, strict=True):
            words = sentence[start:end].strip(" ,;")
            leans = bool(parts) and _leans(words, work, is_first=start == starts[0][0])
            parts.append(Part(context, words, work, leans))
            context = ""
    if parts and context:
        parts[-1] = parts[-1]._replace(context=f"{parts[-1].context} {context}".strip())
    return parts


def rate_parts(parts: Sequence[Part], rate: Rate) -> list[Mapping[str, float]]:
    """Each by itself, [] where there are none to compare or nobody can tell."""
    if len(parts) < 2:
        return []
    texts: list[str] = []
    for part in parts[:MOST_PARTS]:
        texts.append((f"{texts[-1]} {part.text}" if part.leans else part.text)[-MOST_PART_CHARS:])
    rated = [rate(text) for text in texts]
    return rated if all(rated) else []


def find_subjects(rated: Sequence[Mapping[str, float]]) -> tuple[str, ...]:
    """The experts that some part is surely for, in the order of the parts."""
    best = (max(rates.items(), key=lambda each: each[1]) for rates in rated)
    return tuple(dict.fromkeys(label for label, share in best if share >= SURE))


def measure_distance(rated: Sequence[Mapping[str, float]]) -> float:
    """Of the two parts that lie furthest apart: what they do not share, by how sure both are. 0 to 1."""
    pairs = ((max(one.values()) * max(other.values()),
              1.0 - sum(min(share, other.get(label, 0.0)) for label, share in one.items()))
             for one, other in combinations(rated, 2))
    return max((sure * apart for sure, apart in pairs), default=0.0)


def _leans(words: str, work: str, *, is_first: bool) -> bool:
    said = split_words(fold(words))
    if not work:
        is_of_it = not _OF_IT.isdisjoint(said) or not _AT_LAST.isdisjoint(said[-1:])
        return is_of_it or (not is_first and len(said) <= _FEW_WORDS)
    return work != "translate" and len(said) <= _FEW_WORDS and (not _OF_THE.isdisjoint(said) or len(said) <= 2)


def _drop_material(text: str) -> str:
    """What stands before a pasted text, or after it."""
    head, colon, rest = text.partition(":")
    if colon and len(head) <= MOST_INSTRUCTION and "\n" not in head and rest.strip(' "\n'):
        last = _SENTENCES.split(head)[-1]
        if _ON_TEXT.search(fold(last)) and not rest.lstrip().startswith('""'):
            return f"{head}: {_find_more(rest)}"
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) < 2:
        return text
    first, last = lines[0], lines[-1]
    opening = fold(first[:MOST_INSTRUCTION + 1])
    is_led = len(first) <= MOST_INSTRUCTION and _POINTING.search(opening) is not None and not _MORE.match(opening)
    if is_led and list_parts(first) and len(text) - len(first) >= LEAST_PASTED and not _is_list(lines[1:]):
        return f"{first}\n{_find_more(text[len(first):])}"
    before = len(text) - len(last)
    if before >= 2 * LEAST_PASTED and len(last) <= MOST_INSTRUCTION and _POINTING_BACK.search(fold(last)):
        return last if list_parts(last) else text
    return text


def _find_more(pasted: str) -> str:
    """The last paragraph after a pasted text, where it goes on with the instruction."""
    last = pasted.rstrip().rpartition("\n")[2]
    return last if len(last) < len(pasted.strip()) and len(last) <= MOST_INSTRUCTION and _MORE.match(fold(last)) else ""


def _is_list(lines: list[str]) -> bool:
    """Whether each line is a request by itself, as in a numbered list of questions."""
    items = [line for line in lines if _ITEM_MARK.match(line)]
    return len(items) == len(lines) > 1 and all(map(_find_starts, (_ITEM_MARK.sub("", item) for item in items)))


def _find_starts(sentence: str) -> list[tuple[int, str]]:
    """Where each request begins, and its work. A question word within a sentence asks only where that is a question
    or follows an order: elsewhere it leads a clause about something said."""
    starts: list[tuple[int, str]] = []
    is_question = "?" in sentence
    began = 0
    for gap in (*_CLAUSES.finditer(sentence), None):
        clause = sentence[began:None if gap is None else gap.start()]
        opening = split_words(fold(clause[:80].replace("'", "").replace("’", "")))[:_OPENING]
        orders = (word for before, word in zip(("", *opening), opening, strict=False) if before not in _ARTICLES)
        work = next((kind for kind in map(_find_work, orders) if kind), "")
        is_led = is_question or bool(starts) or not sentence[:began].strip(" ¿")
        asks = not _ASKING.isdisjoint(opening[:1]) and is_led and not _is_object(sentence, starts, began)
        is_told = bool(starts) and _PEOPLE.search(sentence, starts[-1][0], began) is not None
        if (work or asks) and not is_told:
            starts.append((began, work))
        if gap is not None:
            began = gap.end()
    return starts or ([(0, "")] if is_question and split_words(fold(sentence)) else [])


def _is_object(sentence: str, starts: Sequence[tuple[int, str]], began: int) -> bool:
    """Whether a question is what an order is about: "tell me | how it works", "solve this riddle: | who is it?"."""
    if not starts or not starts[-1][1]:
        return False
    order = sentence[starts[-1][0]:began]
    return len(split_words(fold(order))) < _OPENING or order.rstrip(" ¿").endswith(":")


def _find_work(word: str) -> str | None:
    whole, begun = _index()
    if word in whole:
        return whole[word]
    if word.endswith(_TOLD):
        return None
    stems = (word[:length] for length in range(min(_MOST_STEM, len(word)), _LEAST_STEM - 1, -1))
    return next((begun[stem] for stem in stems if stem in begun), None)


@cache
def _index() -> tuple[dict[str, str], dict[str, str]]:
    whole: dict[str, str] = {}
    begun: dict[str, str] = {}
    for kind, words in _WORK.items():
        for word in words.split():
            (begun if word.endswith("*") else whole).setdefault(word.rstrip("*"), kind)
    return whole, begun
