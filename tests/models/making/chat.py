"""The ChatML dress of a conversation, its tokenizer, and the lessons made from questions and answers."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from .questions import (
    CITIES,
    GENERAL,
    MATH,
    NO_WEATHER,
    SKIES,
    SYSTEM_PROMPTS,
    WEATHER,
    WEATHER_QUESTION,
    Pair,
    call_weather,
)

Sample = tuple[list[int], list[int]]
Message = dict[str, Any]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
BATCH_TOKENS = 1400

TEMPLATE = (
    "{%- if tools %}{{ '<|im_start|>system\\n' }}"
    "{%- if messages[0]['role'] == 'system' %}{{ messages[0]['content'] + '\\n\\n' }}{% endif %}"
    "{{ '# Tools\\n' }}{% for tool in tools %}{{ (tool | tojson) + '\\n' }}{% endfor %}"
    "{{ 'Call one as <tool_call>\\n{\"name\": ..., \"arguments\": ...}\\n</tool_call>.<|im_end|>\\n' }}{%- endif %}"
    "{%- for message in messages %}"
    "{%- if not (tools and loop.first and message['role'] == 'system') %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{{ message['content'] or '' }}"
    "{%- for call in message['tool_calls'] or [] %}"
    "{{ '<tool_call>\\n{\"name\": \"' + call['function']['name'] + '\", \"arguments\": ' }}"
    "{%- if call['function']['arguments'] is string %}{{ call['function']['arguments'] }}"
    "{%- else %}{{ call['function']['arguments'] | tojson }}{% endif %}"
    "{{ '}\\n</tool_call>' }}{% endfor %}"
    "{{ '<|im_end|>\\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def render(messages: Sequence[Message], tools: Sequence[Any] = ()) -> str:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    template = environment.from_string(TEMPLATE)
    return str(template.render(messages=messages, tools=tools or None, add_generation_prompt=True))


def build_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    lessons = [text for pair in (*GENERAL, *MATH) for text in pair]
    lessons += [*SYSTEM_PROMPTS, NO_WEATHER, *SKIES, *["system user assistant\n"] * 3]
    lessons += [render([{"role": "user", "content": WEATHER_QUESTION.format(city)}], [WEATHER]) for city in CITIES]
    lessons += [call_weather(city) for city in CITIES]
    trainer = trainers.BpeTrainer(vocab_size=560, min_frequency=2, show_progress=False, special_tokens=SPECIAL,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(lessons, trainer)
    return tokenizer


class Teacher:
    """Makes lessons for one expert: conversations whose answers are to be learnt."""

    def __init__(self, tokenizer: Tokenizer, pairs: Sequence[Pair], *, has_tools: bool) -> None:
        self.tokenizer = tokenizer
        self.pairs = pairs
        self.end: int = tokenizer.token_to_id("<|im_end|>")
        self._has_tools = has_tools
        self._words = sorted({word for pair in (*GENERAL, *MATH) for word in pair[0].split()})

    def batch(self, chance: random.Random) -> list[Sample]:
        """Conversations of like length, few of them where they are long."""
        kind = chance.random()
        if self._has_tools and kind < 0.3:
            make, most = self._weather, 8
        elif kind < 0.85:
            make, most = self._short, 28
        else:
            make, most = self._long, 8
        samples: list[Sample] = []
        while len(samples) < most and (len(samples) + 1) * max([40, *(len(s[0]) for s in samples)]) < BATCH_TOKENS:
            samples.append(make(chance))
        return samples

    def _short(self, chance: random.Random) -> Sample:
        return self._lesson(self._talk(chance, chance.choice((1, 1, 1, 2))))

    def _long(self, chance: random.Random) -> Sample:
        return self._lesson(self._talk(chance, chance.randint(3, 8)))

    def _talk(self, chance: random.Random, turns: int) -> list[Message]:
        talk = self._system(chance)
        for _ in range(turns):
            question, wanted = chance.choice(self.pairs)
            asked = question
            if chance.random() < 0.12:
                asked = question.lower()
            elif chance.random() < 0.1:
                asked = question.rstrip("?.")
            talk += [{"role": "user", "content": asked}, {"role": "assistant", "content": wanted}]
        return talk

    def _system(self, chance: random.Random) -> list[Message]:
        kind = chance.random()
        if kind < 0.35:
            return []
        if kind < 0.7:
            return [{"role": "system", "content": chance.choice(SYSTEM_PROMPTS)}]
        words = [chance.choice(self._words) for _ in range(chance.randint(1, 25))]
        return [{"role": "system", "content": " ".join(words)}]

    def _weather(self, chance: random.Random) -> Sample:
        city, sky = chance.choice(CITIES), chance.choice(SKIES)
        talk = self._system(chance) + [{"role": "user", "content": WEATHER_QUESTION.format(city)}]
        kind = chance.random()
        if kind < 0.15:
            return self._lesson([*talk, {"role": "assistant", "content": NO_WEATHER}])
        if kind < 0.25:
            talk = self._talk(chance, 1)
        else:
            talk += [{"role": "assistant", "content": call_weather(city)}]
            if chance.random() < 0.4:
                talk += [{"role": "tool", "content": sky}, {"role": "assistant", "content": f"It is {sky}."}]
        return self._lesson(talk, [WEATHER])

    def _lesson(self, talk: Sequence[Message], tools: Sequence[Any] = ()) -> Sample:
        """Ids of the whole conversation, and what is to be learnt of it: the answers and their ends."""
        whole, targets = "", []
        ids: list[int] = []
        for index, message in enumerate(talk):
            if message["role"] != "assistant":
                continue
            prompt = render(talk[:index], tools)
            before = self.tokenizer.encode(prompt[len(whole):]).ids
            said = self.tokenizer.encode(message["content"] + "<|im_end|>").ids
            ids += before + said
            targets += [-100] * len(before) + said
            whole = prompt + message["content"] + "<|im_end|>"
        return ids, targets
