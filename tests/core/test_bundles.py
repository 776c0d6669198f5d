from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.bundle import bundles
from broker.core.bundle.bundles import BundleState, Paper, PartState, PartStatus, Said, Word
from broker.core.catalogue.items import Bundle, BundlePart
from broker.core.ids import CaseId, PartnerId, case_id, part_case
from broker.core.problems import Refusal
from tests.core.bundle_samples import NAMES, NEWBORN, PARENT, ROUTE, TRANSPORT, state

AT = datetime(2026, 3, 5, 2, 0, tzinfo=UTC)
ALL_BACK = {PartStatus.WITHDRAWN, PartStatus.VOID}
ENDINGS = [Word.GRANTED, Word.DENIED, Word.REFUSED, Word.WITHDRAWN]


def opened(bundle: BundleState) -> BundleState:
    return bundles.opened(bundle, bundles.ready(bundle))


def begun(bundle: Bundle = NEWBORN, route: tuple[str, ...] = ()) -> BundleState:
    return opened(bundles.begin(state(bundle, route)))


def heard(bundle: BundleState, *words: tuple[str, Word]) -> BundleState:
    for name, word in words:
        bundle = opened(bundles.heard(bundle, name, word, Said(at=AT)))
    return bundle


def statuses(bundle: BundleState) -> dict[str, str]:
    return {each.name: each.status.value for each in bundle.parts}


def says(bundle: BundleState) -> list[tuple[str, str | None]]:
    said, _ = bundles.owed(bundle)
    return [(each.type, each.part.name if each.part else None) for each in said]


# What parts there are.


def test_a_newborns_six_parts_in_the_directorys_order_all_held() -> None:
    made = state()
    assert [each.name for each in made.parts] == [
        "chusheng",
        "jiezhong",
        "luohu",
        "canbao",
        "jiaofei",
        "shebaoka",
    ]
    assert set(statuses(made).values()) == {"held"}
    assert made.part("canbao") == PartState(
        name="canbao",
        item="jumin-yibao-canbao",
        authority=PartnerId("430400-yibao"),
        after=("luohu",),
    )
    assert made.part("none") is None


def test_along_a_route_there_is_one_part_for_each_authority() -> None:
    made = state(TRANSPORT, ROUTE)
    assert [(each.name, each.authority, each.item) for each in made.parts] == [
        (each, each, "chaoxian-yunshu-xuke") for each in ROUTE
    ]


def test_parts_of_authorities_with_long_ids_have_names_that_fit_and_differ() -> None:
    long = ("430400-" + "a" * 24, "430400-" + "a" * 23 + "b")
    made = state(TRANSPORT, long)
    names = [each.name for each in made.parts]
    assert len(set(names)) == 2
    assert [each.authority for each in made.parts] == list(long)
    for name in names:
        case_id(part_case(CaseId("430400-abcdef/" + "9" * 39), name))


@pytest.mark.parametrize(
    ("route", "pointer"),
    [
        ((), "/data/route"),
        (("430400-jiaotong", "x"), "/data/route/1"),
        (("430400-jiaotong", "360300-jiaotong", "430400-jiaotong"), "/data/route/2"),
    ],
)
def test_a_route_that_is_none_is_refused_and_the_fault_is_pointed_at(
    route: tuple[str, ...], pointer: str
) -> None:
    refusal = bundles.expand(TRANSPORT, route, case=PARENT)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.errors[0].pointer) == ("event-invalid", pointer)


def test_an_authority_that_the_directory_does_not_know_is_refused() -> None:
    refusal = bundles.expand(TRANSPORT, ROUTE, case=PARENT, partners={PartnerId(ROUTE[0])})
    assert isinstance(refusal, Refusal)
    assert refusal.code == "partner-unknown"
    assert ROUTE[1] in refusal.detail
    assert isinstance(bundles.expand(TRANSPORT, ROUTE, partners=[PartnerId(e) for e in ROUTE]), BundleState)


def test_nobody_opens_a_part_at_itself() -> None:
    refusal = bundles.expand(TRANSPORT, ROUTE, case=CaseId(f"{ROUTE[1]}/1"))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "event-invalid"


def test_a_bundle_of_nothing_is_refused() -> None:
    assert isinstance(bundles.expand(replace(NEWBORN, parts=())), Refusal)


