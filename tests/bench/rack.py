"""Placement: the same requests over the same rack of nodes by our rule and by others. Simulated, since nobody has the
rack at hand; a smaller rack of fake nodes over sockets shows that the simulation is honest."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from tests.bench.machine import Stopwatch
from tests.bench.rack_policies import POLICIES
from tests.bench.rack_simulation import Course, simulate
from tests.bench.rack_sockets import SMALL_MODELS, SMALL_RACK, run
from tests.bench.rack_trace import GB, MODELS, RACK, Load, make_trace
from tests.bench.report import Section, Verdict, say
from tests.bench.results import NoMarkers, publish

MARKER = "rack"
HOURS = 7200.0
LOADS = {
    "light": Load(HOURS, conversations_per_s=0.02, bursts_per_s=0.0008, pause_s=40.0),
    "busy": Load(HOURS, conversations_per_s=0.08, bursts_per_s=0.0032, pause_s=40.0),
}
SMALL_LOAD = Load(60.0, conversations_per_s=0.5, bursts_per_s=0.04, pause_s=4.0, users=10, tokens=30.0)
SMALL_SEED = 1
MOST_APART = 0.25
OURS = "ours"
TIMES = ("first token p50", "first token p95", "whole p50", "whole p95")


def main(arguments: Sequence[str]) -> int:
    """Returns 0 when every request was answered, whatever the figures; 1 otherwise, 2 for a file that cannot be
    used."""
    asked = _parse(arguments)
    sections = [compare(asked.seeds)]
    if asked.sockets:
        try:
            sections.append(check(sorted(POLICIES, key=lambda name: name != OURS)))
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 1
    try:
        _publish(sections, asked)
    except (NoMarkers, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def compare(seeds: int) -> Section:
    """The whole rack, simulated: each load with so many traces."""
    watch = Stopwatch()
    sizes = {name: size * GB for name, size in MODELS.items()}
    memory = " + ".join(str(machine.vram // GB) for machine in RACK)
    section = Section(f"{len(MODELS)} models on a rack of {memory} GB, simulated", (
        "load", "rule", "loads", "swaps", "TB loaded", *(f"{name} s" for name in TIMES)))
    for load_name, load in LOADS.items():
        traces = [make_trace(list(MODELS), load, seed=seed) for seed in range(seeds)]
        courses = {}
        for name, make in POLICIES.items():
            say(f"{load_name}: {name}")
            courses[name] = _join([simulate(RACK, trace, make(RACK), sizes=sizes) for trace in traces])
            course = courses[name]
            section.rows.append((load_name, name, course.loads, course.swaps, course.loaded_bytes / 1e12,
                                 *_times(course)))
        section.verdicts += _judge(load_name, courses)
        section.notes.append(f"{load_name}: {len(courses[OURS].whole_s)} requests in {seeds} traces of two hours; "
                             f"{load.conversations_per_s * 3600:.0f} conversations and {load.bursts_per_s * 3600:.0f} "
                             "bursts begin in an hour")
    section.notes += [
        f"models of {min(MODELS.values())} to {max(MODELS.values())} GB, {sum(MODELS.values())} GB together, asked for "
        "by Zipf's law in an order of each trace's own; a swap is a load that pushed another model out",
        "every rule sees the same: lists of models in memory that may be 5 s old, and its own requests under way; all "
        "have the same places, and wait at the node once one was chosen",
        "at a node, requests wait in the order of their coming until there is room for their model, those behind them "
        "too, and one model is loaded at a time, as in Ollama; one that is larger than its node's memory runs at a "
        "tenth of the speed",
        "nobody gives up: where a line only grows, its times are as long as the trace has it grow",
        "MoE Sovereign's rule reads 80 GB as 22 B, 26 GB as 7 B, and nothing where a name says nothing; the other row "
        "of it is told the sizes",
        "round-robin and random choose among the nodes whose whole memory is enough, which is kind to them",
        str(watch)]
    return section


def check(names: Sequence[str]) -> Section:
    """The small rack, simulated and with fake nodes over sockets."""
    watch = Stopwatch()
    sizes = {name: size * GB for name, size in SMALL_MODELS.items()}
    trace = make_trace(list(SMALL_MODELS), SMALL_LOAD, seed=SMALL_SEED)
    memory = " + ".join(str(machine.vram // GB) for machine in SMALL_RACK)
    section = Section(f"Is the simulation honest? {len(SMALL_MODELS)} models on {memory} GB, twenty times as fast", (
        "rule", "what", "loads", "swaps", *(f"{name} s" for name in TIMES), "whole mean s"))
    for name in names:
        say(f"over sockets: {name}")
        make = POLICIES[name]
        thought = simulate(SMALL_RACK, trace, make(SMALL_RACK), sizes=sizes)
        seen = run(SMALL_RACK, trace, None if name == OURS else make(SMALL_RACK), sizes=sizes)
        for what, course in (("simulated", thought), ("over sockets", seen)):
            section.rows.append((name, what, course.loads, course.swaps, *_times(course), fmean(course.whole_s)))
        for what, one, two in (("loads", thought.loads, seen.loads),
                               ("mean time", fmean(thought.whole_s), fmean(seen.whole_s))):
            section.verdicts.append(Verdict(f"{name}, {what}: simulated and over sockets apart",
                                            100 * abs(one - two) / two, 100 * MOST_APART, "%"))
    section.notes += [
        f"{len(trace)} requests in a minute; ours over sockets is the product's own `Ollama` over all nodes, the other "
        "rules name the node", str(watch)]
    return section


def _judge(load_name: str, courses: dict[str, Course]) -> list[Verdict]:
    """Ours beside the best of the others."""
    ours, others = courses[OURS], [course for name, course in courses.items() if name != OURS]
    swaps = min(course.swaps for course in others)
    best_s = min(_times(course)[3] for course in others)
    return [Verdict(f"{load_name}: swaps beside the fewest of the others", ours.swaps / max(1, swaps), 1.0, "x"),
            Verdict(f"{load_name}: whole p95 beside the best of the others", _times(ours)[3] / best_s, 1.0, "x")]


def _times(course: Course) -> list[float]:
    return [float(np.percentile(times, share)) for times in (course.first_s, course.whole_s) for share in (50, 95)]


def _join(courses: Sequence[Course]) -> Course:
    joined = Course()
    for course in courses:
        joined.first_s += course.first_s
        joined.whole_s += course.whole_s
        joined.loads += course.loads
        joined.swaps += course.swaps
        joined.loaded_bytes += course.loaded_bytes
    return joined


def _publish(sections: Sequence[Section], asked: argparse.Namespace) -> None:
    words = ["tests.bench.rack", *([] if asked.sockets else ["--no-sockets"])]
    publish(sections, words, marker=MARKER, json_file=asked.json, report=asked.report)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rack", description=__doc__)
    parser.add_argument("--seeds", metavar="N", type=int, default=5, help="how many traces for each load")
    parser.add_argument("--sockets", action=argparse.BooleanOptionalAction, default=True,
                        help="the smaller rack over sockets too: about eight minutes")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there too")
    parser.add_argument("--report", metavar="FILE", type=Path, help="renew the tables there: RESULTS.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
