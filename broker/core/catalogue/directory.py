"""The directory: partners, items and agreements, as frozen records read from TOML documents.

The documents live under version control (``directory/``); applied, the whole set travels as one record on
every partition of the ledger, so that each message is judged by the directory in force at its place in the
log (ADR 0006). Source: contract, "Directory".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, Field

from broker.core.catalogue.directory_checks import dangling
from broker.core.catalogue.items import Bundle, BundlePart, Days, Item, ItemClass, ItemCode, Step
from broker.core.codes import uscc
from broker.core.documents import FORBID_UNKNOWN, DocumentInvalid, Fault, read_record, read_toml
from broker.core.ids import PartnerId, partner_id
from broker.core.lane.office_hours import ALWAYS, OfficeHours
from broker.core.lane.schedule import AS_THE_HOUSE, RetryPlan
from broker.core.message import Mode

__all__ = [
    "EMPTY",
    "Agreement",
    "Bundle",
    "BundlePart",
    "Directory",
    "Item",
    "ItemClass",
    "Keys",
    "Limits",
    "Partner",
    "Step",
    "read_directory",
    "version_of",
]

_PartnerId = Annotated[PartnerId, AfterValidator(partner_id)]
_Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one partner may be sent at once. ``per_second`` 0: no limit of rate."""

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    in_flight: _Count = 64
    per_second: Annotated[float, Field(ge=0)] = 0.0
    batch: _Count = 1
    queue_bytes: Annotated[int, Field(ge=65536)] = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What proves that a partner speaks.

    ``verify`` are Ed25519 public keys in Standard Webhooks form (``whpk_…``), all in force at once so that
    keys rotate. ``secret`` names a shared secret (``v1``) of the broker's own configuration: secrets are
    never in the directory. ``token_sha256`` are hex digests of bearer tokens for reads.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    verify: tuple[Annotated[str, Field(pattern=r"^whpk_[A-Za-z0-9+/]{43}=$")], ...] = ()
    secret: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    token_sha256: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """One partner city's system, or one authority within it.

    ``connector`` holds ``kind`` (a name in ``connectors/registry.py``) and that kind's own options.
    ``trusted_channel``: its client certificate vouches for binary-mode messages. ``receipts`` False: it
    reads its receipts by status instead of being sent them. ``schedule`` is what differs from the house's
    retry schedule (``core/lane/schedule.py``) for this partner, and in ``schedule.items`` for an item code or item
    class. ``office_hours``: when what had to be parked is tried again. ``retry_after_s`` is the old name of
    ``schedule.parked_s`` and goes with the next release. ``closures``: days on which its offices are closed
    although the country works. ``treasury_for``: the partners whose fees it takes in (收支两条线).
    ``complaint_days``: working days within which it answers a complaint that names no day. ``credit_code``: its
    统一社会信用代码, checked to the last digit.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    id: _PartnerId
    name: str
    contact: str
    connector: Mapping[str, Any]
    keys: Keys = Keys()
    trusted_channel: bool = False
    receipts: bool = True
    limits: Limits = Limits()
    schedule: RetryPlan = AS_THE_HOUSE
    office_hours: OfficeHours = ALWAYS
    closures: tuple[date, ...] = ()
    treasury_for: tuple[_PartnerId, ...] = ()
    complaint_days: _Count = 15
    credit_code: Annotated[str, AfterValidator(uscc)] | None = None
    retry_after_s: tuple[Annotated[float, Field(gt=0)], ...] = ()

    @property
    def retries(self) -> RetryPlan:
        """The partner's schedule, whichever name its waits go by."""
        if self.retry_after_s and self.schedule.parked_s is None:
            return replace(self.schedule, parked_s=self.retry_after_s)
        return self.schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What two partners have agreed: which items, in which modes, from when to when (both days included).

    ``promised``: working days by item, where they are other than the item's own. ``contacts``: by partner.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    partners: tuple[_PartnerId, _PartnerId]
    items: Annotated[tuple[ItemCode, ...], Field(min_length=1)]
    modes: Annotated[tuple[Mode, ...], Field(min_length=1)]
    since: date
    until: date | None = None
    promised: Mapping[str, Days] = field(default_factory=dict)
    contacts: Mapping[str, str] = field(default_factory=dict)

    def in_force(self, day: date) -> bool:
        return self.since <= day and (self.until is None or day <= self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """One version of the directory. ``version`` is the SHA-256 over its documents, 16 hex digits."""

    version: str
    partners: Mapping[PartnerId, Partner]
    items: Mapping[str, Item]
    agreements: Mapping[frozenset[PartnerId], Agreement]
    bundles: Mapping[str, Bundle] = field(default_factory=dict)
    agreed: Mapping[frozenset[PartnerId], frozenset[str]] = field(default_factory=dict)
    """The items of each agreement as a set: a province's has thousands."""

    def covers(self, agreement: Agreement, item: str) -> bool:
        """Whether an agreement lists this item."""
        return item in self.agreed.get(frozenset(agreement.partners), agreement.items)

    def agreement(self, one: PartnerId, other: PartnerId) -> Agreement | None:
        return self.agreements.get(frozenset((one, other)))

    def class_of(self, item: str) -> str | None:
        """An item's class, by its code; None: it has none, or is not known."""
        known = self.items.get(item)
        return None if known is None else known.item_class

    def agreements_of(self, partner: PartnerId) -> list[Agreement]:
        return [agreement for pair, agreement in self.agreements.items() if partner in pair]


EMPTY: Final = Directory(version="", partners={}, items={}, agreements={})


def version_of(documents: Mapping[str, str]) -> str:
    """The version of a set of documents: SHA-256 over its canonical JSON, 16 hex digits."""
    text = json.dumps(dict(sorted(documents.items())), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_directory(documents: Mapping[str, str]) -> Directory:
    """Build the directory from ``{path: TOML text}``. Raises :class:`DocumentInvalid` with every fault."""
    faults: list[Fault] = []
    partners: dict[PartnerId, Partner] = {}
    items: dict[str, Item] = {}
    agreements: dict[frozenset[PartnerId], Agreement] = {}
    bundles: dict[str, Bundle] = {}
    for path in sorted(documents):
        try:
            tables = read_toml(path, documents[path])
            match path.split("/"):
                case ["partners", _]:
                    partner = read_record(path, Partner, tables)
                    _named_after(path, "id", partner.id)
                    partners[partner.id] = partner
                case ["items", _]:
                    item = read_record(path, Item, tables)
                    _named_after(path, "code", item.code)
                    items[item.code] = item
                case ["agreements", _]:
                    agreement = read_record(path, Agreement, tables)
                    _named_after(path, "partners", "--".join(sorted(agreement.partners)))
                    agreements[frozenset(agreement.partners)] = agreement
                case ["bundles", _]:
                    bundle = read_record(path, Bundle, tables)
                    _named_after(path, "code", bundle.code)
                    bundles[bundle.code] = bundle
                case _:
                    expected = "expected a file of partners/, items/, agreements/ or bundles/"
                    raise DocumentInvalid((Fault(file=path, key="-", expected=expected),))
        except DocumentInvalid as invalid:
            faults.extend(invalid.faults)
    if not faults:
        made = Directory(
            version=version_of(documents),
            partners=partners,
            items=items,
            agreements=agreements,
            bundles=bundles,
            agreed={pair: frozenset(each.items) for pair, each in agreements.items()},
        )
        faults.extend(dangling(made))
        if not faults:
            return made
    raise DocumentInvalid(tuple(faults))


def _named_after(path: str, key: str, name: str) -> None:
    if path.rpartition("/")[2] != f"{name}.toml":
        raise DocumentInvalid((Fault(file=path, key=key, expected=f"expected the file to be {name}.toml"),))
