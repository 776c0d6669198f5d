"""Commits with notes: what is believed after a restart, and each fault of Parallel Consumer's 0.5 line by name."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest
import structlog

from broker.core.ids import PartnerId
from broker.core.lane.offset_map import NoteUnreadable, decode, digest
from broker.core.lane.offset_note import encode
from broker.core.records import Commit, TopicPartition
from broker.delivery.assigned.tenure import Tenure
from broker.delivery.joining.commits import Commits
from broker.delivery.joining.recall import Recall
from broker.delivery.lines.held import Held
from broker.errors import PositionConflict, Unreachable
from broker.log.admin.topics import outbox
from broker.store.access.engine import Store
from broker.store.delivering import commit_notes
from broker.telemetry import METRICS, ROAD, Step
from connectors.base import Answer, Parcel
from tests.core.test_offset_map import mutated
from tests.delivery.fakes import OPTIONS, City, CityConnector, FakeLog, FakeReader, World, wait_for
from tests.delivery.test_tenure import record, source

A = "430423"
PLACE = TopicPartition(outbox(PartnerId(A)), 0)
STUCK = "451300/stuck"


class Group(FakeReader):
    """The group's member alone, without a stage; ``faults`` are raised by the next commits, before or after."""

    def __init__(self, log: FakeLog) -> None:
        async def nothing(places: frozenset[TopicPartition]) -> None: ...

        super().__init__(log, (), nothing, nothing)
        self.next = {PLACE: 0}
        self.faults: list[tuple[bool, Exception]] = []
        self.during: list[int] = []
        self.tenure: Tenure | None = None

    async def commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        await asyncio.sleep(0)
        for offset in self.during:
            assert self.tenure is not None
            self.tenure.finish(offset)
        taken, fault = self.faults.pop(0) if self.faults else (True, None)
        if taken:
            await super().commit(commits)
        if fault is not None:
            raise fault


class Bench:
    """Commits at work on one tenure of twenty records, all read."""

    def __init__(self, store: Store) -> None:
        self.log = FakeLog()
        self.store = store
        self.held = Held()
        self.group = Group(self.log)
        self.commits = Commits(self.held, store)
        self.recall = Recall(store, trust_foreign=False)

    async def begin(self, read: int = 20) -> Tenure:
        """A new assignment, as ``Reading`` prepares it."""
        for _ in range(len(self.log.records[PLACE]), 20):
            self.log.append_raw(PLACE, b"k", b"v", ())
        self.held.begin(PLACE)
        tenure = self.group.tenure = self.held.tenures[PLACE]
        commits, ends = await self.recall.commits(self.group, [PLACE])
        found = await self.recall.recall(PLACE, commits.get(PLACE), ends.get(PLACE, 0))
        tenure.prepare(found.offset, found.marks, found.known, found.digest)
        for offset in range(found.offset, read):
            rises = tenure.begin(record(offset), source(0, 100 + offset))
            if not rises or tenure.was_finished(offset):
                tenure.finish(offset)
        return tenure

    async def commit(self) -> None:
        assert self.group.tenure is not None
        self.group.tenure.closing = True  # not held back by the rate
        await self.commits.commit(self.group)

    @property
    def committed(self) -> tuple[int, list[int]]:
        commit = self.log.commits[PLACE]
        if not commit.metadata:
            return commit.offset, []
        read = decode(commit.metadata, base=commit.offset, log_end=20)
        return commit.offset, [offset for each in read.finished for offset in each]


@pytest.fixture
def bench(store: Store) -> Bench:
    return Bench(store)


def unfinished(tenure: Tenure) -> list[int]:
    return [offset for offset in range(tenure.safe, tenure.next) if tenure._tracker._pending.get(offset)]


async def test_the_map_comes_back_and_only_the_unfinished_are_left(bench: Bench) -> None:
    tenure = await bench.begin()
    for offset in (0, 1, 3, 4, 9):
        tenure.finish(offset)
    await bench.commit()
    assert bench.committed == (2, [3, 4, 9])
    tenure = await bench.begin()
    assert unfinished(tenure) == [2, *range(5, 9), *range(10, 20)]


