"""What the experts must obey together: labels, the fallback, upstream addresses, confined paths."""

from __future__ import annotations

import re
from typing import Protocol

from ..core import Expert
from ..net import check_url
from .places import Path as JsonPath
from .schema import ExpertsFile

FEW_KEYWORDS = 15
_FORBIDDEN = re.compile(r"[/\\\x00-\x1f\x7f]|\.\.")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RESERVED = frozenset({"lemoe", "moe", "auto"})


class Report(Protocol):
    def fault(self, path: JsonPath, text: str) -> None: ...
    def warn(self, path: JsonPath, text: str) -> None: ...


def check_experts(file: ExpertsFile, report: Report) -> None:
    """Notes every broken rule on `report`."""
    experts = file.experts
    if not any(expert.is_fallback for expert in experts):
        report.fault(("experts",), "no expert has id 0: one must be the fallback")
    if len(experts) > file.max_experts:
        report.fault(("experts",), f"{len(experts)} experts, more than max_experts ({file.max_experts})")
    _check_names(experts, report)
    labels = {expert.label for expert in experts}
    for index, expert in enumerate(experts):
        _check_one(expert, ("experts", index), report)
        if expert.fallback and expert.fallback not in labels:
            report.fault(("experts", index, "fallback"), f'no expert is labelled "{expert.fallback}"')


def _check_names(experts: tuple[Expert, ...], report: Report) -> None:
    ids: set[int] = set()
    names: dict[str, str] = {}
    for index, expert in enumerate(experts):
        path: JsonPath = ("experts", index)
        if expert.id in ids:
            report.fault((*path, "id"), f"the id {expert.id} stands twice")
        ids.add(expert.id)
        for field, name in (("label", expert.label), *(("aliases", alias) for alias in expert.aliases)):
            folded = name.strip().casefold()
            if folded in names:
                report.fault((*path, field), f'"{name}" is already a name of "{names[folded]}"')
            elif folded in RESERVED:
                report.fault((*path, field), f'"{name}" is the name of the router itself')
            names[folded] = expert.label


def _check_one(expert: Expert, path: JsonPath, report: Report) -> None:
    for field, name in (("label", expert.label), *(("aliases", alias) for alias in expert.aliases)):
        if not name.strip() or _FORBIDDEN.search(name):
            report.fault((*path, field), f'"{name}" must be a name without / \\ .. or control characters')
    if expert.is_fallback and expert.keywords:
        report.fault((*path, "keywords"), "the fallback (id 0) must have no keywords")
    if not expert.is_fallback and expert.routable and len(expert.keywords) < FEW_KEYWORDS:
        report.warn((*path, "keywords"), f'"{expert.label}" has {len(expert.keywords)} keywords; '
                                         f"{FEW_KEYWORDS} or more route better")
    if expert.type == "local" and not expert.model_path:
        report.fault(path, f'"{expert.label}" is local and needs a "model_path"')
    if expert.type == "api" and not expert.model_name:
        report.fault(path, f'"{expert.label}" is an api expert and needs a "model_name"')
    if expert.api_key_env and not _ENV_NAME.fullmatch(expert.api_key_env):
        report.fault((*path, "api_key_env"), "must be the NAME of an environment variable, not a key")
    _check_addresses(expert, path, report)


def _check_addresses(expert: Expert, path: JsonPath, report: Report) -> None:
    named = [("url", expert.url), ("api_base", expert.api_base), *(("urls", url) for url in expert.urls)]
    for field, url in named:
        problem = check_url(url) if url else ""
        if problem:
            report.fault((*path, field), problem)
