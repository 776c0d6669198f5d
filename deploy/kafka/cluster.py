"""One Kafka node or three, as children of this process."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, Self

from broker.errors import Unreachable, WrongUse
from deploy.kafka.jvm import Jvm, find_jvm
from deploy.kafka.ownership import Ownership, temporary_folder
from deploy.kafka.places import Say, say_on_stderr
from deploy.kafka.ports import any_free, ports_from, taken
from deploy.kafka.process import start_child
from deploy.kafka.readiness import check_ready
from deploy.kafka.server_settings import HOST, Ports
from deploy.kafka.state import State, clear_state, write_state
from deploy.kafka.storage import identity_of, node_folder, prepare_folder

NodeCount = Literal[1, 3]

_POLL_S: Final = 0.03
_TAIL_CHARACTERS: Final = 1500


@dataclass(slots=True, kw_only=True)
class _Node:
    folder: Path
    ports: Ports
    process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None


class EmbeddedKafka:
    """A real Kafka that ends when this process ends, however it ends.

    ``async with EmbeddedKafka() as kafka: client(kafka.bootstrap)``. With a ``folder`` its data is kept and
    found again; without one it is thrown away at the end. Three nodes keep three copies, two of which must
    confirm a write, and survive the loss of any one. Nothing in it belongs to an event loop: it may be started
    in one and stopped in another.

    ``base_port`` is the first node's; the following ones are for the other nodes, then the controllers.
    Without it, free ports are chosen. ``settings`` override Kafka's server settings; ``java_options`` go to
    every node's JVM. ``supervised`` lets ``tongban kafka down`` stop the process. Raises :class:`WrongUse` when a port or the folder is taken.
    """

    def __init__(
        self,
        *,
        nodes: NodeCount = 1,
        folder: Path | None = None,
        base_port: int | None = None,
        settings: Mapping[str, object] | None = None,
        java_options: Sequence[str] = (),
        supervised: bool = False,
        cache: Path | None = None,
        say: Say = say_on_stderr,
    ) -> None:
        self.temporary: Final = folder is None
        self._wanted_folder = None if folder is None else folder.absolute()
        self._node_count = nodes
        self._base_port = base_port
        self._settings = dict(settings or {})
        self._java_options = tuple(java_options)
        self._supervised = supervised
        self._cache = cache
        self._say = say
        self._ownership: Ownership | None = None
        self._jvm: Jvm | None = None
        self._nodes: dict[int, _Node] = {}
        self._folder: Path | None = None
        self._started_at = ""

    @property
    def bootstrap(self) -> str:
        """The nodes' addresses for clients, separated by commas."""
        return ",".join(f"{HOST}:{node.ports.client}" for node in self._nodes.values())

    @property
    def folder(self) -> Path:
        """Where the data is; known once started."""
        assert self._folder is not None, "not started"
        return self._folder

    @property
    def cluster_id(self) -> str:
        identity = identity_of(self.folder)
        assert identity is not None, "not started"
        return identity.cluster_id

    @property
    def node_ids(self) -> tuple[int, ...]:
        return tuple(self._nodes)

    @property
    def ports(self) -> tuple[int, ...]:
        """The nodes' ports for clients, in the order of ``node_ids``."""
        return tuple(node.ports.client for node in self._nodes.values())

    def pid(self, node: int) -> int | None:
        """The process of one node, None while it is down."""
        process = self._nodes[node].process
        return process.pid if process is not None and process.poll() is None else None

    def state(self) -> State:
        """What other processes are told of this Kafka; call it once started."""
        return State(
            pid=os.getpid(),
            supervised=self._supervised,
            bootstrap=self.bootstrap,
            ports=self.ports,
            cluster_id=self.cluster_id,
            started_at=self._started_at,
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, *, timeout_s: float = 60.0) -> None:
        """Start all nodes and wait until they are ready. On any fault nothing is left running."""
        try:
            await asyncio.to_thread(self._prepare)
            for node in self._nodes:
                self._launch(node)
            await self.ready(timeout_s=timeout_s)
            self._started_at = datetime.now(UTC).isoformat(timespec="seconds")
            await asyncio.to_thread(write_state, self.folder, self.state())
        except BaseException:
            await self.stop(grace_s=0)
            raise

    async def stop(self, *, grace_s: float | None = None) -> None:
        """Stop all nodes; those that need longer than ``grace_s`` are killed.

        By default data that is kept gets 15 s (the last of three nodes needs 5 s: it has no quorum), data that
        is thrown away gets none.
        """
        if grace_s is None:
            grace_s = 0.0 if self.temporary else 15.0
        live = [node.process for node in self._nodes.values() if node.alive and node.process is not None]
        for process in live:
            process.terminate() if grace_s else process.kill()
        await asyncio.gather(*(_ended(process, grace_s) for process in live))
        if self._ownership is not None:
            await asyncio.to_thread(self._leave_folder)
            self._ownership.release()
            self._ownership = None

    async def kill_node(self, node: int) -> None:
        """SIGKILL: what a crash or a power cut does to one node."""
        process = self._nodes[node].process
        self._nodes[node].process = None  # it is down because we want it so
        if process is not None:
            process.kill()
            await _ended(process, 0)

    async def start_node(self, *nodes: int, timeout_s: float = 60.0) -> None:
        """Start nodes that are down, and wait until all running ones are ready together and in sync."""
        for node in nodes:
            if not self._nodes[node].alive:
                self._launch(node)
        await self.ready(timeout_s=timeout_s)

    async def ready(self, *, timeout_s: float = 60.0) -> None:
        """Wait until every running node is ready for clients and groups, and its copies are in sync.

        Raises :class:`Unreachable` with the reason when that takes longer, or when a node has ended by itself.
        """
        deadline = time.monotonic() + timeout_s
        wanted = {number: node for number, node in self._nodes.items() if node.process is not None}
        ports = {number: node.ports.client for number, node in wanted.items()}
        while (answer := await check_ready(ports)) is not None:
            for number, node in wanted.items():
                if not node.alive:
                    raise Unreachable(f"Kafka's node {number} ended by itself\n{_last_words(node.folder)}")
            if time.monotonic() > deadline:
                raise Unreachable(f"Kafka is not ready after {timeout_s:.0f} s: {answer.reason}")
            await asyncio.sleep(_POLL_S)

    def _prepare(self) -> None:
        jvm = find_jvm(self._cache, say=self._say)
        folder = self._wanted_folder or temporary_folder()
        self._folder = folder
        self._ownership = Ownership(folder)
        count = self._node_count
        ports = any_free(count) if self._base_port is None else ports_from(self._base_port, count)
        if busy := taken(ports):
            raise WrongUse(
                f"port {busy[0]} is in use; stop what listens there, or choose others with --port"
                f" ({2 * count} consecutive ones are needed)"
            )
        prepare_folder(folder, ports, jvm, self._settings)
        self._jvm = jvm
        self._nodes = {
            number: _Node(folder=node_folder(folder, number), ports=each)
            for number, each in enumerate(ports, start=1)
        }

    def _leave_folder(self) -> None:
        if self.temporary:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            clear_state(self.folder)

    def _launch(self, number: int) -> None:
        assert self._jvm is not None, "not started"
        node = self._nodes[number]
        main = ["kafka.Kafka", str(node.folder / "server.properties")]
        command = self._jvm.command(node.folder, main, options=self._java_options)
        node.process = start_child(command, output=node.folder / "output.log", folder=node.folder)


async def _ended(process: subprocess.Popen[bytes], grace_s: float) -> None:
    try:
        await asyncio.to_thread(process.wait, grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        await asyncio.to_thread(process.wait)


def _last_words(folder: Path) -> str:
    """The ends of a node's logs."""
    texts = []
    for name in ("output.log", "server.log"):
        file = folder / name
        if file.exists():
            texts.append(file.read_text(errors="replace")[-_TAIL_CHARACTERS:])
    return "\n".join(texts)
