"""What must be in the partners' own ledgers, as pure questions to them. The broker's word counts for nothing here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.ledger import read_attempts, read_cases, read_effects, read_sent, read_steps
from deploy.demo.records import Attempt, CaseRow, Effect, Sent, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One expectation and whether it holds. ``found`` says what stands there instead, or the proof."""

    zh: str
    en: str
    holds: bool
    found: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """One city's ledger, read whole at one moment."""

    effects: Sequence[Effect]
    attempts: Sequence[Attempt]
    cases: Sequence[CaseRow]
    steps: Sequence[Step]
    sent: Sequence[Sent]

    @classmethod
    def read(cls, path: Path) -> Books:
        return cls(
            effects=read_effects(path),
            attempts=read_attempts(path),
            cases=read_cases(path),
            steps=read_steps(path),
            sent=read_sent(path),
        )

    def heard(self, case: str, source: str) -> list[str]:
        """The types that had an effect here on a case, from one source, in the order of their effects."""
        return [effect.type for effect in self.effects if effect.case == case and effect.source == source]

    def said(self, case: str) -> list[Sent]:
        """Our messages on a case, in order."""
        return [message for message in self.sent if message.case == case]

    def message(self, case: str, type_: str) -> Sent | None:
        """Our first message of a type on a case."""
        return next((message for message in self.said(case) if message.type == type_), None)

    def receipts(self, name: str) -> list[str]:
        """The types of the receipts and notices that came here about the message ``<partner>/<id>``."""
        return [
            effect.type
            for effect in self.effects
            if effect.correlation == name and effect.source == "tongban"
        ]


Ledgers = Mapping[str, Books]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A case that went its whole way: what each side said, in order."""

    case: str
    opening: str
    responsible: str
    opening_says: tuple[str, ...]
    responsible_says: tuple[str, ...]


def flow_checks(ledgers: Ledgers, flow: Flow) -> list[Check]:
    """Each side's effects in the other's ledger, in order and once, and a receipt for each at its sender."""
    return [
        _in_order(ledgers, flow.case, flow.opening, flow.responsible, flow.opening_says),
        _in_order(ledgers, flow.case, flow.responsible, flow.opening, flow.responsible_says),
        _receipted(ledgers, flow),
    ]


def _in_order(ledgers: Ledgers, case: str, source: str, at: str, expected: Sequence[str]) -> Check:
    heard = ledgers[at].heard(case, source)
    return Check(
        zh=f"{at} 账上有 {source} 的 {len(expected)} 件报文，依序，各一次",
        en=f"{at} has {len(expected)} effects from {source}, in order, once each",
        holds=heard == list(expected),
        found=names(heard),
    )


def _receipted(ledgers: Ledgers, flow: Flow) -> Check:
    said = [
        (f"{city}/{message.id}", message, ledgers[city].receipts(f"{city}/{message.id}"))
        for city in (flow.opening, flow.responsible)
        for message in ledgers[city].said(flow.case)
    ]
    without = [name for name, message, receipts in said if not _delivered_once(message, receipts)]
    expected = len(flow.opening_says) + len(flow.responsible_says)
    return Check(
        zh=f"{expected} 件报文的送达回执各一份，回到发送方账上",
        en=f"one receipt.delivered for each of {expected} messages, in its sender's ledger",
        holds=len(said) == expected and not without,
        found=f"{len(said) - len(without)}/{expected}",
    )


def _delivered_once(message: Sent, receipts: Sequence[str]) -> bool:
    return message.state == "accepted" and list(receipts) == ["receipt.delivered"]


def names(types: Iterable[str]) -> str:
    """Types as people read them in one line: without the family."""
    return " → ".join(type_.partition(".")[2] for type_ in types) or "-"
