"""What audit asks of the view is answered the same by both databases, also for more names than one statement takes."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from broker.core.ids import CaseId, MessageId, PartnerId
from broker.store.access.engine import Store
from broker.store.rows import CaseRow
from broker.store.view import findings, ledger_view
from tests.archive.audit_world import World
from tests.core.figure_samples import HENGSHAN, LAIBIN, a_case, accepted, at, decided
from tests.store import samples


async def test_cases_come_by_the_bytes_of_their_ids_and_are_found_again_by_their_place(store: Store) -> None:
    names = ["a", "B", "é", "中", "-", "_", "\U0001f600", "\ufe30", "z", "Z9"]
    world = World()
    for name in names:
        world.case(replace(decided(), case=CaseId(f"{LAIBIN}/{name}")))
    await store.call(world.write)

    def ask(connection: Connection) -> list[CaseId]:
        told = list(findings.told_cases(connection, None))
        assert [each.index for each in told] == list(range(len(names)))
        places = findings.ids_at(connection, None, {2, 5})
        assert places == {2: told[2].state.case, 5: told[5].state.case}
        assert findings.ids_at(connection, None, set()) == {}
        return [each.state.case for each in told]

    assert await store.scan(ask) == sorted(f"{LAIBIN}/{name}" for name in names)


async def test_a_case_comes_with_the_time_its_decision_was_said(store: Store) -> None:
    world = World()
    world.case(accepted(1))
    refused = world.refused("case.decided", accepted(1).case, HENGSHAN, at("11-04"), "transition-illegal")
    world.case(decided(2))
    said = replace(world.messages[-1], said_at=123)
    world.messages[-1] = said
    world.case(decided(3, responsible=PartnerId("350200")))
    await store.call(world.write)
    told = await store.scan(lambda connection: list(findings.told_cases(connection, HENGSHAN)))
    assert [(each.state.case, each.said_at) for each in told] == [
        (accepted(1).case, None),
        (decided(2).case, 123),
    ]
    assert refused.said_at != 123


async def test_refused_messages_are_chosen_by_type_and_code(store: Store) -> None:
    world = World()
    case = a_case(1).case
    world.said("case.decided", case, HENGSHAN, at("11-04"))
    world.refused("case.decided", case, HENGSHAN, at("11-04"), "transition-illegal")
    world.refused("case.decided", case, HENGSHAN, at("11-04"), "expired")
    world.refused("case.accepted", case, LAIBIN, at("11-04"), "collector-decides")
    await store.call(world.write)
    chosen = (("case.decided", "transition-illegal"), (None, "collector-decides"))
    rows = await store.read(findings.refused, chosen)
    assert [row.id for row in rows] == [MessageId("m-1"), MessageId("m-3")]


async def test_more_cases_than_one_statement_takes(store: Store) -> None:
    states = [a_case(number) for number in range(1200)]
    rows = [samples.message(each, case_id=state.case) for each, state in enumerate(states)]
    batch = samples.batch(0, 1200, cases=[CaseRow(state=each) for each in states], messages=rows)
    await store.call(ledger_view.apply, [batch])
    names = [state.case for state in states]
    assert len(await store.read(findings.states, names)) == 1200
    said = await store.read(findings.said, names, ("case.submitted",))
    assert [row.ledger_offset for row in said[names[1100]]] == [1100]
    assert await store.read(findings.said, names, ("case.decided",)) == {}
    assert await store.read(findings.deemed, names) == {}


async def test_the_first_red_card_of_acceptance_counts(store: Store) -> None:
    world = World()
    state = world.case(a_case(1))
    world.red_acceptance(state, at("11-10"))
    world.cards.append(replace(world.cards[0], turn=1, ledger_offset=9))
    world.cards.append(replace(world.cards[0], light="yellow", ledger_offset=0))
    world.cards.append(replace(world.cards[0], kind="decision", ledger_offset=0))
    await store.call(world.write)
    assert await store.read(findings.deemed, [state.case]) == {state.case: 1}