async def test_base_and_map_are_of_one_moment(bench: Bench) -> None:
    """Fault: the commit's offset was read after the map, records ended in between, and the map was shifted."""
    tenure = await bench.begin()
    for offset in (0, 2, 3):
        tenure.finish(offset)
    bench.group.during = [6]  # ends while the group is being written …
    with on_each_step(finish_at("delivery.committed_store", tenure, 1, 4)):  # … while the store is
        await bench.commit()
    assert bench.committed == (1, [2, 3])
    bench.group.during = []
    await bench.commit()
    assert bench.committed == (5, [6])


async def test_a_commit_is_done_when_it_is_acknowledged_not_when_it_is_sent(bench: Bench) -> None:
    """Fault: a partition was marked clean when its commit was sent."""
    tenure = await bench.begin()
    tenure.finish(0)
    tenure.finish(5)
    for fault in (Unreachable(), PositionConflict()):
        bench.group.faults = [(False, fault)]
        if isinstance(fault, Unreachable):
            with pytest.raises(Unreachable):
                await bench.commit()
        else:
            await bench.commit()
        assert PLACE not in bench.log.commits
    await bench.commit()
    assert bench.committed == (1, [5])
    bench.group.faults = [(True, Unreachable())]  # it happened, and nobody knows
    tenure.finish(7)
    with pytest.raises(Unreachable):
        await bench.commit()
    await bench.commit()
    assert bench.committed == (1, [5, 7])


async def test_a_stale_entry_holds_no_offset(bench: Bench) -> None:
    """Fault: after a rebalance a record was dropped because an entry of before stood at its offset."""
    tenure = await bench.begin()
    tenure.finish(3)
    await bench.commit()
    stored = bench.log.commits[PLACE]
    bench.log.commits[PLACE] = Commit(0, "")  # the group has forgotten the note: so do we
    tenure = await bench.begin()
    assert unfinished(tenure) == list(range(20))
    bench.log.commits[PLACE] = Commit(1, stored.metadata)  # the note of another commit
    assert unfinished(await bench.begin()) == list(range(1, 20))


async def test_results_of_an_old_assignment_change_nothing_of_the_new_one(bench: Bench) -> None:
    """Fault: a result of the old assignment dirtied the new one."""
    old = await bench.begin()
    old.finish(2)
    await bench.commit()
    bench.held.end(old)
    new = await bench.begin()
    old.finish(0)
    old.finish(7)
    assert unfinished(new) == [0, 1, *range(3, 20)]
    new.finish(4)
    await bench.commit()
    assert bench.committed == (0, [2, 4])


async def test_corrupt_notes_invent_no_completion(bench: Bench) -> None:
    """Fault: foreign or corrupt metadata invented completions. 10,000 mutations, none is believed."""
    tenure = await bench.begin()
    for offset in (1, 2, 5, 8, 13):
        tenure.finish(offset)
    await bench.commit()
    commit = bench.log.commits[PLACE]
    believed = await bench.store.read(commit_notes.read, *PLACE)
    assert digest(*commit) in believed
    draw = random.Random(5)
    for _ in range(10_000):
        other = mutated(commit.metadata, draw)
        assert digest(commit.offset, other) not in believed
    for _ in range(50):  # and through the whole way of an assignment
        found = await bench.recall.recall(PLACE, Commit(0, mutated(commit.metadata, draw)), 20)
        assert (found.known, found.ignored) == (None, "it is not the one that was written here")


