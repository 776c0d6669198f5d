"""The attributes of a submitted event, each read against its form; every fault is noted, none ends the reading.

Source: CloudEvents 1.0; contract, "Ids" and "Topics".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final, TypeVar

from broker.core.case.lifecycle import MESSAGE_TYPES, TypeRule
from broker.core.case.opening import COMPLAINT
from broker.core.events import NotCanonical, event_digest
from broker.core.ids import BROKER, InvalidId, PartnerId, Party, party_from_path, party_path
from broker.core.message import TYPE_PREFIX, MessageClass, Mode, is_partner, parse_time
from broker.core.problems import FieldError
from broker.log.schema.schemas import Schema
from broker.log.values.codec import Codec

T = TypeVar("T")

ATTRIBUTES: Final = frozenset(
    {
        *("specversion", "id", "source", "type", "time", "subject", "destination", "item", "mode", "class"),
        *("correlationid", "expirytime", "sequence", "traceparent"),
        *("dataschema", "datacontenttype", "data", "data_base64"),
    }
)
"""What an event may hold. Anything else would be lost on the road without a word, and is refused."""

TRACEPARENT: Final = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
ITEM: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")
SEQUENCE: Final = re.compile(r"[\x21-\x7e]{1,64}")
CORRELATION: Final = re.compile(r"(?:[0-9]{6}(?:-[a-z0-9]{1,24})?|tongban)/[A-Za-z0-9_-]{1,64}")
_YEARS = range(1970, 9999)  # beyond, arithmetic with offsets leaves the calendar

_SAID_BY_PARTNERS: Final[Mapping[str, TypeRule]] = {
    TYPE_PREFIX + name: rule for name, rule in MESSAGE_TYPES.items() if not rule.of_the_road
}
_COMPLAINT: Final = TYPE_PREFIX + COMPLAINT
_BY_ONE_DOOR: Final = party_path(BROKER)
"""Where a complaint goes whose responsible partner the broker is to find, by the case that it is about."""
_CLASSES = frozenset({MessageClass.INITIAL, MessageClass.RESPONSE})
_RFC3339 = "RFC 3339 with an offset, years 1970 to 9998"
_MODE_OF: Final[Mapping[str, Mode]] = {mode.value: mode for mode in Mode}
_MODES = "online, collected or joint"
_FORMS: Final = {"id": "1 to 64 of [A-Za-z0-9_-]", "subject": "<partner that opened it>/<number>"}


class Reading:
    """One event being read: each method reads one attribute and notes its fault."""

    __slots__ = ("event", "faults")

    def __init__(self, event: dict[str, object]) -> None:
        self.event = event
        self.faults: list[tuple[str, FieldError]] = []

    def fault(self, name: str, expected: str, *, code: str = "event-invalid", got: str | None = None) -> None:
        self.faults.append((code, FieldError(pointer=f"/{name}", expected=expected, got=got)))

    def text(self, name: str, expected: str, *, required: bool) -> str | None:
        found = self.event.get(name)
        if type(found) is str:
            return found
        if found is not None:
            self.fault(name, expected, got=f"a JSON {_kind(found)}")
        elif required:
            self.fault(name, expected, got="nothing")
        return None

    def frame(self, caller: PartnerId) -> None:
        event = self.event
        if not event.keys() <= ATTRIBUTES:
            unknown = len(event.keys() - ATTRIBUTES)
            known = " ".join(sorted(ATTRIBUTES))
            self.faults.append(
                (
                    "event-invalid",
                    FieldError(
                        pointer="",
                        expected=f"attributes of: {known}",
                        got=f"{unknown} attribute(s) not among them",
                    ),
                )
            )
        if event.get("specversion") != "1.0":
            self.fault("specversion", "1.0")
        if event.get("source") != party_path(caller):
            self.fault("source", "/partners/<your own partner id>")

    def rule(self) -> TypeRule | None:
        text = self.text("type", "cn.tongban.<name>", required=True)
        if text is None:
            return None
        rule = _SAID_BY_PARTNERS.get(text)
        if rule is None:
            self.fault("type", "a message type that partners say", code="type-unknown")
        return rule

    def id(self, name: str, check_id: Callable[[str], T]) -> T | None:
        text = self.text(name, _FORMS[name], required=True)
        if text is None:
            return None
        try:
            return check_id(text)
        except InvalidId as invalid:
            self.fault(name, invalid.expected)
            return None

    def destination(self) -> Party | None:
        text = self.text("destination", "/partners/<partner id>", required=True)
        if text is None:
            return None
        if text == _BY_ONE_DOOR and self.event.get("type") == _COMPLAINT:
            return BROKER
        party = _partner_at(text)
        if party is None or text == self.event.get("source"):
            self.fault("destination", "/partners/<another partner's id>")
            return None
        return party

    def time(self, name: str, *, required: bool = False) -> datetime | None:
        text = self.text(name, _RFC3339, required=required)
        if text is None:
            return None
        try:
            moment = parse_time(text) if _TIME.fullmatch(text) else None
        except ValueError:
            moment = None
        if moment is None or moment.year not in _YEARS:
            self.fault(name, _RFC3339)
            return None
        return moment

    def matching(
        self, name: str, form: re.Pattern[str], expected: str, *, required: bool = False
    ) -> str | None:
        if name not in self.event and not required:
            return None
        text = self.text(name, expected, required=required)
        if text is not None and not form.fullmatch(text):
            self.fault(name, expected)
            return None
        return text

    def mode(self, *, required: bool) -> Mode | None:
        text = self.text("mode", _MODES, required=required)
        if text is None:
            return None
        mode = _MODE_OF.get(text)
        if mode is None:
            self.fault("mode", _MODES)
        return mode

    def message_class(self, rule: TypeRule | None) -> MessageClass | None:
        found = self.event.get("class")
        if found is None:
            opens = rule is not None and rule.opens
            return MessageClass.INITIAL if opens else MessageClass.RESPONSE
        if type(found) is not int or found not in (rule.classes if rule is not None else _CLASSES):
            self.fault("class", "0 (initial) or 1 (response), as a number")
            return None
        return MessageClass(found)

    def schema(self, codec: Codec, rule: TypeRule | None) -> Schema | None:
        text = self.text("dataschema", "/schemas/ids/<id>", required=False)
        if rule is None:
            return None
        if text is None:
            return codec.schemas.latest(rule.name)
        schema = codec.schemas.by_dataschema(text)
        if schema is None:
            self.fault("dataschema", "/schemas/ids/<id> of a registered schema", code="schema-unknown")
        elif schema.type != rule.name:
            self.fault("dataschema", f"a schema of {rule.name}", code="schema-unknown", got=schema.type)
            return None
        return schema

    def digest(self) -> str | None:
        try:
            return event_digest(self.event)
        except NotCanonical:
            self.fault("data", "numbers within ±(2^53 - 1), as RFC 8785 requires")
            return None


@lru_cache(maxsize=4096)  # there are thousands of partners, and as many messages to each of them
def _partner_at(path: str) -> Party | None:
    try:
        party = party_from_path(path)
    except InvalidId:
        return None
    return party if is_partner(party) else None


def _kind(value: object) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case list():
            return "array"
        case _:
            return "object"
