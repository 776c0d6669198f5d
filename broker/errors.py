"""The error tree. Expected answers are values (``core/problems.py``); these are faults, split by blame.

::

    TongbanError
    ├── WrongUse               the caller's: bad argument, bad configuration      exit 2
    │   └── ConfigurationInvalid
    ├── Unreachable            a part is away: Kafka, the database, a registry    exit 3, HTTP 503
    │   └── NotDurable         a write was not acknowledged: it may have happened
    ├── PositionConflict       another worker has moved this partition on: drop what is in hand
    └── Corrupt                what is stored does not read: a record, a sealed compartment, a schema

An error's docstring is its default message: it says what happened and what to do. No personal data, ever.
"""

from __future__ import annotations

from broker.core.documents import Fault


class TongbanError(Exception):
    """Something failed in the broker. See the log event for the part that did."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or type(self).__name__).strip())


class WrongUse(TongbanError):
    """The command or call was used wrongly. See its --help."""


class ConfigurationInvalid(WrongUse):
    """The configuration has faults; each line names file, key and expectation."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class Unreachable(TongbanError):
    """A part that the broker needs is away. Start it, or correct its address; nothing was changed."""


class NotDurable(Unreachable):
    """The log did not acknowledge the write in time. It may have happened: repeat it under the same id."""


class PositionConflict(TongbanError):
    """Another worker has moved this partition on. Drop what is in hand and read the position again."""


class Corrupt(TongbanError):
    """Something stored does not read as what it should be. Nothing was changed; see the event's position."""