@pytest.mark.parametrize(("number", "fits"), [("9" * 39, True), ("9" * 40, False), ("1~2", False)])
def test_a_bundles_case_number_leaves_room_for_its_parts(number: str, fits: bool) -> None:
    answer = bundles.expand(NEWBORN, case=CaseId(f"430423/{number}"))
    assert isinstance(answer, BundleState) == fits
    if isinstance(answer, Refusal):
        assert (answer.code, answer.errors[0].pointer) == ("event-invalid", "/subject")


# Which of them are open.


def test_nothing_is_ready_before_the_bundle_has_begun() -> None:
    assert bundles.ready(state()) == ()
    assert [each.name for each in bundles.ready(bundles.begin(state()))] == ["chusheng"]


def test_parts_open_as_those_before_them_are_granted() -> None:
    bundle = begun()
    assert statuses(bundle)["chusheng"] == "open"
    bundle = bundles.heard(bundle, "chusheng", Word.GRANTED)
    assert [each.name for each in bundles.ready(bundle)] == ["jiezhong", "luohu"]
    bundle = heard(opened(bundle), ("luohu", Word.GRANTED))
    assert statuses(bundle) == {
        "chusheng": "granted",
        "jiezhong": "open",
        "luohu": "granted",
        "canbao": "open",
        "jiaofei": "held",
        "shebaoka": "open",
    }


@pytest.mark.parametrize("word", [Word.DENIED, Word.REFUSED, Word.WITHDRAWN])
def test_what_comes_after_a_part_without_a_grant_is_void_and_what_comes_after_that(word: Word) -> None:
    bundle = heard(begun(), ("chusheng", Word.GRANTED), ("luohu", word))
    assert statuses(bundle) == {
        "chusheng": "granted",
        "jiezhong": "open",
        "luohu": word.value,
        "canbao": "void",
        "jiaofei": "void",
        "shebaoka": "void",
    }
    assert bundles.under_way(bundle) == ("jiezhong",)
    assert not bundles.ended(bundle)


def test_a_part_ends_once_and_words_on_parts_that_are_not_open_change_nothing() -> None:
    bundle = heard(begun(), ("chusheng", Word.GRANTED))
    for name, word in [
        ("chusheng", Word.DENIED),
        ("chusheng", Word.ACCEPTED),
        ("canbao", Word.GRANTED),
        ("jiezhong", Word.ISSUED),
        ("none", Word.GRANTED),
    ]:
        assert bundles.heard(bundle, name, word) is bundle


# The answer.


def test_all_granted_is_granted_without_more_words() -> None:
    bundle = heard(begun(), *((each.name, Word.GRANTED) for each in NEWBORN.parts))
    assert bundles.answer(bundle, NAMES) == (True, None)


def test_partial_refusals_are_named_by_their_items() -> None:
    bundle = heard(begun(), ("chusheng", Word.GRANTED), ("jiezhong", Word.GRANTED))
    bundle = bundles.heard(bundle, "luohu", Word.DENIED, Said(reason="父母户口均不在本地"))
    assert bundles.answer(bundle, NAMES) == (
        True,
        (
            "新生儿落户登记：不予（父母户口均不在本地）；城乡居民医保参保登记：前置未通过；"
            "医保缴费：前置未通过；社保卡申领：前置未通过"
        ),
    )
    assert bundles.answer(bundle)[1] != bundles.answer(bundle, NAMES)[1]


def test_the_lead_can_grant_only_when_all_are_granted() -> None:
    bundle = heard(begun(TRANSPORT, ROUTE), (ROUTE[0], Word.GRANTED), (ROUTE[1], Word.GRANTED))
    assert bundles.answer(heard(bundle, (ROUTE[2], Word.GRANTED)))[0]
    assert not bundles.answer(heard(bundle, (ROUTE[2], Word.DENIED)))[0]


def test_a_long_answer_is_cut_and_says_so() -> None:
    bundle = begun(TRANSPORT, tuple(f"{360000 + n}" for n in range(40)))
    for each in bundle.parts:
        bundle = bundles.heard(bundle, each.name, Word.DENIED, Said(reason="理由" * 500))
    _, reason = bundles.answer(bundle)
    assert reason is not None
    assert len(reason) == 2000
    assert reason.endswith("…")


