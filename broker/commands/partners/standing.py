"""How each partner stands, put together from view, workers and lag: worst first, one sentence per problem.

Pure: what was read and the time are arguments. Unknown is said, never shown as well or as 0 (console.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from broker.commands.showing import age, clock, plain, short
from broker.core.catalogue.directory import Directory, Limits, Partner
from broker.core.ids import PartnerId
from broker.core.operating.levers import Levers
from broker.log.reading.lag import Exactness
from broker.store.delivering.line_status import STALE_MS, LineStatus
from broker.store.view.messages import Backlog
from broker.store.view.standing import OnDesk, ParkedCases
from broker.supervision.lag import StageLag


class Phase(StrEnum):
    """What a partner's line does, all workers taken together; the worst comes first."""

    FAULTY = "faulty"
    OPEN = "open"
    HALF_OPEN = "half-open"
    SILENT = "no word"
    PAUSED = "paused"
    FLOWING = "flowing"


_WORST: Final = {phase: rank for rank, phase in enumerate(Phase)}
_LIMITS: Final = ("in_flight", "per_second", "batch", "queue_bytes")
_NO_DESK: Final = OnDesk(open=0, overdue=0, redriven=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What one look at the view gives. ``lines`` are the workers' words, old ones too."""

    directory: Directory
    levers: Mapping[PartnerId, Levers]
    lines: Sequence[LineStatus]
    backlogs: Sequence[Backlog]
    parked: Mapping[PartnerId, ParkedCases]
    desk: Mapping[PartnerId, OnDesk]
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One partner. ``partner`` None: not in the directory any more. ``lag`` None: it could not be measured."""

    id: PartnerId
    partner: Partner | None
    phase: Phase
    why: str | None
    since: int | None
    levers: Levers | None
    heard: tuple[LineStatus, ...]
    silent: tuple[LineStatus, ...]
    parked: ParkedCases | None
    desk: OnDesk
    owed: int
    oldest_at: int | None
    next_probe_at: int | None
    lag: StageLag | None

    @property
    def name(self) -> str:
        return self.partner.name if self.partner is not None else "not in the directory"

    @property
    def in_flight(self) -> int:
        return sum(each.in_flight for each in self.heard)

    @property
    def waiting(self) -> int:
        return sum(each.waiting for each in self.heard)

    @property
    def held(self) -> int:
        return sum(each.held for each in self.heard)

    @property
    def limits(self) -> Limits | None:
        """The limits in force: the lever's where one is pulled, else the directory's."""
        if self.partner is None:
            return None
        given, levers = self.partner.limits, self.levers
        if levers is None:
            return given
        return Limits(
            in_flight=given.in_flight if levers.in_flight is None else levers.in_flight,
            per_second=given.per_second if levers.per_second is None else levers.per_second,
            batch=given.batch if levers.batch is None else levers.batch,
            queue_bytes=given.queue_bytes if levers.queue_bytes is None else levers.queue_bytes,
        )

    @property
    def needs_person(self) -> bool:
        """Whether somebody is to look: paused, not reachable, not heard of while owed, or on the desk."""
        if self.phase is Phase.SILENT:
            return bool(self.owed or self.desk.open)
        return self.phase is not Phase.FLOWING or self.desk.open > 0


def stand(read: Read, lags: Iterable[StageLag]) -> list[Standing]:
    """Every partner of the directory, and those beyond it that something is owed to; the worst first."""
    by_partner = {PartnerId(each.partner): each for each in lags if each.partner}
    backlogs = {each.partner: each for each in read.backlogs}
    beyond = {each for each, backlog in backlogs.items() if backlog.owed} | set(read.desk)
    partners = sorted(set(read.directory.partners) | beyond)
    standings = [_stand(read, each, backlogs.get(each), by_partner.get(each)) for each in partners]
    return sorted(standings, key=_badness)


def _stand(read: Read, identity: PartnerId, backlog: Backlog | None, lag: StageLag | None) -> Standing:
    lines = [each for each in read.lines if each.partner == identity]
    heard = tuple(each for each in lines if read.now_ms - each.updated_at <= STALE_MS)
    levers = read.levers.get(identity)
    phase, why, since = _phase(levers, heard, lines)
    probes = [each.next_probe_at for each in heard if each.next_probe_at is not None]
    return Standing(
        id=identity,
        partner=read.directory.partners.get(identity),
        phase=phase,
        why=None if why is None else plain(why),
        since=since,
        levers=levers,
        heard=heard,
        silent=tuple(each for each in lines if each not in heard),
        parked=read.parked.get(identity),
        desk=read.desk.get(identity, _NO_DESK),
        owed=backlog.owed if backlog is not None else 0,
        oldest_at=backlog.oldest_at if backlog is not None else None,
        next_probe_at=min(probes, default=None),
        lag=lag,
    )


def _phase(
    levers: Levers | None, heard: Sequence[LineStatus], lines: Sequence[LineStatus]
) -> tuple[Phase, str | None, int | None]:
    """What the line does, why, and since when. A pause holds whatever the workers have said so far."""
    if levers is not None and (pulled := levers.paused) is not None:
        return Phase.PAUSED, f"by {pulled.by}: {pulled.reason}", pulled.at_ms
    if not heard:
        return Phase.SILENT, None, max((each.updated_at for each in lines), default=None)
    worst = min(heard, key=lambda each: (_WORST[Phase(each.phase)], each.since))
    phase = Phase(worst.phase)
    return phase, worst.reason if phase is not Phase.FLOWING else None, worst.since


def _badness(standing: Standing) -> tuple[object, ...]:
    return (
        not standing.needs_person,
        _WORST[standing.phase],
        -standing.desk.overdue,
        -standing.desk.open,
        standing.oldest_at is None,
        standing.oldest_at or 0,
        standing.id,
    )


def sentence(standing: Standing, now_ms: int) -> str | None:
    """What is wrong, and what to do about it; None while nothing is."""
    if not standing.needs_person:
        return None
    since = f" for {age((now_ms - standing.since) / 1000)}" if standing.since is not None else ""
    says = {
        Phase.FAULTY: f"cannot be delivered to{since}: {standing.why}; mend its options and apply the directory",
        Phase.OPEN: f"circuit open{since}: {standing.why}; {_next_probe(standing)}",
        Phase.HALF_OPEN: f"circuit half-open{since}: a probe is under way",
        Phase.SILENT: f"no word from any worker{since}: is tongban serve --stage delivery running?",
        Phase.PAUSED: f"paused{since} {standing.why}; tongban partner resume {standing.id}",
        Phase.FLOWING: "flows",
    }
    parts = [says[standing.phase]]
    if standing.owed:
        oldest = (
            "" if standing.oldest_at is None else f", the oldest {age((now_ms - standing.oldest_at) / 1000)}"
        )
        parts.append(f"{standing.owed} owed{oldest}")
    if standing.desk.open:
        overdue = f", {standing.desk.overdue} overdue" if standing.desk.overdue else ""
        parts.append(f"{standing.desk.open} on the desk{overdue}: tongban desk list --partner {standing.id}")
    return f"{standing.id} {plain(standing.name)}: {'; '.join(parts)}"


def _next_probe(standing: Standing) -> str:
    if standing.next_probe_at is None:
        return f"no probe by itself, once mended: tongban partner probe {standing.id}"
    return f"next probe {clock(standing.next_probe_at)}"


COLUMNS: Final = ("partner", "phase", "since", "fly/wait/held", "parked", "desk", "owed", "lag")


def row(standing: Standing, now_ms: int) -> dict[str, object]:
    """One partner as a row of the table."""
    in_hand = f"{standing.in_flight}/{standing.waiting}/{standing.held}"
    parked, desk = standing.parked, standing.desk
    return {
        "partner": f"{standing.id} {plain(standing.name)}",
        "phase": standing.phase.value + (", limited" if pulled_limits(standing) else ""),
        "since": short(standing.since),
        "fly/wait/held": in_hand if standing.heard else "unknown",
        "parked": f"{parked.cases}, next {short(parked.next_at)}" if parked else 0,
        "desk": f"{desk.open}, {desk.overdue} overdue" if desk.overdue else desk.open,
        "owed": _owed(standing, now_ms),
        "lag": _lag(standing.lag),
    }


def _owed(standing: Standing, now_ms: int) -> str:
    if standing.oldest_at is None:
        return str(standing.owed)
    return f"{standing.owed}, oldest {age((now_ms - standing.oldest_at) / 1000)}"


def _lag(lag: StageLag | None) -> str:
    """Messages and seconds as ``tongban lag`` has them: unknown is never 0."""
    if lag is None or lag.messages is None:
        return "unknown"
    seconds = "0" if lag.messages == 0 and lag.exactness is Exactness.EXACT else "unknown"
    if lag.seconds is not None:
        seconds = f"{lag.seconds:.3f}"
    told = f" ({lag.partitions} of {lag.of} partitions)" if lag.partitions < lag.of else ""
    if lag.exactness is Exactness.ESTIMATED:
        told += f" ({lag.exactness.value})"
    return f"{lag.messages}, {seconds} s{told}"


def page(standing: Standing, now_ms: int) -> dict[str, object]:
    """One partner as facts, line by line."""
    facts = {name: value for name, value in row(standing, now_ms).items() if name not in ("partner", "since")}
    facts["since"] = clock(standing.since)
    facts["why"] = standing.why
    facts["next probe"] = clock(standing.next_probe_at)
    if standing.parked is not None:
        facts["next try of a parked case"] = clock(standing.parked.next_at)
    if standing.partner is not None:
        facts |= {
            "connector": standing.partner.connector.get("kind"),
            "contact": plain(standing.partner.contact),
        }
    if (limits := standing.limits) is not None:
        pulled = pulled_limits(standing)
        for name in _LIMITS:
            facts[f"limit: {name}"] = (
                f"{getattr(limits, name)} ({'lever' if name in pulled else 'directory'})"
            )
    if standing.levers is not None and (by := standing.levers.limited) is not None:
        facts["limited"] = f"{clock(by.at_ms)} by {plain(by.by)}: {plain(by.reason)}"
    if standing.levers is not None and (by := standing.levers.probed) is not None:
        facts["last probe asked for"] = f"{clock(by.at_ms)} by {plain(by.by)}: {plain(by.reason)}"
    return facts


def pulled_limits(standing: Standing) -> list[str]:
    """Which limits an operator has set; the others are the directory's."""
    if standing.levers is None:
        return []
    return [name for name in _LIMITS if getattr(standing.levers, name) is not None]
