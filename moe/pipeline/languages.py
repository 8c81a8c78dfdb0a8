"""Which language a text is in, where that is certain: by its small words, or by its letters."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from ..tools.questions.question import fold

# Words that are common in one language; such as are common in several stand in each of them.
_WORDS: dict[str, str] = {
    "en": "the and is are of to in for with that this it you your have has can should not what when how why which my "
          "do does if or be from on at as by i am me we they there been will would may an was no about than after "
          "before up day days per between them take them each every more most least their into out then only all",
    "de": "der die das den dem des und ist sind ich du sie er wir ihr nicht ein eine einen einem einer mit für auf von "
          "vom zum zur zu bei im wie was warum wann welche welcher wenn oder kann soll muss darf habe haben wird "
          "werden mein meine meinem meinen meiner dass auch nur noch nach vor über aus sich es gegen viel viele seit "
          "hier mir mich uns man",
    "es": "el la los las de del y en que es un una por para con no se lo al como qué cuál cuánto cuánta cuántos cómo "
          "cuándo puedo puede tengo tiene hay mi mis su sus más o si sin sobre pero son está estoy ser debe cada "
          "esta este muy también desde hasta me día días",
    "fr": "le la les un une des du de et est sont en que qui pour par pas ne je tu il elle nous vous mon ma mes dans "
          "sur avec au aux ce cette ou si comment combien pourquoi quand quel quelle puis peut être plus se son sa "
          "ses mais ai avez sans quels quelles depuis très jour "
          "fois",
    "it": "il lo la i gli le un una di del della dei delle e è che in per con non si come quando perché quanto quale "
          "posso può ho ha mio mia sono nel nella alla al da più o se ma anche questo questa dal dalla cosa essere "
          "deve quanti quante giorno giorni ogni",
    "pt": "o a os as um uma de do da dos das e é que em no na nos nas para por com não se como quando quanto qual "
          "posso pode tenho tem meu minha são ao à mais ou mas também este esta isso está ser deve sem sobre eu "
          "quantos quantas você estou dia dias desde com",
    "nl": "de het een en is zijn van in op te dat die voor met niet ik je u hij zij wij mijn hoe wat waarom wanneer "
          "welke kan mag moet heb heeft hebben er aan bij als of ook naar om uit maar dit deze over door worden "
          "wordt veel hoeveel",
    "pl": "i w na z że nie się jest są to do jak co czy kiedy dlaczego ile jaki jaka jakie mogę może mam ma mój moja "
          "po od za dla o przez ten ta te lub oraz przy bez być tak ale już tylko który która które a",
}
_LETTERS: dict[str, str] = {"de": "ß", "es": "ñ¿¡", "fr": "œ", "pt": "ãõ", "pl": "łąęśźżćń"}
_OWN, _SHARED, _LETTER = 4, 1, 4
# So much is certain, and so many times as much as any other language has.
_LEAST, _LEAD = 4, 1.5
_MOST_READ, _SAMPLE = 4000, 400
_CODE = re.compile(r"(?:```|~~~).*?(?:```|~~~|\Z)|`[^`\n]*`|https?://\S+", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]+")
_SCRIPTS = {"HIRAGANA": "kana", "KATAKANA": "kana"}


def _weigh_words() -> dict[str, dict[str, int]]:
    spoken: dict[str, list[str]] = {}
    for language, words in _WORDS.items():
        for word in words.split():
            spoken.setdefault(word, []).append(language)
    return {word: dict.fromkeys(languages, _OWN if len(languages) == 1 else _SHARED)
            for word, languages in spoken.items()}


_WEIGHTS = _weigh_words()


def tell_language(text: str) -> str:
    """Its code, as "de"; of other letters than Latin ones their script, as "cyrillic"; "" where it is not certain. Code
    says nothing."""
    prose = _CODE.sub(" ", text[:_MOST_READ])
    script = _find_script(prose)
    if script != "latin":
        return script
    folded = fold(prose)
    counts: Counter[str] = Counter()
    for word in _WORD.findall(folded):
        counts.update(_WEIGHTS.get(word, {}))
    for language, letters in _LETTERS.items():
        counts[language] += _LETTER * sum(map(folded.count, letters))
    (best, most), (_, next_most) = (*counts.most_common(2), ("", 0), ("", 0))[:2]
    return best if most >= _LEAST and most >= _LEAD * next_most else ""


def find_language(texts: Iterable[str]) -> str:
    """That of the first text in which it is certain, "" where it is in none."""
    return next((language for language in map(tell_language, texts) if language), "")


def _find_script(text: str) -> str:
    """That of most letters; one that is not Latin even where a fourth of them are, as names and terms stay Latin; kana
    even where fewer are, since Japanese is written with Chinese letters too."""
    letters = [letter for letter in text if letter.isalpha()][:_SAMPLE]
    names = (unicodedata.name(letter, "LATIN").partition(" ")[0] for letter in letters)
    counts = Counter(_SCRIPTS.get(name, name.lower()) for name in names)
    if counts["kana"] * 10 > len(letters):
        return "kana"
    del counts["latin"]
    (script, count), = counts.most_common(1) or (("latin", 0),)
    return script if count * 4 > len(letters) else "latin"
