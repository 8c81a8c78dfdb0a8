"""Fits the router's scorer now, so that the first start need not."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from ..build import load_router
from ..config import read_config
from ..embed import Encoders
from ..routing.heads import Heads
from ..service import copy_examples
from .bar import await_head
from .line import read_settings
from .terminal import Terminal


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Exit code 1 when there is no scorer afterwards, though the config asks for one. Raises ConfigError."""
    settings = read_settings(options)
    copy_examples(settings.config_folder)
    config = read_config(settings.config_folder, experts_file=Path(options.experts) if options.experts else None)
    with closing(Heads()) as heads:
        router = load_router(config, settings, encoders=Encoders(settings.models_folder), heads=heads)
        await_head(heads, terminal)
    terminal.print(router.note or "the router is ready")
    return 1 if router.note and router.mode == "embedding" else 0
