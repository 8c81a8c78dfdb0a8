from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe.core import ChatRequest, Completion, Decision, Image, Message, Text
from moe.errors import ModelNotFound
from moe.routing import Router, Trace, build_router

from .kit import CHEF, CODER, DOCTOR, EYES, FALLBACK, TEAM, FewModels, WordEmbedder, ask, make_config, make_router, show


def told(decision: Decision) -> tuple[str, str]:
    return decision.expert.label, decision.stage


def test_the_last_message_decides_by_its_meaning(tmp_path: Path) -> None:
    decision = make_router(tmp_path).decide(ask("which recipe for a soup"))
    assert told(decision) == ("chef", "embedding")
    assert decision.virtual and decision.elapsed_ms > 0
    assert 0.4 <= decision.confidence <= 1


def test_scores_name_every_signal_of_every_routable_expert(tmp_path: Path) -> None:
    decision = make_router(tmp_path).decide(ask("python code"))
    assert set(decision.scores) == {"coder", "doctor", "chef"}
    assert set(decision.scores["coder"]) == {
        "score", "probability", "max_keyword", "description", "mean_keyword", "top3_vote"}
    assert decision.scores["coder"]["probability"] == decision.confidence
    assert decision.scores["coder"]["max_keyword"] == pytest.approx(2 ** -0.5)


def test_neither_the_fallback_nor_an_unroutable_expert_competes(tmp_path: Path) -> None:
    router = make_router(tmp_path, msgspec.structs.replace(FALLBACK, description="python code"), CODER, DOCTOR, EYES)
    decision = router.decide(ask("python code photo"))
    assert told(decision) == ("coder", "embedding") and set(decision.scores) == {"coder", "doctor"}


def test_nothing_in_common_goes_to_the_fallback_with_the_probability_that_no_expert_fits(tmp_path: Path) -> None:
    decision = make_router(tmp_path).decide(ask("zzz qqq"))
    assert told(decision) == ("fallback", "fallback")
    best = max(signals["probability"] for signals in decision.scores.values())
    assert decision.confidence == pytest.approx(1 - best)


@pytest.mark.parametrize("text", ["zzzz", "👍", "🤒🤧", "(((((((("])
def test_what_says_nothing_is_nobodys_until_a_turn_before_it_says_something(tmp_path: Path, text: str) -> None:
    chatty = msgspec.structs.replace(CHEF, keywords=("zzzz", "((((((((", "👍", "soup"))
    router = make_router(tmp_path, FALLBACK, CODER, chatty, keyword_fallback=False)
    decision = router.decide(ask(text))
    assert (*told(decision), decision.confidence) == ("fallback", "fallback", 1.0)
    alone = router.decide(ask("write python code"))
    followed = router.decide(ask("write python code", text))
    assert told(followed) == ("coder", "context")
    assert followed.confidence == pytest.approx(alone.confidence, abs=1e-6)


def test_a_follow_up_goes_to_the_expert_of_the_question_before(tmp_path: Path) -> None:
    talk = ask("write python code", "make it shorter")
    assert told(make_router(tmp_path).decide(talk)) == ("coder", "context")
    assert told(make_router(tmp_path, by_keywords=True).decide(talk)) == ("coder", "keyword")


def test_a_follow_up_that_looks_sure_is_still_read_in_its_context(tmp_path: Path) -> None:
    chatty = msgspec.structs.replace(CHEF, keywords=("shorten the recipe", "soup"))
    router = make_router(tmp_path, FALLBACK, CODER, DOCTOR, chatty, confidence_threshold=0.3)
    assert told(router.decide(ask("please shorten it"))) == ("chef", "embedding")
    assert told(router.decide(ask("write python code", "please shorten it"))) == ("coder", "context")


def test_a_new_topic_leaves_the_old_one(tmp_path: Path) -> None:
    for by_keywords in (False, True):
        router = make_router(tmp_path, by_keywords=by_keywords)
        assert router.decide(ask("write python code", "recipe, soup, oven temperature")).expert.label == "chef"


def test_only_the_last_few_messages_are_read(tmp_path: Path) -> None:
    router = make_router(tmp_path, by_keywords=True, context_messages=2)
    assert told(router.decide(ask("python", "go on, go on", "go on"))) == ("fallback", "fallback")
    assert told(router.decide(ask("python", "go on"))) == ("coder", "keyword")


