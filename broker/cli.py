"""``tongban``: the commands. Exit 0 done, 1 found something, 2 wrong use, 3 a part is unreachable."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from broker import __version__
from broker.commands.common import FOUND, UNREACHABLE, WRONG_USE, notes
from broker.core.documents import DocumentInvalid
from broker.errors import TongbanError, Unreachable, WrongUse
from broker.telemetry import configure_logging

COMMANDS: Final[Mapping[str, str]] = {
    "demo": "trying.demo:demo",
    "scenario": "trying.scenario:app",
    "serve": "running.serve:serve",
    "setup": "running.setup:setup",
    "kafka": "running.kafka:app",
    "directory": "catalogue.directory:app",
    "send": "trying.send:send",
    "lag": "running.lag:lag",
    "partner": "partners.partner:app",
    "desk": "desk.desk:app",
    "deadlines": "cases.deadlines:app",
    "case": "cases.cases:app",
    "replay": "cases.replay:replay",
    "audit": "evaluation.audit:app",
    "figures": "evaluation.figures:figures",
    "rebuild": "running.rebuild:rebuild",
    "export": "running.rebuild:export",
    "schema": "catalogue.schema:app",
}
"""Each command's module in ``broker/commands`` and its name there: imported when it is called, not before."""


class Commands(TyperGroup):
    """The commands by name. One command does not wait for the imports of all others."""

    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        entry = getattr(import_module(f"broker.commands.{module}"), name)
        if isinstance(entry, typer.Typer):
            command: Any = get_group(entry)
        else:
            alone = typer.Typer(add_completion=False)
            alone.command(cmd_name)(entry)
            command = get_command(alone)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=Commands,
    name="tongban",
    help="通办 Tongban: carries government cases between cities, in order, with a receipt for every step.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tongban {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="print the version"
    ),
) -> None:
    del version
    configure_logging(level="error", as_json=False)  # `serve` says more, as its settings want


def main() -> None:
    """Run a command; a fault is one line per fault on standard error and the contract's exit code."""
    try:
        app()
    except (WrongUse, DocumentInvalid) as fault:
        _fail(fault, WRONG_USE)
    except Unreachable as fault:
        _fail(fault, UNREACHABLE)
    except TongbanError as fault:
        _fail(fault, FOUND)
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(fault: Exception, code: int) -> None:
    for line in str(fault).splitlines():
        notes.print(f"tongban: {line}", highlight=False, markup=False, soft_wrap=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
