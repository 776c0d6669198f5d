"""The partner API as one part: given its ports, it listens and answers."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from broker.errors import Unreachable, WrongUse
from broker.intake.asking.mailboxes import MailboxRoutes
from broker.intake.asking.reads import Reads
from broker.intake.asking.registry import Registry
from broker.intake.door.dispatch import Dispatcher
from broker.intake.door.openapi import describe
from broker.intake.door.server import Server
from broker.intake.door.table import rows
from broker.intake.http.answers import Answer, json_answer
from broker.intake.http.auth import Callers
from broker.intake.http.routes import Call, Route, Table
from broker.intake.options import IntakeOptions
from broker.intake.ports import DirectorySource, Keys, Ledger, Mailboxes, Opener, Pressure, View
from broker.intake.submitting.gather import Gatherer, utc_now
from broker.intake.submitting.submissions import Submissions
from broker.log.values.codec import Codec
from broker.telemetry import Log, get_log


def no_pressure() -> float | None:
    """No back-pressure."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """All that the partner API works with. ``secrets``: shared secrets by the names that the directory uses.

    ``public_key`` is the broker's own (``whpk_…``). ``partitions`` is the ledger's number of partitions.
    """

    ledger: Ledger
    view: View
    keys: Keys
    directory: DirectorySource
    mailboxes: Mailboxes
    opener: Opener
    codec: Codec
    partitions: int
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    public_key: str | None = None
    pressure: Pressure = no_pressure
    clock: Callable[[], datetime] = utc_now
    random_bytes: Callable[[int], bytes] = os.urandom


class Intake:
    """The partner API. ``start`` listens, ``close`` finishes what is in hand."""

    def __init__(
        self, options: IntakeOptions, parts: Parts, *, extra: Sequence[Route] = (), log: Log | None = None
    ) -> None:
        self._options = options
        self._log = log or get_log("intake")
        self._gatherer = Gatherer(
            ledger=parts.ledger,
            view=parts.view,
            keys=parts.keys,
            directory=parts.directory,
            clock=parts.clock,
            log=self._log,
            partitions=parts.partitions,
            recent=options.recent,
            write_deadline_s=options.write_deadline_s,
            view_wait_s=options.view_wait_s,
            gather_s=options.gather_s,
            random_bytes=parts.random_bytes,
        )
        self._mailboxes = MailboxRoutes(
            options=options,
            mailboxes=parts.mailboxes,
            opener=parts.opener,
            view=parts.view,
            ledger=parts.ledger,
            codec=parts.codec,
            clock=parts.clock,
            partitions=parts.partitions,
        )
        self.table = Table([*self._rows(parts), *extra])
        self._dispatcher = Dispatcher(
            options=options,
            table=self.table,
            callers=Callers(
                parts.directory,
                parts.secrets,
                proxy_header=options.proxy_header,
                proxy_addresses=options.proxy_addresses,
            ),
            pressure=parts.pressure,
            clock=parts.clock,
            log=self._log,
        )
        self._server: Server | None = None

    async def start(self) -> None:
        """Listen. Raises :class:`Unreachable` when the address cannot be had, :class:`WrongUse` for bad TLS files."""
        tls = _tls(self._options)
        server = Server(self._dispatcher.handle, self._options, self._log)
        try:
            await server.open(tls)
        except OSError as fault:
            raise Unreachable(
                f"cannot listen on {self._options.host}:{self._options.port}: {fault.strerror or type(fault).__name__}"
            ) from fault
        self._gatherer.start()
        self._server = server
        self._log.info("stage_started", stage="intake", port=server.port)

    async def close(self, within_s: float = 15.0) -> None:
        """Take nothing more, answer what is in hand, stop."""
        if self._server is not None:
            self._mailboxes.close()
            await self._server.shut(within_s)
            self._server = None
            await self._gatherer.close()
            self._log.info("stage_stopped", stage="intake")

    @property
    def port(self) -> int:
        """The port that is listened on."""
        assert self._server is not None, "not started"
        return self._server.port

    @property
    def bytes_in_hand(self) -> int:
        """Bodies of requests under way: for figures and tests."""
        return self._dispatcher.bytes_in_hand

    def _rows(self, parts: Parts) -> list[Route]:
        options = self._options
        return rows(
            options,
            Submissions(options, parts.codec, self._gatherer),
            self._mailboxes,
            Reads(
                view=parts.view,
                directory=parts.directory,
                gatherer=self._gatherer,
                clock=parts.clock,
                public_key=parts.public_key,
            ),
            Registry(parts.codec.schemas),
            self._openapi,
        )

    async def _openapi(self, call: Call) -> Answer:
        del call
        return json_answer(200, describe(self.table.routes))


def _tls(options: IntakeOptions) -> ssl.SSLContext | None:
    if options.certificate is None:
        return None
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=options.client_authorities)
        context.load_cert_chain(options.certificate, options.private_key)
    except OSError as fault:
        raise WrongUse(f"a TLS file of intake.* cannot be read: {type(fault).__name__}") from None
    # Optional: partners without a certificate prove themselves by token and signature.
    context.verify_mode = ssl.CERT_OPTIONAL if options.client_authorities else ssl.CERT_NONE
    return context
