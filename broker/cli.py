"""``tongban``: the commands. Exit 0 done, 1 found something, 2 wrong use, 3 a part is unreachable."""

from __future__ import annotations

import sys

import typer

from broker import __version__
from broker.commands import (
    audit,
    cases,
    deadlines,
    demo,
    desk,
    directory,
    figures,
    kafka,
    lag,
    partner,
    rebuild,
    replay,
    scenario,
    schema,
    send,
    serve,
    setup,
)
from broker.commands.common import FOUND, UNREACHABLE, WRONG_USE, notes
from broker.core.documents import DocumentInvalid
from broker.errors import TongbanError, Unreachable, WrongUse
from broker.telemetry import configure_logging

app = typer.Typer(
    name="tongban",
    help="通办 Tongban: carries government cases between cities, in order, with a receipt for every step.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.demo)
app.command("serve")(serve.serve)
app.command("setup")(setup.setup)
app.command("rebuild")(rebuild.rebuild)
app.command("export")(rebuild.export)
app.command("figures")(figures.figures)
app.command("send")(send.send)
app.command("lag")(lag.lag)
app.command("replay")(replay.replay)
app.add_typer(kafka.app, name="kafka")
app.add_typer(directory.app, name="directory")
app.add_typer(cases.app, name="case")
app.add_typer(partner.app, name="partner")
app.add_typer(desk.app, name="desk")
app.add_typer(deadlines.app, name="deadlines")
app.add_typer(audit.app, name="audit")
app.add_typer(schema.app, name="schema")
app.add_typer(scenario.app, name="scenario")


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
