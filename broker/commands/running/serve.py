"""``tongban serve``: the stages at work, all in one process or some of them."""

from __future__ import annotations

from typing import Annotated

import typer

from broker.commands.common import load_settings, run
from broker.commands.options import ConfigFile
from broker.errors import WrongUse
from broker.serve import STAGES, serve_stages
from broker.telemetry import configure_logging


def serve(
    stage: Annotated[
        str | None, typer.Option(help=f"some of {','.join(STAGES)}, comma-separated (default: all)")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Carry cases until SIGTERM or Ctrl-C. Any number of processes share the work."""
    settings = load_settings(config)
    wanted = tuple(each.strip() for each in stage.split(",")) if stage else STAGES
    unknown = [each for each in wanted if each not in STAGES]
    if unknown:
        raise WrongUse(f"serve: --stage {','.join(unknown)}: expected some of {', '.join(STAGES)}")
    configure_logging(level=settings.logging.level, as_json=settings.logging.format == "json")
    run(serve_stages(settings, frozenset(wanted)))
