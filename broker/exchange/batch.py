"""One partition's records, judged in log order: the view's changes and the outputs that follow from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from broker.core.case.routing import NoSubject
from broker.core.catalogue.directory import Directory
from broker.core.documents import DocumentInvalid
from broker.core.records import Record
from broker.errors import Corrupt
from broker.exchange.judged import NO_BOOK, Book, Judged
from broker.exchange.judging import Judging
from broker.exchange.reading import Read, unreadable
from broker.log.values.codec import Codec
from broker.store.rows import Name
from broker.store.view.ledger_view import Known, Loaded

__all__ = ["NO_BOOK", "Book", "Judged", "judge_batch"]


def judge_batch(
    reads: Sequence[Read],
    loaded: Loaded,
    directory: Directory,
    originals: Mapping[Name, Record],
    *,
    codec: Codec,
    outbox_partitions: int,
    book: Book = NO_BOOK,
    routing: bool = True,
    seen: dict[Name, Known] | None = None,
) -> Judged:
    """Judge the records of one partition in their order, each seeing what those before it have changed.

    ``originals``: the records of the messages that acts among these redrive, or that parts of bundles are copies
    of (``originals.py``). ``book``: the directories that the cases loaded were opened under, by version.
    ``routing`` False: what goes to outboxes is there already, and is not made again. ``seen``: the messages loaded,
    and those of other partitions that are judged for the same transaction; this one's are added. A name belongs to
    the first message that came under it, whichever partition the next one is on.
    """
    judging = Judging(
        loaded, directory, originals, codec, outbox_partitions, book, routing=routing, seen=seen
    )
    for each in reads:
        try:
            judging.judge(each)
        except (Corrupt, DocumentInvalid, NoSubject) as fault:
            unreadable(each.record, str(fault))
    judging.tell()
    return judging.judged