def test_provisions_are_named_once_each() -> None:
    bundle = begun(TRANSPORT, ROUTE)
    for name, basis in zip(
        ROUTE, ["公路法第五十条", "公路法第五十条", "公路安全保护条例第三十五条"], strict=True
    ):
        bundle = bundles.heard(bundle, name, Word.REFUSED, Said(reason="-", legal_basis=basis))
    assert bundles.legal_basis(bundle, 500) == "公路法第五十条；公路安全保护条例第三十五条"
    assert bundles.legal_basis(begun(), 500) is None


# What the broker says.


def test_the_first_acceptance_accepts_the_whole_and_is_said_once() -> None:
    bundle = bundles.heard(begun(), "chusheng", Word.ACCEPTED)
    assert says(bundle) == [("case.accepted", "chusheng")]
    _, bundle = bundles.owed(bundle)
    assert says(bundle) == []
    bundle = opened(bundles.heard(bundle, "chusheng", Word.GRANTED))
    assert says(bundle) == [("case.step-completed", "chusheng")]
    _, bundle = bundles.owed(bundle)
    assert says(bundles.heard(bundle, "luohu", Word.ACCEPTED)) == []


def test_parts_that_end_before_anything_is_accepted_are_told_after_it() -> None:
    bundle = Bundle(
        code="b",
        name="-",
        lead=PartnerId("430400"),
        parts=tuple(
            BundlePart(name=name, item=name, authority=PartnerId("430400-x")) for name in ("one", "two")
        ),
    )
    refused = bundles.heard(begun(bundle), "one", Word.REFUSED)
    assert says(refused) == []
    accepted = bundles.heard(refused, "two", Word.ACCEPTED)
    assert says(accepted) == [("case.accepted", "two"), ("case.step-completed", "one")]
    assert says(bundles.heard(refused, "two", Word.REFUSED)) == [("case.refused", None)]
    back = bundles.heard(bundles.heard(begun(bundle), "one", Word.WITHDRAWN), "two", Word.WITHDRAWN)
    assert says(back) == [("case.withdrawn", None)]


def test_the_result_is_out_when_all_that_were_granted_have_issued_theirs() -> None:
    bundle = heard(begun(), ("chusheng", Word.GRANTED), ("luohu", Word.DENIED))
    _, bundle = bundles.owed(bundle)
    paper = Paper(title="出生医学证明", media_type="application/pdf", sha256="0" * 64, size=1)
    bundle = bundles.heard(bundle, "chusheng", Word.ISSUED, Said(at=AT, papers=(paper,)))
    assert says(bundle) == []  # another part is still open
    bundle = bundles.heard(bundle, "jiezhong", Word.GRANTED)
    assert says(bundle) == [("case.step-completed", "jiezhong"), ("case.decided", None)]
    _, bundle = bundles.owed(bundle)
    kept = bundle.part("chusheng")
    assert kept is not None
    assert kept.papers == (paper,)
    bundle = bundles.heard(bundle, "jiezhong", Word.ISSUED, Said(at=AT))
    assert says(bundle) == [("case.result-issued", None)]
    _, bundle = bundles.owed(bundle)
    assert says(bundle) == []
    assert all(not each.papers for each in bundle.parts)


def test_where_the_lead_answers_the_broker_tells_the_steps_alone() -> None:
    bundle = begun(TRANSPORT, ROUTE)
    for name in ROUTE:
        bundle = bundles.heard(bundle, name, Word.ACCEPTED)
        bundle = bundles.heard(bundle, name, Word.GRANTED)
        bundle = bundles.heard(bundle, name, Word.ISSUED, Said(at=AT))
    assert says(bundle) == [("case.step-completed", name) for name in ROUTE]


# Withdrawal of the whole.


def test_the_whole_is_withdrawn_before_anything_was_granted() -> None:
    after, ends = bundles.withdraw(begun())
    assert ends
    assert statuses(after) == {"chusheng": "withdrawn"} | dict.fromkeys(list(statuses(after))[1:], "void")
    assert says(after) == []
    assert bundles.heard(after, "chusheng", Word.GRANTED) is after


def test_what_was_granted_stays_and_the_answer_is_joined() -> None:
    after, ends = bundles.withdraw(heard(begun(), ("chusheng", Word.GRANTED)))
    assert not ends
    assert [type_ for type_, _ in says(after)] == [
        "case.accepted",
        *["case.step-completed"] * 6,
        "case.decided",
    ]
    granted, reason = bundles.answer(after, NAMES)
    assert granted
    assert reason is not None
    assert reason.startswith("预防接种证：已撤回；新生儿落户登记：已撤回；城乡居民医保参保登记：")
    assert "已随整件撤回" in reason


