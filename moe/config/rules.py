"""What the values must obey together: labels, the fallback, upstream addresses, networks."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal, Protocol

from ..experts import Expert
from ..net import check_url, parse_address, spell_url
from ..options import is_duration, read_option
from .places import Path as JsonPath
from .schema import ConfigFile, NodeConfig, PipelineConfig

FEW_KEYWORDS = 15
_FORBIDDEN = re.compile(r"[/\\]|\.\.|:latest\s*$", re.IGNORECASE)
_HOST_NAME = re.compile(r"(?:\*\.)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# The models that orchestrate, one for each output mode.
ORCHESTRATORS = ("moe-orchestrator", "moe-orchestrator-code", "moe-orchestrator-concise", "moe-orchestrator-research",
                 "moe-orchestrator-report", "moe-orchestrator-agent", "moe-orchestrator-plan")
# The families of tools that an expert may always be offered; the tools themselves stand on a higher floor.
TOOL_FAMILIES = ("arithmetic", "algebra", "dates", "measures", "texts", "networks", "law")
RESERVED = frozenset({"lemoe", "moe", "auto", *ORCHESTRATORS})


class Report(Protocol):
    def fault(self, path: JsonPath, text: str) -> None: ...
    def warn(self, path: JsonPath, text: str) -> None: ...


def check_settings(settings: ConfigFile, report: Report) -> None:
    """Notes on `report` what is wrong in config.json beyond its types."""
    networks = (("server", "trusted_proxies", settings.server.trusted_proxies),
                ("rate_limit", "exempt", settings.rate_limit.exempt))
    for section, key, texts in networks:
        for index, text in enumerate(texts):
            if not _is_network(text):
                report.fault((section, key, index), f"{json.dumps(text)} is no address and no network like 10.0.0.0/8")
    for index, text in enumerate(settings.server.hosts):
        problem = check_host(text)
        if problem:
            report.fault(("server", "hosts", index), problem)
    _check_nodes(settings.nodes, report)
    url = settings.expert_runner.ollama_url
    problem = check_url(spell_url(url)) if url else ""
    if problem:
        report.fault(("expert_runner", "ollama_url"), problem)


def _check_nodes(nodes: Sequence[NodeConfig], report: Report) -> None:
    names: set[str] = set()
    urls: set[str] = set()
    for index, node in enumerate(nodes):
        path: JsonPath = ("nodes", index)
        if not _is_name(node.name):
            told = json.dumps(node.name)
            report.fault((*path, "name"), f"{told} must be a visible name without / \\ .. or an ending :latest")
        elif node.name.casefold() in names:
            report.fault((*path, "name"), f'another node is called "{node.name}" already')
        names.add(node.name.casefold())
        problem = check_url(node.url) or ("stands at two nodes" if node.url in urls else "")
        if problem:
            report.fault((*path, "url"), problem)
        urls.add(node.url)


def check_host(text: str) -> str:
    """What is wrong with an entry of `server.hosts`, "" when nothing is."""
    if text == "*" or _HOST_NAME.fullmatch(text) or parse_address(text) is not None:
        return ""
    return (f"{json.dumps(text)} is no host: one is like moe.example.org, *.example.org or 203.0.113.7, without scheme "
            "and port, and with letters beyond ASCII in its form xn--…")


def check_experts(
    experts: Mapping[int, Expert], report: Report, *, entries: Sequence[object], nodes: Collection[str] = ()
) -> None:
    """Notes every broken rule on `report`. `experts` by their index in the file, whose `entries` are as written;
    `nodes` are the names that may stand in place of a URL.

    An entry that could not be read still counts with the id and the label it has; one without a label might be
    any label that is missed.
    """
    unread = [entry for index, entry in enumerate(entries) if index not in experts]
    labels = find_labels(experts, entries)
    has_fallback = any(expert.is_fallback for expert in experts.values())
    if not has_fallback and "0" not in [_raw(entry, "id") for entry in unread]:
        report.fault(("experts",), "no expert has id 0: one must be the fallback")
    _check_names(experts, report)
    for index, expert in experts.items():
        path: JsonPath = ("experts", index)
        _check_one(expert, path, report)
        _check_type(expert, path, report)
        _check_models(expert, path, report)
        _check_options(expert, path, report)
        _check_addresses(expert, path, report, nodes=nodes)
        _check_tools(expert, path, report)
        if expert.fallback and labels and expert.fallback not in labels:
            report.fault((*path, "fallback"), f'no expert is labelled "{expert.fallback}"')


def find_labels(experts: Mapping[int, Expert], entries: Sequence[object]) -> frozenset[str]:
    """Those that an expert may be called by; none where an entry could not be read and might have any."""
    unread = [_raw(entry, "label") for index, entry in enumerate(entries) if index not in experts]
    return frozenset() if "" in unread else frozenset((*unread, *(expert.label for expert in experts.values())))


def check_pipeline(limits: PipelineConfig, report: Report, *, labels: Collection[str]) -> None:
    """Notes on config.json's `report` whom it means that there is not; without `labels` that is not known."""
    for key, label in (("planner", limits.planner), ("judge", limits.judge)):
        if label and labels and label not in labels:
            report.fault(("pipeline", key), f"no expert is labelled {json.dumps(label)}")


def _raw(entry: object, key: Literal["id", "label"]) -> str:
    """What an entry says at `key`, as text; "" where that is nothing `key` could be."""
    value = entry.get(key) if isinstance(entry, dict) else None
    return str(value) if type(value) in ((str,) if key == "label" else (str, int)) else ""


