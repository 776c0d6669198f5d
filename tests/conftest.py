"""Parts that tests share. What needs a Kafka uses a real one: one for the whole session, three when asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.kafka.cluster import EmbeddedKafka


@pytest.fixture(scope="session")
def kafka() -> Iterator[EmbeddedKafka]:
    """One node, ready, for the whole session: use topics and groups of your own. ``kafka.bootstrap``."""
    cluster = EmbeddedKafka()
    asyncio.run(cluster.start())
    yield cluster
    asyncio.run(cluster.stop())


@pytest.fixture(scope="module")
def kafka3() -> Iterator[EmbeddedKafka]:
    """Three nodes for one module: ``kill_node`` and ``start_node`` are for fail-over tests."""
    cluster = EmbeddedKafka(nodes=3)
    asyncio.run(cluster.start())
    yield cluster
    asyncio.run(cluster.stop())


STOOD_ON = {
    "on a real Apache Kafka": {
        "delivery",
        "deploy",
        "docs",
        "e2e",
        "exchange",
        "intake",
        "log",
        "simulation",
    },
    "on SQLite and on a real PostgreSQL": {"e2e", "store"},
}
"""Which rooms' tests start the real part."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end what ran, room by room: a figure of tests alone does not tell what they stood on."""
    rooms: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", []):
        parts = Path(report.nodeid.partition("::")[0]).parts
        rooms[parts[1] if len(parts) > 2 else "whole house"] += 1
    if rooms:
        terminalreporter.write_sep("-", "what ran")
        terminalreporter.write_line(", ".join(f"{room} {count}" for room, count in sorted(rooms.items())))
        for part, users in STOOD_ON.items():
            if users & rooms.keys():
                terminalreporter.write_line(f"{part}: {', '.join(sorted(users & rooms.keys()))}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A test that was skipped has failed: a part that it needs is missing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if isinstance(reporter, pytest.TerminalReporter) else []
    if skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
