"""``tongban kafka``: a real Apache Kafka on this machine, kept running between commands."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from broker.commands.common import FOUND, UNREACHABLE, console, notes, print_json, run
from broker.commands.options import AsJson
from broker.errors import WrongUse
from deploy.kafka import background
from deploy.kafka.background import Status
from deploy.kafka.cluster import NodeCount
from deploy.kafka.jars import kafka_version
from deploy.kafka.prepare import prepare as prepare_all
from deploy.kafka.state import State
from deploy.kafka.storage import identity_of
from deploy.kafka.supervisor import supervise

app = typer.Typer(
    name="kafka",
    help="Run a real Apache Kafka on this machine: one node, or three that survive the loss of one.",
    no_args_is_help=True,
)

Folder = Annotated[Path, typer.Option("--folder", help="where its data is kept")]
DEFAULT_FOLDER = Path(".tongban/kafka")
DEFAULT_PORT = 9092


@app.command()
def up(
    nodes: Annotated[int | None, typer.Option("--nodes", help="1 or 3; default: as before, else 1")] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65_530, help=f"the first node's; default {DEFAULT_PORT}"),
    ] = None,
    folder: Folder = DEFAULT_FOLDER,
    foreground: Annotated[bool, typer.Option("--foreground", help="run until Ctrl-C")] = False,
    as_json: AsJson = False,
) -> None:
    """Start Kafka and return when it is ready. Started already, it says so and changes nothing."""
    wanted = _node_count(nodes)
    folder = folder.absolute()
    begun = time.monotonic()
    state = run(_running(folder, wanted, port))
    if state is not None:
        _tell_up(state, folder, "already-running", begun, as_json=as_json)
        return
    run(prepare_all(say=_note))
    begun = time.monotonic()  # what is done once is not part of the start
    count, base = wanted or _nodes_of(folder), port or DEFAULT_PORT

    def announce(state: State) -> None:
        _tell_up(state, folder, "started", begun, as_json=as_json, foreground=foreground)

    if foreground:
        asyncio.run(supervise(folder, nodes=count, base_port=base, announce=announce))
    else:
        announce(run(background.up(folder, nodes=count, base_port=base)))


@app.command()
def down(folder: Folder = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """Stop Kafka cleanly; its data stays."""
    folder = folder.absolute()
    stopped = run(background.down(folder))
    if as_json:
        print_json({"state": "stopped" if stopped else "not-running", "folder": str(folder)})
    elif stopped:
        _print(f"Kafka has stopped; its data stays in {folder}")
    else:
        _print(f"no Kafka runs on {folder}")


@app.command()
def status(folder: Folder = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """Show nodes, ports, cluster id and data; exit 0 when ready, 1 when not yet, 3 when it does not run."""
    found = run(background.status(folder.absolute()))
    if as_json:
        print_json({**asdict(found), "folder": str(found.folder), "kafka": kafka_version()})
    else:
        for line in _described(found):
            _print(line)
    if not found.running:
        raise typer.Exit(UNREACHABLE)
    if not found.ready:
        raise typer.Exit(FOUND)


@app.command()
def prepare(as_json: AsJson = False) -> None:
    """Fetch and check what Kafka needs, and make its starts quick. Afterwards nothing needs the network."""
    jvm = run(prepare_all(say=_note))
    if as_json:
        facts = {"kafka": kafka_version(), "jars": len(jvm.class_path), "class_archive": jvm.archive_sound}
        print_json({**facts, "cache": str(jvm.archive.parent)})
    else:
        archive = "with" if jvm.archive_sound else "without"
        _print(
            f"Kafka {kafka_version()} is prepared: {len(jvm.class_path)} jars, {archive} a class archive,"
            f" in {jvm.archive.parent}"
        )


async def _running(folder: Path, nodes: NodeCount | None, port: int | None) -> State | None:
    """The Kafka that runs on ``folder`` already. Raises :class:`WrongUse` when another one was asked for."""
    found = await background.status(folder)
    if not found.running:
        return None
    state = await background.wait_ready(folder)
    if nodes not in {None, len(state.ports)} or port not in {None, state.ports[0]}:
        raise WrongUse(
            f"a Kafka of {len(state.ports)} node(s) runs at {state.bootstrap} on {folder} already;"
            " `tongban kafka down` stops it, --folder starts another one"
        )
    return state


def _node_count(nodes: int | None) -> NodeCount | None:
    match nodes:
        case None | 1 | 3:
            return nodes
        case _:
            raise WrongUse(f"--nodes is 1 or 3, not {nodes}")


def _nodes_of(folder: Path) -> NodeCount:
    identity = identity_of(folder)
    return 3 if identity is not None and identity.nodes == 3 else 1


def _tell_up(
    state: State, folder: Path, outcome: str, begun: float, *, as_json: bool, foreground: bool = False
) -> None:
    seconds = time.monotonic() - begun
    if as_json:
        print_json({"state": outcome, **asdict(state), "folder": str(folder), "seconds": round(seconds, 2)})
        return
    ready = "runs already" if outcome == "already-running" else f"is ready after {seconds:.1f} s"
    _print(f"Kafka {kafka_version()} {ready} at {state.bootstrap}; its data is in {folder}")
    if foreground:
        _note("Ctrl-C stops it")
    elif outcome == "started":
        _note("`tongban kafka status` looks at it, `tongban kafka down` stops it")


def _described(found: Status) -> list[str]:
    lines = [f"Kafka {kafka_version()}  {'ready' if found.ready else found.reason}"]
    if found.bootstrap:
        lines.append(f"nodes      {found.nodes} at {found.bootstrap}")
        lines.append(f"process    {found.pid}, since {found.started_at}")
    if found.cluster_id:
        lines.append(f"cluster    {found.cluster_id}")
        lines.append(f"data       {found.data_bytes / 1e6:.1f} MB in {found.folder}")
    if not found.running:
        lines.append("start it: tongban kafka up")
    return lines


def _print(line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
    sys.stdout.flush()


def _note(line: str) -> None:
    notes.print(line, highlight=False, markup=False, soft_wrap=True)
