"""Reads and checks the two files, and tells every fault at once with file, path and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import msgspec

from ..errors import ConfigError
from ..experts import Expert, TierKey
from .examples import Packs, read_packs
from .rules import check_experts, check_pipeline, check_settings, find_labels
from .schema import FOREIGN, Config, ConfigFile, ExpertsFile, NodeConfig, ServerConfig
from .settings import ROOT
from .sheet import Sheet


def read_config(folder: Path, *, experts_file: Path | None = None) -> Config:
    """Both files of `folder`, checked; `experts_file`, wherever it is, stands in for the folder's own.

    Raises ConfigError with every problem found, each as `file:line: at $.path: what`.
    """
    main = Sheet(folder / "config.json")
    settings = main.build(ConfigFile, main.value) or ConfigFile()
    check_settings(settings, main)
    file = experts_file or _find_experts(folder, settings.router.categories_file, main)
    if file is None:
        raise ConfigError(tuple(main.faults))
    sheet = Sheet(file)
    experts = sheet.build(ExpertsFile, sheet.value) or ExpertsFile()
    packs = Packs()
    if sheet.is_readable:
        labels = _check_experts(experts, sheet, nodes=settings.nodes)
        check_pipeline(settings.pipeline, main, labels=labels)
        # The second is a container's, where the first is a mount.
        shipped = (ROOT / "config", ROOT / "defaults" / "config")
        folders = (folder, *shipped, *((experts_file.parent,) if experts_file else ()))
        packs = read_packs(experts.experts, sheet, folders)
    problems = (*main.faults, *sheet.faults)
    if problems:
        raise ConfigError(problems)
    return Config(
        router=settings.router, ai_engine=settings.ai_engine, memory=settings.memory,
        expert_runner=settings.expert_runner, nodes=settings.nodes, server=settings.server,
        rate_limit=settings.rate_limit,
        models=settings.models, response=settings.response, privacy=settings.privacy, documents=settings.documents,
        tools=settings.tools, pipeline=settings.pipeline, log_prompts=settings.log_prompts,
        experts=_place_experts(experts.experts, settings.nodes), folder=folder,
        files=(main.file, sheet.file, *packs.files), warnings=(*main.warnings, *sheet.warnings),
        examples=packs.examples,
    )


def read_server(folder: Path) -> ServerConfig:
    """What config.json says of the server, whatever else is refused in it or in the experts."""
    main = Sheet(folder / "config.json")
    settings = main.build(ConfigFile, main.value)
    return ServerConfig() if settings is None else settings.server


def schema() -> dict[str, Any]:
    """The JSON Schema of both files, generated from the structs."""
    _, parts = msgspec.json.schema_components([ConfigFile, ExpertsFile], ref_template="#/$defs/{name}")
    foreign = {key: {"description": "LeMoE's; has no effect here", "deprecated": True} for key in sorted(FOREIGN.top)}
    parts["ConfigFile"]["properties"] |= {"$schema": {"type": "string"}} | foreign
    parts["ExpertsFile"]["properties"] |= {"$schema": {"type": "string"}}
    parts["Expert"]["properties"] |= {key: {"deprecated": True} for key in sorted(FOREIGN.expert)}
    parts["Expert"]["properties"]["models"]["propertyNames"] = {"enum": list(get_args(TierKey))}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "moe configuration",
        "description": "config.json is a ConfigFile, experts.json an ExpertsFile.",
        "anyOf": [{"$ref": "#/$defs/ConfigFile"}, {"$ref": "#/$defs/ExpertsFile"}],
        "$defs": parts,
    }


def _place_experts(experts: tuple[Expert, ...], nodes: tuple[NodeConfig, ...]) -> tuple[Expert, ...]:
    """The experts with the URL of each node that they name."""
    urls = {node.name: node.url for node in nodes}

    def place(expert: Expert) -> Expert:
        named = {"url": urls.get(expert.url, expert.url), "urls": tuple(urls.get(url, url) for url in expert.urls)}
        return expert if not urls else msgspec.structs.replace(expert, **named)

    return tuple(place(expert) for expert in experts)


def _check_experts(file: ExpertsFile, sheet: Sheet, *, nodes: tuple[NodeConfig, ...]) -> frozenset[str]:
    """Gives back the labels, none where they are not all known."""
    entries = sheet.value.get("experts")
    if entries is not None and not isinstance(entries, list):
        return frozenset()
    count = len(entries or ())
    placed = dict(zip(sheet.readable_items.get(("experts",), ()), file.experts, strict=True))
    if count > file.max_experts:
        sheet.fault(("experts",), f"{count} experts, more than max_experts ({file.max_experts})")
    check_experts(placed, sheet, entries=entries or (), nodes=[node.name for node in nodes])
    return find_labels(placed, entries or ())


def _find_experts(folder: Path, named: str, sheet: Sheet) -> Path | None:
    """Where the experts are: `named` counts from the config folder's parent.

    LeMoE's "config/experts.json" means the file beside config.json, whatever the folder's name. What leads out of
    the parent, by dots or by symbolic links, is a fault and None.
    """
    try:
        home = folder.resolve().parent
        path = home / named if named else folder / "experts.json"
        beside = folder / path.name
        if Path(named).parent == Path("config") and beside.exists():
            path = beside
        target = path.resolve()
    except (OSError, ValueError, RuntimeError) as error:
        sheet.fault(("router", "categories_file"), f"{named!r} is not a usable path: {error}")
        return None
    if not target.is_relative_to(home):
        sheet.fault(("router", "categories_file"), f"{path} leads to {target}, outside of {home}")
        return None
    return path
