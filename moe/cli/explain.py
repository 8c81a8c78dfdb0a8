"""Which words, examples and looks of a prompt decided who answers it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from ..core import ChatRequest, Decision
from ..experts import Expert
from ..judge.reasons import (
    Contribution,
    Neighbour,
    Reasons,
    Word,
    find_keywords,
    find_nearest,
    tell_decision,
    weigh_looks,
    weigh_parts,
    weigh_signals,
    weigh_words,
)
from ..routing.fit import KEPT_ROWS
from ..routing.head import PARTS
from ..routing.meaning import Meaning
from ..routing.ranking import is_tie, rank
from ..routing.router import find_routable
from ..routing.rows import gather_rows
from ..routing.text import clean
from ..routing.vectors import VectorCache
from .ask import read_text
from .bar import draw
from .judging import Bench, find_asked, make_meaning, open_bench, print_lines
from .line import read_settings, say
from .terminal import Terminal, table

SHOWN = 5
# The looks whose names begin so tell how long the prompt is.
STEP, LENGTH = "words_", "its length"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Raises ConfigError."""
    text = read_text(options.text)
    bench = open_bench(read_settings(options), options.experts, terminal)
    reasons = find_reasons(text, bench, terminal)
    if options.json:
        terminal.print_json(msgspec.to_builtins(reasons), indent=1)
    else:
        print_lines(show(reasons), terminal)
    return 0


def find_reasons(text: str, bench: Bench, terminal: Terminal) -> Reasons:
    request = ChatRequest(messages=(say("user", text),))
    decision = bench.router.decide(request)
    asked = find_asked(request)
    experts = find_routable(bench.config.experts)
    meaning = make_meaning(bench)
    ranked, router = rank(decision), bench.config.router
    rivals = [label for label, _ in ranked[:2]]
    parts, words, looks = _compare(asked, bench, decision, meaning=meaning, rivals=rivals)
    return Reasons(
        chosen=decision.expert.label, stage=decision.stage, confidence=decision.confidence,
        first=rivals[0] if rivals else "", second=rivals[1] if len(rivals) > 1 else "", probabilities=dict(ranked),
        is_tie=is_tie(ranked), parts=parts, words=words, looks=looks, keywords=find_keywords(asked, experts),
        nearest=_find_nearest(asked, bench, experts, terminal=terminal) if decision.scores else [],
        said=tell_decision(decision, ranked, threshold=router.confidence_threshold,
                           keyword_threshold=router.keyword_threshold),
    )


def _compare(asked: str, bench: Bench, decision: Decision, *, meaning: Meaning | None,
             rivals: Sequence[str]) -> tuple[list[Contribution], list[Word], list[Contribution]]:
    """What the parts, the words and the looks say for the first two; nothing where only keywords decide."""
    if meaning is None or len(rivals) < 2:
        return [], [], []
    labels = [expert.label for expert in find_routable(bench.config.experts)]
    places = (labels.index(rivals[0]), labels.index(rivals[1]))

    head, _ = meaning.read_by(clean(asked), asked)

    def read(cleaned: str, raw: str) -> Mapping[str, float]:
        return dict(zip(labels, meaning.rate(cleaned, raw, head).tolist(), strict=True))

    words = weigh_words(asked, rivals, read, head, places)
    if head is None:
        return weigh_parts(decision, rivals, weigh_signals(bench.config.router.scoring_weights)), words, []
    factors = dict(zip(PARTS, head.mix.tolist(), strict=True))
    return weigh_parts(decision, rivals, factors), words, weigh_looks(head, asked, places)


def _find_nearest(asked: str, bench: Bench, experts: Sequence[Expert], *, terminal: Terminal) -> list[Neighbour]:
    """Among what the scorer has learnt from; the vectors are in the cache since it was fitted."""
    if bench.embedder is None or not experts:
        return []
    folder = bench.settings.data_folder / "vectors"
    if bench.task is not None and bench.head is not None:
        rows = bench.task.rows
        cache = VectorCache(folder, bench.embedder, kind="query", kept_rows=KEPT_ROWS)
        texts = [clean(row.text) for row in rows]
    else:
        rows = gather_rows(experts, {})
        cache = VectorCache(folder, bench.embedder)
        texts = [row.text for row in rows]
    vectors = cache.rows(texts, told=lambda share: draw(share, "encoding the examples", terminal))
    terminal.redraw("")
    return find_nearest(bench.embedder.embed([clean(asked)], kind="query")[0], rows, vectors, experts)


def show(reasons: Reasons) -> Iterator[str]:
    yield from reasons.said
    sections = (_show_parts(reasons), _show_words(reasons), _show_looks(reasons), _show_nearest(reasons),
                _show_keywords(reasons))
    for rows in sections:
        if len(rows) > 1:
            yield ""
            yield from table(rows)


def _show_parts(reasons: Reasons) -> list[list[str]]:
    rows = [_show_contribution(part) for part in reasons.parts]
    total = [sum(part.first for part in reasons.parts), sum(part.second for part in reasons.parts)]
    return [["part of the score", reasons.first, reasons.second], *rows,
            *([["score", *(f"{figure:.3f}" for figure in total)]] if rows else [])]


def _show_words(reasons: Reasons) -> list[list[str]]:
    rows = [[word.word, f"{word.needed:+.3f}", *([] if word.grams is None else [f"{word.grams:+.3f}"])]
            for word in reasons.words]
    return [["word", "lead lost without it", "of it by its letters"][:len(rows[0])] if rows else [], *rows]


def _show_looks(reasons: Reasons) -> list[list[str]]:
    named = [msgspec.structs.replace(look, name=LENGTH) if look.name.startswith(STEP) else look
             for look in reasons.looks[:SHOWN]]
    return [["look", reasons.first, reasons.second], *map(_show_contribution, named)]


def _show_nearest(reasons: Reasons) -> list[list[str]]:
    rows = [[f"{near.cosine:.2f}", near.expert, near.kind, near.text] for near in reasons.nearest]
    return [["cosine", "expert", "known by", "nearest"], *rows]


def _show_keywords(reasons: Reasons) -> list[list[str]]:
    rows = [[found.keyword, found.expert, f"{found.exactness:.1f}"] for found in reasons.keywords]
    return [["keyword", "expert", "exactness"], *rows]


def _show_contribution(each: Contribution) -> list[str]:
    return [each.name, f"{each.first:.3f}", f"{each.second:.3f}"]