def test_a_long_context_is_cut_from_its_oldest_end(tmp_path: Path) -> None:
    router = make_router(tmp_path, by_keywords=True, context_max_chars=18)
    assert told(router.decide(ask("python", "soup", "go on, go on"))) == ("chef", "keyword")


def test_the_keyword_threshold_is_its_own(tmp_path: Path) -> None:
    text = ask("python fever soup and blood pressure")
    strict = make_router(tmp_path, by_keywords=True, confidence_threshold=1)
    loose = make_router(tmp_path, by_keywords=True, confidence_threshold=1, confidence_threshold_keyword=0.3)
    assert told(strict.decide(text)) == ("fallback", "fallback")
    assert told(loose.decide(text)) == ("doctor", "keyword")


def test_by_default_one_keyword_of_one_expert_is_enough(tmp_path: Path) -> None:
    decision = make_router(tmp_path, by_keywords=True).decide(ask("python, please"))
    assert told(decision) == ("coder", "keyword") and decision.confidence == 0.5
    assert decision.scores == {"coder": {"score": 0.5, "keyword": 0.5}, "doctor": {"score": 0, "keyword": 0},
                               "chef": {"score": 0, "keyword": 0}}


def test_keywords_decide_what_the_encoder_is_unsure_of_unless_switched_off(tmp_path: Path) -> None:
    text = ask("python")
    assert told(make_router(tmp_path, softmax_temperature=9).decide(text)) == ("coder", "keyword")
    off = make_router(tmp_path, softmax_temperature=9, keyword_fallback=False)
    assert told(off.decide(text)) == ("fallback", "fallback")
    assert told(make_router(tmp_path, by_keywords=True, keyword_fallback=False).decide(text)) == ("coder", "keyword")


def test_a_tie_does_not_depend_on_the_order_of_the_file(tmp_path: Path) -> None:
    text = ask("my snake is a python and it has a fever")
    for team in ((FALLBACK, CODER, DOCTOR), (DOCTOR, FALLBACK, CODER)):
        assert make_router(tmp_path, *team, by_keywords=True).decide(text).expert.label == "coder"
    twins = [msgspec.structs.replace(CODER, id=5, label="b"), msgspec.structs.replace(CODER, id=6, label="a")]
    for pair in (twins, reversed(twins)):
        assert make_router(tmp_path, FALLBACK, *pair, by_keywords=True).decide(ask("python")).expert.label == "a"


def test_a_picture_goes_to_an_expert_that_sees(tmp_path: Path) -> None:
    router = make_router(tmp_path)
    assert told(router.decide(ChatRequest(messages=(show("fix this python code"),)))) == ("eyes", "vision")
    picture = Completion(prompt="python", images=(Image("aGk="),))
    assert told(router.decide(ChatRequest(completion=picture))) == ("eyes", "vision")


def test_without_an_available_eye_the_text_decides(tmp_path: Path) -> None:
    request = ChatRequest(messages=(show("fix this python code"),))
    assert told(make_router(tmp_path, models=FewModels(asleep=["eyes"])).decide(request)) == ("coder", "embedding")
    seeing = msgspec.structs.replace(FALLBACK, vision=True)
    assert told(make_router(tmp_path, seeing, CODER, DOCTOR).decide(request)) == ("fallback", "vision")
    assert told(make_router(tmp_path, seeing, CODER, EYES).decide(request)) == ("eyes", "vision")


CHORES = (
    ask("python", "### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history."),
    ChatRequest(model="gpt-4o", completion=Completion(prompt="def python(", suffix="return 1")),
    ChatRequest(completion=Completion(prompt="python", raw=True)),
)


@pytest.mark.parametrize("request_", CHORES)
def test_a_chore_goes_to_a_model_that_is_loaded(tmp_path: Path, request_: ChatRequest) -> None:
    decision = make_router(tmp_path, models=FewModels(loaded="phi4:14b")).decide(request_)
    assert told(decision) == ("phi4:14b", "raw") and decision.model == "phi4:14b" and decision.virtual
    assert told(make_router(tmp_path).decide(request_)) == ("fallback", "fallback")


