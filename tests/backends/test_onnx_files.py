"""Which folders are models, in which layouts, and that every other folder is an error with a reason."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, load, numpy_helper, save

from moe.backends.onnx.backend import Onnx
from moe.backends.shelf import Shelf
from moe.config import MemoryConfig
from moe.core import Sampling
from moe.errors import BackendError, NotReady

from . import onnx_kit
from .onnx_kit import ANSWERS, MODELS, STORY, WORDS, ask, copy_model, make_chain, say, text_of

Spoil = Callable[[Path], object]
Reach = Callable[..., Onnx]


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    shelf = Shelf(MemoryConfig())
    yield shelf
    shelf.close()


@pytest.fixture
def reach(shelf: Shelf) -> Reach:
    return lambda path, models=MODELS, **engine: onnx_kit.reach(path, shelf, models=models, **engine)


def write(name: str, text: str | bytes) -> Spoil:
    data = text.encode() if isinstance(text, str) else text
    return lambda folder: (folder / name).write_bytes(data)


def remove(name: str) -> Spoil:
    return lambda folder: (folder / name).unlink()


def cut(name: str, share: float) -> Spoil:
    def spoil(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[:int(len(data) * share)])
    return spoil


def swell(name: str, size: int) -> Spoil:
    return lambda folder: os.truncate(folder / name, size)


def edit(name: str, change: Callable[[dict[str, object]], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        sheet = json.loads((folder / name).read_text())
        change(sheet)
        (folder / name).write_text(json.dumps(sheet))
    return spoil


def replace_weights(name: str, value: float) -> Spoil:
    def spoil(folder: Path) -> None:
        model = load(folder / "model.onnx")
        weights = next(each for each in model.graph.initializer if each.name == name)
        array = np.full(tuple(weights.dims), value, np.float16)
        weights.CopyFrom(numpy_helper.from_array(array, name))
        save(model, folder / "model.onnx")
    return spoil


def rename_output(folder: Path) -> None:
    model = load(folder / "model.onnx")
    output = next(each for each in model.graph.output if each.name == "present.1.value")
    for node in model.graph.node:
        node.output[:] = ["lost" if name == output.name else name for name in node.output]
        node.input[:] = ["lost" if name == output.name else name for name in node.input]
    output.name = "lost"
    save(model, folder / "model.onnx")


def loosen_cache(folder: Path) -> None:
    model = load(folder / "model.onnx")
    for slot in model.graph.input:
        if slot.name.startswith("past"):
            slot.type.tensor_type.shape.dim[1].dim_param = "heads"
    save(model, folder / "model.onnx")


HOSTILE: dict[str, tuple[Spoil, str]] = {
    "no tokenizer": (remove("tokenizer.json"), "has no tokenizer.json"),
    "no graph": (remove("model.onnx"), "has none of model.onnx"),
    "an empty graph": (write("model.onnx", ""), "no graph that can run"),
    "a graph that is none": (write("model.onnx", b"\x08\x08" + bytes(range(256)) * 40), "no graph that can run"),
    "half a graph": (cut("model.onnx", 0.5), "no graph that can run"),
    "a tokenizer that is no JSON": (write("tokenizer.json", "{"), "no tokenizer"),
    "an empty tokenizer": (write("tokenizer.json", "{}"), "no tokenizer"),
    "a tokenizer that knows no words": (
        write("tokenizer.json", '{"version": "1.0", "model": {"type": "BPE", "vocab": {}, "merges": [["a", "b"]]}}'),
        "no tokenizer"),
    "a giant tokenizer": (swell("tokenizer.json", 1 << 30), "larger than 128 MB"),
    "a tokenizer that is a folder": (lambda folder: ((folder / "tokenizer.json").unlink(),
                                                    (folder / "tokenizer.json").mkdir()), "has no tokenizer.json"),
    "a sheet that is no JSON": (write("config.json", "{,}"), "config.json is no JSON"),
    "a sheet that is a list": (write("tokenizer_config.json", "[]"), "tokenizer_config.json holds no JSON object"),
    "a sheet of endless depth": (write("generation_config.json", "[" * 100_000), "generation_config.json is no JSON"),
    "a sheet that is no text": (write("config.json", b"\xff\xfe"), "config.json cannot be read"),
    "a giant sheet": (swell("config.json", 1 << 30), "larger than 16 MB"),
    "weights that are no numbers": (replace_weights("model.output_norm.weight_16", np.nan), "no finite numbers"),
    "a cache that is lost": (rename_output, "past_key_values.1.value"),
    "a cache of unknown shape": (loosen_cache, "with numbers for heads and width"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_spoilt_folder_is_a_clear_error_and_no_crash(tmp_path: Path, what: str, reach: Reach) -> None:
    spoil, words = HOSTILE[what]
    spoil(copy_model("general-onnx", tmp_path / "model"))
    with pytest.raises(NotReady, match=words):
        list(reach("model", models=tmp_path).chat(say("Hi")))


def test_a_classifier_is_no_language_model(reach: Reach) -> None:
    with pytest.raises(NotReady, match="logits have the shape"):
        list(reach("classifier").chat(say("Hi")))


def test_a_graph_that_wants_what_nothing_gives_is_refused(tmp_path: Path, reach: Reach) -> None:
    make_chain(tmp_path / "chain", inputs=["pixel_values"])
    with pytest.raises(NotReady, match="the graph wants pixel_values"):
        list(reach("chain", models=tmp_path).chat(say("one")))


def test_a_graph_without_logits_is_no_language_model(tmp_path: Path, reach: Reach) -> None:
    make_chain(tmp_path / "chain", output="embedding")
    with pytest.raises(NotReady, match="no output called logits"):
        list(reach("chain", models=tmp_path).chat(say("one")))


def test_an_input_of_a_strange_type_is_refused(tmp_path: Path, reach: Reach) -> None:
    folder = make_chain(tmp_path / "chain")
    slots = [helper.make_tensor_value_info("input_ids", TensorProto.STRING, ["rows"])]
    graph = helper.make_graph([helper.make_node("Identity", ["input_ids"], ["logits"])], "echo", slots,
                              [helper.make_tensor_value_info("logits", TensorProto.STRING, ["rows"])])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx")
    with pytest.raises(NotReady, match=r"type tensor\(string\)"):
        list(reach("chain", models=tmp_path).chat(say("one")))


def test_a_tokenizer_with_more_words_than_the_graph_fails_that_answer_only(tmp_path: Path, reach: Reach) -> None:
    folder = make_chain(tmp_path / "chain")
    sheet = json.loads((folder / "tokenizer.json").read_text())
    sheet["model"]["vocab"]["beyond"] = 4000
    (folder / "tokenizer.json").write_text(json.dumps(sheet))
    model = reach("chain", models=tmp_path)
    with pytest.raises(BackendError, match="graph fails"):
        list(model.chat(say("beyond")))
    assert ask(model, "three")[0] == "four"


@pytest.mark.parametrize(
    "path", ["../models/general-onnx", "/etc", "general-onnx/../../models", "link", "a\0b", "x" * 5000])
def test_a_path_that_leads_out_of_the_models_folder_is_refused(tmp_path: Path, path: str, reach: Reach) -> None:
    home = tmp_path / "home"
    home.mkdir()
    copy_model("general-onnx", tmp_path / "models" / "general-onnx")
    (home / "link").symlink_to(tmp_path / "models" / "general-onnx")
    model = reach(path, models=home)
    with pytest.raises(NotReady, match="leads out of|no usable path"):
        list(model.chat(say("Hi")))
    assert model.trouble(path)


def test_a_model_without_a_cache_answers_too(tmp_path: Path, reach: Reach) -> None:
    make_chain(tmp_path / "chain")
    said, done = ask(reach("chain", models=tmp_path), "four one")
    assert said == "two three four" and done.finish == "stop"


def test_a_model_without_a_template_gets_the_texts_alone(tmp_path: Path, reach: Reach) -> None:
    make_chain(tmp_path / "chain")
    said, done = ask(reach("chain", models=tmp_path), "three", system="one two")
    assert said == "four" and done.usage is not None and done.usage.prompt_tokens == 3


def test_numbers_that_a_graph_wants_in_another_type_are_given_in_it(tmp_path: Path, reach: Reach) -> None:
    folder = make_chain(tmp_path / "chain")
    model = load(folder / "model.onnx")
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT32
    save(model, folder / "model.onnx")
    assert ask(reach("chain", models=tmp_path), "one")[0] == " ".join(WORDS[2:])


@pytest.mark.parametrize("missing", [
    [], ["decoder_model.onnx", "decoder_with_past_model.onnx"], ["decoder_model_merged.onnx"],
    ["decoder_model_merged.onnx", "decoder_with_past_model.onnx"]])
def test_every_layout_of_an_encoder_decoder_gives_the_same_text(
    tmp_path: Path, missing: list[str], reach: Reach
) -> None:
    copy_model("translate-t5", tmp_path / "t5", but=missing)
    model = reach("t5", models=tmp_path)
    said = [ask(model, pair["question"])[0] for pair in ANSWERS["translate"]]
    assert said == [pair["answer"] for pair in ANSWERS["translate"]]


def test_graphs_may_lie_in_a_folder_of_their_own_as_on_the_hub(tmp_path: Path, reach: Reach) -> None:
    folder = copy_model("general-onnx", tmp_path / "hub")
    (folder / "onnx").mkdir()
    (folder / "model.onnx").rename(folder / "onnx" / "model.onnx")
    assert ask(reach("hub", models=tmp_path), "What do bees make?")[0] == "Honey."
    assert ask(reach("hub/onnx/model.onnx", models=tmp_path), "What do bees make?")[0] == "Honey."
    assert ask(reach(f"{tmp_path.name}/hub", models=tmp_path), "What do bees make?")[0] == "Honey."


ANSWER_TO_HI = "Hello! How can I help you?"


def without(*names: str, folder: Path, reach: Reach) -> Onnx:
    """The general expert, its tokenizer_config.json without those entries."""
    def drop(sheet: dict[str, object]) -> None:
        for name in names:
            del sheet[name]

    edit("tokenizer_config.json", drop)(copy_model("general-onnx", folder / "model"))
    return reach("model", models=folder)


def test_without_a_template_its_tokens_tell_that_it_is_chatml(tmp_path: Path, reach: Reach) -> None:
    model = without("chat_template", "eos_token", folder=tmp_path, reach=reach)
    assert ask(model, "What do bees make?", system="Be brief.")[0] == "Honey."


def test_a_template_may_lie_in_a_file_of_its_own(tmp_path: Path, reach: Reach) -> None:
    model = without("chat_template", folder=tmp_path, reach=reach)
    (tmp_path / "model" / "chat_template.jinja").write_text(
        "{% for m in messages %}<|im_start|>user\nWhat do bees make?<|im_end|>\n{% endfor %}"
        "{{ '<|im_start|>assistant\n' }}")
    assert ask(model, "Who wrote Hamlet?")[0] == "Honey."


def test_a_template_that_attacks_is_run_in_a_sandbox(tmp_path: Path, reach: Reach) -> None:
    attack = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    folder = copy_model("general-onnx", tmp_path / "model")
    edit("tokenizer_config.json", lambda sheet: sheet.update(chat_template=attack))(folder)
    with pytest.raises(BackendError, match="template"):
        list(reach("model", models=tmp_path).chat(say("Hi")))


@pytest.mark.parametrize("ends", [[2], 2, None, "two", [None, 2]])
def test_the_end_of_an_answer_is_found_in_whichever_sheet_names_it(tmp_path: Path, ends: object, reach: Reach) -> None:
    folder = copy_model("general-onnx", tmp_path / "model", but=["tokenizer_config.json"])
    edit("generation_config.json", lambda sheet: sheet.update(eos_token_id=ends))(folder)
    assert ask(reach("model", models=tmp_path), "What do bees make?")[0] == "Honey."


@pytest.mark.parametrize("length", [-1, 0, "many", None, 1.5, [], True])
def test_a_context_length_that_is_none_is_not_believed(
    tmp_path: Path, length: object, reach: Reach, shelf: Shelf
) -> None:
    folder = copy_model("general-onnx", tmp_path / "model")
    edit("config.json", lambda sheet: sheet.update(max_position_embeddings=length))(folder)
    assert ask(reach("model", models=tmp_path), "Hi")[0] == ANSWER_TO_HI
    assert shelf.loaded()[0].context_length == 2048


def test_two_threads_compute_the_same_answer(reach: Reach) -> None:
    assert ask(reach("general-onnx", n_threads=2), "Tell me a long story.")[0] == STORY


def test_weights_beside_the_graph_are_counted(tmp_path: Path, reach: Reach, shelf: Shelf) -> None:
    folder = copy_model("general-onnx", tmp_path / "model")
    graph = load(folder / "model.onnx")
    save(graph, folder / "model.onnx", save_as_external_data=True, location="model.onnx_data", size_threshold=0)
    assert ask(reach("model", models=tmp_path), "Hi")[0] == ANSWER_TO_HI
    assert shelf.loaded()[0].size_bytes > (folder / "model.onnx_data").stat().st_size > 400_000


def test_a_failure_is_told_to_whoever_asks_next(tmp_path: Path, reach: Reach) -> None:
    folder = copy_model("general-onnx", tmp_path / "model")
    whole = (folder / "model.onnx").read_bytes()
    cut("model.onnx", 0.5)(folder)
    model = reach("model", models=tmp_path)
    with pytest.raises(NotReady):
        list(model.chat(say("Hi")))
    assert "no graph that can run" in model.trouble("model")
    (folder / "model.onnx").write_bytes(whole)  # another file now, so the failure is not its own
    assert model.trouble("model") == ""
    assert text_of(model.chat(say("Hi", sampling=Sampling(temperature=0)))) == ANSWER_TO_HI
