"""German statutes: looked up, searched and quoted, whole and with their source."""

from .tools import TOOLS

__all__ = ["TOOLS"]
