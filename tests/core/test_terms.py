"""The terms of a case: the narrowest promise, the responsible place's calendar, the treasury that speaks for it."""

from __future__ import annotations

from datetime import date

from broker.core.case.terms import Terms, terms
from broker.core.catalogue.directory import Directory, read_directory
from broker.core.ids import PartnerId, Party
from tests.core.samples import HENGSHAN, LAIBIN
from tests.core.test_directory import DOCUMENTS, partner

ITEM = "newborn-hukou"
AGREEMENT = "agreements/430423--451300.toml"


def of(directory: Directory, sender: str = LAIBIN, item_class: str = "") -> Terms:
    return terms(
        directory,
        item=ITEM,
        item_class=item_class,
        opening=PartnerId(LAIBIN),
        responsible=PartnerId(HENGSHAN),
        sender=Party(sender),
    )


def directory(item: str = "", agreement: str = "", **more: str) -> Directory:
    """The samples' directory, with a promise of 20 days for the item, and lines more in its documents."""
    lines = f'code = "{ITEM}"\nname = "新生儿入户"\npromised_days = 20\n{item}'
    changed = {f"items/{ITEM}.toml": lines, AGREEMENT: DOCUMENTS[AGREEMENT] + agreement}
    return read_directory({**DOCUMENTS, **changed, **more})


def test_the_promise_is_the_classs_else_the_agreements_else_the_items() -> None:
    assert of(directory()).promised_days == 20
    agreed = f"[promised]\n{ITEM} = 7\n"
    assert of(directory(agreement=agreed)).promised_days == 7
    classes = "[classes.II]\npromised_days = 0\nminutes = 90.0\n"
    both = directory(item=classes, agreement=agreed)
    assert (of(both, item_class="II").promised_days, of(both, item_class="II").minutes) == (0, 90.0)
    assert (of(both, item_class="III").promised_days, of(both, item_class="III").minutes) == (7, None)


def test_an_instant_item_has_minutes() -> None:
    assert of(directory(item="instant = true\n")).minutes == 30.0
    assert of(directory(item="instant = true\nminutes = 0.5\n")).minutes == 0.5


def test_the_calendar_is_that_of_the_responsible_place() -> None:
    closed = {f"partners/{HENGSHAN}.toml": partner(HENGSHAN, "closures = [2026-03-03]")}
    tuesday = date(2026, 3, 3)
    assert of(directory()).calendar.is_working(tuesday)
    assert not of(directory(**closed)).calendar.is_working(tuesday)


def test_a_treasury_speaks_for_the_partners_that_the_directory_names() -> None:
    treasury = "430423-caizheng"
    named = {f"partners/{treasury}.toml": partner(treasury, f'treasury_for = ["{HENGSHAN}"]')}
    assert of(directory(**named), treasury).treasury
    assert not of(directory(**named), LAIBIN).treasury


def test_an_item_that_the_directory_does_not_know_has_no_promise() -> None:
    unknown = terms(
        directory(),
        item="",
        opening=PartnerId(LAIBIN),
        responsible=PartnerId(HENGSHAN),
        sender=Party(LAIBIN),
    )
    assert (unknown.item, unknown.promised_days, unknown.minutes, unknown.bundle) == (None, None, None, None)
