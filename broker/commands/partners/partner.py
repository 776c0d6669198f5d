"""``tongban partner``: how each partner stands, and the levers that a named person pulls."""

from __future__ import annotations

from typing import Annotated

import typer

from broker.commands.acting import actor, now
from broker.commands.common import DONE, FOUND, UNREACHABLE, load_settings, print_json, run, say
from broker.commands.desk.desk_acts import Deed
from broker.commands.desk.desk_run import Job, Way, carry_out
from broker.commands.desk.desk_select import Selection
from broker.commands.options import DEFAULT_WAIT_S, AsJson, By, ConfigFile, DryRun, NoWait, Reason, Wait
from broker.commands.partners import partner_levers
from broker.commands.partners.partner_status import print_page, print_table, standings
from broker.commands.partners.pulling import Limits
from broker.commands.partners.standing_document import document
from broker.commands.showing import moment
from broker.core.message import epoch_ms
from broker.core.operating.desk import Act
from broker.errors import WrongUse

app = typer.Typer(help="How each partner stands; pause, resume, limit, probe, recover.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="the partner, such as 430423")]


@app.command()
def status(
    partner: Annotated[str | None, typer.Argument(metavar="ID", help="one partner, whole")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Show how partners stand, the worst first. Exit 1: somebody is to look (paused, not reachable, on the desk)."""
    found, now_ms, away = run(standings(load_settings(config), partner))
    if as_json:
        for each in found:
            print_json(document(each, now_ms))
    elif partner is not None:
        print_page(found[0], now_ms)
    else:
        print_table(found, now_ms)
    if away is not None:
        say(f"tongban: the lag is unknown: {away}")
        raise typer.Exit(UNREACHABLE)
    raise typer.Exit(FOUND if any(each.needs_person for each in found) else DONE)


@app.command()
def pause(
    partner: Id,
    by: By = "",
    reason: Reason = "",
    no_wait: NoWait = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Send a partner nothing until it is resumed; its backlog waits in Kafka. Exit 1: it is paused already."""
    run(
        partner_levers.pause(
            load_settings(config), partner, actor("partner pause", by, reason), not no_wait, as_json
        )
    )


@app.command()
def resume(
    partner: Id,
    by: By = "",
    reason: Reason = "",
    no_wait: NoWait = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Let a paused partner's messages flow again. Exit 1: it is not paused."""
    run(
        partner_levers.resume(
            load_settings(config), partner, actor("partner resume", by, reason), not no_wait, as_json
        )
    )


@app.command()
def limit(
    partner: Id,
    in_flight: Annotated[int | None, typer.Option("--in-flight", help="messages at once, at least 1")] = None,
    per_second: Annotated[
        float | None, typer.Option("--per-second", help="messages a second; 0: no limit of rate")
    ] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="messages in one request, at least 1")] = None,
    queue_bytes: Annotated[
        int | None, typer.Option("--queue-bytes", help="memory for what waits, at least 65536")
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="all limits as the directory says")] = False,
    by: By = "",
    reason: Reason = "",
    no_wait: NoWait = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Change a partner's limits until --reset; what is not named stays. Exit 1: they are so already."""
    who = actor("partner limit", by, reason)
    named = Limits(in_flight=in_flight, per_second=per_second, batch=batch, queue_bytes=queue_bytes)
    wanted = partner_levers.wanted_limits(named, reset=reset)
    run(partner_levers.limit(load_settings(config), partner, wanted, who, not no_wait, as_json))


@app.command()
def probe(
    partner: Id,
    by: By = "",
    reason: Reason = "",
    no_wait: NoWait = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Ask a partner at once whether it is back, also after 410. Exit 1: it still does not answer well."""
    run(
        partner_levers.probe(
            load_settings(config), partner, actor("partner probe", by, reason), not no_wait, as_json
        )
    )


@app.command()
def recover(
    partner: Id,
    since: Annotated[
        str, typer.Option("--since", help="put on the desk from then on: RFC 3339, or 4h, 2d")
    ] = "",
    until: Annotated[str, typer.Option("--until", help="and before then (default: now)")] = "",
    cause: Annotated[str | None, typer.Option("--cause", help="only of this cause")] = None,
    by: By = "",
    reason: Reason = "",
    dry_run: DryRun = False,
    wait_s: Wait = DEFAULT_WAIT_S,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Retry what a partner's time of trouble put on the desk, in order. Exit 1: some failed again or were refused."""
    if not since:
        raise WrongUse("partner recover: --since: say from when; --until says before when (default: now)")
    at = now()
    window = (moment("--since", since, at), moment("--until", until, at) if until else at)
    if window[0] >= window[1]:
        raise WrongUse("partner recover: --since: expected a time before --until")
    job = Job(
        command="partner recover",
        selection=Selection(
            partner=partner, cause=cause, opened_from=epoch_ms(window[0]), opened_before=epoch_ms(window[1])
        ),
        deed=Deed(act=Act.REDRIVEN),
        by=None if dry_run else actor("partner recover", by, reason),
        way=Way(dry_run=dry_run, wait_s=wait_s, as_json=as_json),
    )
    carry_out(load_settings(config), job)
