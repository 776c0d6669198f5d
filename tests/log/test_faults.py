"""The client's exceptions become ours, with their cause; our own pass through."""

from __future__ import annotations

import pytest
from aiokafka import errors  # type: ignore[import-untyped]

from broker.errors import Corrupt, PositionConflict, TongbanError, Unreachable, WrongUse
from broker.log.admin.patience import patiently
from broker.log.faults import translating


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        (errors.KafkaConnectionError(), Unreachable),
        (errors.LeaderNotAvailableError(), Unreachable),
        (errors.ConsumerStoppedError(), Unreachable),
        (ConnectionRefusedError(), Unreachable),
        (TimeoutError(), Unreachable),
        (errors.CommitFailedError(), PositionConflict),
        (errors.IllegalStateError(), PositionConflict),
        (errors.TopicAuthorizationFailedError("t"), WrongUse),
        (errors.CorruptRecordException(), Corrupt),
    ],
)
def test_each_has_its_kind(foreign: Exception, ours: type[TongbanError]) -> None:
    with pytest.raises(ours) as raised, translating("committing offsets of g"):
        raise foreign
    assert raised.value.__cause__ is foreign
    assert "committing offsets of g" in str(raised.value)
    assert type(foreign).__name__ in str(raised.value)


def test_bugs_and_our_own_pass() -> None:
    for passing in (ZeroDivisionError(), Corrupt("stored")):
        with pytest.raises(type(passing)) as raised, translating("reading"):
            raise passing
        assert raised.value is passing


class _Cluster:
    def __init__(self, *answers: Exception | str) -> None:
        self.answers = list(answers)

    async def ask(self) -> str:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_patience_outlasts_what_passes() -> None:
    cluster = _Cluster(errors.GroupCoordinatorNotAvailableError(), ConnectionError(), "answer")
    assert await patiently(cluster.ask, doing="asking", timeout_s=5) == "answer"


async def test_patience_ends_with_the_last_fault() -> None:
    cluster = _Cluster(errors.NotControllerError())
    with pytest.raises(Unreachable, match="asking: Kafka answered NotControllerError"):
        await patiently(cluster.ask, doing="asking", timeout_s=0.2)


async def test_patience_does_not_repeat_what_cannot_heal() -> None:
    cluster = _Cluster(errors.GroupAuthorizationFailedError("g"), "answer")
    with pytest.raises(WrongUse):
        await patiently(cluster.ask, doing="asking", timeout_s=5)
    assert cluster.answers == ["answer"]
