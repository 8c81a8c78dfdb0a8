from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from moe.backends.llama.slots import TAIL_TOKENS, Slots, shared_length


class Cells:
    """A cache that notes what was done to it, and knows what each sequence holds."""

    def __init__(self, *, can_cut: bool = True, refuses: bool = False) -> None:
        self.can_cut = can_cut
        self.refuses = refuses
        self.calls: list[tuple[object, ...]] = []

    def cut(self, sequence: int, length: int) -> bool:
        self.calls.append(("cut", sequence, length))
        return length == 0 or not self.refuses

    def share(self, source: int, target: int, start: int, end: int) -> None:
        self.calls.append(("share", source, target, start, end))


def filled(slots: Slots, *prompts: list[int]) -> None:
    """Each prompt read and left."""
    taken = []
    for prompt in prompts:
        slot = slots.take(prompt)
        slot.tokens = list(prompt)
        taken.append(slot)
    for slot in taken:
        slots.leave(slot)


def test_the_next_turn_goes_on_where_the_conversation_was() -> None:
    slots = Slots(cells := Cells(), 4, most_idle=1000)
    filled(slots, [1, 2, 3, 4], [9, 8, 7])
    slot = slots.take([1, 2, 3, 4, 5, 6])
    assert (slot.index, slot.tokens) == (0, [1, 2, 3, 4])
    assert ("share" not in {call[0] for call in cells.calls[2:]})


def test_a_prompt_read_before_is_still_evaluated_in_its_last_token() -> None:
    slots = Slots(Cells(), 2, most_idle=1000)
    filled(slots, [1, 2, 3])
    assert slots.take([1, 2, 3]).tokens == [1, 2]


def test_another_user_with_the_same_system_prompt_shares_it_and_spoils_nothing() -> None:
    system = list(range(100))
    slots = Slots(cells := Cells(), 3, most_idle=1000)
    filled(slots, system + [500] * (TAIL_TOKENS + 1))
    slot = slots.take([*system, 7, 8])
    assert slot.index == 1
    assert slot.tokens == system
    assert cells.calls[-1] == ("share", 0, 1, 0, 100)


def test_a_sequence_in_use_shares_its_beginning_too() -> None:
    slots = Slots(Cells(), 2, most_idle=1000)
    busy = slots.take([1, 2, 3, 4])
    busy.tokens = [1, 2, 3, 4]
    assert slots.take([1, 2, 3, 9]).tokens == [1, 2, 3]


def test_a_regenerated_answer_drops_the_old_ones_short_tail() -> None:
    slots = Slots(cells := Cells(), 2, most_idle=1000)
    prompt = list(range(40))
    filled(slots, [*prompt, 90, 91])
    slot = slots.take([*prompt, 50])
    assert (slot.index, slot.tokens) == (0, prompt)
    assert cells.calls[-1] == ("cut", 0, 40)


def test_a_short_conversation_is_not_taken_for_another_that_begins_with_the_same_marks() -> None:
    slots = Slots(Cells(), 2, most_idle=1000)
    filled(slots, [1, 2, 3, 40, 41])
    slot = slots.take([1, 2, 3, 50, 51])
    assert (slot.index, slot.tokens) == (1, [1, 2, 3])


def test_the_conversation_left_first_gives_way_when_every_slot_holds_one() -> None:
    slots = Slots(Cells(), 2, most_idle=1000)
    filled(slots, [1, 1], [2, 2])
    slots.leave(slots.take([1, 1, 1]))
    slot = slots.take([3, 3])
    assert slot.index == 1


def test_eviction_gives_up_idle_slots_from_the_oldest_on_and_never_a_taken_one() -> None:
    slots = Slots(cells := Cells(), 3, most_idle=1000)
    filled(slots, [1, 1], [2, 2])
    taken = slots.take([3, 3])
    taken.tokens = [3, 3]
    assert [slots.evict(), slots.evict(), slots.evict()] == [True, True, False]
    assert [call for call in cells.calls if call[0] == "cut"][-2:] == [("cut", 0, 0), ("cut", 1, 0)]
    assert taken.tokens == [3, 3]


def test_conversations_that_nobody_goes_on_with_hold_no_more_than_their_part() -> None:
    slots = Slots(cells := Cells(), 4, most_idle=5)
    filled(slots, [1, 1], [2, 2], [3, 3])
    assert [call for call in cells.calls if call == ("cut", 0, 0)]
    assert slots.take([2, 2, 2]).tokens == [2, 2]
    assert slots.take([1, 1, 1]).tokens == []


def test_a_cache_that_refuses_to_be_cut_is_emptied_instead() -> None:
    slots = Slots(Cells(refuses=True), 1, most_idle=1000)
    filled(slots, [1, 2, 3, 4])
    assert slots.take([1, 2, 9]).tokens == []


def test_a_state_that_cannot_be_cut_is_gone_on_with_only_as_a_whole() -> None:
    slots = Slots(cells := Cells(can_cut=False), 3, most_idle=1000)
    filled(slots, [1, 2, 3])
    assert slots.take([1, 2, 3, 4]).tokens == [1, 2, 3]
    assert slots.take([1, 2, 9]).tokens == []
    assert "share" not in {call[0] for call in cells.calls}


def test_adopting_takes_what_another_has_read_meanwhile() -> None:
    slots = Slots(cells := Cells(), 2, most_idle=1000)
    first, second = slots.take([1, 2, 3, 4, 5]), slots.take([1, 2, 3, 4, 9])
    assert slots.adopt(second, [1, 2, 3, 4, 9]) == 0
    first.tokens = [1, 2, 3, 4, 5]
    second.tokens = [1]
    assert slots.adopt(second, [1, 2, 3, 4, 9]) == 3
    assert second.tokens == [1, 2, 3, 4]
    assert cells.calls[-1] == ("share", 0, 1, 1, 4)


@given(st.lists(st.integers(0, 2), max_size=40), st.lists(st.integers(0, 2), max_size=40))
def test_the_shared_length_is_found(one: list[int], other: list[int]) -> None:
    expected = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        expected += 1
    assert shared_length(one, other) == expected


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=12), min_size=1, max_size=30), st.data())
def test_whatever_comes_a_slot_holds_a_true_beginning_of_its_prompt(
    prompts: list[list[int]], data: st.DataObject
) -> None:
    slots = Slots(Cells(), 3, most_idle=1000)
    taken: list[tuple[object, list[int]]] = []
    for prompt in prompts:
        if len(taken) == 3 or (taken and data.draw(st.booleans())):
            slot, _ = taken.pop(data.draw(st.integers(0, len(taken) - 1)))
            slots.leave(slot)  # type: ignore[arg-type]
        slot = slots.take(prompt)
        assert slot.tokens == prompt[:len(slot.tokens)]
        assert len(slot.tokens) < len(prompt)
        slot.tokens = list(prompt)
        taken.append((slot, prompt))
