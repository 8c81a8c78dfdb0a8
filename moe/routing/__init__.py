"""Who should answer: a request goes in, a Decision comes out."""

from .names import Models, NoModels
from .router import Router, build_router
from .stages import Stage, Trace

__all__ = ["Models", "NoModels", "Router", "Stage", "Trace", "build_router"]
