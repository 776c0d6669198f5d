"""A city's configuration: every fault at once, by file and key, and never a secret in the text."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.demo.cast import LEAD, Prepared, prepare, write_config
from deploy.demo.config import ConfigurationInvalid, read_config
from deploy.demo.office import Procedure

KEY = "whpk_" + "A" * 43 + "="


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    made = prepare(tmp_path)
    for player in made.players:
        write_config(made, player, "http://127.0.0.1:8100/", [KEY], 0)
    return made


@pytest.mark.parametrize("index", range(len(LEAD)))
def test_every_citys_own_file_reads(prepared: Prepared, index: int) -> None:
    player = prepared.players[index]
    config = read_config(player.config)
    assert (config.id, config.inbox_port, config.window_port) == (
        player.id,
        player.inbox_port,
        player.window_port,
    )
    assert config.exchange_url == "http://127.0.0.1:8100"
    assert config.ledger == player.ledger
    assert prepared.run in config.numbering


def test_every_city_has_a_code_table_of_its_own(prepared: Prepared) -> None:
    tables = [read_config(player.config).codes for player in prepared.players]
    accepted = [table["case.accepted"] for table in tables]
    assert len(set(accepted)) == len(tables)
    assert all(len(set(table.values())) == len(table) for table in tables), "one code, one meaning"


def test_they_speak_differently(prepared: Prepared) -> None:
    configs = [read_config(player.config) for player in prepared.players]
    assert {config.encoding for config in configs} == {"json", "avro"}
    assert {config.on_repeat for config in configs} == {200, 409}
    assert [config.id for config in configs if config.inbox_port is None] == ["350200"]
    assert {config.procedures["yidi-jiuyi-beian"] for config in configs if config.id == "350200"} == {
        Procedure.INSTANT
    }


def test_every_fault_is_named_at_once(prepared: Prepared) -> None:
    player = prepared.players[0]
    text = player.config.read_text(encoding="utf-8")
    text = text.replace("on_repeat = 409", "on_repeat = 500\nunknown = 1")
    text = text.replace(f"window_port = {player.window_port}", "window_port = 70000")
    text = text.replace("[procedures]", '[procedures]\nxinshenger-ruhu = "guess"')
    text = text.replace('token = "token"', 'token = "nowhere"').replace('name = "来宾市政务服务中心"\n', "")
    player.config.write_text(text.replace(KEY, "whpk_wrong"), encoding="utf-8")
    with pytest.raises(ConfigurationInvalid) as fault:
        read_config(player.config)
    lines = str(fault.value).splitlines()
    named = {line.removeprefix(f"{player.config}: ").partition(":")[0] for line in lines}
    assert named == {
        "on_repeat", "unknown", "listen.window_port", "procedures", "keys.token", "name", "exchange.keys"
    }  # fmt: skip
    assert "whpk_wrong" not in str(fault.value)


def test_a_broken_secret_is_named_and_not_repeated(prepared: Prepared) -> None:
    player = prepared.players[0]
    (player.folder / "signing.whsk").write_text("whsk_oops-secret", encoding="utf-8")
    with pytest.raises(ConfigurationInvalid, match=r"keys\.signing") as fault:
        read_config(player.config)
    assert "oops" not in str(fault.value)


@pytest.mark.parametrize("text", [None, "id = "])
def test_a_file_that_does_not_read_is_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "city.toml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationInvalid, match=r"city\.toml"):
        read_config(path)
