"""The options that several commands have: one name, one meaning and one help text each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

DEFAULT_WAIT_S: Final = 10.0

ConfigFile = Annotated[Path | None, typer.Option("--config", help="the tongban.toml to read")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON lines instead of a table")]

# A named person acts.
By = Annotated[str, typer.Option("--by", envvar="TONGBAN_OPERATOR", help="who acts: a person's name")]
Reason = Annotated[str, typer.Option("--reason", help="why, for the ledger; names no citizen")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="list what would be done, in order; write nothing")]
Wait = Annotated[
    float, typer.Option("--wait", min=0, help="seconds to follow what becomes of it; 0: leave at once")
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="leave once the ledger holds it")]

# Which dossiers.
Names = Annotated[list[str] | None, typer.Argument(metavar="SOURCE/ID", help="messages, such as 451300/m-1")]
Partner = Annotated[str | None, typer.Option("--partner", help="whom it could not be brought to")]
Cause = Annotated[str | None, typer.Option("--cause", help="such as schedule-used-up")]
Case = Annotated[str | None, typer.Option("--case", help="<partner that opened it>/<its own case number>")]
Overdue = Annotated[bool, typer.Option("--overdue", help="only what is past its deadline")]
Lane = Annotated[bool, typer.Option("--lane", help="with the others of its case to that partner, in order")]
