"""What a directory names and does not have: every fault of it at once, by file and key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from broker.core.catalogue.items import Bundle
from broker.core.documents import Fault

if TYPE_CHECKING:
    from broker.core.catalogue.directory import Agreement, Directory, Partner


def dangling(directory: Directory) -> Iterator[Fault]:
    """The faults between documents that are each well formed by themselves."""
    for partner in directory.partners.values():
        yield from _of_partner(partner, directory)
    for agreement in directory.agreements.values():
        yield from _of_agreement(agreement, directory)
    for bundle in directory.bundles.values():
        yield from _of_bundle(bundle, directory)


def _of_partner(partner: Partner, directory: Directory) -> Iterator[Fault]:
    file = f"partners/{partner.id}.toml"
    names = directory.items.keys() | {each.item_class for each in directory.items.values()}
    for other in partner.treasury_for:
        if other not in directory.partners:
            yield _missing(file, "treasury_for", f"partners/{other}.toml")
    for key in partner.schedule.items:
        if key not in names:
            expected = "expected the code or the class of an item in items/"
            yield Fault(file=file, key=f"schedule.items.{key}", expected=expected)


def _of_agreement(agreement: Agreement, directory: Directory) -> Iterator[Fault]:
    file = f"agreements/{'--'.join(sorted(agreement.partners))}.toml"
    for side in agreement.partners:
        if side not in directory.partners:
            yield _missing(file, "partners", f"partners/{side}.toml")
    for code in agreement.items:
        if code not in directory.items:
            yield _missing(file, "items", f"items/{code}.toml")
    for code in agreement.promised:
        if code not in agreement.items:
            yield Fault(file=file, key=f"promised.{code}", expected="expected one of the agreement's items")
    for name in agreement.contacts:
        if name not in agreement.partners:
            yield Fault(file=file, key=f"contacts.{name}", expected="expected one of the two partners")


def _of_bundle(bundle: Bundle, directory: Directory) -> Iterator[Fault]:
    """What a bundle names must exist, and each part must be able to open one day."""
    file = f"bundles/{bundle.code}.toml"
    if bool(bundle.parts) == (bundle.route_item is not None):
        yield Fault(file=file, key="parts", expected="expected either parts or route_item")
    if bundle.route_item is not None and bundle.answer != "lead":
        yield Fault(file=file, key="answer", expected="expected lead, who decides for a route's authorities")
    items = [("code", bundle.code), *((f"parts.{part.name}.item", part.item) for part in bundle.parts)]
    if bundle.route_item is not None:
        items.append(("route_item", bundle.route_item))
    for key, code in items:
        if code not in directory.items:
            yield _missing(file, key, f"items/{code}.toml")
    authorities = ((f"parts.{part.name}.authority", part.authority) for part in bundle.parts)
    for key, partner in [("lead", bundle.lead), *authorities]:
        if partner not in directory.partners:
            yield _missing(file, key, f"partners/{partner}.toml")
    yield from _order_of(bundle, file)


def _order_of(bundle: Bundle, file: str) -> Iterator[Fault]:
    before: set[str] = set()
    for part in bundle.parts:
        if part.name in before:
            yield Fault(file=file, key=f"parts.{part.name}", expected="expected each name once")
        if not before.issuperset(part.after):
            expected = "expected parts that stand before this one in the file, so that none waits for ever"
            yield Fault(file=file, key=f"parts.{part.name}.after", expected=expected)
        before.add(part.name)


def _missing(file: str, key: str, wanted: str) -> Fault:
    return Fault(file=file, key=key, expected=f"expected {wanted} to exist")
