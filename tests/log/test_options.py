"""The [kafka] table: unsafe or senseless combinations are refused, passwords are never in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.core.documents import DocumentInvalid, read_record
from broker.errors import WrongUse
from broker.log.clients import make_group_consumer, make_producer
from broker.log.options import KafkaOptions


def test_defaults_are_for_the_embedded_cluster() -> None:
    options = read_record("tongban.toml", KafkaOptions, {})
    assert options == KafkaOptions()
    assert options.bootstrap == "127.0.0.1:9092"
    assert options.drain_timeout_s < options.rebalance_timeout_s


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ({"min_insync": 2}, "min_insync must not exceed replication_factor"),
        ({"drain_timeout_s": 30}, "drain_timeout_s must be less than rebalance_timeout_s"),
        ({"session_timeout_s": 31}, "session_timeout_s must not exceed rebalance_timeout_s"),
        ({"security_protocol": "SASL_SSL"}, "needs sasl_username"),
        (
            {"security_protocol": "SASL_SSL", "sasl_username": "broker"},
            "needs sasl_username and sasl_password_file or sasl_password_env",
        ),
        ({"sasl_password_file": "a", "sasl_password_env": "b"}, "not both"),
        ({"ssl_keyfile": "key.pem"}, "ssl_keyfile needs ssl_certfile"),
        ({"bootstrap": "localhost"}, "pattern"),
        ({"ledger_partition": 8}, "did you mean ledger_partitions"),
        ({"sasl_password": "hunter2"}, "unknown key"),
        ({"compression": "brotli"}, "input should be"),
    ],
)
def test_refused(tables: dict[str, object], expected: str) -> None:
    with pytest.raises(DocumentInvalid) as refused:
        read_record("tongban.toml", KafkaOptions, tables)
    assert expected in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_password_from_a_file_is_read_each_time_and_never_shown(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("first-secret\n")
    options = KafkaOptions(
        security_protocol="SASL_PLAINTEXT", sasl_username="broker", sasl_password_file=str(secret)
    )
    assert options.password() == "first-secret"
    secret.write_text("second-secret")
    assert options.password() == "second-secret"
    assert "secret" not in repr(options).replace("sasl_password", "")


def test_password_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    options = KafkaOptions(
        security_protocol="SASL_PLAINTEXT", sasl_username="broker", sasl_password_env="KAFKA_WORD"
    )
    with pytest.raises(WrongUse, match="not set"):
        options.password()
    monkeypatch.setenv("KAFKA_WORD", "open sesame")
    assert options.password() == "open sesame"


def test_missing_files_are_wrong_use(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    sasl = KafkaOptions(
        security_protocol="SASL_PLAINTEXT", sasl_username="broker", sasl_password_file=missing
    )
    with pytest.raises(WrongUse, match="FileNotFoundError"):
        sasl.password()
    with pytest.raises(WrongUse, match="FileNotFoundError"):
        KafkaOptions(security_protocol="SSL", ssl_cafile=missing).tls()


async def test_no_client_keeps_an_unsafe_default() -> None:
    """aiokafka's defaults lose data: what it was made with is read back from it."""
    producer = make_producer(KafkaOptions(), client_id="t")
    consumer = make_group_consumer(KafkaOptions(), client_id="t", group="g", member=None)
    try:
        assert vars(producer)["_sender"]._acks == -1
        assert vars(producer)["_txn_manager"] is not None
        settings = vars(consumer)
        assert settings["_enable_auto_commit"] is False
        assert settings["_auto_offset_reset"] == "earliest"
        assert settings["_isolation_level"] == "read_committed"
        assert settings["_check_crcs"] is True
        assert settings["_rebalance_timeout_ms"] > settings["_session_timeout_ms"]
        # a JoinGroup is answered when the slowest member has handed over: the request must outlive that
        assert settings["_request_timeout_ms"] > settings["_rebalance_timeout_ms"]
    finally:
        await consumer.stop()
        await producer.stop()
