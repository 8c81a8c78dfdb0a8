"""Continuous batching: every answer that is being written gets its next token from the same step."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from typing import Literal

from ...errors import BackendError, BadAnswer, BrokenStream, NotReady
from ..rounds import Rounds
from .job import Job
from .pace import Pace
from .runner import Part, Row, Runner
from .slots import Slots, shared_length
from .task import Task

log = logging.getLogger("moe.llama")

# How long a step may take while others wait for their next word, and while nobody does.
STEP_S, LONE_STEP_S = 0.1, 1.0
CHUNKS, LONE_CHUNKS = (16, 128), (64, 1024)
LEAST_SHARE = 16
# Tokens that have to be free for each answer under way before another prompt is let in.
RESERVE = 64
FIRST_SPEED = 500.0
IDLE_PART = 4  # of the cache, for conversations that may go on
_FULL = 1


class Batcher:
    """One scheduler thread, which alone touches the context. Clients take turns, and each one's first comes first; no
    answer waits for another one's end, and long prompts are read in pieces between the words of the rest."""

    def __init__(self, runner: Runner, *, name: str, most_running: int) -> None:
        self._runner = runner
        self._most_running = most_running
        self._slots = self._new_slots()
        self._waiting: Rounds[Job] = Rounds()
        self._set_aside: deque[Task] = deque()
        self._running: list[Task] = []
        self._speed = FIRST_SPEED
        self._pace = Pace()
        self._steps, self._moved_at = 0, time.monotonic()
        self._changed = threading.Condition()
        self._end: BackendError | None = None
        self._thread = threading.Thread(target=self._run, name=f"llama {name}", daemon=True)
        self._thread.start()

    @property
    def is_broken(self) -> bool:
        return self._end is not None

    @property
    def still_s(self) -> float:
        """How long the step under way has been going on; 0 when there is none."""
        return time.monotonic() - self._moved_at if self._running else 0.0

    def submit(self, job: Job, *, client: str = "") -> None:
        with self._changed:
            if self._end is not None:
                raise self._end
            self._waiting.add(client, job)
            self._changed.notify()

    def close(self) -> None:
        """Ends the answers under way with an error, and the thread."""
        self._stop(NotReady("the model was unloaded", reason="unloaded"))
        self._thread.join()

    def _stop(self, error: BackendError) -> None:
        with self._changed:
            self._end = self._end or error
            self._changed.notify()

    def _run(self) -> None:
        try:
            while self._has_work():
                self._drop_given_up()
                self._admit()
                self._step()
        except Exception as error:  # noqa: BLE001 - a worker's wall: those who wait must hear of it
            log.exception("the scheduler failed")
            self._stop(BrokenStream(f"the local engine failed: {error!r}"))
        self._fail_all()

    def _has_work(self) -> bool:
        with self._changed:
            while not (self._waiting or self._running or self._set_aside or self._end):
                self._changed.wait()
            self._moved_at = time.monotonic()
            return self._end is None

    def _fail_all(self) -> None:
        error = self._end or BrokenStream("the local engine ended")
        for task in [*self._running, *self._set_aside]:
            task.chooser.close()
            task.job.fail(error)
        with self._changed:
            for job in self._waiting:
                job.fail(error)
            self._waiting.clear()

    # -- letting in

    def _drop_given_up(self) -> None:
        for task in [task for task in self._running if task.job.is_given_up]:
            self._leave(task)
        for task in [task for task in self._set_aside if task.job.is_given_up]:
            self._set_aside.remove(task)
            task.chooser.close()

    def _admit(self) -> None:
        """Those who were set aside come first, then the others in their order; nobody overtakes."""
        while len(self._running) < self._most_running:
            if self._set_aside:
                if not self._has_room(self._set_aside[0].job):
                    return
                self._seat(self._set_aside.popleft())
                continue
            with self._changed:
                while self._waiting and self._waiting.next.is_given_up:
                    self._waiting.take()
                if not self._waiting or not self._has_room(self._waiting.next):
                    return
                job = self._waiting.take()
            self._begin(job)

    def _has_room(self, job: Job) -> bool:
        held = sum(len(task.job.tokens) - task.shared + RESERVE for task in self._running)
        return not self._running or held + len(job.tokens) + RESERVE <= self._runner.shape.cells

    def _begin(self, job: Job) -> None:
        job.begin()
        if job.limit <= 0:
            job.end("length")
            return
        try:
            chooser = self._runner.sampler(job.plan, job.grammar)
        except BackendError as error:
            job.fail(error)
            return
        if job.plan.penalizes:
            last = job.plan.repeat_last_n
            chooser.accept(job.tokens[-last:] if last > 0 else job.tokens)
        self._seat(Task(job, chooser))

    def _seat(self, task: Task) -> None:
        """Gives the task a slot. Where another one is reading the same beginning just now, it waits for that."""
        task.slot = self._slots.take(task.job.tokens)
        task.shared = len(task.slot.tokens)
        if self._runner.can_cut:
            readers = [other for other in self._running if not other.is_writing]
            lengths = [min(shared_length(r.job.tokens, task.job.tokens), len(task.job.tokens) - 1) for r in readers]
            best = max(lengths, default=0)
            if best - len(task.slot.tokens) >= LEAST_SHARE:
                task.leader, task.led_tokens = readers[lengths.index(best)], best
        self._running.append(task)

    def _is_led(self, task: Task) -> bool:
        """Whether another one still reads what this one needs too; when that is over, it takes it."""
        leader = task.leader
        if leader is None:
            return False
        if leader in self._running and len(leader.slot.tokens) < task.led_tokens:
            return True
        task.leader = None
        task.shared += self._slots.adopt(task.slot, task.job.tokens)
        return False

    # -- one step

    def _step(self) -> None:
        chosen = self._compose()
        if not chosen:
            return
        parts: list[Part] = []
        for task, count in chosen:
            start = len(task.slot.tokens)
            tokens = task.job.tokens[start : start + count]
            parts.append((task.slot.index, start, tokens, count == task.pending))
        began = time.perf_counter()
        code = self._runner.decode(parts)
        if code == _FULL:
            self._make_room()
        elif code:
            self._recover(code)
        else:
            self._measure(chosen, time.perf_counter() - began)
            for (task, _), part in zip(chosen, parts, strict=True):
                task.slot.tokens.extend(part[2])
            self._speak(chosen)

    def _compose(self) -> list[tuple[Task, int]]:
        """Who takes part and with how many tokens: one for each who writes, the rest of the step for who reads,
        in equal shares, so that a short prompt passes a long one."""
        writers = [task for task in self._running if task.is_writing]
        readers = [task for task in self._running if not task.is_writing and not self._is_led(task)]
        if not readers:
            return [(task, 1) for task in self._next_writers(writers)]
        step_s, (least, most) = (STEP_S, CHUNKS) if writers else (LONE_STEP_S, LONE_CHUNKS)
        room = min(max(least, min(most, int(self._speed * step_s))), self._runner.shape.batch_tokens - len(writers))
        chosen = [(task, 1) for task in writers]
        for place, task in enumerate(sorted(readers, key=lambda task: task.pending)):
            share = max(LEAST_SHARE, room // (len(readers) - place))
            count = min(task.pending, share, room)
            if count > 0:
                chosen.append((task, count))
                room -= count
        return chosen

    def _next_writers(self, writers: list[Task]) -> list[Task]:
        """As many as make the most of a step, those first who have waited longest."""
        return sorted(writers, key=lambda task: task.served_at)[:self._pace.choose(len(writers)) if writers else 0]

    def _measure(self, chosen: list[tuple[Task, int]], taken_s: float) -> None:
        """Learns what steps cost: those that only write, and how fast prompts are read in the others."""
        self._steps += 1
        for task, _ in chosen:
            task.served_at = self._steps
        total = sum(count for _, count in chosen)
        if total == len(chosen):
            self._pace.learn(total, taken_s)
        elif total - len(chosen) >= LEAST_SHARE:
            self._speed += 0.3 * (total / max(taken_s, 1e-6) - self._speed)

    def _speak(self, chosen: list[tuple[Task, int]]) -> None:
        place = -1
        ready: list[tuple[Task, int]] = []
        for task, count in chosen:
            place += count
            if task.pending == 0:
                ready.append((task, place))
        rows = self._runner.logits(len(ready)) if ready else ()
        for (task, place), row in zip(ready, rows, strict=True):
            try:
                self._write(task, place, row)
            except BackendError as error:
                task.job.fail(error)
                self._leave(task)

    def _write(self, task: Task, place: int, row: Row) -> None:
        """Takes the task's next token. Raises BadAnswer when there is none."""
        job = task.job
        total = self._runner.log_total(row)
        if not math.isfinite(total):
            raise BadAnswer("the model's numbers are none: the file is damaged", reason="broken model")
        token = task.chooser.sample(place, row)
        job.write(token, float(row[token]) - total)
        if self._runner.is_end(token):
            self._finish(task, "stop")
            return
        job.hear(token, self._runner, row=row, total=total)
        if job.transcript.is_stopped:
            self._finish(task, "stop")
        elif job.written >= job.limit:
            self._finish(task, "length")

    def _finish(self, task: Task, why: Literal["stop", "length"]) -> None:
        task.job.end(why)
        self._leave(task)

    def _leave(self, task: Task) -> None:
        task.chooser.close()
        self._running.remove(task)
        self._slots.leave(task.slot)

    # -- when it does not go on

    def _make_room(self) -> None:
        """The cache is full: the oldest conversation that nobody goes on with gives way, else the answer that began
        last is set aside, to be read again when there is room."""
        if self._slots.evict():
            return
        task = self._running[-1]
        if len(self._running) == 1:
            task.job.fail(BadAnswer("the cache cannot hold this answer", reason="out of memory"))
            self._leave(task)
            return
        log.info("cache full: an answer of %d tokens is set aside", len(task.job.tokens))
        self._running.remove(task)
        for other in self._running:
            if other.leader is task:
                other.leader = None
        self._slots.forget(task.slot)
        self._slots.leave(task.slot)
        self._set_aside.appendleft(task)

    def _recover(self, code: int) -> None:
        """An error of the arithmetic itself: nothing in the cache can be trusted, so all start anew."""
        error = BrokenStream(f"llama.cpp failed with code {code}")
        for task in list(self._running):
            task.job.fail(error)
            self._leave(task)
        self._runner.forget_all()
        self._slots = self._new_slots()

    def _new_slots(self) -> Slots:
        return Slots(self._runner, (shape := self._runner.shape).sequences, most_idle=shape.cells // IDLE_PART)