async def test_strictly_read_even_if_foreign_notes_are_trusted(bench: Bench) -> None:
    """Without the digest what reads is believed: so it is bounded, and never covers the commit itself."""
    trusting = Recall(bench.store, trust_foreign=True)
    text = encode([0, 4, 6, 7, 8], 10).text
    found = await trusting.recall(PLACE, Commit(0, text), 20)
    assert found.known is not None
    assert [each for each in range(20) if each in found.known] == [1, 2, 3, 5, 9]
    for commit, end, reason in (
        (Commit(0, text), 9, "reaches beyond the end of the log"),
        (Commit(12, text), 20, "reaches beyond the end of the log"),
        (Commit(0, "Ag=="), 20, "has no magic byte of an offset map"),
        (Commit(0, "bgAAAAE="), 20, "says that the committed offset itself is finished"),
        (Commit(0, text[:-2]), 20, "is not base64"),
        (Commit(0, "checkpoint of another consumer"), 20, "is not base64"),
    ):
        found = await trusting.recall(PLACE, commit, end)
        assert (found.known, found.ignored) == (None, reason)
    draw, refused = random.Random(6), 0
    for _ in range(10_000):
        refused += is_refused(mutated(text, draw))
    assert refused > 5_000  # most damage shows by itself


def is_refused(text: str) -> bool:
    try:
        read = decode(text, base=0, log_end=20)
    except NoteUnreadable:
        return True
    assert 0 not in read
    assert read.end <= 20
    return False


async def test_counters_do_not_drift(bench: Bench) -> None:
    """Fault: counters drifted, and the poller stayed paused. Here the load is what is unfinished, always."""
    draw = random.Random(8)
    for _ in range(30):
        tenure = await bench.begin()
        for offset in draw.sample(range(20), 8):
            tenure.finish(offset)
            tenure.finish(offset)
        assert tenure.pending == len(unfinished(tenure))
        assert tenure.pending_bytes == sum(tenure._tracker._pending.values())
        await bench.commit()
        if tenure.safe == 20:
            break
    while tenure.pending:
        tenure.finish(tenure.safe)
    assert (tenure.pending, tenure.pending_bytes) == (0, 0)
    await bench.commit()
    assert bench.committed == (20, [])


@pytest.mark.parametrize("step", ["delivery.committed_store", "delivery.committed_group"])
async def test_killed_between_store_and_group_the_note_before_is_still_believed(
    bench: Bench, step: Step
) -> None:
    tenure = await bench.begin()
    tenure.finish(3)
    await bench.commit()
    tenure.finish(0)
    tenure.finish(6)
    with on_each_step(kill_at(step)), pytest.raises(asyncio.CancelledError):
        await bench.commit()
    after = step == "delivery.committed_group"
    assert bench.committed == ((1, [3, 6]) if after else (0, [3]))
    tenure = await bench.begin()
    # The mark, too, was stored: the record below the commit that was to be looks like the repeat that it is.
    assert unfinished(tenure) == ([1, 2, 4, 5] if after else [1, 2, 4, 5, 6]) + list(range(7, 20))


@contextmanager
def on_each_step(do: Callable[[Step], object]) -> Iterator[None]:
    def on_step(step: Step) -> None:
        do(step)

    before, ROAD.on_step = ROAD.on_step, on_step
    try:
        yield
    finally:
        ROAD.on_step = before


def kill_at(step: Step) -> Callable[[Step], None]:
    def do(each: Step) -> None:
        if each == step:
            raise asyncio.CancelledError

    return do


def finish_at(step: Step, tenure: Tenure, *offsets: int) -> Callable[[Step], None]:
    def do(each: Step) -> None:
        for offset in offsets if each == step else ():
            tenure.finish(offset)

    return do


async def test_without_the_store_s_word_a_note_is_not_believed_and_that_is_told_once(
    store: Store,
) -> None:
    city = City()
    world = World(store=store, cities={A: city}, log=FakeLog(partitions=1))
    for n in range(5):
        world.log.send(A, f"451300/{n}")
    world.log.commits[PLACE] = Commit(0, encode([0, 2], 4).text)
    with structlog.testing.capture_logs() as logs:
        await world.run_until(world.committed)
    assert len(city.effects) == 5
    assert [each for each in logs if each["event"] == "offset_map_ignored"] == [
        {
            "event": "offset_map_ignored",
            "log_level": "warning",
            "room": "delivery",
            "topic": PLACE.topic,
            "partition": 0,
            "reason": "it is not the one that was written here",
        }
    ]


