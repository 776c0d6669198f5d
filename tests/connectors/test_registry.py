from __future__ import annotations

from typing import Any

import pytest

from broker.core.catalogue.directory import Directory, Keys, Partner
from broker.core.documents import DocumentInvalid
from broker.core.ids import PartnerId
from connectors import registry
from connectors.http import HttpConnector
from connectors.mailbox import MailboxConnector
from tests.connectors.test_http import PORTS


def partner(secret: str | None = None, **connector: Any) -> Partner:
    return Partner(
        id=PartnerId("430423"), name="衡山县", contact="-", connector=connector, keys=Keys(secret=secret)
    )


def faults_of(one: Partner) -> list[str]:
    with pytest.raises(DocumentInvalid) as caught:
        registry.read_options(one)
    return [str(fault) for fault in caught.value.faults]


def test_each_kind_makes_its_connector() -> None:
    http = partner(kind="http", url="https://city.example/in")
    assert isinstance(registry.make_connector(http, PORTS), HttpConnector)
    assert isinstance(registry.make_connector(partner(kind="mailbox"), PORTS), MailboxConnector)


def test_unknown_kinds_are_named_with_the_nearest() -> None:
    assert faults_of(partner(kind="htp")) == [
        "partners/430423.toml: connector.kind: expected one of http, mailbox, did you mean http"
    ]


def test_every_fault_has_file_and_key() -> None:
    found = faults_of(partner(kind="http", url="https://a.example/", timeout_s=-1, alow=["x"]))
    assert len(found) == 2
    assert any(fault.startswith("partners/430423.toml: connector.timeout_s: ") for fault in found)
    assert any("connector.alow: unknown key, did you mean allow" in fault for fault in found)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"url": "http://127.0.0.1/"}, "connector.url"),
        ({"url": "http://169.254.169.254/latest/"}, "connector.url"),
        ({"url": "https://a.example/", "allow": ["10.0.0.0/99"]}, "connector.allow"),
        ({"url": "https://a.example/", "sign": ["v1"]}, "connector.sign"),
        ({"url": "https://a.example/", "ca": "/nowhere/ca.pem"}, "connector.ca"),
        (
            {"url": "https://a.example/", "mapping": [{"fields": {"a": "x", "b": "x"}}]},
            "connector.mapping.0.fields.b",
        ),
    ],
)
def test_options_that_types_cannot_check(options: dict[str, Any], key: str) -> None:
    assert [fault.split(": ")[1] for fault in faults_of(partner(kind="http", **options))] == [key]


def test_a_secret_that_the_broker_does_not_have() -> None:
    options = {"kind": "http", "url": "https://a.example/", "sign": ["v1"]}
    with pytest.raises(DocumentInvalid, match=r"keys\.secret"):
        registry.make_connector(partner("other", **options), PORTS)
    assert isinstance(registry.make_connector(partner("shared", **options), PORTS), HttpConnector)


def test_faults_of_a_whole_directory() -> None:
    bad, good = partner(kind="http"), partner(kind="mailbox")
    directory = Directory(
        version="", partners={PartnerId("1"): bad, PartnerId("2"): good}, items={}, agreements={}
    )
    assert [fault.key for fault in registry.faults(directory)] == ["connector.url"]