def test_a_joint_case_is_withdrawn_whatever_was_granted() -> None:
    _, ends = bundles.withdraw(heard(begun(TRANSPORT, ROUTE), (ROUTE[0], Word.GRANTED)))
    assert ends


def test_a_withdrawal_after_the_answer_changes_nothing() -> None:
    bundle = heard(begun(), ("chusheng", Word.DENIED))
    _, bundle = bundles.owed(bundle)
    assert bundle.answered
    assert bundles.withdraw(bundle) == (bundle, False)
    taken, _ = bundles.withdraw(begun())
    assert bundles.withdraw(taken) == (taken, True)  # the broker's own word for it


# Whatever order things come in.


@dataclass(kw_only=True)
class Watched:
    """A bundle driven step by step, with what came out of it."""

    bundle: BundleState
    opened: Counter[str] = field(default_factory=Counter)
    said: list[tuple[str, str | None]] = field(default_factory=list)
    whole_withdrawn: bool = False

    def settle(self) -> None:
        for part in (ready := bundles.ready(self.bundle)):
            self.opened[part.name] += 1
            for name in part.after:
                before = self.bundle.part(name)
                assert before is not None
                assert before.status is PartStatus.GRANTED
        self.bundle = bundles.opened(self.bundle, ready)
        said, self.bundle = bundles.owed(self.bundle)
        self.said += [(each.type, each.part.name if each.part else None) for each in said]

    def hear(self, name: str, word: Word) -> None:
        before = {each.name: each.status for each in self.bundle.parts}
        self.bundle = bundles.heard(self.bundle, name, word, Said(at=AT))
        for each in self.bundle.parts:
            was = before[each.name]
            assert was in {PartStatus.HELD, PartStatus.OPEN} or each.status is was, "an ended part has moved"
        self.settle()

    def withdraw(self) -> None:
        if self.bundle.answered:
            return
        self.bundle, ends = bundles.withdraw(self.bundle)
        self.whole_withdrawn |= ends
        self.settle()


@st.composite
def services(draw: st.DrawFn) -> Bundle:
    parts: list[BundlePart] = []
    for number in range(draw(st.integers(1, 6))):
        after = draw(st.sets(st.sampled_from([each.name for each in parts]))) if parts else set()
        parts.append(
            BundlePart(
                name=f"p{number}",
                item=f"i{number}",
                authority=PartnerId(f"43040{number}"),
                after=tuple(sorted(after)),
            )
        )
    answer = draw(st.sampled_from(["broker", "lead"]))
    made = Bundle(code="b", name="-", lead=PartnerId("430400"), parts=tuple(parts))
    return replace(made, answer="lead") if answer == "lead" else made


def naive(service: Bundle, fates: dict[str, Word]) -> dict[str, PartStatus]:
    """What becomes of the parts when each that opens ends as fated: by the definition, in the directory's order."""
    found: dict[str, PartStatus] = {}
    for each in service.parts:
        free = all(found[name] is PartStatus.GRANTED for name in each.after)
        found[each.name] = PartStatus(fates[each.name].value) if free else PartStatus.VOID
    return found


