"""The data folder of a cluster: formatted once, found again afterwards.

Layout: ``cluster.json`` (written last, so that a folder without it holds nothing worth keeping), ``owner``,
``node1/`` … each with ``data/``, ``server.properties``, ``log4j2.properties``, ``server.log``, ``output.log``.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from broker.errors import Corrupt, TongbanError, WrongUse
from deploy.kafka.jvm import Jvm
from deploy.kafka.places import shipped
from deploy.kafka.server_settings import Ports, server_properties

_IDENTITY: Final = "cluster.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a formatted data folder is."""

    cluster_id: str
    nodes: int


def node_folder(folder: Path, node: int) -> Path:
    return folder / f"node{node}"


def identity_of(folder: Path) -> Identity | None:
    """What is in this data folder; None when it was never formatted. Raises :class:`Corrupt`."""
    file = folder / _IDENTITY
    try:
        content = json.loads(file.read_text())
        return Identity(cluster_id=str(content["cluster_id"]), nodes=int(content["nodes"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as fault:
        raise Corrupt(f"{file} does not read; restore it, or remove the folder and its data") from fault


def new_id() -> str:
    """An id as Kafka makes them: 16 random bytes in URL-safe base64, never with a leading hyphen."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):  # the storage tool would take it for an option
            return text


def prepare_folder(
    folder: Path, ports: Sequence[Ports], jvm: Jvm, overrides: Mapping[str, object]
) -> Identity:
    """Write the nodes' settings; format their storage if that was never done. Blocks for about a second.

    Raises :class:`WrongUse` when the folder holds a cluster of another size.
    """
    known = identity_of(folder)
    if known is not None and known.nodes != len(ports):
        raise WrongUse(
            f"{folder} holds the data of {known.nodes} node(s), not of {len(ports)};"
            f" use --nodes {known.nodes}, or another --folder"
        )
    for node in range(1, len(ports) + 1):
        own = node_folder(folder, node)
        (own / "tmp").mkdir(parents=True, exist_ok=True)
        (own / "log4j2.properties").write_bytes(shipped("log4j2.properties"))
        (own / "server.properties").write_text(server_properties(node, ports, own, overrides))
    return known or _format(folder, len(ports), jvm)


def _format(folder: Path, nodes: int, jvm: Jvm) -> Identity:
    """One JVM formats the first node; the others get the same checkpoint, as a static quorum wants it."""
    identity = Identity(cluster_id=new_id(), nodes=nodes)
    for node in range(1, nodes + 1):  # left by a format that was interrupted
        shutil.rmtree(node_folder(folder, node) / "data", ignore_errors=True)
    first = node_folder(folder, 1)
    tool = ["kafka.tools.StorageTool", "format", "-t", identity.cluster_id]
    command = jvm.command(first, [*tool, "-c", str(first / "server.properties")])
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise TongbanError(f"Kafka's storage could not be formatted:\n{ran.stdout}{ran.stderr}".rstrip())
    for node in range(2, nodes + 1):
        data = node_folder(folder, node) / "data"
        data.mkdir()
        shutil.copy(first / "data" / "bootstrap.checkpoint", data)
        (data / "meta.properties").write_text(
            f"version=1\ncluster.id={identity.cluster_id}\nnode.id={node}\ndirectory.id={new_id()}\n"
        )
    (folder / _IDENTITY).write_text(json.dumps({"cluster_id": identity.cluster_id, "nodes": nodes}))
    return identity
