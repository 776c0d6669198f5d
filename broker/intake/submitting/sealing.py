"""Submissions as ledger records, their papers sealed, many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from broker.core.events import compartment_aad
from broker.core.message import to_headers
from broker.core.records import NewRecord, make_new_record
from broker.intake.submitting.verdicts import Pending
from broker.log.admin.topics import LEDGER, ledger_key, ledger_partition
from broker.log.values.compartment import seal_examined

NONCE_BYTES: Final = 12


def seal(
    keyed: Sequence[tuple[Pending, bytes]], *, partitions: int, random_bytes: Callable[[int], bytes]
) -> list[NewRecord]:
    """The ledger records of these submissions, each with its papers sealed under the key beside it."""
    nonces = random_bytes(NONCE_BYTES * len(keyed))
    records: list[NewRecord] = []
    for at, (pending, key) in enumerate(keyed):
        message = pending.message
        value = seal_examined(
            pending.submission.examined,
            pending.verbatim,
            key=key,
            nonce=nonces[at * NONCE_BYTES : (at + 1) * NONCE_BYTES],
            aad=compartment_aad(message),
        )
        records.append(
            make_new_record(
                topic=LEDGER,
                key=ledger_key(message.case),
                value=value,
                headers=to_headers(message),
                partition=ledger_partition(message.case, partitions),
            )
        )
    return records
