"""The jars of the embedded Kafka: exactly those in ``jgo.lock.toml``, each checked against its SHA-256.

``jgo`` only downloads (its own ``sync`` reads no lock and checks nothing). Once complete, nothing needs the
network. ``python -m deploy.kafka.jars`` writes the lock anew from ``jars.toml`` (for developers).
"""

from __future__ import annotations

import concurrent.futures
import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from broker.errors import Corrupt, Unreachable, WrongUse
from deploy.kafka.places import Say, cache_folder, say_on_stderr, shipped

if TYPE_CHECKING:
    from jgo.maven import MavenContext

LOCK: Final = "jgo.lock.toml"
SPEC: Final = "jars.toml"
EXTRA_MISSING: Final = "the embedded Kafka is not installed; run: pip install 'tongban[embedded]'"

_ATTEMPTS: Final = 3
_DOWNLOADS_AT_ONCE: Final = 8
_INSTALLED_AT: Final = (946_684_800, 946_684_800)
"""One time stamp for all jars: the class-data archive refuses jars whose time stamps differ from its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jar:
    """One jar of the lock."""

    group: str
    name: str
    version: str
    classifier: str
    sha256: str

    @property
    def file(self) -> str:
        suffix = f"-{self.classifier}" if self.classifier else ""
        return f"{self.name}-{self.version}{suffix}.jar"


def locked() -> tuple[Jar, ...]:
    """The jars that the lock names, sorted by file name."""
    tables = tomllib.loads(shipped(LOCK).decode())["dependencies"]
    jars = (
        Jar(
            group=table["groupId"],
            name=table["artifactId"],
            version=table["version"],
            classifier=table.get("classifier", ""),
            sha256=table["sha256"],
        )
        for table in tables
    )
    return tuple(sorted(jars, key=lambda jar: jar.file))


def kafka_version() -> str:
    """The release of Apache Kafka that the lock names."""
    return next(jar.version for jar in locked() if jar.name == "kafka-clients")


def class_path(cache: Path | None = None, *, say: Say = say_on_stderr) -> tuple[Path, ...]:
    """The checked jars in the cache, fetched if they are missing or damaged.

    About 0.05 s and offline once complete; then the cache may be read-only. Two processes at once fetch once.

    Raises :class:`Unreachable` when a jar cannot be fetched, :class:`Corrupt` when what is fetched is not what
    the lock names, :class:`WrongUse` when the ``embedded`` extra is missing.
    """
    cache = cache or cache_folder()
    folder = cache / "jars"
    jars = locked()
    if _missing(jars, folder):
        with _alone(cache):
            missing = _missing(jars, folder)  # another process may have fetched them meanwhile
            if missing:
                _fetch_all(missing, folder, cache, say)
    return tuple(folder / jar.file for jar in jars)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _missing(jars: Sequence[Jar], folder: Path) -> tuple[Jar, ...]:
    return tuple(jar for jar in jars if not _is_whole(jar, folder))


def _is_whole(jar: Jar, folder: Path) -> bool:
    try:
        return sha256_of(folder / jar.file) == jar.sha256
    except OSError:
        return False


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    try:
        with (cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except PermissionError as fault:
        message = f"the cache {cache} cannot be written; set TONGBAN_CACHE to a folder that can"
        raise WrongUse(message) from fault


def _fetch_all(jars: Sequence[Jar], folder: Path, cache: Path, say: Say) -> None:
    folder.mkdir(exist_ok=True)
    begun = time.monotonic()
    say(f"fetching {len(jars)} jars of Apache Kafka {kafka_version()} into {folder} (once)")
    with (
        tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as scratch,
        concurrent.futures.ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool,
    ):
        context = _maven(Path(scratch))
        tasks = [pool.submit(_fetch, jar, folder, context) for jar in jars]
        try:
            for done, task in enumerate(concurrent.futures.as_completed(tasks), start=1):
                task.result()
                if done % 10 == 0:
                    say(f"  {done} of {len(jars)} jars")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    say(f"  all {len(jars)} jars are here and match the lock ({time.monotonic() - begun:.0f} s)")


def _fetch(jar: Jar, folder: Path, context: MavenContext) -> None:
    """Put one checked jar in its place. ``jgo`` itself retries only when told to slow down."""
    fault: Exception | None = None
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(attempt)
        try:
            artifact = context.project(jar.group, jar.name).at_version(jar.version)
            fetched = artifact.artifact(jar.classifier or "", "jar").resolve()
        except Exception as raised:  # whatever the downloader or the network raises
            fault = raised
            continue
        if sha256_of(fetched) == jar.sha256:
            os.utime(fetched, _INSTALLED_AT)
            fetched.replace(folder / jar.file)
            return
        fault = None
        fetched.unlink()
    if fault is None:
        raise Corrupt(f"{jar.file}: what the repository sends does not match the SHA-256 in {LOCK}")
    message = (
        f"{jar.file} could not be fetched ({type(fault).__name__}); the embedded Kafka needs the network once."
        " A mirror can be named in jgo's configuration file"
    )
    raise Unreachable(message) from fault


def _maven(repository: Path) -> MavenContext:
    try:
        from jgo.config import GlobalSettings
        from jgo.constants import MAVEN_CENTRAL_URL
        from jgo.maven import MavenContext, PythonResolver
    except ImportError as fault:
        raise WrongUse(EXTRA_MISSING) from fault
    try:
        mirrors = GlobalSettings.load().repositories
    except RuntimeError:  # no home folder to look in
        mirrors = {}
    remote = {"central": MAVEN_CENTRAL_URL, **mirrors}
    return MavenContext(resolver=PythonResolver(), repo_cache=repository, remote_repos=remote, timeout=60)


def relock(folder: Path) -> int:
    """Resolve ``jars.toml`` in ``folder`` and write the lock beside it, if it names other jars than before.

    Returns the number of jars.
    """
    from jgo.env import EnvironmentBuilder, EnvironmentSpec, LockFile

    spec_file = folder / SPEC
    spec = EnvironmentSpec.load(spec_file)
    with tempfile.TemporaryDirectory() as scratch:
        context = _maven(Path(scratch) / "repository")
        wanted = EnvironmentBuilder(context, cache_dir=Path(scratch)).spec_to_dependencies(spec)
        if not all(dependency.raw for dependency in wanted):
            raise WrongUse(f"{spec_file}: every coordinate must end with `!`")
        first, rest = context.resolver.resolve(wanted)
        needed = [*first, *(other for other in rest if other.scope in {"compile", "runtime"})]
        unique = {dependency.artifact.key: dependency for dependency in needed}
        lock = LockFile.from_resolved_dependencies(
            [unique[key] for key in sorted(unique)],
            environment_name=spec.name,
            spec_hash=hashlib.sha256(spec_file.read_bytes()).hexdigest()[:16],
        )
        fresh = Path(scratch) / LOCK
        lock.save(fresh)
        if _named(fresh) != _named(folder / LOCK):
            shutil.copyfile(fresh, folder / LOCK)
    return len(unique)


def _named(lock: Path) -> object:
    return tomllib.loads(lock.read_text())["dependencies"] if lock.exists() else None


if __name__ == "__main__":
    print(f"{relock(Path(__file__).parent)} jars locked", file=sys.stderr)
