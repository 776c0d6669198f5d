"""The contenders of the delivery bench: how each is made ready, and the command that runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.delivery_partner import HERE
from broker.core.ids import PartnerId
from broker.log.admin.topics import outbox

IN_FLIGHT: Final = 256
"""Requests under way at once, and connections, of every contender that lets itself be told."""
PEER_PACKAGES: Final = ("pyrallel-consumer==1.0.0", "faststream[kafka]==0.7.8", "uvloop")
_JAVA: Final = HERE / "peers" / "java"


class NotHere(Exception):
    """The contender cannot run on this machine: the message says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a contender is to do: bring one partner's outbox to ``url``. ``member`` makes it a static one."""

    bootstrap: str
    partner: PartnerId
    group: str
    member: str
    url: str
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One contender. ``receipts``: its records must be such as are receipted. ``static``: see the kill trial."""

    name: str
    title: str
    command: Callable[[Job, Path], Sequence[str]]
    receipts: bool = False
    static: bool = True
    keyed: bool = True
    """It promises order per case with other cases in parallel: the bound of the hottest case applies to it."""


def tongban(mode: str, more: Sequence[str] = ()) -> Callable[[Job, Path], Sequence[str]]:
    """The command of our own delivery."""

    def command(job: Job, out: Path) -> Sequence[str]:
        del out
        return [
            sys.executable, "-m", "bench.peers.tongban", "--bootstrap", job.bootstrap, "--partners", job.partner,
            "--group", job.group, "--member", job.member, "--url", job.url, "--folder", str(job.folder),
            "--in-flight", str(IN_FLIGHT), "--mode", mode, *more,
        ]  # fmt: skip

    return command


def _python(module: str, packages: bool) -> Callable[[Job, Path], Sequence[str]]:
    def command(job: Job, out: Path) -> Sequence[str]:
        return [
            str(_peer_python(out)) if packages else sys.executable, "-m", f"bench.peers.{module}",
            "--bootstrap", job.bootstrap, "--topic", outbox(job.partner), "--group", job.group,
            "--member", job.member, "--url", job.url, "--in-flight", str(IN_FLIGHT),
        ]  # fmt: skip

    return command


def _java(client: str, commits: str) -> Callable[[Job, Path], Sequence[str]]:
    def command(job: Job, out: Path) -> Sequence[str]:
        classes = _java_classes(out)
        return [
            shutil.which("java") or "java", "-cp", f"{classes}{os.pathsep}{out / 'java' / 'jars'}/*", "Peer", client, commits,
            job.bootstrap, outbox(job.partner), job.group, job.member, job.url, str(IN_FLIGHT),
        ]  # fmt: skip

    return command


def _peer_python(out: Path) -> Path:
    """A virtual environment of the peers' own, made at its first use: they need Python 3.12 and other packages."""
    folder = out / "peers"
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if ready.exists() and ready.read_text() == " ".join(PEER_PACKAGES):
        return python
    found = next((each for each in ("python3.12", "python3.13") if _works(each)), None)
    if found is None:
        raise NotHere("Python 3.12 or newer (python3.12) is not on this machine")
    _do([found, "-m", "venv", str(folder)], "the peers' virtual environment cannot be made")
    _do(
        [str(python), "-m", "pip", "install", "--quiet", *PEER_PACKAGES],
        "the peers' packages cannot be installed",
    )
    ready.write_text(" ".join(PEER_PACKAGES))
    return python


def _works(python: str) -> bool:
    if shutil.which(python) is None:
        return False
    tried = subprocess.run([python, "-c", "import venv"], capture_output=True, check=False)
    return tried.returncode == 0


def _java_classes(out: Path) -> Path:
    """Jars by Maven, or by the resolver that the embedded Kafka uses; the small program compiled beside them."""
    if shutil.which("javac") is None:
        raise NotHere("a JDK (javac) is not on this machine")
    jars, classes = out / "java" / "jars", out / "java" / "classes"
    source = _JAVA / "Peer.java"
    if not (out / "java" / "ready").exists():
        jars.mkdir(parents=True, exist_ok=True)
        if shutil.which("mvn") is not None:
            command = ["mvn", "-q", "-B", "-f", str(_JAVA / "pom.xml"), "dependency:copy-dependencies"]
            _do(
                [*command, "-DincludeScope=runtime", f"-DoutputDirectory={jars}"],
                "Maven cannot fetch the jars",
            )
        else:
            _resolve_jars(jars)
        (out / "java" / "ready").touch()
    made = classes / "Peer.class"
    if not made.exists() or made.stat().st_mtime < source.stat().st_mtime:
        _do(["javac", "-cp", f"{jars}/*", "-d", str(classes), str(source)], "Peer.java does not compile")
    return classes


def _resolve_jars(jars: Path) -> None:
    import jgo

    endpoint = "+".join(
        f"io.confluent.parallelconsumer:parallel-consumer-{name}:0.5.3.3" for name in ("core", "vertx")
    )
    try:
        built = jgo.build(endpoint)
    except Exception as fault:
        raise NotHere(f"the jars cannot be fetched ({type(fault).__name__})") from fault
    for folder in {Path(each).parent for each in built.all_jars}:
        for jar in folder.glob("*.jar"):
            shutil.copy(jar, jars / jar.name)


def _do(command: Sequence[str], otherwise: str) -> None:
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [""]
        raise NotHere(f"{otherwise}: {last[0][:200]}")


_PC: Final = "Parallel Consumer 0.5.3.3"
CONTENDERS: Final[Mapping[str, Contender]] = {
    each.name: each
    for each in (
        Contender(name="tongban", title="Tongban, engine alone", command=tongban("alone")),
        Contender(
            name="tongban-signed", title="Tongban, signed, receipted, stored", command=tongban("signed"), receipts=True
        ),
        Contender(
            name="tongban-batch", title="Tongban, the same in batches of 100", command=tongban("batch"), receipts=True
        ),
        Contender(name="pc", title=f"{_PC} (Java), Vert.x", command=_java("vertx", "async")),
        Contender(name="pc-sync", title=f"{_PC}, Vert.x, synchronous commits", command=_java("vertx", "sync")),
        Contender(name="pc-core", title=f"{_PC}, core, the JDK's client", command=_java("core", "async")),
        Contender(name="pyrallel", title="pyrallel-consumer 1.0.0", command=_python("pyrallel", True)),
        Contender(
            name="faststream", title="FastStream 0.7.8, ack", command=_python("faststream_ack", True),
            static=False, keyed=False,
        ),
        Contender(name="plain", title="plain aiokafka loop", command=_python("plain", False), keyed=False),
    )
}  # fmt: skip
