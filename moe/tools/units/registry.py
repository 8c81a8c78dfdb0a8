"""The size of every unit there is, from pint's registry: made once, when it is first needed."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from threading import Lock
from typing import Any

from msgspec import Struct

from ...errors import ToolError
from ..numbers import quote

_lock = Lock()


class Size(Struct, frozen=True):
    """How many of the base units one is, and which base units to which power."""

    factor: Fraction
    roots: tuple[tuple[str, Fraction | int], ...]


@lru_cache(maxsize=1)
def _registry() -> Any:
    import pint  # noqa: PLC0415

    return pint.UnitRegistry(non_int_type=Fraction, on_redefinition="ignore")


@lru_cache(maxsize=2_000)
def measure(name: str) -> Size:
    """Of one unit, with its prefix if it has one. Raises ToolError for none."""
    with _lock:
        registry = _registry()
        try:
            readings = registry.parse_unit_name(name)
        except Exception as error:  # noqa: BLE001  the parser of another library, fed with anybody's words
            raise ToolError(f"'{quote(name)}' is not a unit known here") from error
        if not readings:
            raise ToolError(f"'{quote(name)}' is not a unit known here")
        factor, base = registry.get_base_units(name, check_nonmult=False)
        # Angles and data have no dimension of their own there, but base units.
        roots = tuple(sorted((root, Fraction(power)) for root, power in base._units.items() if root != "count"))
    return Size(factor if isinstance(factor, Fraction) else Fraction(str(factor)), roots)
