"""What must be in the partners' own ledgers, as pure questions to them. The broker's word counts for nothing here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from deploy.demo.ledger import read_attempts, read_cases, read_effects, read_sent, read_steps
from deploy.demo.records import Attempt, CaseRow, Effect, Sent, Step
from deploy.demo.roster import name_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One expectation and whether it holds. ``found`` says what stands there instead, or the proof.

    ``routine``: every case has it (order, receipts, last state); the others are what a scenario is about.
    """

    zh: str
    en: str
    holds: bool
    found: str = ""
    routine: bool = False


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

    def row(self, case: str) -> CaseRow | None:
        """The case as this hall keeps it."""
        return next((row for row in self.cases if row.case == case), None)

    def stage(self, case: str) -> str:
        """Where the case stands in this hall's own files; ``-``: it has no such case."""
        row = self.row(case)
        return row.stage if row else "-"

    def data(self, case: str, type_: str) -> Mapping[str, object]:
        """The data of the last message of a type that arrived here on a case; nothing where none did."""
        arrived = [each.event for each in self.effects if each.case == case and each.type == type_]
        data = orjson.loads(arrived[-1]).get("data") if arrived else None
        return data if isinstance(data, dict) else {}

    def cards(self, case: str) -> list[str]:
        """The lights of the cards (黄牌, 红牌) that arrived here on a case, in order."""
        found = [each.event for each in self.effects if each.case == case and each.type == "notice.deadline"]
        return [str(orjson.loads(event).get("data", {}).get("light")) for event in found]


NOTHING: Final = Books(effects=(), attempts=(), cases=(), steps=(), sent=())
"""A ledger in which nothing stands yet."""
Ledgers = Mapping[str, Books]


class _Unwritten(Mapping[str, Books]):
    def __getitem__(self, hall: str) -> Books:
        return NOTHING

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


UNWRITTEN: Final[Ledgers] = _Unwritten()
"""Ledgers in which nothing stands: what a scenario expects of them can still be read off its checks."""


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
        zh=f"{name_of(at)}账上有{name_of(source)}的 {len(expected)} 件报文，依序，各一次",
        en=f"{at} has {len(expected)} effects from {source}, in order, once each",
        holds=heard == list(expected),
        found=names(heard),
        routine=True,
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
        routine=True,
    )


def _delivered_once(message: Sent, receipts: Sequence[str]) -> bool:
    return message.state == "accepted" and list(receipts) == ["receipt.delivered"]


def stands(ledgers: Ledgers, case: str, stages: Mapping[str, str]) -> Check:
    """The state that a case ends in, in each hall's own files."""
    found = {hall: ledgers[hall].stage(case) for hall in stages}
    wanted = "，".join(f"{name_of(hall)} {stage}" for hall, stage in stages.items())
    return Check(
        zh=f"两边自己的账上，办件停在该停之处：{wanted}",
        en=f"in the halls' own files the case stands where it should: {', '.join(stages.values())}",
        holds=found == dict(stages),
        found="，".join(f"{name_of(hall)} {stage}" for hall, stage in found.items()),
        routine=True,
    )


def refused(ledgers: Ledgers, hall: str, case: str, type_: str, code: str, *, what: tuple[str, str]) -> Check:
    """A message that the exchange refused with this code, at the door or by a notice, in the sender's own ledger.

    ``what``: what was tried, in Chinese and in English.
    """
    answers = [
        (each, *_refusal(ledgers[hall], each)) for each in ledgers[hall].said(case) if each.type == type_
    ]
    told = [(message, why, detail) for message, why, detail in answers if why]
    fitting = [detail for _, why, detail in told if why == code]
    return Check(
        zh=f"{what[0]}：拒绝（{code}）",
        en=f"{what[1]}: refused ({code})",
        holds=bool(fitting) and bool(fitting[0]),
        found=(fitting[0] if fitting else f"{told[0][1]}: {told[0][2]}") if told else "-",
    )


def _refusal(books: Books, message: Sent) -> tuple[str, str]:
    """Code and detail with which a message was refused; nothing where it was not."""
    if message.state == "refused":
        return message.code or "-", message.detail or ""
    if message.receipt != "refused":
        return "", ""
    name = message.id
    notices = (
        e for e in books.effects if e.type == "notice.refused" and (e.correlation or "").endswith(f"/{name}")
    )
    data: dict[str, object] = next((orjson.loads(notice.event).get("data", {}) for notice in notices), {})
    return str(data.get("code", "-")), str(data.get("detail", ""))


def names(types: Iterable[str]) -> str:
    """Types as people read them in one line: without the family."""
    return " → ".join(type_.partition(".")[2] for type_ in types) or "-"
