"""What orchestrating costs beside the models themselves: upstreams that answer at once, or after a known time."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from moe.backends.engine import Engine
from moe.backends.shelf import Shelf
from moe.build import build_gateway
from moe.config import MemoryConfig, Settings, read_config
from moe.core import ChatRequest, Done, Message, Started, Text
from moe.embed import Encoders
from moe.metrics import Statistics
from moe.pipeline.gateway import Gateway
from moe.routing.heads import Heads
from moe.trace import Trace
from tests.bench.report import Section, Verdict
from tests.bench.results import NoMarkers, publish
from tests.fakes import FakeModel, FakeOllama, answer, fake_ollama
from tests.live import write_config

MARKER = "orchestration"
MOST_DIRECT_MS, MOST_COUNCIL_MS = 0.3, 10.0
PLAIN = "Who wrote the first book about algebra?"
COMPOUND = ("Work out the algebra of a loan of 240000 euros at 3.1 percent over 25 years, then check the contract law "
            "of an early repayment, and finally write a sonnet about the bank.")
PLAN_S, EXPERTS_S, MERGE_S = 0.05, (0.1, 0.2, 0.3), 0.05
LABELS = ("math", "law", "poetry")
KEYWORDS = (["algebra", "solve", "sum"], ["contract", "law"], ["sonnet", "poem"])
EXPERTS: tuple[dict[str, Any], ...] = (
    {"id": 0, "label": "fallback", "model_name": "plan:4b"},
    {"id": 4, "label": "general", "model_name": "merge:27b", "keywords": ["anything"]},
    *({"id": 1 + place, "label": label, "description": label, "keywords": words, "model_name": f"{label}:7b"}
      for place, (label, words) in enumerate(zip(LABELS, KEYWORDS, strict=True))),
)


def main(arguments: Sequence[str]) -> int:
    """Returns 0 when both aims were met, 1 otherwise, 2 for a file that cannot be used."""
    asked = _parse(arguments)
    with tempfile.TemporaryDirectory() as folder, open_line(Path(folder)) as (gateway, ollama):
        sections = [measure_direct(gateway, ollama, asked.requests), measure_council(gateway, ollama, asked.councils)]
    words = ["tests.bench.orchestration", *(("--report", str(asked.report)) if asked.report else ())]
    try:
        publish(sections, words, marker=MARKER, json_file=asked.json, report=asked.report)
    except (NoMarkers, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return int(any(section.errors or not all(each.is_met for each in section.verdicts) for section in sections))


def measure_direct(gateway: Gateway, ollama: FakeOllama, requests: int) -> Section:
    """The thread's own processor time for a plain question, by turns asked of both models."""
    ollama.script("math:7b", [answer("x = 5")])
    times: dict[str, list[float]] = {"lemoe": [], "moe-orchestrator": []}
    for _ in range(requests):
        for model, took in times.items():
            began = time.thread_time()
            _ask(gateway, model, PLAIN)
            took.append((time.thread_time() - began) * 1000)
    section = Section("A plain question, one call: processor time in this process, ms",
                      ("model", "p25", "p50", "p75"))
    for model, took in times.items():
        ranked = sorted(took)
        section.rows.append((model, *(round(ranked[int(len(ranked) * share)], 3) for share in (0.25, 0.5, 0.75))))
    more = median(times["moe-orchestrator"]) - median(times["lemoe"])
    section.verdicts.append(Verdict("a plain question to moe-orchestrator over lemoe, CPU", more, MOST_DIRECT_MS, "ms"))
    section.notes.append(f"{requests} requests each, by turns; the upstream answers at once; keyword mode")
    return section


