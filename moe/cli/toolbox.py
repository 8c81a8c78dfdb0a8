"""The exact tools in this process: they need neither a server nor a model, only what the config says of them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from ..config.schema import ConfigFile, ToolsConfig
from ..config.settings import Settings
from ..config.sheet import Sheet
from ..errors import ConfigError
from ..store import Laws
from ..tools.base import Setting
from ..tools.equations.worker import Worker
from ..tools.known import open_toolkit
from ..tools.toolbox import Toolbox
from .line import read_settings


@contextmanager
def open_tools(options: argparse.Namespace) -> Iterator[Toolbox]:
    """Those that the config leaves enabled. Raises Misuse, and ConfigError for what config.json has wrong."""
    settings = read_settings(options)
    disabled = _read_config(settings).disabled
    solver, laws = Worker(), Laws(settings.data_folder / "laws.sqlite")
    try:
        yield open_toolkit(Setting(solver=solver, laws=laws), disabled=disabled).toolbox
    finally:
        solver.close()
        laws.close()


def _read_config(settings: Settings) -> ToolsConfig:
    """Without a config.json yet, what stands where nothing is said. The experts are not read: they have no part."""
    file = settings.config_folder / "config.json"
    if not file.exists():
        return ToolsConfig()
    sheet = Sheet(file)
    config = sheet.build(ConfigFile, sheet.value)
    if sheet.faults:
        raise ConfigError(tuple(sheet.faults))
    tools: ToolsConfig = config.tools
    return tools
