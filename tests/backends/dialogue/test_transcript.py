from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from moe.backends.dialogue.transcript import Transcript, dangling


def told(pieces: list[bytes], stops: list[str]) -> tuple[list[str], bool]:
    transcript = Transcript(stops)
    texts = []
    for piece in pieces:
        texts.append(transcript.feed(piece))
        if transcript.is_stopped:
            break
    else:
        texts.append(transcript.finish())
    return texts, transcript.is_stopped


def test_a_stop_string_across_tokens_ends_the_answer_and_nothing_of_it_is_shown() -> None:
    assert told([b"one S", b"TO", b"P two"], ["STOP"]) == (["one ", "", ""], True)


def test_what_only_began_like_a_stop_string_is_shown_once_that_is_certain() -> None:
    assert told([b"a S", b"TO", b"RM"], ["STOP"]) == (["a ", "", "STORM", ""], False)


def test_what_is_held_back_at_the_end_is_shown() -> None:
    assert told([b"a ST"], ["STOP"]) == (["a ", "ST"], False)


def test_the_earliest_of_several_stop_strings_wins() -> None:
    assert told([b"a\nb;c"], [";", "\n"]) == (["a"], True)


def test_a_character_spread_over_tokens_is_shown_when_it_is_whole() -> None:
    smile = "🙂".encode()
    assert told([smile[:1], smile[1:3], smile[3:] + b"!"], []) == (["", "", "🙂!", ""], False)


def test_bytes_that_are_no_text_become_the_sign_for_that() -> None:
    assert told([b"a\xff", b"\xc3"], []) == (["a\ufffd", "", "\ufffd"], False)


def test_a_stop_string_of_more_bytes_than_letters_is_found_across_tokens() -> None:
    word = "終わり".encode()
    assert told([b"x" + word[:2], word[2:5], word[5:], b"y"], ["終わり"]) == (["x", "", ""], True)


def test_a_stop_string_that_ends_with_the_last_bytes_still_ends_the_answer() -> None:
    transcript = Transcript(["é"])
    assert transcript.feed("é".encode()[:1]) == ""
    assert transcript.feed("é".encode()[1:]) == ""
    assert transcript.is_stopped


@given(st.text(alphabet="abc", max_size=30), st.lists(st.text(alphabet="abc", min_size=1, max_size=4), max_size=3),
       st.integers(1, 5))
def test_the_text_is_always_what_stands_before_the_first_stop_string(text: str, stops: list[str], size: int) -> None:
    data = text.encode()
    texts, is_stopped = told([data[at:at + size] for at in range(0, len(data), size)], stops)
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    assert is_stopped == bool(places)
    if not is_stopped:
        assert "".join(texts) == text
    else:
        # In a piece with two stop strings the one that begins first counts; pieces come one after the other.
        assert text.startswith("".join(texts))
        assert not any(stop in "".join(texts) for stop in stops)


def test_the_longest_possible_beginning_is_held_back() -> None:
    assert dangling("aab", ("aabaac", "b!")) == 3
    assert dangling("xyz", ("abc",)) == 0
    assert dangling("abc", ("abc",)) == 0
