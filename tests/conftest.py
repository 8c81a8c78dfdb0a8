"""What holds for every test."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors, but not those of LiteLLM and its models: nobody here can mend them."""
    for library in ("litellm", "pydantic"):
        for kind in ("DeprecationWarning", "UserWarning"):
            config.addinivalue_line("filterwarnings", rf"ignore::{kind}:{library}(\..*)?")
