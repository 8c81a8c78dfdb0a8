"""A request to an alias, as whoever it stands for should see it."""

from __future__ import annotations

from msgspec import structs

from ..aliases import Alias
from ..core import ChatRequest, Message, Role, Text
from ..experts import Expert
from .lineup import prepare

_ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}


def take_on(request: ChatRequest, alias: Alias) -> ChatRequest:
    """With the alias's messages before the client's own, and its system prompt and parameters where the client gives
    none: to the expert or model behind it, which takes them for the client's."""
    persona = Expert(id=-1, label=alias.name, system_prompt=alias.system, options=alias.parameters)
    said = tuple(Message(_ROLES.get(turn.role, "user"), (Text(turn.content),)) for turn in alias.messages)
    messages = (*said, *request.messages) if request.messages else ()
    completion = request.completion
    if completion is not None and completion.system is None and not completion.raw and alias.system:
        completion = structs.replace(completion, system=alias.system)
    return prepare(structs.replace(request, messages=messages, completion=completion), persona, alias.source)
