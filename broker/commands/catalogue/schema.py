"""``tongban schema``: the released schemas, and whether a new one may join them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from broker.commands.common import DONE, FOUND, console, print_json, print_rows
from broker.commands.options import AsJson
from broker.core.avro.avro_model import SchemaInvalid
from broker.core.avro.avro_parser import read_record
from broker.errors import WrongUse
from broker.log.schema.schema_changes import changes
from broker.log.schema.schema_rules import Verdict, judge
from broker.log.schema.schemas import Schema, SchemaSet, canonical_fingerprint

app = typer.Typer(help="The Avro schemas of all message types: released for ever, checked before.")

Files = Annotated[list[Path], typer.Argument(help="one or more .avsc files")]
_LARGEST_FILE = 1024 * 1024


@app.command("list")
def list_schemas(
    message_type: Annotated[str, typer.Option("--type", help="only this type, such as case.submitted")] = "",
    as_json: AsJson = False,
) -> None:
    """List the released schemas. Exit 1: there is none of that type."""
    rows = [_row(each) for each in SchemaSet.load() if message_type in ("", each.type)]
    count = print_rows(rows, ("id", "type", "version", "subject"), as_json=as_json)
    raise typer.Exit(DONE if count else FOUND)


@app.command()
def check(files: Files, as_json: AsJson = False) -> None:
    """Say whether files may be released: safe to read, by the rules of the house, read by every version.

    Exit 1: something stands against one of them.
    """
    schemas = SchemaSet.load()
    verdicts = [(file, text, judge(text, schemas)) for file, text in _texts(files)]
    for file, text, verdict in verdicts:
        if as_json:
            print_json({"file": str(file), **asdict(verdict)})
        else:
            _print_verdict(file, text, verdict, schemas)
    raise typer.Exit(FOUND if any(verdict.faults for _, _, verdict in verdicts) else DONE)


@app.command()
def diff(
    file: Annotated[Path, typer.Argument(help="an .avsc file")],
    version: Annotated[
        int, typer.Option("--version", help="the released version to compare with; 0: the newest")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Show what a file changes against a released version of its subject, field by field. Exit 1: something."""
    (_, text), *_ = _texts([file])
    try:
        new = read_record(json.loads(text))
    except (SchemaInvalid, ValueError, RecursionError) as invalid:
        raise WrongUse(f"{file}: {invalid}") from invalid
    versions = SchemaSet.load().versions(new.name)
    old = versions.get(version or max(versions, default=0))
    if old is None:
        raise WrongUse(
            f"{file}: {new.name} has no such released version; released: {list(versions) or 'none'}"
        )
    rows = [asdict(each) for each in changes(old.model, new)]
    if rows or as_json:
        print_rows(
            rows, ("field", "kind", "before", "after"), as_json=as_json, title=f"{new.name} {old.version} →"
        )
    else:
        console.print(f"{file}: the same fields as version {old.version}", soft_wrap=True)
    raise typer.Exit(FOUND if rows else DONE)


def _row(schema: Schema) -> dict[str, object]:
    return {
        "id": schema.id,
        "type": schema.type,
        "version": schema.version,
        "subject": schema.subject,
        "fingerprint": schema.fingerprint,
        "dataschema": schema.dataschema,
    }


def _texts(files: list[Path]) -> list[tuple[Path, str]]:
    found = []
    for file in files:
        try:
            if file.stat().st_size > _LARGEST_FILE:
                raise WrongUse(f"{file}: larger than {_LARGEST_FILE} bytes")
            found.append((file, file.read_text(encoding="utf-8")))
        except OSError as fault:
            raise WrongUse(f"{file}: {fault.strerror}") from fault
        except UnicodeDecodeError as fault:
            raise WrongUse(f"{file}: expected text in UTF-8") from fault
    return found


def _print_verdict(file: Path, text: str, verdict: Verdict, schemas: SchemaSet) -> None:
    for fault in verdict.faults:
        console.print(f"{file}: {fault}", markup=False, soft_wrap=True)
    if verdict.faults:
        return
    if any(each.text == text for each in schemas.versions(verdict.subject or "").values()):
        console.print(f"{file}: version {verdict.version} of {verdict.subject}, as released", soft_wrap=True)
        return
    console.print(
        f"{file}: may be released as version {verdict.version} of {verdict.subject}; add:", soft_wrap=True
    )
    console.print(_entry(file, text, verdict, schemas), markup=False, soft_wrap=True)


def _entry(file: Path, text: str, verdict: Verdict, schemas: SchemaSet) -> str:
    """The entry of ``released.toml``. The type is that of earlier versions, else to be filled in."""
    earlier = schemas.versions(verdict.subject or "")
    message_type = next((each.type for each in earlier.values()), "<the message type>")
    return "\n".join(
        (
            "[[schema]]",
            f"id = {max(each.id for each in schemas) + 1}",
            f'type = "{message_type}"',
            f'subject = "{verdict.subject}"',
            f"version = {verdict.version}",
            f'file = "{file.parent.name}/{file.name}"',
            f'fingerprint = "{canonical_fingerprint(json.loads(text))}"',
            f'sha256 = "{hashlib.sha256(text.encode()).hexdigest()}"',
        )
    )
