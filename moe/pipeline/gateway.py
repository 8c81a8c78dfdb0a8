"""The line from a request to an answer; read this file first.

    inline  a tool that knows it exactly         -> chunks, and nobody else is asked
    router  who should answer, and how sure      -> Decision
    ground  what tools find in the prompt, for the expert to rely on
    strategy  one call, a second look, or a council -> conductor, for the models that orchestrate
    toolloop  the tools it may call meanwhile
    dispatch  the expert, or whoever stands in   -> chunks
    note    remembers who made which call, so that its result comes back to them
    settle  counts what was said
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any, Protocol

from msgspec import structs

from ..backends.base import Counting
from ..backends.catalog import Catalog
from ..backends.duration import read_keep_alive
from ..backends.local import LocalModels
from ..backends.manage import Manager
from ..config import Config
from ..core import Answer, ChatRequest, Chunk, Decision, Done, Started
from ..errors import BadRequest
from ..metrics import Statistics
from ..replies import ModelCard
from ..routing.heads import tell_guesses
from ..routing.names import Callers, decide_raw
from ..routing.strategy import choose_strategy
from ..routing.text import is_housekeeping
from ..tools.known import Toolkit
from ..tools.questions.recogniser import Answered
from ..trace import Trace
from .attachments import Attachments, unwatched
from .callers import CallerMemory
from .cards import Cards
from .conductor import Conductor
from .dispatch import Dispatcher
from .footer import may_have_footer, sign, unsign
from .form import Form, Forms
from .grounding import Grounding
from .inline import Inline, decide, say
from .lineup import Lineup, prepare
from .modes.known import Mode, find_mode
from .noting import note_decision, note_name, note_tool
from .offering import join
from .personas import take_on
from .reports import tell_decision, tell_health
from .settle import settle
from .staff import Staff
from .toolloop import Toolloop
from .vectors import Vectors


class Decider(Protocol):
    """The router, as the line sees it."""

    @property
    def mode(self) -> str: ...

    note: str
    is_faulty: bool

    def decide(self, request: ChatRequest) -> Decision: ...

    def chooses(self, model: str) -> bool: ...

    def rate(self, text: str) -> dict[str, float]: ...

    def heed(self, callers: Callers) -> None: ...


class Observer(Protocol):
    """Who keeps how well models do."""

    def observe(self, model: str, domain: str, positive: bool) -> None: ...

    def score(self, model: str, domain: str) -> float | None: ...


class Gateway:
    """Everything one configuration needs to answer; made by `build.py`, replaced whole on reload."""

    def __init__(
        self,
        config: Config,
        router: Decider,
        *,
        dispatcher: Dispatcher,
        lineup: Lineup,
        catalog: Catalog,
        local: LocalModels,
        manager: Manager,
        vectors: Vectors,
        statistics: Statistics,
        tools: Toolkit,
        staff: Staff,
        standing: Observer | None = None,
        retire: Callable[[], None],
        callers: CallerMemory | None = None,
    ) -> None:
        """`standing` is told how well models do. `retire` frees what only new requests would need; answers under way
        keep what they use."""
        self.config = config
        self.router = router
        self.catalog = catalog
        self.manager = manager
        self.vectors = vectors
        self.tools = tools
        self._inline = Inline(tools.recogniser, config.tools)
        self._grounding = Grounding(tools.recogniser, config.tools)
        self._toolloop = Toolloop(dispatcher, tools, config.tools)
        self._staff = staff
        self._conductor = Conductor(
            self._toolloop, staff, tools.toolbox, config.pipeline,
            observe=standing.observe if standing is not None else _forget,
            past_score=standing.score if standing is not None else lambda model, domain: None,
            thinks=lambda model: "thinking" in self._cards.abilities(model), room_of=self._find_room,
        )
        self._cards = Cards(config, catalog=catalog, local=local, lineup=lineup, vectors=vectors,
                            aliases=manager.aliases)
        self._lineup = lineup
        self._statistics = statistics
        self._forms = Forms()
        self._attachments = Attachments(config)
        self._callers = callers or CallerMemory()
        router.heed(self._callers)
        self.retire = retire

    def answer(
        self, request: ChatRequest, *, request_id: str, client: str = "", watch: Callable[[], None] = unwatched,
        trace: Trace | None = None,
    ) -> Answer:
        """Decides at once; the chunks are made as they are taken. Where requests have to wait, each `client` has its
        turn; `watch` is called while files are read, and what it raises ends that. Each step is told to `trace`, which
        the caller ends. Raises RequestError."""
        asked, trace = request, trace or Trace()
        if _unloads(request) and self._means_encoder(request.model):
            return _unload_nothing(request.model)
        request = structs.replace(self._unfold(request), client=client)
        mode = find_mode(request.model)
        form = self._forms.read(request)
        has_footer = self.config.response.footer and may_have_footer(request)
        began_ms = trace.now_ms()
        exact = self._find_exact(request)
        if exact is not None:
            decision, chunks = decide(exact), say(exact)
            note_tool(trace, decision.tool, began_ms=began_ms, reason="it answers in a model's place")
            trace.decide(decision)
        else:
            request = self._attachments.take_in(unsign(request) if has_footer else request, watch=watch)
            began_ms = trace.now_ms()
            decision = self._decide(request, mode)
            note_decision(trace, decision, began_ms=began_ms)
            self._check_named(asked, decision)
            chunks = self._ask(request, decision, mode, request_id=request_id, form=form, trace=trace)
        note_name(trace, asked.model, decision, is_alias=request.model != asked.model)
        settled = settle(chunks, request, decision, statistics=self._statistics, request_id=request_id, trace=trace)
        return Answer(decision, sign(settled) if has_footer else settled)

    def _find_exact(self, request: ChatRequest) -> Answered | None:
        """A tool's answer, where the router was to choose and a tool knows it exactly. Raises ModelNotFound."""
        mode = find_mode(request.model)
        if mode is not None and not mode.takes_exact:
            return None
        return self._inline.find(request) if self.router.chooses(request.model) else None

    def _decide(self, request: ChatRequest, mode: Mode | None) -> Decision:
        """Who answers, how, and with the model of which tier. Raises ModelNotFound."""
        decision = choose_strategy(request, self.router.decide(request), orchestrates=mode is not None,
                                   experts=self.config.experts, rate=self.router.rate)
        return self._staff.equip(decision)

    def _ask(
        self, request: ChatRequest, decision: Decision, mode: Mode | None, *, request_id: str, form: Form | None,
        trace: Trace,
    ) -> Generator[Chunk, None, None]:
        began_ms = trace.now_ms()
        grounded = self._grounding.add(request, decision)
        if grounded is not request:
            note_tool(trace, "grounding", began_ms=began_ms, reason="facts that tools found stand beside the prompt")
        request = self._toolloop.offer(grounded, decision, always=mode is not None and mode.offers_tools)
        if mode is not None and _is_question(request, decision):
            chunks = self._conductor.run(request, decision, mode, request_id=request_id, form=form, trace=trace)
        else:
            chunks = self._toolloop.run(request, decision, request_id=request_id, form=form, trace=trace)
        return self._callers.note(chunks, request) if decision.virtual else chunks

    def _find_room(self, decision: Decision) -> int:
        """How many tokens a prompt may have, 0 where nobody knows."""
        chosen = next(self._lineup.candidates(decision))
        return chosen.backend.context_tokens(chosen.model)

    def measure(self, request: ChatRequest) -> tuple[ChatRequest, int | None]:
        """`request` as the model that would answer gets it, and its exact length in tokens, None where nobody can say.
        Calls no model. Raises RequestError."""
        request = self._attachments.take_in(self._unfold(request))
        decision = self._decide(request, find_mode(request.model))
        request = self._toolloop.offer(self._grounding.add(request, decision), decision)
        chosen = next(self._lineup.candidates(decision))
        prepared = join(prepare(request, chosen.expert, chosen.model), chosen.backend)
        return prepared, chosen.backend.count_tokens(prepared) if isinstance(chosen.backend, Counting) else None

    def route(self, request: ChatRequest) -> dict[str, Any]:
        """What `answer` would decide, calling no model, in the form of /v1/route."""
        if not request.user_texts and not request.has_image and not request.model:
            raise BadRequest("there is no text to route", param="text")
        request = self._unfold(request)
        exact = self._find_exact(request)
        decision = self._decide(request, find_mode(request.model)) if exact is None else decide(exact)
        model = decision.model or self._lineup.model(decision.expert)
        return tell_decision(decision, request, model=model, rate=self.router.rate)

    def keeps_name(self, asked: str, decision: Decision) -> bool:
        """Whether a reply gives the model's name as it was `asked`: where the client named the one that answers."""
        is_wanted = self.config.server.reply_model == "requested"
        return is_wanted or _is_named(decision) or self._cards.find_alias(asked) is not None

    def _unfold(self, request: ChatRequest) -> ChatRequest:
        """What a request means to whom its model's name stands for. Raises BadRequest for one that cannot chat."""
        alias = self._cards.find_alias(request.model)
        if self._means_encoder(request.model):
            raise _unfit(request, request.verb or "chat")
        if alias is not None:
            return take_on(request, alias)
        self._cards.seek(request.model)
        return request

    def _means_encoder(self, name: str) -> bool:
        alias = self._cards.find_alias(name)
        return self.vectors.is_encoder(name if alias is None else alias.source)

    def _check_named(self, asked: ChatRequest, decision: Decision) -> None:
        """What Ollama refuses a model that was named, where it is asked as Ollama is. Raises BadRequest."""
        if not asked.verb or not _is_named(decision) or _unloads(asked):
            return
        can = self._cards.abilities(decision.model)
        if can and "completion" not in can:
            raise _unfit(asked, asked.verb)
        if can and asked.think and "thinking" not in can:
            raise _unfit(asked, "thinking", param="think")

    def cards(self) -> list[ModelCard]:
        """The names a client may ask for: the router itself, the experts, the aliases, the upstream models."""
        return self._cards.all()

    def find_card(self, name: str) -> ModelCard | None:
        """The card for a client's name."""
        return self._cards.find(name)

    def page(self, card: ModelCard, asked: dict[str, Any]) -> dict[str, Any]:
        """What Ollama itself says of the model behind a card, {} for nothing; `asked` as for `Catalog.show`."""
        return self._cards.page(card, asked)

    def loaded_cards(self) -> list[ModelCard]:
        """The models in memory."""
        return self._cards.loaded()

    def health(self) -> dict[str, Any]:
        """What is up and who is served by what; asks nobody anything now."""
        note = tell_guesses(self.config) if self.router.mode == "embedding" else ""
        told = {"mode": self.router.mode, "note": "; ".join(filter(None, (self.router.note, note)))}
        return tell_health(self.config.experts, self._lineup, self.catalog, router=told,
                           is_faulty=self.router.is_faulty)


def _is_named(decision: Decision) -> bool:
    """Whether the client named the very model that answers."""
    return decision.stage == "raw" and not decision.virtual


def _forget(model: str, domain: str, positive: bool) -> None:
    """Where nothing is kept."""


def _is_question(request: ChatRequest, decision: Decision) -> bool:
    """Whether it is for experts to answer: no housekeeping of a client's, and no bare text to go on with."""
    is_chat = bool(request.messages) and request.completion is None
    return is_chat and decision.stage not in ("raw", "tool") and not is_housekeeping(request)


def _unloads(request: ChatRequest) -> bool:
    return request.only_loads and read_keep_alive(request.keep_alive, default_s=math.inf) == 0


def _unload_nothing(model: str) -> Answer:
    """The encoder stays, since the router needs it; who sends it away need not know."""
    chunks: tuple[Chunk, ...] = (Started(expert=model, model=model), Done(finish="unload"))
    return Answer(decide_raw(model), iter(chunks))


def _unfit(request: ChatRequest, ability: str, *, param: str = "model") -> BadRequest:
    return BadRequest(f'"{request.model}" does not support {ability}', param=param)
