"""Everything that a start needs and that can be had beforehand: the jars and the class archive."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from pathlib import Path

from deploy.kafka.cluster import EmbeddedKafka
from deploy.kafka.jars import sha256_of
from deploy.kafka.jvm import Jvm, checksum_file, find_jvm
from deploy.kafka.places import Say, cache_folder, say_on_stderr

_WRITING_TAKES_S = 120.0


async def prepare(cache: Path | None = None, *, say: Say = say_on_stderr) -> Jvm:
    """Fetch the jars and train the class archive, once; about 0.1 s when both are there.

    A cache that cannot be written keeps what it has. Raises what :func:`deploy.kafka.jvm.find_jvm` raises.
    """
    cache = cache or cache_folder()
    jvm = await asyncio.to_thread(find_jvm, cache, say=say)
    if jvm.archive_sound or not os.access(cache, os.W_OK):
        return jvm
    with (cache / "archive.lock").open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        jvm = await asyncio.to_thread(find_jvm, cache, say=say)  # another process may have trained meanwhile
        if not jvm.archive_sound:
            await _train(jvm, cache, say)
    return await asyncio.to_thread(find_jvm, cache, say=say)


async def _train(jvm: Jvm, cache: Path, say: Say) -> None:
    """Run a node once and let its JVM write down, when it ends, the classes that it loaded."""
    say("training the class archive, which halves every start of Kafka (once, about 10 s)")
    begun = time.monotonic()
    fresh = jvm.archive.with_suffix(f".{os.getpid()}")
    try:
        kafka = EmbeddedKafka(java_options=[f"-XX:AOTCacheOutput={fresh}"], cache=cache, say=say)
        await kafka.start()
        await kafka.stop(grace_s=_WRITING_TAKES_S)
        if not fresh.exists():  # no reason to fail: Kafka runs without one
            say("  the JVM wrote no class archive; Kafka starts without, about a second slower")
            return
        checksum = await asyncio.to_thread(sha256_of, fresh)
        fresh.replace(jvm.archive)
        checksum_file(jvm.archive).write_text(checksum)
    finally:
        fresh.unlink(missing_ok=True)
    say(f"  trained ({time.monotonic() - begun:.0f} s, {jvm.archive.stat().st_size / 1e6:.0f} MB)")
