"""The log, its one group and its writers, as Apache Kafka behaves towards this product's clients.

What is modelled: order per partition; eager rebalances with generations; members put out when their heartbeats
fail to come; commits fenced by generation; zombies that go on reading what they held; static membership; writes
that fail before or after they took place and are never reordered. ``conformance.py`` holds this to a real Kafka.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from broker.core.lane.offset_note import encode
from broker.core.records import Commit, TopicPartition
from broker.errors import PositionConflict
from tests.simulation.log import Log
from tests.simulation.loop import Process
from tests.simulation.world import World

_NOTE_BYTES: Final = 4096


@dataclass(slots=True)
class _Joined:
    """A member as the group's coordinator sees it."""

    id: str
    instance: str | None
    topics: frozenset[str]
    beat_s: float
    joining: asyncio.Future[tuple[int, list[TopicPartition]]] | None = None


@dataclass
class Group:
    """The coordinator. ``session_s``: who does not beat for so long is put out; ``rejoin_s``: nor waits longer."""

    world: World
    log: Log
    session_s: float
    rejoin_s: float
    members: dict[str, _Joined] = field(default_factory=dict)
    generation: int = 0
    owners: dict[TopicPartition, str] = field(default_factory=dict)
    commits: dict[TopicPartition, Commit] = field(default_factory=dict)
    rebalancing: bool = False
    _round: int = 0
    _numbers: int = 0
    _watch: dict[str, asyncio.TimerHandle] = field(default_factory=dict)

    def join(
        self, member: str, instance: str | None, topics: frozenset[str], process: Process
    ) -> tuple[str, asyncio.Future[tuple[int, list[TopicPartition]]]]:
        """Ask to be a member; the answer is the generation and what it holds."""
        future: asyncio.Future[tuple[int, list[TopicPartition]]] = self.world.loop.create_future()
        known = self.members.get(member)
        if known is None:
            before = self._static(instance)
            self._numbers += 1
            known = _Joined(f"{process.name}-{self._numbers}", instance, topics, self.world.loop.now_s)
            if before is not None:
                self.members = {
                    (known.id if each == before.id else each): (known if each == before.id else joined)
                    for each, joined in self.members.items()
                }
                if not self.rebalancing and before.topics == topics:
                    # The same static member back in time: it gets what it had, and nobody else is moved.
                    held = [place for place, owner in self.owners.items() if owner == before.id]
                    for place in held:
                        self._own(place, known.id)
                    self._beat(known)
                    future.set_result((self.generation, held))
                    self.world.saw("static member back")
                    return known.id, future
            else:
                self.members[known.id] = known
        known.topics = topics
        known.joining = future
        self._beat(known)
        self.rebalance()
        self._try_complete()
        return known.id, future

    def sync(self, member: str, generation: int) -> bool:
        """A member asks for its share of a generation. False: that is past, or it is no member any more."""
        known = self.members.get(member)
        if known is None or generation != self.generation or self.rebalancing:
            return False
        self._beat(known)
        return True

    def beat(self, member: str, generation: int) -> bool:
        """A heartbeat. False: join again. Raises PositionConflict when the member is none any more."""
        known = self.members.get(member)
        if known is None:
            raise PositionConflict
        self._beat(known)
        return not self.rebalancing and generation == self.generation

    def leave(self, member: str) -> None:
        known = self.members.get(member)
        if known is not None and known.instance is None:
            self._put_out(known, "left")

    def commit(self, member: str, generation: int, commits: Mapping[TopicPartition, Commit]) -> bool:
        """False: refused, of a member or generation that is past."""
        if member not in self.members or generation != self.generation:
            self.world.saw("fence rejection")
            for place, commit in commits.items():
                self.world.record("fenced", member, place=place, offset=commit.offset, number=generation)
            return False
        for place in sorted(commits):
            offset, note = commits[place]
            note = note if len(note.encode()) <= _NOTE_BYTES else ""
            self.commits[place] = Commit(offset, note)
            self.world.record("commit", member, place=place, offset=offset, number=generation, detail=note)
        return True

    def write_note(self, *, torn: bool) -> None:
        """Somebody who is no member of ours writes a note into the group's commits, and everybody joins anew."""
        for place, commit in list(self.commits.items()):
            end = len(self.log.records[place])
            note = encode([commit.offset], max(end, commit.offset + 2)).text
            self.commits[place] = Commit(commit.offset, note[:-3] if torn else note)
        self.world.saw(f"note {'torn' if torn else 'foreign'}")
        self.rebalance()

    def rebalance(self) -> None:
        """Everybody has to join again."""
        if self.rebalancing or not self.members:
            return
        self.rebalancing = True
        self._round += 1
        self.world.later(self.rejoin_s, self._give_up_waiting, self._round)

    def _static(self, instance: str | None) -> _Joined | None:
        return next((each for each in self.members.values() if instance and each.instance == instance), None)

    def _beat(self, member: _Joined) -> None:
        member.beat_s = self.world.loop.now_s
        if member.id not in self._watch:
            self._watch[member.id] = self.world.later(self.session_s, self._expire, member)

    def _expire(self, member: _Joined) -> None:
        self._watch.pop(member.id, None)
        if self.members.get(member.id) is not member:
            return
        left_s = member.beat_s + self.session_s - self.world.loop.now_s
        if left_s > 0.001:
            self._watch[member.id] = self.world.later(left_s, self._expire, member)
        elif member.joining is None:
            self.world.saw("member put out")
            self._put_out(member, "put out")
        else:
            self._watch[member.id] = self.world.later(self.session_s, self._expire, member)

    def _put_out(self, member: _Joined, how: str) -> None:
        del self.members[member.id]
        self.world.record("revoked", member.id, number=self.generation, detail=how)
        self.rebalance()
        self._try_complete()

    def _give_up_waiting(self, round_: int) -> None:
        if self.rebalancing and round_ == self._round:
            for member in [each for each in self.members.values() if each.joining is None]:
                self.world.saw("member put out")
                del self.members[member.id]
            self._complete()

    def _try_complete(self) -> None:
        if self.rebalancing and all(each.joining is not None for each in self.members.values()):
            # The first ones wait a little for others, as group.initial.rebalance.delay.ms has it.
            round_ = self._round
            self.world.later(0.02, self._complete_if_all, round_)

    def _complete_if_all(self, round_: int) -> None:
        if (
            self.rebalancing
            and round_ == self._round
            and all(each.joining is not None for each in self.members.values())
        ):
            self._complete()

    def _complete(self) -> None:
        self.rebalancing = False
        self.generation += 1
        members = list(self.members.values())
        self.world.random.shuffle(members)
        shares: dict[str, list[TopicPartition]] = {each.id: [] for each in members}
        for topic in sorted({topic for each in members for topic in each.topics}):
            takers = [each for each in members if topic in each.topics]
            for partition in range(self.log.partitions_of(topic)):
                place = TopicPartition(topic, partition)
                taker = takers[partition % len(takers)].id
                shares[taker].append(place)
                self._own(place, taker)
        for member in members:
            future, member.joining = member.joining, None
            self._beat(member)
            if future is not None and not future.done():
                future.set_result((self.generation, shares[member.id]))

    def _own(self, place: TopicPartition, member: str) -> None:
        self.owners[place] = member
        self.world.record("owner", member, place=place, number=self.generation)
