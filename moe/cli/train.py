"""Trains a text classifier on labelled prompts, which can choose the experts in place of the encoder and its scorer."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from msgspec.structs import replace

from ..build import load_router
from ..config import Config, Settings, read_config
from ..core import ChatRequest
from ..embed import Encoders
from ..errors import NotReady
from ..experts import Example
from ..judge.cases import Case
from ..judge.report import Report, judge, sum_up
from ..routing import Router
from ..routing.heads import Heads
from ..service import copy_examples
from ..training.learner import Epoch, Plan
from ..training.making import Made, Teaching, make, may_replace, read_text
from ..training.prompts import Prompt, find_first, hold_out
from ..training.start import find_weights, open_start
from .bar import await_head, draw
from .judging import Labelled, find_asked, print_lines, read_labelled, watch
from .line import read_settings, say
from .options import Misuse
from .terminal import Terminal, say_warnings, table

FEWEST = 20


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Exit code 1 when a row of the file could not be used, though the others were learnt from, or when nothing could
    be trained. Raises ConfigError, MoeError, OSError, and Misuse for too few prompts or a folder that is another's."""
    try:
        return _train(options, terminal)
    except NotReady as error:  # what is missing here is told in full, for no client of a server hears it
        terminal.complain(error.message)
        return 1


def _train(options: argparse.Namespace, terminal: Terminal) -> int:
    say_warnings()
    settings, folder = read_settings(options), Path(options.out).absolute()
    if not may_replace(folder):
        raise Misuse(f"{options.out} is there already, and no classifier that this command has made")
    copy_examples(settings.config_folder)
    config = read_config(settings.config_folder, experts_file=Path(options.experts) if options.experts else None)
    labelled = read_all(options, config, terminal)
    cases, teaching = prepare(leave_out(labelled.cases, config, terminal), config, options)
    start = open_start(Path(options.start) if options.start
                       else find_weights(settings.models_folder, may_fetch=options.fetch))
    plan = Plan(epochs=options.epochs, batch=options.batch_size, rate=options.learning_rate,
                max_tokens=min(options.max_tokens, start.most_tokens), seed=options.seed)
    terminal.print(f"{len(cases)} prompts for {len(teaching.labels)} experts, {int(teaching.held.sum())} of them held "
                   f"out; starting from {start.name}")
    made = make(teaching, start, plan, folder, told=lambda share, step: draw(share, step, terminal),
                said=lambda epoch: _say_epoch(epoch, terminal))
    terminal.print(f"{options.out}: {describe(made, folder)}")
    if options.compare:
        print_lines(compare(cases, teaching, config, settings, folder=folder, terminal=terminal), terminal)
    print_lines(["", "to use it, in config.json:", spell_config(folder, settings)], terminal)
    return 1 if labelled.bad else 0


def read_all(options: argparse.Namespace, config: Config, terminal: Terminal) -> Labelled:
    """The prompts of the file, and the experts' own where those are asked for or there is no file. Raises OSError."""
    read = Labelled([], 0) if options.file is None else read_labelled(Path(options.file), config, terminal)
    if options.file is not None and not options.packs:
        return read
    own = [Case(id=None, request=ChatRequest(messages=(say("user", example.text),)), label=label, source=example.source)
           for label, examples in config.examples.items() for example in examples]
    return Labelled([*read.cases, *own], read.bad)


def leave_out(cases: Sequence[Case], config: Config, terminal: Terminal) -> list[Case]:
    """The cases without those for experts that no text leads to, such as one that only sees images."""
    unreachable = {expert.label for expert in config.experts if not expert.routable and not expert.is_fallback}
    lost = Counter(case.label for case in cases if case.label in unreachable)
    for label, count in lost.items():
        terminal.complain(f'"{label}" is not routable: its {count} prompts are left out')
    return [case for case in cases if case.label not in lost]


