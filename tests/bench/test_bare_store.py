"""The bare store writes what the view's own statements bind: where these change, it changes with them."""

from __future__ import annotations

from pathlib import Path

from bench import bare_store

MESSAGES = 3 * bare_store.BATCH


def test_the_bare_store_writes_messages_cases_and_the_outcomes_of_the_batch_before(tmp_path: Path) -> None:
    connection = bare_store.prepared(tmp_path / "bare.db")
    for batch in bare_store.batches(MESSAGES):
        bare_store.write(connection, batch)
    count = "SELECT count(*), count(outcome), count(receipt_id) FROM message"
    written, settled, receipted = connection.execute(count).fetchone()
    assert (written, settled, receipted) == (
        MESSAGES,
        MESSAGES - bare_store.BATCH,
        MESSAGES - bare_store.BATCH,
    )
    cases, due = connection.execute("SELECT count(*), count(falls_at) FROM case_view").fetchone()
    assert 0 < cases <= bare_store.CASES
    assert due == cases
    assert connection.execute("SELECT next_offset FROM position").fetchone() == (3,)
    connection.close()
