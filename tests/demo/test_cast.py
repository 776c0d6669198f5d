"""The cast: fresh keys, a directory that the broker reads, ports of one's own."""

from __future__ import annotations

import hashlib
import socket
import stat
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from broker.core.catalogue.directory import Directory, read_directory
from broker.core.ids import PartnerId
from connectors import registry
from deploy.demo import keys, provincial
from deploy.demo.cast import LEAD, Prepared, prepare
from deploy.demo.roster import SOON, halls, seats
from deploy.demo.scenarios import scenarios


def directory_of(prepared: Prepared) -> Directory:
    documents = {
        str(path.relative_to(prepared.directory)): path.read_text(encoding="utf-8")
        for path in prepared.directory.rglob("*.toml")
    }
    return read_directory(documents)


def test_the_broker_reads_the_directory(tmp_path: Path) -> None:
    directory = directory_of(prepare(tmp_path))
    assert set(directory.partners) == set(LEAD)
    assert registry.faults(directory) == ()
    kinds = {partner.id: partner.connector["kind"] for partner in directory.partners.values()}
    assert kinds == {"451300": "http", "430423": "http", "430400": "http", "350200": "mailbox"}


def test_the_agreements_are_those_of_the_play(tmp_path: Path) -> None:
    directory = directory_of(prepare(tmp_path))
    newborn = directory.agreement(PartnerId("451300"), PartnerId("430423"))
    assert newborn is not None
    assert "xinshenger-ruhu" in newborn.items
    assert [str(mode) for mode in newborn.modes] == ["collected"]
    assert set(newborn.contacts) == {"451300", "430423"}
    assert directory.agreement(PartnerId("451300"), PartnerId("350200")) is None
    assert directory.items["yidi-jiuyi-beian"].instant


def test_keys_in_the_directory_are_those_of_the_cities(tmp_path: Path) -> None:
    prepared = prepare(tmp_path)
    directory = directory_of(prepared)
    for player in prepared.players:
        secret = keys.parse_secret((player.folder / "signing.whsk").read_text(encoding="utf-8"))
        token = (player.folder / "token").read_text(encoding="utf-8")
        known = directory.partners[PartnerId(player.id)].keys
        assert known.verify == (keys.public_text(secret),)
        assert known.token_sha256 == (hashlib.sha256(token.encode()).hexdigest(),)


def test_secrets_are_their_owners_alone_and_new_every_time(tmp_path: Path) -> None:
    secret = tmp_path / "cities" / "451300" / "signing.whsk"
    texts = []
    for _ in range(2):
        prepare(tmp_path)
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        texts.append(secret.read_text(encoding="utf-8"))
    assert texts[0] != texts[1]


def test_a_new_play_starts_with_empty_ledgers(tmp_path: Path) -> None:
    player = prepare(tmp_path).players[0]
    player.ledger.write_bytes(b"the last play's")
    prepare(tmp_path)
    assert not player.ledger.exists()


def test_a_port_in_use_is_left_alone(tmp_path: Path) -> None:
    liked = seats()[LEAD[0]].inbox_port
    assert liked is not None
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # another program may have it already: as good
            other.bind(("127.0.0.1", liked))
            other.listen()
        ports = [
            port
            for player in prepare(tmp_path).players
            for port in (player.inbox_port, player.window_port)
            if port is not None
        ]
    assert liked not in ports
    assert len(set(ports)) == len(ports) == 7


def test_runs_have_numbers_of_their_own(tmp_path: Path) -> None:
    first = prepare(tmp_path, now=datetime(2026, 3, 1, 16, 0, 0, tzinfo=UTC))
    second = prepare(tmp_path, now=datetime(2026, 3, 1, 16, 0, 1, tzinfo=UTC))
    assert (first.run, second.run) == ("260302000000", "260302000001")


def test_the_whole_roster_is_a_directory_that_the_broker_reads(tmp_path: Path) -> None:
    directory = directory_of(prepare(tmp_path, halls(), now=datetime(2026, 3, 1, 16, tzinfo=UTC)))
    assert set(directory.partners) == set(halls())
    assert registry.faults(directory) == ()
    assert set(directory.bundles) == {"xinshenger-yijianshi", "dajian-yunshu"}
    assert (
        len([item for item in directory.items if provincial.is_provincial(item)]) == provincial.ITEMS == 1707
    )
    assert len([hall for hall in halls() if hall.startswith("430000-")]) == provincial.UNITS == 32
    treasury = directory.partners[PartnerId("430423-caizheng")]
    assert treasury.treasury_for == ("430423",)


def test_hengyang_has_signed_with_eight_cities(tmp_path: Path) -> None:
    directory = directory_of(prepare(tmp_path, halls(), now=datetime(2026, 3, 1, 16, tzinfo=UTC)))
    hengyang = PartnerId("430400")
    signed = {
        partner: agreement
        for partner in directory.partners
        if (agreement := directory.agreement(hengyang, partner)) and "-" not in partner
    }
    assert set(signed) == {"222400", "450300", "451300", "360300", "330200", "420300", "350200", "150900"}
    assert all(set(each.contacts) == set(each.partners) for each in signed.values())
    until = signed[PartnerId("150900")].until
    assert until == datetime(2026, 3, 2, tzinfo=UTC).date() + SOON


def test_every_item_of_an_agreement_is_handled_by_one_of_its_sides(tmp_path: Path) -> None:
    """But for the one that a scenario needs to be rejected."""
    directory = directory_of(prepare(tmp_path, halls()))
    unhandled = {
        (*sorted(agreement.partners), item)
        for agreement in directory.agreements.values()
        for item in agreement.items
        if not any(item in halls()[side].procedures for side in agreement.partners)
    }
    assert unhandled == {("430400-gongjijin", "430702", "gongjijin-tuixiu")}


@pytest.mark.parametrize("name", scenarios())
def test_a_scenario_brings_only_its_own_halls(tmp_path: Path, name: str) -> None:
    cast = scenarios()[name].cast
    directory = directory_of(prepare(tmp_path, cast))
    assert set(directory.partners) == set(cast)
    assert registry.faults(directory) == ()


def test_halls_of_one_process_share_its_ports(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, halls())
    for players in prepared.processes.values():
        assert len({(player.inbox_port, player.window_port) for player in players}) == 1
    assert len(prepared.processes["halls"]) > 50
    assert len({player.inbox_url for player in prepared.players}) == len(prepared.players)
