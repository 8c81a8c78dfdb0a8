"""How often the router is right about labelled prompts, and whether it knows."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ..judge.cases import Case
from ..judge.page import draw_page
from ..judge.report import Group, Judged, LabelRow, Report, judge, sum_up
from .batch import refuse_same, say_guesses, write_whole
from .judging import Bench, find_own, open_bench, print_lines, read_labelled, watch
from .line import read_settings
from .options import Misuse
from .terminal import Terminal, table

MOST_SHOWN, MOST_SOURCES = 20, 15


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Exit code 1 when a row could not be judged. Raises ConfigError, OSError, and Misuse when no row could."""
    if options.html:
        refuse_same(Path(options.file), Path(options.html))
    bench = open_bench(read_settings(options), options.experts, terminal)
    say_guesses(bench.config, bench.router, terminal)
    labelled = read_labelled(Path(options.file), bench.config, terminal)
    if not labelled.cases:
        raise Misuse(f"{options.file} has no prompt to judge")
    find_own(labelled.cases, bench.config, terminal, then="of course they are known")
    judged = decide_all(bench, labelled.cases, terminal)
    fallback = bench.config.fallback.label
    report = sum_up(judged, [expert.label for expert in bench.config.experts], fallback=fallback)
    if options.html:
        with write_whole(Path(options.html)) as out:
            out.write(draw_page(report, f"moe eval: {Path(options.file).name}").encode())
    if options.json:
        terminal.print_json(msgspec.to_builtins(report), indent=1)
    else:
        print_lines(show(report), terminal)
    return 1 if labelled.bad else 0


def decide_all(bench: Bench, cases: Sequence[Case], terminal: Terminal) -> list[Judged]:
    """The first prompt is decided twice, so that no time tells of warming up."""
    bench.router.decide(cases[0].request)
    fallback = bench.config.fallback.label
    return [judge(case, bench.router.decide(case.request), fallback)
            for case in watch(cases, "judging", terminal)]


def show(report: Report) -> list[str]:
    """The report for a terminal: the figures, the experts, the parts, the mistakes that stand out."""
    return [*_show_figures(report), "", *_show_labels(report), *_show_matrix(report), *_show_groups(report)]


def _show_figures(report: Report) -> list[str]:
    surest = ", ".join(f"{accuracy:.3f} of the surest {share}" for share, accuracy in report.accuracy_at.items())
    stages = ", ".join(f"{stage} {count}" for stage, count in report.stages.items())
    lines = [
        f"{report.rows} prompts: accuracy {report.strict:.3f}, lenient {report.lenient:.3f}, "
        f"macro-F1 {report.macro_f1:.3f}",
        f"confidence: calibration error {report.ece:.3f}; right are {surest}",
    ]
    if report.none_auroc is not None:
        lines.append(f'"no expert fits" is told apart with an AUROC of {report.none_auroc:.3f}')
    return [*lines, f"time: p50 {report.p50_ms:.1f} ms, p99 {report.p99_ms:.1f} ms; stages: {stages}"]


def _show_labels(report: Report) -> list[str]:
    head = ["expert", "prompts", "precision", "recall", "F1", "mostly taken for"]
    return table([head, *map(_show_label, report.labels)])


def _show_label(row: LabelRow) -> list[str]:
    """Without prompts of its own a label has no recall to speak of."""
    figures = [f"{figure:.3f}" for figure in (row.precision, row.recall, row.f1)] if row.rows else [""] * 3
    return [row.label, str(row.rows), *figures, f"{row.taken_for} ({row.taken})" if row.taken else ""]


def _show_matrix(report: Report) -> list[str]:
    """Rows as they should be, columns as they were said; a large one is left to the page."""
    if len(report.matrix_labels) > MOST_SHOWN:
        return []
    head = ["right \\ said", *(str(place) for place in range(1, len(report.matrix_labels) + 1))]
    rows = [[f"{place} {label}", *(str(count or "") for count in counts)]
            for place, (label, counts) in enumerate(zip(report.matrix_labels, report.confusion, strict=True), start=1)]
    return ["", *table([head, *rows])]


def _show_groups(report: Report) -> list[str]:
    lines: list[str] = []
    for name, groups in report.groups.items():
        worst = sorted(groups, key=lambda group: (group.lenient, -group.rows))[:MOST_SOURCES]
        shown = [group for group in groups if group in worst]
        lines += ["", *table([[name, "prompts", "accuracy", "lenient"], *map(_show_group, shown)])]
        if len(shown) < len(groups):
            lines.append(f"these are the worst; {len(groups) - len(shown)} more are in --json and --html")
    return lines


def _show_group(group: Group) -> list[str]:
    return [group.name or "-", str(group.rows), f"{group.strict:.3f}", f"{group.lenient:.3f}"]