def prepare(cases: Sequence[Case], config: Config, options: argparse.Namespace) -> tuple[list[Case], Teaching]:
    """The cases that say something, each once, and what is learnt from them. Raises Misuse where it is too little."""
    prompts = [Prompt(read_text(find_asked(case.request)), case.label, case.source) for case in cases]
    places = find_first(prompts)
    prompts = [prompts[place] for place in places]
    held = hold_out(prompts, options.hold_out, seed=options.seed)
    used = {prompt.label for prompt, is_held in zip(prompts, held.tolist(), strict=True) if not is_held}
    labels = tuple(expert.label for expert in config.experts if expert.label in used)
    if len(prompts) < FEWEST or len(labels) < 2 or not held.any():
        raise Misuse(f"{len(prompts)} prompts for {len(labels)} experts are too few to learn from: "
                     f"{FEWEST} for two experts are the least")
    return [cases[place] for place in places], Teaching(prompts, held, labels)


def describe(made: Made, folder: Path) -> str:
    megabytes = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    return (f"epoch {made.epoch} was the best; weights in {made.bits} bits, {megabytes:.0f} MB; "
            f"temperature {made.temperature:.2f}")


def compare(cases: Sequence[Case], teaching: Teaching, config: Config, settings: Settings, *, folder: Path,
            terminal: Terminal) -> Iterator[str]:
    """The router with the classifier and the hybrid one, on the prompts held out of what both were taught by."""
    parted: tuple[list[Case], list[Case]] = ([], [])
    for case, is_held in zip(cases, teaching.held.tolist(), strict=True):
        parted[is_held].append(case)
    learnt, held = parted
    asked = replace(config.router, mode="generic", router_type="classification", model_path=str(folder))
    with _open_router(replace(config, router=asked), settings, terminal) as router:
        rows = [_show("classifier", _judge(router, held, config, terminal))]
    asked = replace(config.router, mode="generic", router_type="embedding", scorer="hybrid",
                    model_path=None if config.router.classifies else config.router.model_path)
    with _open_router(replace(config, router=asked, examples=_gather(learnt)), settings, terminal) as router:
        if router.mode == "embedding" and not router.note:
            rows.append(_show("hybrid", _judge(router, held, config, terminal)))
        else:
            terminal.complain(f"there is no hybrid to compare with: {router.note}")
    yield from ("", *table([["held out", "accuracy", "macro-F1", "calibration error", "p50 ms"], *rows]))


def spell_config(folder: Path, settings: Settings) -> str:
    """The line that makes the router use `folder`; its path counts from the models folder's parent."""
    home = settings.models_folder.parent
    path = folder.relative_to(home) if folder.is_relative_to(home) else folder
    return f'  "router": {{"router_type": "classification", "model_path": {json.dumps(str(path), ensure_ascii=False)}}}'


def _say_epoch(epoch: Epoch, terminal: Terminal) -> None:
    terminal.redraw("")
    name = f"epoch {epoch.number}" if epoch.number else "the encoder as it was"
    terminal.print(f"{name}: held out, accuracy {epoch.accuracy:.3f}, loss {epoch.loss:.3f}")


def _gather(cases: Sequence[Case]) -> dict[str, tuple[Example, ...]]:
    """What the experts would have as their examples."""
    labels = dict.fromkeys(case.label for case in cases)
    return {label: tuple(Example(case.text, case.source) for case in cases if case.label == label) for label in labels}


@contextmanager
def _open_router(config: Config, settings: Settings, terminal: Terminal) -> Iterator[Router]:
    """A router whose scorer is fitted and thrown away; vectors stay where they are always kept."""
    (settings.data_folder / "vectors").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, closing(Heads()) as heads:
        data = Path(name)
        (data / "vectors").symlink_to(settings.data_folder / "vectors")
        router = load_router(config, replace(settings, data_folder=data), heads=heads,
                             encoders=Encoders(settings.models_folder))
        await_head(heads, terminal)
        yield router


def _judge(router: Router, cases: Sequence[Case], config: Config, terminal: Terminal) -> Report:
    """The first prompt is decided twice, so that no time tells of warming up."""
    router.decide(cases[0].request)
    fallback = config.fallback.label
    judged = [judge(case, router.decide(case.request), fallback) for case in watch(cases, "judging", terminal)]
    return sum_up(judged, [expert.label for expert in config.experts], fallback=fallback)


def _show(name: str, report: Report) -> list[str]:
    return [name, f"{report.strict:.3f}", f"{report.macro_f1:.3f}", f"{report.ece:.3f}", f"{report.p50_ms:.1f}"]
