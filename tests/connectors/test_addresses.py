from __future__ import annotations

import ipaddress

import pytest

from connectors.addresses import literal, networks, refused, url_fault

INNER = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "localhost",
    "LOCALHOST.", "x.localhost", "0.0.0.0", "0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "192.0.0.1", "198.18.0.1", "203.0.113.7", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[fd00::1]", "[ff02::1]", "[fec0::1]",
    "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::1]",
    "[2002:7f00:1::]", "[2001::1]", "[::127.0.0.1]", "[2001:db8::1]",
]  # fmt: skip

MALFORMED = [
    "ftp://city.example/", "file:///etc/passwd", "http://", "http://user@city.example/", "city.example",
    "http://user:secret@city.example/", "http://8.8.8.8@10.0.0.1/", "http://city.example:0/", "//city.example/",
    "http://city.example:99999/", "http://城市.cn/", "http://city.example/a b", "http://city.example\\@10.0.0.1/",
    "http://city.example/#x", "http://[fe80::1%25eth0]/", "http://1.2.3.4.5/", "http://999.1.1.1/",
    "http://a..b/", "gopher://city.example/", "http://city.example/\r\nx: y", "http://0x/", "javascript:alert(1)",
]  # fmt: skip


@pytest.mark.parametrize("host", INNER)
def test_inner_addresses_are_refused_in_every_spelling(host: str) -> None:
    assert url_fault(f"http://{host}/in", ()) is not None
    assert url_fault(f"https://{host}:8443/in", ()) is not None


@pytest.mark.parametrize("url", MALFORMED)
def test_urls_that_are_no_endpoint(url: str) -> None:
    assert url_fault(url, ()) is not None


@pytest.mark.parametrize(
    "url",
    [
        "http://8.8.8.8/",
        "https://[2606:4700::1]/x",
        "https://xn--fiq228c.cn/in?a=1",
        "http://city.example:8080/",
    ],
)
def test_public_endpoints_pass(url: str) -> None:
    assert url_fault(url, ()) is None


def test_allow_opens_exactly_its_networks() -> None:
    allow = networks(["10.20.0.0/16", "fd00:1::/32"])
    assert not refused(ipaddress.ip_address("10.20.3.4"), allow)
    assert not refused(ipaddress.ip_address("::ffff:10.20.3.4"), allow)
    assert not refused(ipaddress.ip_address("fd00:1::9"), allow)
    assert refused(ipaddress.ip_address("10.21.0.1"), allow)
    assert refused(ipaddress.ip_address("fd00:2::9"), allow)
    assert refused(ipaddress.ip_address("64:ff9b::10.20.3.4"), allow)


def test_literals_are_read_as_the_c_library_reads_them() -> None:
    assert str(literal("0x7f.1")) == "127.0.0.1"
    assert str(literal("010.8.8.8")) == "8.8.8.8"
    assert literal("city.example") is None
