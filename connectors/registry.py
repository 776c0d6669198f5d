"""The kinds of connector: one explicit table, nothing is registered by importing."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, assert_never

from broker.core.catalogue.directory import Directory, Partner
from broker.core.documents import DocumentInvalid, Fault, read_record
from connectors import http, mailbox
from connectors.base import Connector, Ports
from connectors.http import HttpConnector, HttpOptions
from connectors.mailbox import MailboxConnector, MailboxOptions
from connectors.mapping import PartnerMapping, mapping_faults

ConnectorOptions = HttpOptions | MailboxOptions

KINDS: Final[Mapping[str, type[HttpOptions] | type[MailboxOptions]]] = {
    "http": HttpOptions,
    "mailbox": MailboxOptions,
}
"""What ``connector.kind`` may be in a partner's document, and the options that the kind takes."""


def read_options(partner: Partner) -> ConnectorOptions:
    """A partner's connector options. Raises DocumentInvalid with every fault, by file and key."""
    file = f"partners/{partner.id}.toml"
    kind = partner.connector.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        near = difflib.get_close_matches(str(kind), KINDS, n=1)
        expected = f"expected one of {', '.join(KINDS)}{f', did you mean {near[0]}' if near else ''}"
        raise DocumentInvalid((Fault(file=file, key="connector.kind", expected=expected),))
    try:
        options: ConnectorOptions = read_record(file, KINDS[kind], partner.connector)
    except DocumentInvalid as invalid:
        raise DocumentInvalid(tuple(_within(file, fault) for fault in invalid.faults)) from None
    found = (*_own_faults(partner, options), *mapping_faults(options.mapping))
    if found:
        raise DocumentInvalid(tuple(_within(file, fault) for fault in found))
    return options


def faults(directory: Directory) -> tuple[Fault, ...]:
    """Every fault of every partner's connector options: what a change of the directory is checked by."""
    found: list[Fault] = []
    for partner in directory.partners.values():
        try:
            read_options(partner)
        except DocumentInvalid as invalid:
            found.extend(invalid.faults)
    return tuple(found)


def make_connector(partner: Partner, ports: Ports) -> Connector:
    """The connector of a partner, not yet started. Raises DocumentInvalid."""
    options = read_options(partner)
    match options:
        case HttpOptions():
            _need_secret(partner, options, ports)
            return HttpConnector(partner, options, ports)
        case MailboxOptions():
            return MailboxConnector(partner, options, ports)
        case _:
            assert_never(options)


def make_mapping(partner: Partner) -> PartnerMapping:
    """The partner's names and codes. Raises DocumentInvalid."""
    return PartnerMapping(read_options(partner).mapping)


def _own_faults(partner: Partner, options: ConnectorOptions) -> tuple[Fault, ...]:
    match options:
        case HttpOptions():
            return tuple(http.faults(partner, options))
        case MailboxOptions():
            return tuple(mailbox.faults(partner, options))
        case _:
            assert_never(options)


def _need_secret(partner: Partner, options: HttpOptions, ports: Ports) -> None:
    if "v1" in options.sign and partner.keys.secret not in ports.secrets:
        expected = "expected a shared secret of this name in the broker's configuration"
        raise DocumentInvalid(
            (Fault(file=f"partners/{partner.id}.toml", key="keys.secret", expected=expected),)
        )


def _within(file: str, fault: Fault) -> Fault:
    return replace(fault, file=file, key=f"connector.{fault.key}")