def _check_names(experts: Mapping[int, Expert], report: Report) -> None:
    ids: set[int] = set()
    names: dict[str, str] = {}
    for index, expert in experts.items():
        path: JsonPath = ("experts", index)
        if expert.id in ids:
            report.fault((*path, "id"), f"the id {expert.id} stands twice")
        ids.add(expert.id)
        for place, name in _names(expert, path):
            folded = name.strip().casefold()
            if not _is_name(name):
                report.fault(place, f"{json.dumps(name)} must be a visible name without / \\ .. or an ending :latest")
            elif folded in RESERVED:
                report.fault(place, f'"{name}" is the name of the router itself')
            elif folded in names:
                report.fault(place, f'"{name}" is already a name of "{names[folded]}"')
            names.setdefault(folded, expert.label)


def _names(expert: Expert, path: JsonPath) -> Iterator[tuple[JsonPath, str]]:
    yield (*path, "label"), expert.label
    for index, alias in enumerate(expert.aliases):
        yield (*path, "aliases", index), alias


def _is_name(name: str) -> bool:
    """Whether it can stand in a header, a log line and a model list, where `:latest` is implied."""
    return bool(name.strip()) and name.isprintable() and not _FORBIDDEN.search(name)


def _check_one(expert: Expert, path: JsonPath, report: Report) -> None:
    if expert.id < 0:
        report.fault((*path, "id"), "must be 0 (the fallback) or more")
    if expert.is_fallback and expert.keywords:
        report.fault((*path, "keywords"), "the fallback (id 0) must have no keywords")
    if expert.is_fallback and (expert.examples or expert.examples_file):
        report.fault(path, "the fallback (id 0) must have no examples")
    count = len(expert.keywords)
    if not expert.is_fallback and expert.routable and not expert.examples_file \
            and count + len(expert.examples) < FEW_KEYWORDS:
        report.warn((*path, "keywords"), f"{count} keywords; {FEW_KEYWORDS} or more route better")
    if expert.api_key_env and not _ENV_NAME.fullmatch(expert.api_key_env):
        report.fault((*path, "api_key_env"), "must be the NAME of an environment variable, not a key")
    if isinstance(expert.keep_alive, str) and not is_duration(expert.keep_alive):
        report.fault((*path, "keep_alive"), 'must be a number of seconds or a duration like "5m" or "1h30m"')


def _check_options(expert: Expert, path: JsonPath, report: Report) -> None:
    """Types only. One text for `stop` is as good as a list of one; 4.0 is no integer here, as nobody would mend it."""
    for name, value in expert.options.items():
        if value is None or (name == "stop" and isinstance(value, str)):
            continue
        try:
            taken = read_option(name, value)
            if isinstance(value, float) and isinstance(taken, int):
                raise TypeError("must be of type integer")
        except TypeError as error:
            report.fault((*path, "options", name), str(error))


def _check_type(expert: Expert, path: JsonPath, report: Report) -> None:
    if expert.type == "local" and not expert.model_path:
        report.fault(path, 'a local expert needs a "model_path"')
    if expert.type == "api" and not expert.model_name:
        report.fault(path, 'an api expert needs a "model_name"')
    if expert.type == "ollama" and not expert.model_name:
        report.warn(path, 'no "model_name", so it cannot answer; "auto" chooses one')


def _check_models(expert: Expert, path: JsonPath, report: Report) -> None:
    """`models` and what stands beside it; what one tier's model is, `model_name` must not contradict."""
    for tier, name in expert.models.items():
        place: JsonPath = (*path, "models", tier)
        if not name.strip():
            report.fault(place, "must name a model; a tier that has none is left out")
        elif expert.type == "api" and name == "auto":
            report.fault(place, '"auto" chooses among the models of an Ollama; an api expert needs a name')
    if expert.models and expert.type not in ("ollama", "api"):
        report.fault((*path, "models"), f'a model for each tier is for experts of type "ollama" or "api", '
                                        f'not "{expert.type}"')
    if expert.models and expert.model_name not in expert.models.values():
        report.fault((*path, "model_name"), f"{json.dumps(expert.model_name)} is the model of no tier in \"models\"; "
                                            "leave it out, or name it there too")
    if expert.models and expert.tier is not None and expert.tier not in expert.tiers:
        report.fault((*path, "tier"), f"\"models\" names no model for tier {expert.tier}")


def _check_tools(expert: Expert, path: JsonPath, report: Report) -> None:
    for index, family in enumerate(expert.tools or ()):
        if family not in TOOL_FAMILIES:
            report.fault((*path, "tools", index), f"{json.dumps(family)} is no family of tools: those are "
                                                  f"{', '.join(TOOL_FAMILIES)}")


def _check_addresses(expert: Expert, path: JsonPath, report: Report, *, nodes: Collection[str]) -> None:
    named: list[tuple[JsonPath, str]] = [((*path, "url"), expert.url), ((*path, "api_base"), expert.api_base)]
    named += [((*path, "urls", index), url) for index, url in enumerate(expert.urls)]
    for place, url in named:
        is_node = url in nodes and "api_base" not in place
        problem = check_url(url) if (url or "urls" in place) and not is_node else ""
        if problem and nodes and "://" not in url:
            problem = f"{json.dumps(url)} is no URL and no node's name: those are {', '.join(nodes)}"
        if problem:
            report.fault(place, problem)


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