@settings(max_examples=300)
@given(st.data())
def test_whatever_order_parts_end_in_the_whole_ends_once_and_accounts_for_each(data: st.DataObject) -> None:
    service = data.draw(services())
    names = [each.name for each in service.parts]
    fates = {name: data.draw(st.sampled_from(ENDINGS)) for name in names}
    noise = st.lists(st.tuples(st.sampled_from(names), st.sampled_from(list(Word))), max_size=3)
    watched = Watched(bundle=bundles.begin(state(service)))
    watched.settle()
    while still := [each.name for each in watched.bundle.parts if each.status is PartStatus.OPEN]:
        name = data.draw(st.sampled_from(still))
        for other, word in data.draw(noise):
            part = watched.bundle.part(other)
            assert part is not None
            if part.status is not PartStatus.OPEN or word is Word.ACCEPTED:  # late, doubled, out of order
                watched.hear(other, word)
        watched.hear(name, fates[name])
    for each in watched.bundle.parts:
        watched.hear(each.name, Word.ISSUED)

    expected = naive(service, fates)
    assert {each.name: each.status for each in watched.bundle.parts} == expected
    assert bundles.ended(watched.bundle)
    assert max(watched.opened.values()) == 1
    assert set(watched.opened) == {name for name, status in expected.items() if status is not PartStatus.VOID}
    granted = {name for name, status in expected.items() if status is PartStatus.GRANTED}
    steps = Counter(name for type_, name in watched.said if type_ == "case.step-completed")
    types = Counter(type_ for type_, _ in watched.said)
    endings = types["case.decided"] + types["case.refused"] + types["case.withdrawn"]
    if service.answer == "lead":
        assert steps == Counter(names)
        assert types.keys() == {"case.step-completed"}
        assert bundles.answer(watched.bundle)[0] == (len(granted) == len(names))
        return
    assert endings == 1
    assert types["case.accepted"] <= 1
    assert steps == (Counter(names) if types["case.accepted"] else Counter())
    assert types["case.result-issued"] == types["case.decided"], "a denial is issued and delivered too"
    if types["case.withdrawn"]:
        assert set(expected.values()) <= ALL_BACK
    if types["case.refused"]:
        assert not types["case.accepted"]
        assert PartStatus.REFUSED in expected.values()
    order = [type_ for type_, _ in watched.said if type_ != "case.step-completed"]
    rank = ["case.accepted", "case.decided", "case.refused", "case.withdrawn", "case.result-issued"]
    assert order == sorted(order, key=rank.index)
    answer_granted, reason = bundles.answer(watched.bundle)
    assert answer_granted == bool(granted)
    for each in watched.bundle.parts:
        assert (each.name in granted) == (reason is None or f"{each.item}：" not in reason)


@settings(max_examples=300)
@given(st.data())
def test_a_withdrawal_of_the_whole_at_any_moment_ends_everything(data: st.DataObject) -> None:
    service = data.draw(services())
    names = st.sampled_from([each.name for each in service.parts])
    watched = Watched(bundle=bundles.begin(state(service)))
    watched.settle()
    for name, word in data.draw(st.lists(st.tuples(names, st.sampled_from(list(Word))), max_size=12)):
        watched.hear(name, word)
    watched.withdraw()
    assert bundles.ended(watched.bundle)
    opened_before = dict(watched.opened)
    for each in service.parts:
        for word in Word:
            watched.hear(each.name, word)
    assert watched.opened == opened_before, "nothing opens after the end"
    types = Counter(type_ for type_, _ in watched.said)
    endings = types["case.decided"] + types["case.refused"] + types["case.withdrawn"]
    granted = any(each.status is PartStatus.GRANTED for each in watched.bundle.parts)
    if service.answer == "broker":
        assert endings + watched.whole_withdrawn == 1
        assert types["case.result-issued"] == types["case.decided"]
        assert not (granted and watched.whole_withdrawn)


# In the state's JSON.


@settings(max_examples=100)
@given(st.data())
def test_a_bundle_survives_its_json(data: st.DataObject) -> None:
    bundle = bundles.registered(
        bundles.begin(state(data.draw(services()))), "430423/m-1", 3, data.draw(st.integers(0, 2**40))
    )
    paper = Paper(title="文书", media_type="application/pdf", sha256="a" * 64, size=7)
    said = Said(
        at=AT, reason="理由", legal_basis="依据", papers=(paper,), courier_company="邮政", courier_number="1"
    )
    names = st.sampled_from([each.name for each in bundle.parts])
    for name, word in data.draw(st.lists(st.tuples(names, st.sampled_from(list(Word))), max_size=8)):
        bundle = bundles.heard(opened(bundle), name, word, said)
    _, bundle = bundles.owed(bundle)
    text = orjson.dumps(bundles.to_facts(bundle), option=orjson.OPT_UTC_Z)
    assert bundles.from_facts(orjson.loads(text)) == bundle
    assert (
        orjson.dumps(bundles.to_facts(bundles.from_facts(orjson.loads(text))), option=orjson.OPT_UTC_Z)
        == text
    )


def test_a_fresh_bundle_is_short_and_an_unknown_key_is_refused() -> None:
    facts = bundles.to_facts(state())
    assert facts.keys() == {"code", "answer", "parts"}
    assert facts["parts"][0] == {  # type: ignore[index]
        "name": "chusheng",
        "item": "chusheng-yixue-zhengming",
        "authority": "430400-weijian",
    }
    with pytest.raises(TypeError):
        bundles.from_facts({**facts, "other": 1})