def measure_council(gateway: Gateway, ollama: FakeOllama, councils: int) -> Section:
    """The time on the wall beyond what the calls of the planner, the slowest expert and the merger take."""
    tasks = [{"id": f"t{place}", "task": f"{label}: {COMPOUND}", "category": label, "depends_on": []}
             for place, label in enumerate(LABELS)]
    ollama.script("plan:4b", [answer(json.dumps({"tasks": tasks}), delay_s=PLAN_S)])
    for label, delay_s in zip(LABELS, EXPERTS_S, strict=True):
        ollama.script(f"{label}:7b", [answer(f"The part of {label} is done.", delay_s=delay_s)])
    ollama.script("merge:27b", [answer("All of it together.", delay_s=MERGE_S)])
    over: list[float] = []
    errors: list[str] = []
    for _ in range(councils):
        began = time.perf_counter()
        told, trace = _ask(gateway, "moe-orchestrator", COMPOUND)
        over.append((time.perf_counter() - began) * 1000 - find_path_ms(trace))
        if trace.told()["calls"] != 2 + len(LABELS) or told != "All of it together.":
            errors.append(f"{trace.told()}: {told}")
    ranked = sorted(over)
    section = Section("A council of three experts: ms beyond planner, slowest expert and merger",
                      ("councils", "p50", "p90", "least"), errors=errors)
    section.rows.append((councils, *(round(value, 1) for value in (
        ranked[len(ranked) // 2], ranked[int(len(ranked) * 0.9)], ranked[0]))))
    section.verdicts.append(Verdict("a council beyond its slowest path, median", median(over), MOST_COUNCIL_MS, "ms"))
    experts = ", ".join(f"{delay_s * 1000:.0f}" for delay_s in EXPERTS_S)
    section.notes.append(f"planner {PLAN_S * 1000:.0f} ms, experts {experts} ms, "
                         f"merger {MERGE_S * 1000:.0f} ms, over sockets; the upstream runs in the same process")
    return section


def find_path_ms(trace: Trace) -> float:
    """How long the calls took that nothing could go beside."""
    longest: dict[str, float] = {}
    for span in trace.spans:
        if span.model:
            longest[span.stage] = max(longest.get(span.stage, 0.0), span.ended_ms - span.started_ms)
    return sum(longest.values())


def _ask(gateway: Gateway, model: str, text: str) -> tuple[str, Trace]:
    """Raises AssertionError for an answer without an end."""
    request = ChatRequest(model=model, messages=(Message("user", (Text(text),)),), think=False)
    trace = Trace("r")
    trace.ask(request)
    said, kinds = [], []
    for chunk in gateway.answer(request, request_id="r", trace=trace).chunks:
        kinds.append(type(chunk))
        if isinstance(chunk, Text):
            said.append(chunk.text)
    assert Started in kinds and kinds[-1] is Done, kinds
    return "".join(said), trace


@contextmanager
def open_line(folder: Path) -> Iterator[tuple[Gateway, FakeOllama]]:
    """The whole line in keyword mode, over an upstream with a model for each part."""
    models = [FakeModel(name, loaded=True) for name in ("plan:4b", "merge:27b", *(f"{label}:7b" for label in LABELS))]
    with fake_ollama(models) as ollama:
        write_config(folder, config={"expert_runner": {"ollama_url": ollama.url}, "tools": {"offer": "never"}},
                     experts=EXPERTS)
        settings = Settings(config_folder=folder / "config", data_folder=folder / "data",
                            models_folder=folder / "models", logs_folder=folder / "logs")
        engine = Engine()
        gateway = build_gateway(
            read_config(folder / "config"), settings, engine=engine, encoders=Encoders(folder / "models"),
            heads=Heads(), shelf=Shelf(MemoryConfig()), statistics=Statistics(folder / "models.json"),
        )
        for node in gateway.catalog.all_nodes():
            node.refresh(wait=True)
        yield gateway, ollama
        engine.close()
        for node in gateway.catalog.all_nodes():
            node.close()


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.bench.orchestration", description=__doc__)
    parser.add_argument("--requests", type=int, default=600, help="plain questions to each model")
    parser.add_argument("--councils", type=int, default=40)
    parser.add_argument("--report", type=Path, help="a Markdown file with the markers to write between")
    parser.add_argument("--json", type=Path)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
