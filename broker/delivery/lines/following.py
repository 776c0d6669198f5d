"""Lines as the directory and the operators' levers want them: made, renewed, paused, limited, ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from broker.core.catalogue.directory import Directory, Limits, Partner
from broker.core.documents import DocumentInvalid
from broker.core.ids import PartnerId
from broker.core.operating import levers
from broker.core.operating.levers import Levers
from broker.delivery.lines.held import Held
from broker.delivery.lines.line import PartnerLine
from broker.log.admin.topics import outbox
from broker.telemetry import PAUSED, get_log

_LOG: Final = get_log("delivery")
MakeLine = Callable[[Partner], PartnerLine]


def in_force(limits: Limits, pulled: Levers) -> Limits:
    """A partner's limits: an operator's where one has set them, else the directory's."""
    return replace(
        limits,
        in_flight=limits.in_flight if pulled.in_flight is None else pulled.in_flight,
        per_second=limits.per_second if pulled.per_second is None else pulled.per_second,
        batch=limits.batch if pulled.batch is None else pulled.batch,
        queue_bytes=limits.queue_bytes if pulled.queue_bytes is None else pulled.queue_bytes,
    )


class Following:
    """Keeps the lines. ``make`` makes one, and raises DocumentInvalid when the partner's options do not read."""

    def __init__(
        self,
        held: Held,
        *,
        directory: Callable[[], Directory],
        pulled: Callable[[], Mapping[PartnerId, Levers]],
        make: MakeLine,
    ) -> None:
        self._held = held
        self._directory = directory
        self._pulled = pulled
        self._make = make
        self._partners: dict[PartnerId, Partner] = {}
        """The lines' partners as the directory has them."""
        self._followed: Mapping[PartnerId, Levers] = {}
        self._probed: dict[PartnerId, int] = {}

    async def directory(self) -> frozenset[str]:
        """Lines as the directory in force has them; returns the topics to read."""
        partners = self._directory().partners
        lines, faulty = self._held.lines, self._held.faulty
        for identity in [each for each in (*lines, *faulty) if each not in partners]:
            await self._end(identity)
        for partner in partners.values():
            if self._partners.get(partner.id) != partner:
                await self._renew(partner)
        return frozenset(outbox(partner) for partner in lines)

    async def levers(self) -> None:
        """Lines as the operators want them. Costs nothing while nobody has pulled a lever."""
        pulled = self._pulled()
        if pulled is self._followed:
            return
        self._followed = pulled
        for line in list(self._held.lines.values()):
            await self._follow(line, pulled.get(line.partner.id, levers.NONE))

    async def _follow(self, line: PartnerLine, pulled: Levers) -> None:
        partner = self._partners[line.partner.id]
        limits = in_force(partner.limits, pulled)
        if limits != line.limits:
            _LOG.info("line_limited", partner=partner.id, in_flight=limits.in_flight)
            if _outgrows(limits, line.partner.limits):
                await self._renew(partner)
                return
            line.limit(limits)
        self._pause(line, pulled)
        probed = pulled.probed.at_ms if pulled.probed is not None else 0
        if probed > self._probed.get(partner.id, 0):
            self._probed[partner.id] = probed
            line.probe()

    def _pause(self, line: PartnerLine, pulled: Levers) -> None:
        paused = pulled.paused is not None
        if line.paused is not paused:
            line.pause(paused=paused)
            if paused:
                _LOG.warning("line_paused", partner=line.partner.id)
            else:
                _LOG.info("line_resumed", partner=line.partner.id)
        PAUSED.labels(partner=line.partner.id).set(int(paused))

    async def _renew(self, partner: Partner) -> None:
        self._held.faulty.pop(partner.id, None)
        self._partners[partner.id] = partner
        old = self._held.lines.pop(partner.id, None)
        pulled = self._pulled().get(partner.id, levers.NONE)
        try:
            line = self._make(replace(partner, limits=in_force(partner.limits, pulled)))
        except DocumentInvalid as invalid:
            self._held.faulty[partner.id] = (partner, f"its options do not read: {invalid}")
            _LOG.error("circuit_opened", partner=partner.id, reason="its options do not read")
        else:
            await line.start()
            self._pause(line, pulled)
            self._probed[partner.id] = pulled.probed.at_ms if pulled.probed is not None else 0
            self._held.lines[partner.id] = line
        if old is not None:
            self._held.restart(partner.id)
            await old.close()

    async def _end(self, partner: PartnerId) -> None:
        self._partners.pop(partner, None)
        self._held.faulty.pop(partner, None)
        line = self._held.lines.pop(partner, None)
        if line is not None:
            await line.close()


def _outgrows(limits: Limits, made_for: Limits) -> bool:
    """Whether a connector that was made for these limits cannot do what is wanted now."""
    return limits.in_flight > made_for.in_flight or limits.batch > made_for.batch
