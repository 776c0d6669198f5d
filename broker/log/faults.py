"""aiokafka's exceptions become ours here, once, always with their cause. No record's content in a message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiokafka import errors  # type: ignore[import-untyped]

from broker.errors import Corrupt, PositionConflict, TongbanError, Unreachable, WrongUse

FOREIGN: Final[tuple[type[Exception], ...]] = (
    errors.KafkaError,
    errors.ConsumerStoppedError,
    errors.IllegalOperation,
    OSError,  # TimeoutError is one of these
)
"""Every exception that a call into the client may raise for reasons outside this program."""

_MOVED_ON: Final = (errors.CommitFailedError, errors.IllegalStateError)
_DENIED: Final = (
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
    errors.InvalidConfigurationError,
    errors.InvalidReplicationFactorError,
    errors.PolicyViolationError,
    errors.InvalidTopicError,
)


def translated(fault: Exception, doing: str) -> TongbanError:
    """The fault as one of ours. ``doing`` names the act: 'committing offsets of tongban.stage.exchange'."""
    said = f"{doing}: Kafka answered {type(fault).__name__}"
    if isinstance(fault, _MOVED_ON):
        return PositionConflict(f"{said}; the partitions are another worker's now")
    if isinstance(fault, _DENIED):
        return WrongUse(f"{said}; check the cluster's ACLs and the [kafka] settings")
    if isinstance(fault, errors.KafkaConnectionError):
        return Unreachable(f"{said}; no broker answered there, or it refused the credentials")
    if isinstance(fault, errors.CorruptRecordException):
        return Corrupt(said)
    return Unreachable(said)


@contextmanager
def translating(doing: str) -> Iterator[None]:
    """Raise what the client raises in this block as :class:`TongbanError`. Our own faults pass through."""
    try:
        yield
    except FOREIGN as fault:
        raise translated(fault, doing) from fault