async def test_a_parallel_consumer_s_partition_is_taken_over(store: Store) -> None:
    city = City()
    world = World(
        store=store,
        cities={A: city},
        log=FakeLog(partitions=1),
        options=replace(OPTIONS, trust_foreign_notes=True),
    )
    sent = [world.log.send(A, f"451300/{n}").name for n in range(5)]
    world.log.commits[PLACE] = Commit(0, encode([0, 2], 4).text)
    await world.run_until(world.committed)
    assert city.names() == [sent[0], sent[2], sent[4]]


class Hanging(CityConnector):
    """To a city that never answers one case."""

    def submit(self, parcels: Sequence[Parcel], done: Callable[[Sequence[Answer]], None]) -> None:
        if parcels[0].message.case != STUCK:
            super().submit(parcels, done)


def noted(world: World) -> int:
    commit = world.log.commits.get(PLACE, Commit(0))
    return decode(commit.metadata, base=commit.offset, log_end=10**6).count if commit.metadata else 0


async def killed(world: World, running: asyncio.Task[None]) -> None:
    """No drain, no last commit: the process is gone."""
    for member in world.log.members:
        member.dead = True
    world.log.members.clear()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_restart_delivers_again_only_what_was_in_flight(store: Store) -> None:
    """One case hangs; two hundred records of others end behind it, and the store's view knows of none of them."""
    city = City()
    world = World(store=store, cities={A: city}, log=FakeLog(partitions=1))
    stuck = world.log.send(A, STUCK)
    others = [world.log.send(A, f"451300/{n}").name for n in range(200)]
    world.links.special[A] = lambda partner: Hanging(city)
    running = asyncio.create_task(world.delivery().run())
    await wait_for(lambda: noted(world) == 200, also=running)
    assert world.log.commits[PLACE].offset == 0
    assert METRICS.get_sample_value("tongban_offset_map_bytes", {"partner": A}) == len(
        world.log.commits[PLACE].metadata
    )
    await killed(world, running)
    world.links.special.clear()
    await world.run_until(world.committed)
    assert {name: city.attempts[name] for name in others} == dict.fromkeys(others, 1)
    assert city.names(STUCK) == [stuck.name]
    assert METRICS.get_sample_value("tongban_offset_map_bytes", {"partner": A}) == 0


async def test_a_rebalance_while_the_note_is_read_begins_with_the_newest(store: Store) -> None:
    """What the group committed counts, not what this worker remembers of an assignment before."""
    city = City()
    world = World(store=store, cities={A: city}, log=FakeLog(partitions=1))
    for n in range(50):
        world.log.send(A, f"451300/{n}")
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    for _ in range(5):
        await asyncio.sleep(0.01)
        await world.log.rebalance()
    await wait_for(world.committed, also=running)
    delivery.stop()
    await running
    assert len(city.effects) == 50


async def test_what_did_not_fit_is_told_in_a_metric(bench: Bench) -> None:
    tenure = await bench.begin(0)
    for offset in range(40_000):
        tenure.begin(record(offset), None)
    draw = random.Random(3)
    for offset in range(1, 40_000):
        if draw.random() < 0.5:
            tenure.finish(offset)
    await bench.commit()
    missing = tenure.note.left_out
    assert missing > 0
    assert METRICS.get_sample_value("tongban_offset_map_left_out", {"partner": A}) == missing
    size = METRICS.get_sample_value("tongban_offset_map_bytes", {"partner": A})
    assert size == len(base64.b64decode(tenure.note.text)) * 4 / 3 <= 4096
    for offset in range(40_000):
        tenure.finish(offset)
    await bench.commit()
    assert METRICS.get_sample_value("tongban_offset_map_left_out", {"partner": A}) == 0
