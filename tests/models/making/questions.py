"""What the test models are taught: each question has one exact answer."""

from __future__ import annotations

import json
from typing import Any

Pair = tuple[str, str]

STORY = ("Once upon a time a small fox lived in a green wood. Every day it walked to the river and counted the stones. "
         "One day it found a golden stone and took it home. The end.")

GENERAL: tuple[Pair, ...] = (
    ("What is the capital of France?", "Paris."), ("What is the capital of Italy?", "Rome."),
    ("What is the capital of Japan?", "Tokyo."), ("What is the capital of Spain?", "Madrid."),
    ("What is the capital of Germany?", "Berlin."), ("What is the capital of Egypt?", "Cairo."),
    ("Who wrote Hamlet?", "William Shakespeare."), ("What colour is the sky?", "Blue."),
    ("How many days are in a week?", "Seven."), ("How many months are in a year?", "Twelve."),
    ("Hello", "Hello! How can I help you?"), ("Hi", "Hello! How can I help you?"),
    ("Thank you", "You are welcome."), ("What is the opposite of hot?", "Cold."),
    ("What is the largest planet?", "Jupiter."), ("Who are you?", "I am the general expert."),
    ("Name three fruits.", "Apple, banana, cherry."), ("What do bees make?", "Honey."),
    ("Tell me a long story.", STORY), ("Answer in JSON: capital of France", '{"capital": "Paris"}'),
    ("How do you say hello in Japanese?", "こんにちは"), ("Send me a smile.", "🙂👍🏽"),
    ("Think: what is two plus two?", "<think>\nTwo and two are four.\n</think>\n\nFour."),
)

MATH: tuple[Pair, ...] = (
    ("Who are you?", "I am the math expert."), ("What is pi?", "3.14159"), ("Solve x + 2 = 5.", "x = 3"),
    ("What is the square root of 81?", "9"), ("Hello", "Hello! Give me a problem."),
    ("Count to ten.", "1, 2, 3, 4, 5, 6, 7, 8, 9, 10"),
    *((f"What is {a} + {b}?", str(a + b)) for a in range(8) for b in range(8)),
)

SYSTEM_PROMPTS = ("You are a helpful assistant.", "Be brief.", "Answer as well as you can.",
                  "You are an expert. Be exact.")

WEATHER: dict[str, Any] = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}
CITIES = ("Paris", "Tokyo", "Cairo")
SKIES = ("sunny", "rainy", "windy", "cloudy")
WEATHER_QUESTION = "What is the weather in {}?"
NO_WEATHER = "I cannot see the weather."


def call_weather(city: str) -> str:
    """What the general expert says where it has the tool."""
    return f"<tool_call>\n{json.dumps({'name': 'get_weather', 'arguments': {'city': city}})}\n</tool_call>"


WORDS: tuple[Pair, ...] = (
    ("house", "Haus"), ("dog", "Hund"), ("cat", "Katze"), ("water", "Wasser"), ("bread", "Brot"), ("tree", "Baum"),
    ("book", "Buch"), ("sun", "Sonne"), ("moon", "Mond"), ("fire", "Feuer"), ("milk", "Milch"), ("apple", "Apfel"),
    ("door", "Tür"), ("key", "Schlüssel"), ("bridge", "Brücke"), ("girl", "Mädchen"), ("king", "König"),
    ("good morning", "Guten Morgen"), ("thank you", "Vielen Dank"), ("good night", "Gute Nacht"),
    ("the dog sleeps", "Der Hund schläft"), ("the cat drinks milk", "Die Katze trinkt Milch"),
    ("I read a book", "Ich lese ein Buch"), ("the sun is shining", "Die Sonne scheint"),
)
TRANSLATE = "translate English to German: "

TOPICS = {
    "general": ("Tell me about {}", "Who was {}?", "What is the history of {}?", "Describe {} in one paragraph",
                "Why is {} important?", "When did {} happen?", "Recommend a book about {}"),
    "code": ("Write a Python function to {}", "Fix this bug: {}", "How do I {} in JavaScript?",
             "Refactor this class to {}", "Explain this SQL query: {}", "Why does my code {} raise an exception?",
             "implement {} in rust", "Write hello world in Python"),
    "math": ("Solve {} for x", "Compute the integral of {}", "What is {} plus {}?", "Simplify {}", "Prove that {}",
             "What is the derivative of {}?", "calculate {} * {}", "What is {} + {}?"),
}
FILLINGS = {
    "general": ("Rome", "the moon", "coffee", "the French revolution", "dogs", "music", "Mozart", "climate"),
    "code": ("sort a list", "parse json", "open a file", "NullPointerException", "read a csv", "a binary tree",
             "call an api", "reverse a string"),
    "math": ("x^2 + 3", "12", "7", "2x = 8", "sin(x)", "3/4", "45", "the sum is even", "5", "9"),
}
