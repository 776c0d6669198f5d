"""What audit finds: the forbidden kinds, what forbids each, and one finding with the records that prove it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from broker.core.ids import CaseId, PartnerId
from broker.core.records import Position
from broker.log.admin import topics
from broker.store.rows import MessageRow


class Kind(StrEnum):
    """What is forbidden (domain.md: 明进暗不进, 双轨运行, 体外循环, 两头办理、两头收费)."""

    DECIDED_BEFORE_ACCEPTED = "decided-before-accepted"
    OUTSIDE_THE_EXCHANGE = "outside-the-exchange"
    PAID_OUTSIDE_THE_EXCHANGE = "paid-outside-the-exchange"
    CHARGED_TWICE = "charged-twice"
    COLLECTED_AND_DECIDED = "collected-and-decided"
    QUEUE_SKIPPED = "queue-skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """A kind in words: its title in both languages, and what forbids it."""

    zh: str
    en: str
    forbids: str


MEANINGS: Final[Mapping[Kind, Meaning]] = MappingProxyType(
    {
        Kind.DECIDED_BEFORE_ACCEPTED: Meaning(
            zh="未受理先办结",
            en="decided before it was accepted",
            forbids="行政许可法第三十二条、第四十二条：受理之后方可审查决定；禁止“明进暗不进”",
        ),
        Kind.OUTSIDE_THE_EXCHANGE: Meaning(
            zh="体外循环",
            en="decided outside the exchange",
            forbids="政务大厅管理规定：禁止“体外循环”“双轨运行”“明进暗不进”，办件须在通办流转中办结",
        ),
        Kind.PAID_OUTSIDE_THE_EXCHANGE: Meaning(
            zh="体外收费",
            en="paid outside the exchange",
            forbids="收支两条线：凭缴费通知单缴入国库，窗口不收现金；禁止“体外循环”",
        ),
        Kind.CHARGED_TWICE: Meaning(
            zh="两头收费",
            en="charged twice",
            forbids="政务大厅管理规定：禁止“两头办理、两头收费”；行政许可法第五十九条",
        ),
        Kind.COLLECTED_AND_DECIDED: Meaning(
            zh="收受不分",
            en="collected and decided by the same hand",
            forbids="国办发〔2020〕35号：异地代收代办收受分离，收件地只作形式审查和身份核验，业务属地决定",
        ),
        Kind.QUEUE_SKIPPED: Meaning(
            zh="插队办理",
            en="decided ahead of cases that had come earlier",
            forbids="行政许可法第五十七条：有数量限制的按受理先后顺序；其他事项须能说明理由",
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One record of the ledger that proves a finding. ``at``: when the ledger took it (UTC ms)."""

    position: Position
    message: str
    type: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding. ``partner``: at whose side it is; ``case`` None: the ledger knows none; ``at``: see the proof.

    ``detail`` is one sentence without personal data. ``proofs`` begin with the record that gives it away.
    """

    kind: Kind
    case: CaseId | None
    partner: PartnerId
    at: int
    detail: str
    proofs: tuple[Proof, ...]


def proof(row: MessageRow) -> Proof:
    """The record that this row of the view stands for."""
    return Proof(
        position=Position(topics.LEDGER, row.ledger_partition, row.ledger_offset),
        message=f"{row.source}/{row.id}",
        type=row.type,
        at=row.accepted_at,
    )


def proofs(*rows: MessageRow | None) -> tuple[Proof, ...]:
    """The records behind these rows, each once; what is not there is left out."""
    return tuple(dict.fromkeys(proof(row) for row in rows if row is not None))
