"""Identifiers of partners, cases and messages, and the deterministic ids of receipts and notices.

Source: contract, "Ids"; GB/T 2260 (行政区划代码); CloudEvents 1.0 (``source`` + ``id`` is unique for ever).
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, NewType

PartnerId = NewType("PartnerId", str)
"""``451300``, ``430423`` or, for one authority within a place, ``350206-minzheng``."""

CaseId = NewType("CaseId", str)
"""``<partner that opened it>/<its own case number>``."""

MessageId = NewType("MessageId", str)
"""CloudEvents ``id``: unique for ever together with its source."""

Party = NewType("Party", str)
"""Who can speak on the ledger: a partner id, or :data:`BROKER`."""

BROKER = Party("tongban")
"""The broker itself, as the source of receipts, notices and records of the directory."""

_PARTNER = re.compile(r"[0-9]{6}(-[a-z0-9]{1,24})?")
_NUMBER = re.compile(r"[^\s/\x00-\x20\x7f]{1,64}")
_MESSAGE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PART = re.compile(r"[a-z0-9][a-z0-9-]{0,23}")

PART_MARK: Final = "~"
"""Between a bundle's case id and the name of one of its parts. No partner opens a case whose number holds it."""

LONGEST_PARENT: Final = 39
"""Characters of the number of a case that has parts: with the mark and a part's name it is still a case number."""


class InvalidId(ValueError):
    """An identifier that is not of its form. ``expected`` says the form; the text itself is never repeated."""

    def __init__(self, kind: str, expected: str) -> None:
        super().__init__(f"not a {kind}: expected {expected}")
        self.kind = kind
        self.expected = expected


def partner_id(text: str) -> PartnerId:
    """Check a partner id. Raises :class:`InvalidId`."""
    if not _PARTNER.fullmatch(text):
        raise InvalidId(
            "partner id", "a 6-digit 行政区划代码, optionally '-' and an authority of [a-z0-9]{1,24}"
        )
    return PartnerId(text)


def message_id(text: str) -> MessageId:
    """Check a message id. Raises :class:`InvalidId`."""
    if not _MESSAGE.fullmatch(text):
        raise InvalidId("message id", "1 to 64 of [A-Za-z0-9_-]")
    return MessageId(text)


def case_id(text: str) -> CaseId:
    """Check a case id, ``<partner>/<number>``. Raises :class:`InvalidId`."""
    partner, slash, number = text.partition("/")
    if (
        not slash
        or not _PARTNER.fullmatch(partner)
        or not _NUMBER.fullmatch(number)
        or not number.isprintable()
    ):
        raise InvalidId(
            "case id", "<partner that opened it>/<number of 1 to 64 visible characters without '/'>"
        )
    return CaseId(text)


def opening_partner(case: CaseId) -> PartnerId:
    """The partner that opened the case: the part before the slash."""
    return PartnerId(case.partition("/")[0])


def part_case(parent: CaseId, name: str) -> CaseId:
    """The case of one part of a bundle: ``<parent>~<name>``. Raises :class:`InvalidId`."""
    if not _PART.fullmatch(name):
        raise InvalidId("part name", "1 to 24 of [a-z0-9-], not '-' first")
    return case_id(f"{parent}{PART_MARK}{name}")


def split_part(case: CaseId) -> tuple[CaseId, str] | None:
    """Parent and name of a part, or None for a case that is not one."""
    if PART_MARK not in case:
        return None
    parent, _, name = case.partition(PART_MARK)
    return (CaseId(parent), name) if _PART.fullmatch(name) and not parent.endswith("/") else None


def key_case(case: CaseId) -> CaseId:
    """The case whose data key seals this one's papers, and whose place on the ledger it has: a part's is its parent's."""
    if PART_MARK not in case:
        return case
    part = split_part(case)
    return case if part is None else part[0]


def place(partner: PartnerId) -> str:
    """The 6-digit 行政区划代码 of a partner, without the authority within it."""
    return partner[:6]


def is_partner(party: Party) -> bool:
    """Whether a party is a partner (and so has an outbox), not the broker."""
    return party != "tongban"


def as_partner(party: Party) -> PartnerId:
    """A party known to be a partner, as its id."""
    assert is_partner(party)
    return PartnerId(party)


def party_path(party: Party | PartnerId) -> str:
    """A party as CloudEvents ``source`` and our ``destination``: ``/partners/451300`` or ``/tongban``."""
    return "/tongban" if party == BROKER else f"/partners/{party}"


def party_from_path(path: str) -> Party:
    """The inverse of :func:`party_path`. Raises :class:`InvalidId`."""
    if path == "/tongban":
        return BROKER
    prefix, _, text = path.rpartition("/")
    if prefix != "/partners":
        raise InvalidId("party", "/partners/<partner id>")
    return Party(partner_id(text))


def derived_id(kind: str, *facts: str) -> MessageId:
    """A deterministic message id from what it stands for, so that a repeated attempt makes the same one.

    ``kind`` is one letter (``r`` receipt, ``n`` notice, ``d`` directory, ``o`` operator's act, ``p`` a copy for a
    bundle's part, ``j`` what the broker says for all parts together). 128 bits of SHA-256 over the length-prefixed
    facts: no two different lists of facts read the same.
    """
    text = "".join([f"{len(fact)}:{fact}" for fact in facts])
    return MessageId(f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:32]}")


def receipt_id(acknowledged: str, recipient: str, outcome: str, redrive: int = 0) -> MessageId:
    """The id of the receipt for message ``<source>/<id>``, its recipient and the outcome (ADR 0004).

    ``redrive``: which redrive from the desk ended so. A delivery is the same effect whichever brought it, a
    failure is another one each time: without the number a second failure would look like a repeat of the first.
    """
    if redrive == 0 or outcome == _ONCE:
        return derived_id("r", acknowledged, recipient, outcome)
    return derived_id("r", acknowledged, recipient, outcome, str(redrive))


_ONCE = "delivered"
