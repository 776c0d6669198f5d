"""The world of one plan at work: workers come and go, steps are done to them, everything heals, all is settled."""

from __future__ import annotations

import asyncio
import contextvars
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from broker.core.catalogue.directory import Directory, Limits, Partner
from broker.core.ids import PartnerId
from broker.core.operating import levers as lever_rules
from broker.core.operating.levers import Levers
from broker.delivery.ports import OnPartitions, Reader
from broker.delivery.stage import Delivery
from broker.telemetry import Step as RoadStep
from tests.simulation.engine import Engine, Papers
from tests.simulation.exchange import CODEC, SENDER, Exchange, partition_of
from tests.simulation.group import Group
from tests.simulation.log import Log, Writer
from tests.simulation.loop import OWNER, Killed, Process, State, VirtualLoop
from tests.simulation.member import Member
from tests.simulation.partner import CitySystem, Links
from tests.simulation.plan import City, Mood, Plan, Step
from tests.simulation.store import Database, Rows
from tests.simulation.world import World, WorldClock

_SAMPLE_UNITS: Final = 5.0


@dataclass
class _Worker:
    process: Process
    slot: int
    delivery: Delivery | None = None
    member: Member | None = None
    stopping: bool = False


class Simulation:
    """One world at work."""

    def __init__(self, plan: Plan, loop: VirtualLoop, database: Database) -> None:
        self.plan = plan
        self.world = World(loop, plan.seed, plan.pace)
        self.database = database
        self.log = Log(self.world, partitions=plan.partitions)
        session_s = plan.pace.session_s
        self.group = Group(self.world, self.log, session_s=session_s, rejoin_s=1.5 * session_s)
        self.exchange = Exchange(self.world, self.log, database, plan.receipts_home)
        home = City(id=SENDER, batch=1, tasks=False, in_flight=8)
        cities = (*plan.cities, home) if plan.receipts_home else plan.cities
        self.systems = {each.id: CitySystem(each, self.world, self.exchange.taken) for each in cities}
        self.links = Links(self.systems)
        self.clock = WorldClock(self.world)
        self.version = 0
        self.partners = {PartnerId(each.id): _partner(each, plan.bound_bytes, 0) for each in cities}
        self.levers: dict[PartnerId, Levers] = {}
        self.workers: list[_Worker] = []
        self.started = 0
        self.failures = 0
        self.over = False
        self.at_step: list[tuple[str, str]] = []
        self.world.on_death = self._died
        self.engine = Engine(plan.pace.coarse)

    # workers

    def start(self, slot: int) -> None:
        if self.over or any(worker.slot == slot for worker in self.alive()):
            return
        self.started += 1
        process = Process(f"w{slot}.{self.started}")
        worker = _Worker(process, slot)
        self.workers.append(worker)
        self.world.processes.append(process)
        self.world.record("process", process.name, detail="started")
        context = contextvars.Context()
        context.run(OWNER.set, process)
        self.world.loop.create_task(self._live(worker), context=context)

    async def _live(self, worker: _Worker) -> None:
        process = worker.process
        rows = Rows(self.world, self.database)
        writer = Writer(self.log, partition_of=partition_of)

        def reader(topics: Any, *, assigned: OnPartitions, revoked: OnPartitions) -> Reader:
            instance = f"slot-{worker.slot}" if self.plan.static else None
            worker.member = Member(
                self.group,
                topics,
                assigned=assigned,
                revoked=revoked,
                instance=instance,
                drain_s=self.engine.options.drain_s + 2.0,
            )
            return worker.member

        worker.delivery = self.engine.delivery(
            reader=reader,
            ledger=writer,
            store=rows,
            papers=Papers(self.world),
            codec=CODEC,
            directory=self._directory,
            links=self.links,
            clock=self.clock,
            draw=self.world.random.random,
            levers=lambda: self.levers,
            worker=process.name,
            session_s=self.plan.pace.session_s,
        )
        try:
            await worker.delivery.run()
        except Killed:
            return
        except Exception as fault:
            self.world.record("process", process.name, detail=f"failed: {type(fault).__name__}: {fault}")
            process.state = State.DEAD
            self._died(process, "failed")
            return
        self.world.record("process", process.name, detail="stopped")
        process.state = State.DEAD
        self._died(process, "stopped")

    def _died(self, process: Process, how: str) -> None:
        worker = next(each for each in self.workers if each.process is process)
        self.log.readers[:] = [each for each in self.log.readers if each is not worker.member]
        self.failures += how == "failed"
        if not self.over and self.failures < 3:
            self.world.later(0.5 * self.world.pace.unit_s, self.start, worker.slot)

    def alive(self) -> list[_Worker]:
        return [each for each in self.workers if not each.process.dead]

    def _directory(self) -> Directory:
        return Directory(version=str(self.version), partners=dict(self.partners), items={}, agreements={})

    # the road

    def on_step(self, step: RoadStep) -> None:
        """A worker comes to a step of the road: what waits for it there happens."""
        owner = OWNER.get()
        if owner is None:
            return
        if step == "delivery.opened":
            owner.decided = self.world.loop.steps
        if self.world.healthy:
            return
        for place, (wanted, kind) in enumerate(self.at_step):
            if wanted == step:
                del self.at_step[place]
                self.world.record("fault", detail=f"{step}:{kind}")
                self.world.saw(f"at {step}:{kind}")
                self._strike(owner, kind)
                return

    def _strike(self, process: Process, kind: str) -> None:
        match kind:
            case "kill":
                self.world.kill_here()
            case "freeze":
                self.world.freeze(process, self.world.pace.session_s * 1.7)
            case _:
                self.group.rebalance()

    # the plan

    async def run(self) -> None:
        world, plan = self.world, self.plan
        for slot in range(plan.workers):
            self.start(slot)
        sampling = world.loop.create_task(self._sample())
        for step in plan.steps:
            wait_s = step.at_s - world.loop.now_s
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            self._do(step)
        await asyncio.sleep(3 * plan.pace.unit_s)
        self._heal()
        state = await self._until_settled()
        if state == "settled":
            await self._stop_all()
            state = await self._look_again()
        sampling.cancel()
        self.over = True
        world.record("end", detail=state)

    def _do(self, step: Step) -> None:
        if step.do not in {"send", "arm", "at-step"}:
            self.world.record("step", detail=f"{step.do} {step.who} {step.detail}")
        getattr(self, f"_do_{step.do.replace('-', '_')}")(step)

    def _do_send(self, step: Step) -> None:
        partner, _, case = step.who.partition("/")
        self.exchange.send(partner, int(case), expires=step.detail == "expires")

    def _do_poison(self, step: Step) -> None:
        partner, _, case = step.who.partition("/")
        if step.detail == "header":
            self.exchange.poison(partner, int(case))
        else:
            self.exchange.send(partner, int(case), corrupt=True)

    def _do_repeat(self, step: Step) -> None:
        self.exchange.repeat(step.n)

    def _do_start(self, _: Step) -> None:
        self.start(len(self.workers))

    def _do_rebalance(self, step: Step) -> None:
        for number in range(step.n):
            self.world.later(number * 0.5 * self.world.pace.unit_s, self.group.rebalance)

    def _do_arm(self, step: Step) -> None:
        self.world.arm(step.detail.replace("partner", f"partner {step.who}", 1), step.n)

    def _do_at_step(self, step: Step) -> None:
        wanted, _, kind = step.detail.partition(":")
        self.at_step.append((wanted, kind))

    def _do_mood(self, step: Step) -> None:
        city, _, number = step.who.partition("/")
        case = f"{SENDER}/{number}" if number else ""
        self.systems[city].turn(cast("Mood", step.detail), step.for_s, case)

    def _do_directory(self, step: Step) -> None:
        self._renew(step.who)

    def _do_note(self, step: Step) -> None:
        self.group.write_note(torn=step.detail == "torn")

    def _do_clock(self, step: Step) -> None:
        self.world.jumped_s = step.for_s

    def _do_act(self, step: Step) -> None:
        self.exchange.act(step.detail, step.n)

    def _do_lever(self, step: Step) -> None:
        self._pull(PartnerId(step.who), step.detail)

    def _do_kill(self, step: Step) -> None:
        worker = self._running(step)
        if worker is not None:
            self.world.kill(worker.process)

    def _do_freeze(self, step: Step) -> None:
        worker = self._running(step)
        if worker is not None:
            self.world.freeze(worker.process, step.for_s)

    def _do_stop(self, step: Step) -> None:
        worker = self._running(step)
        if worker is not None and worker.delivery is not None:
            worker.delivery.stop()

    def _running(self, step: Step) -> _Worker | None:
        running = [each for each in self.workers if each.process.state is State.RUNNING]
        return running[int(step.who) % len(running)] if running else None

    def _renew(self, city: str) -> None:
        self.version += 1
        partner = PartnerId(city)
        self.partners[partner] = replace(self.partners[partner], contact=str(self.version))

    def _pull(self, partner: PartnerId, lever: str) -> None:
        before = self.levers.get(partner, Levers(partner=partner))
        facts: dict[str, object] = {"by": "李明", "reason": "-"}
        limits = {"in_flight": None, "per_second": None, "batch": None, "queue_bytes": None}
        match lever:
            case "pause":
                kind = lever_rules.PAUSED
            case "resume":
                kind = lever_rules.RESUMED
            case "probe":
                kind = lever_rules.PROBED
            case "limit":
                kind, facts = lever_rules.LIMITED, {**facts, **limits, "in_flight": 1, "per_second": 20.0}
            case _:
                kind, facts = lever_rules.LIMITED, {**facts, **limits}
        self.levers = {**self.levers, partner: lever_rules.pull(before, kind, facts, self.world.now_ms())}
        self.world.record("lever", "operator", partner=partner, detail=lever)
        if self.engine.levers:
            self.world.saw(f"lever {lever}")

    # the healing

    def _heal(self) -> None:
        world = self.world
        world.healthy = True
        world.jumped_s = 0.0
        world.armed.clear()
        self.at_step.clear()
        for system in self.systems.values():
            system.heal()
            if system.was_gone:
                self._renew(system.city.id)
        for partner in list(self.levers):
            for lever in ("resume", "unlimit"):
                self._pull(partner, lever)
        for worker in self.workers:
            world.thaw(worker.process)
        if not self.alive():
            self.start(0)
        world.record("healed")

    async def _until_settled(self) -> str:
        unit_s, coarse = self.plan.pace.unit_s, self.plan.pace.coarse
        until_s = self.world.loop.now_s + (6 * 86400.0 if coarse else 170.0)
        while self.world.loop.now_s < until_s:
            await asyncio.sleep(unit_s if coarse else 0.5)
            if not self._open():
                return "settled"
        return f"open: {'; '.join(self._open())}"

    def _open(self) -> list[str]:
        """What is not at its end."""
        found = []
        for place, records in self.log.records.items():
            if place.topic.startswith("tongban.outbox."):
                commit = self.group.commits.get(place)
                if (commit.offset if commit is not None else 0) < len(records):
                    found.append(f"{place} committed {commit} of {len(records)}")
        if self.exchange.owed:
            found.append(f"{self.exchange.owed} ledger records")
        held = sorted(each for each in self.database.held() if each[0] != "blocked")
        if held:
            found.append(f"{held}")
        return found

    async def _stop_all(self) -> None:
        self.over = True
        for _ in range(200):
            if not self.alive():
                return
            for worker in self.alive():  # one that has only just begun is asked the next time
                if worker.delivery is not None:
                    worker.delivery.stop()
            await asyncio.sleep(0.1 * self.plan.pace.unit_s)
        for worker in self.alive():
            self.world.record("process", worker.process.name, detail="failed: does not stop")

    async def _look_again(self) -> str:
        """A worker started after everything has ended finds nothing to do."""
        self.over = False
        self.world.record("step", "world", detail="look again")
        self.start(0)
        self.over = True
        await asyncio.sleep(2.5 * self.plan.pace.unit_s)
        return "settled" if not self._open() else f"open after a restart: {self._open()}"

    async def _sample(self) -> None:
        """How the workers stand, every few units of time."""
        while True:
            await asyncio.sleep(_SAMPLE_UNITS * self.plan.pace.unit_s)
            for worker in self.workers:
                self._sample_one(worker)

    def _sample_one(self, worker: _Worker) -> None:
        delivery, member = worker.delivery, worker.member
        if worker.process.state is not State.RUNNING or delivery is None or member is None:
            return
        why = delivery.health()
        troubles = delivery.partner_troubles()
        for place in sorted(member.assignment()):
            partner = place.topic.rpartition(".")[2]
            commit = self.group.commits.get(place)
            done = commit.offset if commit is not None else 0
            trouble = why or troubles.get(PartnerId(partner)) or ""
            lever = self.levers.get(PartnerId(partner))
            if lever is not None and lever.paused is not None:
                trouble = trouble or "paused"
            self.world.record(
                "sample", worker.process.name, partner=partner, place=place, offset=done,
                number=len(self.log.records[place]) - done, detail=trouble or "ok",
            )  # fmt: skip


def _partner(city: City, bound_bytes: bool, version: int) -> Partner:
    queue = 65536 if bound_bytes else 16 << 20
    return Partner(
        id=PartnerId(city.id),
        name=city.id,
        contact=str(version),
        connector={"kind": "fake"},
        limits=Limits(in_flight=city.in_flight, batch=city.batch, queue_bytes=queue),
    )
