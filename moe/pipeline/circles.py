"""References of a JSON schema that lead back to where they stand, so that no value could ever be held to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

# What speaks of the same value as the schema that it stands in: a schema, a list of them, or one for each name.
_ONE = ("not", "if", "then", "else")
_SEVERAL = ("allOf", "anyOf", "oneOf")
_NAMED = ("dependentSchemas", "dependencies")
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_NAMES = ("$id", "id")
_DATA = frozenset({"const", "enum", "default", "examples"})
_ALONE = "http://json-schema.org/draft-0"  # drafts in which nothing counts beside a reference


class Circles:
    """Looks through one schema; `watch` is called at each of its parts, and what it raises ends that."""

    def __init__(self, schema: dict[str, Any], watch: Callable[[], object]) -> None:
        from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped] # noqa: PLC0415 - takes time
        from referencing import Resource  # noqa: PLC0415 - as above
        from referencing.jsonschema import DRAFT202012  # noqa: PLC0415 - as above

        self._schema = schema
        self._watch = watch
        self._is_done: dict[int, bool] = {}
        self._refers_alone = str(schema.get("$schema", "")).startswith(_ALONE)
        self._make: Any = lambda part: Resource.from_contents(part, default_specification=DRAFT202012)
        self._top: Any = REGISTRY.resolver_with_root(self._make(schema))

    def refuse(self) -> None:
        """Raises ValueError for a circle, and referencing's Unresolvable for a reference that leads nowhere."""
        self._look(self._schema, self._top)

    def _look(self, part: Any, resolver: Any) -> None:
        if isinstance(part, list):
            for each in part:
                self._look(each, resolver)
        if isinstance(part, dict):
            resolver = self._enter(part, resolver)
            self._follow(part, resolver)
            for key, each in part.items():
                if key not in _DATA:
                    self._look(each, resolver)

    def _follow(self, part: Any, resolver: Any) -> None:
        if not isinstance(part, dict) or self._is_done.get(id(part)):
            return
        if id(part) in self._is_done:
            raise ValueError("its references lead in a circle")
        self._watch()
        self._is_done[id(part)] = False
        for other, its_resolver in self._leads(part, resolver):
            self._follow(other, self._enter(other, its_resolver))
        self._is_done[id(part)] = True

    def _leads(self, part: dict[str, Any], resolver: Any) -> Iterator[tuple[Any, Any]]:
        """The other schemas that whoever holds a value to this one holds it to as well."""
        for name in _REFERENCES:
            if isinstance(part.get(name), str):
                yield self._find(part[name], resolver)
        if self._refers_alone and "$ref" in part:
            return
        several = [part[name] for name in _SEVERAL if isinstance(part.get(name), list)]
        named = [list(part[name].values()) for name in _NAMED if isinstance(part.get(name), dict)]
        for others in ([part.get(name) for name in _ONE], *several, *named):
            for other in others:
                yield other, resolver

    def _find(self, reference: str, resolver: Any) -> tuple[Any, Any]:
        try:
            found = resolver.lookup(reference)
        except (TypeError, ValueError):  # a step into a number, or by a name into a list
            raise ValueError(f"the reference {reference[:100]!r} leads nowhere in it") from None
        return found.contents, found.resolver

    def _enter(self, part: Any, resolver: Any) -> Any:
        """For what stands in a part that has a name of its own."""
        if isinstance(part, dict) and any(isinstance(part.get(name), str) for name in _NAMES):
            return resolver.in_subresource(self._make(part))
        return resolver
