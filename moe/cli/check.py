"""Whether the configuration would be accepted by a start, and what of it would not run on this machine."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ..build import find_troubles
from ..config import Config, Settings, read_config
from ..errors import ConfigError
from ..log import clean
from ..service import copy_examples
from ..upstreams import check_addresses, default_group
from .line import read_settings
from .terminal import LONGEST_LINE, Terminal

REFUSED = 2


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Exit code 0 also with warnings, 2 when a start would refuse the config."""
    settings = read_settings(options)
    try:
        config = _read(settings, terminal)
    except ConfigError as error:
        return _refuse(error.problems, terminal)
    for warning in config.warnings:
        _print(terminal, "warning", warning)
    problems = _find_refusals(config, settings)
    if problems:
        return _refuse(problems, terminal)
    troubles = find_troubles(config, settings)
    for trouble in troubles:
        _print(terminal, "warning", trouble)
    count = len(config.warnings) + len(troubles)
    terminal.print(f"{settings.config_folder} is fine: {len(config.experts)} experts, {_count(count, 'warning')}")
    return 0


def _read(settings: Settings, terminal: Terminal) -> Config:
    """As a start does it: what is missing is made from the examples, but a folder that is not there is no config."""
    if not settings.config_folder.is_dir():
        raise ConfigError((f"{settings.config_folder}: is not a folder",))
    for made in copy_examples(settings.config_folder):
        terminal.tell(f"made {made} from the example")
    return read_config(settings.config_folder)


def _find_refusals(config: Config, settings: Settings) -> tuple[str, ...]:
    """What a start refuses beyond the files themselves: upstreams that lead back here or are not allowed."""
    port = config.server.port if settings.port is None else settings.port
    own = (settings.host or config.server.host, port)
    checks: tuple[Callable[[], object], ...] = (
        lambda: default_group(config, settings, own=own), lambda: check_addresses(config, own),
    )
    problems: list[str] = []
    for check in checks:
        try:
            check()
        except ConfigError as error:
            problems += error.problems
    return tuple(problems)


def _refuse(problems: tuple[str, ...], terminal: Terminal) -> int:
    for problem in problems:
        _print(terminal, "error", problem)
    terminal.print(f"refused: {_count(len(problems), 'error')}")
    return REFUSED


def _print(terminal: Terminal, kind: str, text: str) -> None:
    terminal.print(f"{kind}: {clean(text, limit=LONGEST_LINE)}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
