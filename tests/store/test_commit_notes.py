from __future__ import annotations

from broker.core.records import TopicPartition
from broker.store.access.engine import Store
from broker.store.delivering import commit_notes

ONE, TWO = TopicPartition("tongban.outbox.430423", 0), TopicPartition("tongban.outbox.430423", 1)
A, B, C = "a" * 32, "b" * 32, "c" * 32


async def test_the_note_and_the_one_before_are_known_and_no_older_one(store: Store) -> None:
    assert await store.read(commit_notes.read, *ONE) == frozenset()
    await store.call(commit_notes.write, {ONE: (5, (A,)), TWO: (7, (B,))})
    await store.call(commit_notes.write, {ONE: (6, (B, A))})
    assert await store.read(commit_notes.read, *ONE) == {A, B}
    await store.call(commit_notes.write, {ONE: (6, (C, B))})
    assert await store.read(commit_notes.read, *ONE) == {B, C}
    assert await store.read(commit_notes.read, *TWO) == {B}


async def test_nothing_to_write_is_no_statement(store: Store) -> None:
    await store.call(commit_notes.write, {})
    assert await store.read(commit_notes.read, *ONE) == frozenset()