def test_a_chore_for_a_named_expert_stays_there(tmp_path: Path) -> None:
    router = make_router(tmp_path, models=FewModels(loaded="phi4:14b"))
    named = msgspec.structs.replace(CHORES[0], model="doctor")
    assert told(router.decide(named)) == ("doctor", "explicit") and not router.decide(named).virtual


def test_a_plain_completion_is_routed_by_its_prompt(tmp_path: Path) -> None:
    router = make_router(tmp_path)
    assert told(router.decide(ChatRequest(completion=Completion(prompt="a soup recipe")))) == ("chef", "embedding")


@pytest.mark.parametrize("messages", [
    (), (Message("system", (Text("python"),)),), (Message("user", ()),), (Message("user", (Text(" \n"),)),),
    (Message("assistant", (Text("python"),)),),
])
def test_a_request_without_a_users_words_goes_to_the_fallback(tmp_path: Path, messages: tuple[Message, ...]) -> None:
    for by_keywords in (False, True):
        decision = make_router(tmp_path, by_keywords=by_keywords).decide(ChatRequest(messages=messages))
        assert told(decision) == ("fallback", "fallback") and decision.confidence == 1


def test_an_unknown_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        make_router(tmp_path).decide(ask("python", model="no-such-model"))


def test_a_classifier_may_stand_between_context_and_keywords(tmp_path: Path) -> None:
    def classify(request: ChatRequest, trace: Trace) -> Decision | None:
        return Decision(expert=DOCTOR, stage="classifier", confidence=0.8) if "unwell" in trace.texts[-1] else None

    router = build_router(make_config(softmax_temperature=9), models=FewModels(), embedder=WordEmbedder(),
                          cache_folder=tmp_path, classifier=classify)
    assert told(router.decide(ask("unwell python"))) == ("doctor", "classifier")
    assert told(router.decide(ask("python"))) == ("coder", "keyword")


def test_the_router_says_how_it_works(tmp_path: Path) -> None:
    with_encoder, without = make_router(tmp_path), make_router(tmp_path, by_keywords=True)
    switched_off = make_router(tmp_path, by_keywords=True, model_path="")
    assert (with_encoder.mode, with_encoder.note) == ("embedding", "")
    assert without.mode == "keyword" and "./setup.sh" in without.note
    assert switched_off.mode == "keyword" and 'model_path is ""' in switched_off.note
    told_why = build_router(make_config(), models=FewModels(), embedder=None, cache_folder=tmp_path, note="broken")
    assert told_why.note == "broken"


def test_one_expert_or_none_beside_the_fallback_is_enough(tmp_path: Path) -> None:
    assert told(make_router(tmp_path, FALLBACK).decide(ask("python"))) == ("fallback", "fallback")
    assert told(make_router(tmp_path, FALLBACK, CODER).decide(ask("python"))) == ("coder", "embedding")


def test_expert_vectors_are_kept_between_builds(tmp_path: Path) -> None:
    def build() -> WordEmbedder:
        embedder = WordEmbedder()
        build_router(make_config(), models=FewModels(), embedder=embedder, cache_folder=tmp_path)
        return embedder

    assert build().seen and not build().seen


def test_many_threads_get_the_decisions_that_one_gets(tmp_path: Path) -> None:
    router = make_router(tmp_path)
    requests = [ask(text) for text in ("python code", "a soup recipe", "fever and headache", "zzz")] * 25
    alone = [told(router.decide(request)) for request in requests]
    with ThreadPoolExecutor(8) as pool:
        assert [told(decision) for decision in pool.map(router.decide, requests)] == alone


@pytest.fixture(scope="module", params=[False, True], ids=["embedding", "keyword"])
def any_router(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Router:
    return make_router(tmp_path_factory.mktemp("any"), by_keywords=request.param)


TALK: Any = st.lists(st.text(max_size=80) | st.sampled_from(["python", "### Task:", "```", "fever"]), max_size=5)


@settings(deadline=None)
@given(TALK)
def test_every_conversation_gets_an_expert_and_a_probability(any_router: Router, texts: list[str]) -> None:
    decision = any_router.decide(ask(*texts))
    assert decision.expert in TEAM
    assert 0 <= decision.confidence <= 1
    assert all(0 <= signals.get("keyword", 0) <= 1 for signals in decision.scores.values())
