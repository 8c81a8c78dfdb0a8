"""Who may answer a decided request, in order: the expert, its fallbacks, any local model, and what each needs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, Protocol

from msgspec import Struct, structs

from ..backends.base import Backend
from ..backends.builtin import Builtin
from ..backends.gguf import is_gguf
from ..core import ChatRequest, Decision, Message, Started, Text
from ..experts import Expert
from ..routing.text import is_housekeeping
from .breaker import Breaker


class ModelOf(Protocol):
    """The upstream model that serves an expert; `fresh` may ask its node first."""

    def __call__(self, expert: Expert, *, fresh: bool = True) -> str: ...


class Candidate(Struct, frozen=True):
    """One expert with the way to it. `model` is the upstream's name, "" when none fits it now.

    `sees`: it is known to take images; `binds_form`: a format binds what it writes, letter by letter.
    """

    expert: Expert
    backend: Backend
    model: str
    breaker: Breaker
    sees: bool = False
    binds_form: bool = True


class Lineup:
    """The configured experts, and the models that stand in for them."""

    def __init__(
        self,
        experts: Mapping[str, Expert],
        backends: Mapping[str, Backend],
        *,
        raw: Backend,
        model_of: ModelOf,
        stand_ins: Callable[[], list[str]],
        new_breaker: Callable[[], Breaker],
        sees: Callable[[Expert, str], bool] = lambda expert, model: expert.vision,
        place_of: Callable[[Expert, str], Hashable] = lambda expert, model: expert.label,
    ) -> None:
        """`sees`: whether an expert, with the model that serves it, is known to take images. `place_of`: where that
        model answers; the same model in the same place fails under every name."""
        self.builtin = Builtin()
        self._experts = experts
        self._backends = backends
        self._raw = raw
        self._model_of = model_of
        self._stand_ins = stand_ins
        self._new_breaker = new_breaker
        self._sees = sees
        self._place_of = place_of
        self._breakers: dict[Hashable, Breaker] = {}

    def breaker(self, label: str) -> Breaker:
        """Of an expert, or of a model by its own name; all that lead to the same model in the same place share one."""
        expert = self._experts.get(label) or raw_expert(label)
        return self._breaker(expert, self.model(expert))

    def _breaker(self, expert: Expert, model: str) -> Breaker:
        way = (self._place_of(expert, model), model)
        return self._breakers.get(way) or self._breakers.setdefault(way, self._new_breaker())

    def candidates(self, decision: Decision, *, is_special: bool = False) -> Iterator[Candidate]:
        """In the order to try; each label once. Where a model was asked for by its own name, there is no other.

        A prompt that was to stay at home never reaches an API, or a model that Ollama runs in its cloud, by failover,
        unless one of the two experts allows it. One that `is_special`, as it needs what few models can, may go to
        experts of any domain.
        """
        origin = decision.expert
        if decision.is_alone or (decision.stage == "raw" and not decision.virtual):
            yield self._candidate(origin, decision.model)
            return
        seen: set[str] = set()
        stays_home = True
        for expert in (*self._chain(origin), *(self._others(origin) if is_special else ())):
            if expert.label in seen:
                continue
            seen.add(expert.label)
            candidate = self._candidate(expert, decision.model if expert is origin else "")
            leaves_home = candidate.backend.is_remote(candidate.model)
            if expert is origin:
                stays_home = not leaves_home
            elif stays_home and leaves_home and not (expert.allow_cloud or origin.allow_cloud):
                continue
            yield candidate
        for name in self._stand_ins():
            if name not in seen:
                seen.add(name)
                yield self._candidate(raw_expert(name), name)

    def hold(self, decision: Decision, who: Started) -> Decision:
        """`decision` for nobody but the one who has begun to answer it."""
        origin = decision.expert
        expert = origin if origin.label == who.expert else self._experts.get(who.expert) or raw_expert(who.expert)
        return Decision(expert=expert, stage="raw", confidence=decision.confidence, model=who.model)

    def model(self, expert: Expert) -> str:
        """The model that serves it, as far as is known without asking; "" for none."""
        return self._model_of(expert, fresh=False)

    def health(self, expert: Expert) -> dict[str, Any]:
        """Whether it could answer now, as far as is known, and `keywords`: how many it has."""
        backend = self._backends[expert.label]
        model = self.model(expert)
        reason = backend.trouble(model)
        row: dict[str, Any] = {"type": expert.type, "tier": expert.own_tier, "keywords": len(expert.keywords),
                               "model": model or None, "available": not reason}
        return row | ({"reason": reason} if reason else {})

    def chain(self, origin: Expert) -> Iterator[Expert]:
        """It and whoever stands in for it, as the config says, each once."""
        seen: set[str] = set()
        expert: Expert | None = origin
        while expert is not None and expert.label not in seen:
            seen.add(expert.label)
            yield expert
            expert = self._experts.get(expert.fallback)

    def _chain(self, origin: Expert) -> Iterator[Expert]:
        yield from self.chain(origin)
        yield from (expert for expert in self._experts.values() if expert.is_fallback)

    def _others(self, origin: Expert) -> list[Expert]:
        """Every expert that the router may choose: those that say they see first, then those of the same tier."""
        return sorted((expert for expert in self._experts.values() if expert.routable),
                      key=lambda expert: (not expert.vision, expert.own_tier != origin.own_tier, expert.id))

    def _candidate(self, expert: Expert, model: str) -> Candidate:
        backend = self._backends.get(expert.label) if expert.id >= 0 else None
        model = model or self._model_of(expert)
        return Candidate(expert, backend or self._raw, model, self._breaker(expert, model),
                         sees=self._sees(expert, model), binds_form=_binds_form(expert))


def _binds_form(expert: Expert) -> bool:
    """Whether its engine writes by a grammar; of an API it is believed, and held to all the same."""
    return expert.type in ("ollama", "api") or (expert.type == "local" and is_gguf(expert))


def raw_expert(model: str) -> Expert:
    """An upstream model called by its own name, in the shape of an expert."""
    return Expert(id=-1, label=model, type="ollama", model_name=model)


def prepare(request: ChatRequest, expert: Expert, model: str) -> ChatRequest:
    """`request` as this expert should see it: its model, its system prompt, its sampling defaults."""
    changed: dict[str, object] = {"model": model}
    messages = request.messages
    if expert.system_prompt and messages and not is_housekeeping(request):
        changed["messages"] = messages = _with_system(messages, expert)
    if request.notes and messages:
        changed["messages"] = _with_notes(messages, request.notes)
    if expert.options or expert.max_tokens is not None:
        changed["sampling"] = _with_defaults(request, expert)
    if request.keep_alive is None and expert.keep_alive is not None:
        changed["keep_alive"] = expert.keep_alive
    return structs.replace(request, **changed)


def _with_system(messages: tuple[Message, ...], expert: Expert) -> tuple[Message, ...]:
    """A client's own system message replaces the expert's, or follows it in mode "prepend"."""
    prompt = Message("system", (Text(expert.system_prompt),))
    own = [index for index, message in enumerate(messages) if message.role == "system"]
    if not own:
        return (prompt, *messages)
    if expert.system_prompt_mode == "replace":
        return messages
    first = messages[own[0]]
    others = tuple(part for part in first.parts if not isinstance(part, Text))
    joined = Message("system", (Text(f"{expert.system_prompt}\n\n{first.text}"), *others))
    return (joined, *(message for index, message in enumerate(messages) if index != own[0]))


def _with_notes(messages: tuple[Message, ...], notes: tuple[str, ...]) -> tuple[Message, ...]:
    """Some templates take one system message and only at the beginning, so the notes join the first."""
    first, *others = messages if messages[0].role == "system" else (Message("system"), *messages)
    texts = [Text("\n\n".join(filter(None, (first.text, *notes))))]
    return (structs.replace(first, parts=(*texts, *(p for p in first.parts if not isinstance(p, Text)))), *others)


_TYPED = ("temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repeat_penalty", "seed")


def _with_defaults(request: ChatRequest, expert: Expert) -> object:
    """The expert's sampling defaults under whatever the client said itself."""
    sampling = request.sampling
    changed: dict[str, object] = {
        name: expert.options[name] for name in _TYPED if name in expert.options and getattr(sampling, name) is None
    }
    others = {name: value for name, value in expert.options.items()
              if name not in (*_TYPED, "stop", "num_predict") and value is not None}
    changed["options"] = others | sampling.options
    if sampling.max_tokens is None and "num_predict" not in sampling.options:  # there it says "no limit"
        limit = expert.max_tokens if expert.max_tokens is not None else expert.options.get("num_predict")
        changed["max_tokens"] = limit if isinstance(limit, int) and limit > 0 else None
    stop = expert.options.get("stop")
    if not sampling.stop and stop:
        changed["stop"] = (stop,) if isinstance(stop, str) else tuple(stop)
    return structs.replace(sampling, **changed)
