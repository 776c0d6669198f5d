"""The embedded Kafka at work: real nodes, real kills, and the commands in processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]

from broker.errors import Unreachable, WrongUse
from deploy.kafka.cluster import EmbeddedKafka
from deploy.kafka.jars import class_path
from deploy.kafka.jvm import find_jvm
from deploy.kafka.ownership import owner_of
from deploy.kafka.ports import any_free, is_free
from deploy.kafka.readiness import check_ready


def quiet(_: str) -> None:
    """Says nothing."""


async def create_topic(bootstrap: str, topic: str, *, replication: int = 1) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic(topic, 1, replication)])
        assert answer.topic_errors[0][1] == 0, answer.topic_errors
    finally:
        await admin.close()


async def produce(bootstrap: str, topic: str, *values: bytes) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, max_request_size=11 * 1024 * 1024
    ) as producer:
        for value in values:
            await producer.send_and_wait(topic, value)


async def consume(bootstrap: str, topic: str, count: int, *, group: str | None = None) -> list[bytes]:
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest"
    ) as consumer:
        async with asyncio.timeout(30):
            return [(await consumer.getone()).value for _ in range(count)]


# One node


async def test_a_group_gets_what_was_produced_up_to_10_mib(kafka: EmbeddedKafka) -> None:
    large = os.urandom(10 * 1024 * 1024)
    await create_topic(kafka.bootstrap, "embedded.large")
    await produce(kafka.bootstrap, "embedded.large", b"small", large)
    assert await consume(kafka.bootstrap, "embedded.large", 2, group="embedded.large") == [b"small", large]


async def test_data_is_kept_over_a_kill_and_a_restart(tmp_path: Path) -> None:
    async with EmbeddedKafka(folder=tmp_path / "data") as first:
        await create_topic(first.bootstrap, "kept")
        await produce(first.bootstrap, "kept", b"before the kill")
        await first.kill_node(1)
        assert first.pid(1) is None
        assert await check_ready({1: first.ports[0]}) is not None
        await first.start_node(1)
        await produce(first.bootstrap, "kept", b"after the kill")
        cluster_id = first.cluster_id
    async with EmbeddedKafka(folder=tmp_path / "data") as second:
        assert await consume(second.bootstrap, "kept", 2) == [b"before the kill", b"after the kill"]
        assert second.cluster_id == cluster_id
        with pytest.raises(WrongUse, match="already runs"):
            await EmbeddedKafka(folder=tmp_path / "data").start()
    with pytest.raises(WrongUse, match="1 node"):
        await EmbeddedKafka(nodes=3, folder=tmp_path / "data").start()
    assert owner_of(tmp_path / "data") is None


async def test_a_node_that_cannot_start_says_why() -> None:
    broken = EmbeddedKafka(java_options=["-XX:+NoSuchOption"])
    with pytest.raises(Unreachable, match="NoSuchOption"):
        await broken.start()
    assert broken.pid(1) is None
    assert not broken.folder.exists()


_PARENT = """
import asyncio, sys, time
from deploy.kafka.cluster import EmbeddedKafka
kafka = EmbeddedKafka()
asyncio.run(kafka.start())
print(kafka.pid(1), kafka.ports[0], kafka.folder, flush=True)
time.sleep(60)
"""


def test_a_killed_parent_takes_its_kafka_along() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, port, folder = parent.stdout.readline().split()
        assert not is_free(int(port))
        parent.kill()
        killed_at = time.monotonic()
        while not is_free(int(port)):
            assert time.monotonic() - killed_at < 5, f"process {pid} outlives its parent"
            time.sleep(0.005)
    assert owner_of(Path(folder)) is None  # so that the next start sweeps it
    shutil.rmtree(folder)


# Three nodes


async def _leader(bootstrap: str, topic: str) -> int:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        described = await admin.describe_topics([topic])
        return int(described[0]["partitions"][0]["leader"])
    finally:
        await admin.close()


async def test_with_the_leader_killed_three_nodes_go_on_and_lose_nothing(kafka3: EmbeddedKafka) -> None:
    await create_topic(kafka3.bootstrap, "survives", replication=3)
    await kafka3.ready()
    sent = [b"%d" % number for number in range(300)]
    leader = await _leader(kafka3.bootstrap, "survives")
    async with AIOKafkaProducer(
        bootstrap_servers=kafka3.bootstrap,
        acks="all",
        enable_idempotence=True,
        request_timeout_ms=15_000,
        retry_backoff_ms=50,
    ) as producer:
        for number, value in enumerate(sent):
            if number == 100:
                await kafka3.kill_node(leader)
            await producer.send_and_wait("survives", value)
    assert kafka3.pid(leader) is None
    assert await consume(kafka3.bootstrap, "survives", len(sent)) == sent
    await kafka3.start_node(leader)  # returns when it has caught up
    assert await check_ready(dict(zip(kafka3.node_ids, kafka3.ports, strict=True))) is None


# The commands


@dataclass(frozen=True)
class Tongban:
    """Runs ``tongban kafka …`` as a person would, with a cache and a working folder of its own."""

    cache: Path
    work: Path
    port: int

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "broker.cli", "kafka", *arguments],
            cwd=self.work,
            env={**os.environ, "TONGBAN_CACHE": str(self.cache)},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def answer(self, *arguments: str, code: int = 0) -> dict[str, object]:
        ran = self(*arguments, "--json")
        assert ran.returncode == code, ran.stdout + ran.stderr
        answer = json.loads(ran.stdout)
        assert isinstance(answer, dict)
        return answer


@pytest.fixture(scope="module")
def tongban(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tongban]:
    cache = tmp_path_factory.mktemp("cache")
    shutil.copytree(class_path(say=quiet)[0].parent, cache / "jars")
    command = Tongban(cache=cache, work=tmp_path_factory.mktemp("work"), port=any_free(1)[0].client)
    yield command
    command("down")


def test_kafka_up_status_down(tongban: Tongban) -> None:
    assert tongban.answer("status", code=3)["reason"] == "not running"

    first = tongban("up", "--port", str(tongban.port))  # the first one trains the class archive
    assert first.returncode == 0, first.stderr
    assert "ready" in first.stdout
    assert f"127.0.0.1:{tongban.port}" in first.stdout
    assert "training the class archive" in first.stderr
    assert find_jvm(tongban.cache, say=quiet).archive_sound

    again = tongban.answer("up")
    assert again["state"] == "already-running"
    asked_otherwise = tongban("up", "--nodes", "3")
    assert asked_otherwise.returncode == 2
    assert "tongban kafka down" in asked_otherwise.stderr
    elsewhere = tongban("up", "--folder", "elsewhere", "--port", str(tongban.port))
    assert elsewhere.returncode == 2
    assert f"port {tongban.port} is in use" in elsewhere.stderr

    status = tongban.answer("status")
    assert status["ready"] is True
    assert status["ports"] == [tongban.port]
    assert status["cluster_id"] == again["cluster_id"]
    assert isinstance(status["data_bytes"], int)
    assert status["data_bytes"] > 0

    assert tongban.answer("down")["state"] == "stopped"
    assert is_free(tongban.port)
    assert tongban.answer("down")["state"] == "not-running"


def test_a_supervisor_that_was_killed_is_known_for_dead_and_its_data_is_found_again(tongban: Tongban) -> None:
    before = tongban.answer("up", "--port", str(tongban.port))
    assert isinstance(before["pid"], int)
    os.kill(before["pid"], signal.SIGKILL)
    while not is_free(tongban.port):
        time.sleep(0.01)
    assert "ended without a word" in str(tongban.answer("status", code=3)["reason"])
    after = tongban.answer("up", "--port", str(tongban.port))
    assert after["state"] == "started"
    assert after["cluster_id"] == before["cluster_id"]
    assert tongban.answer("down")["state"] == "stopped"


async def test_a_damaged_class_archive_does_no_harm(tongban: Tongban) -> None:
    archive = find_jvm(tongban.cache, say=quiet).archive
    assert archive.exists()
    with archive.open("r+b") as file:
        file.seek(10_000_000)
        file.write(os.urandom(20_000_000))
    async with EmbeddedKafka(cache=tongban.cache) as kafka:
        assert await check_ready({1: kafka.ports[0]}) is None


@pytest.mark.parametrize("arguments", [("up", "--nodes", "2"), ("up", "--port", "0"), ("up", "--colour")])
def test_wrong_use_is_exit_2(tongban: Tongban, arguments: tuple[str, ...]) -> None:
    ran = tongban(*arguments)
    assert ran.returncode == 2
    assert arguments[1] in ran.stderr


def test_in_the_foreground_it_runs_until_it_is_told_to_stop(tongban: Tongban) -> None:
    command = [sys.executable, "-m", "broker.cli", "kafka", "up", "--foreground", "--json"]
    with subprocess.Popen(
        [*command, "--port", str(tongban.port)], cwd=tongban.work, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["pid"] == running.pid
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 0
    assert is_free(tongban.port)
