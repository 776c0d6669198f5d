"""The benchmarks' second section: the delivery engine beside its peers, goals met or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from bench.delivery_peers import CONTENDERS, IN_FLIGHT
from bench.delivery_runs import Figure
from bench.tables import Goal, goal_table, table

if TYPE_CHECKING:
    from bench.delivery import Delivered

HEADING: Final = "## The delivery engine beside its peers"
_PC: Final = ("pc", "pc-core")
Key = tuple[str, float, float]


def line(figure: Figure) -> str:
    """One figure as a line of progress."""
    faults = "".join(
        f", {count:,} {name.replace('_', ' ')}"
        for name in ("out_of_order", "doubled", "lost")
        if (count := getattr(figure, name))
    )
    return (
        f"{CONTENDERS[figure.contender].title}, Zipf {figure.exponent}, {figure.delay_ms:g} ms: {figure.rate:,.0f}/s,"
        f" {figure.cpu_us:.0f} µs, {figure.peak_mb:.0f} MB{faults}{' (cut off)' if figure.cut else ''}"
    )


def section(delivered: Delivered) -> str:
    """The section as Markdown; its headings begin at the second level."""
    return "\n\n".join("\n".join(part) for part in _parts(delivered)) + "\n"


def _parts(delivered: Delivered) -> Iterator[list[str]]:
    stub = delivered.partner
    yield [HEADING]
    yield [
        *delivered.occasion.lines(" (quick: too short to judge by)" if delivered.quick else ""),
        (
            "- records of 1 KB in 8 partitions of one outbox, 10,000 cases drawn by Zipf's law; the same records for"
            f" everybody, all of them there before the start; {IN_FLIGHT} requests at once"
        ),
        (
            f"- the partner, a process of its own in {stub['language']}, keeps the ledger that counts; it takes"
            f" {stub['rate']:,.0f} requests/s from a client that does nothing else ({stub['cpu_us']:.0f} µs of CPU each)"
        ),
        "- Kafka, the partner and the contender share the cores; rates are from the first effect to the last",
        (
            "- *engine alone*: signatures and receipts off, as nobody else has them; nothing is sealed and so nothing"
            " opened, in all three of ours. Our requests carry the whole event (1.5 KB), the peers' the value only"
        ),
    ]
    found = {(each.contender, each.exponent, each.delay_ms): each for each in delivered.figures}
    judged = list(goals(found, delivered.trials))
    if judged:
        yield ["### Goals", "", *goal_table(judged)]
    for exponent in sorted({each.exponent for each in delivered.figures}):
        yield [f"### Zipf {exponent}: records per second", "", *_rates(delivered.figures, exponent)]
        yield [f"### Zipf {exponent}: what a record costs", "", *_costs(delivered.figures, exponent)]
    if delivered.missing:
        yield [*(f"- {CONTENDERS[name].title}: not run: {why}" for name, why in delivered.missing.items())]
    for name, result in delivered.trials.items():
        yield [f"### Trial: {_TITLES[name]}", "", *_TRIALS[name](result)]


def _rates(figures: Sequence[Figure], exponent: float) -> list[str]:
    mine = [each for each in figures if each.exponent == exponent]
    delays = sorted({each.delay_ms for each in mine})
    bounds = {each.delay_ms: each.bound for each in mine if each.bound is not None}
    rows = [["bound set by the hottest case", *(_number(bounds.get(delay)) for delay in delays), ""]]
    for name in dict.fromkeys(each.contender for each in mine):
        own = {each.delay_ms: each for each in mine if each.contender == name}
        cells = [_number(own[delay].rate, cut=own[delay].cut) if delay in own else "–" for delay in delays]
        rows.append([CONTENDERS[name].title, *cells, _order(list(own.values()))])
    head = ("partner answers in", *(f"{delay:g} ms" for delay in delays), "order, repeats, losses")
    return [*table(head, rows), "", r"\* ended before its last record, to save time."]


def _order(figures: Sequence[Figure]) -> str:
    keyed = CONTENDERS[figures[0].contender].keyed
    told = [
        f"**{count:,} {name}**"
        for name, count in (
            ("out of order", max(each.out_of_order for each in figures)),
            ("doubled", max(each.doubled for each in figures)),
            ("lost", max(each.lost for each in figures)),
        )
        if count
    ]
    return ", ".join(told) or ("kept per case" if keyed else "kept per partition")


def _number(value: float | None, *, cut: bool = False) -> str:
    star = r"\*" if cut else ""
    return "–" if value is None else f"{value:,.0f}{star}"


def _costs(figures: Sequence[Figure], exponent: float) -> list[str]:
    mine = [each for each in figures if each.exponent == exponent]
    delays = sorted({each.delay_ms for each in mine})
    rows = []
    for name in dict.fromkeys(each.contender for each in mine):
        own = {each.delay_ms: each for each in mine if each.contender == name}
        cells = [f"{own[delay].cpu_us:.0f}" if delay in own else "–" for delay in delays]
        peak = max(each.peak_mb for each in own.values())
        rows.append([CONTENDERS[name].title, *cells, f"{peak:.0f}"])
    head = ("CPU µs per record at", *(f"{delay:g} ms" for delay in delays), "peak memory, MB")
    return table(head, rows)


def goals(found: Mapping[Key, Figure], trials: Mapping[str, Any]) -> Iterator[Goal]:
    """The issue's goals, for those figures that are there."""
    for contender, exponent, delay_ms in found:
        mine = found[contender, exponent, delay_ms]
        peers = [found[name, exponent, delay_ms] for name in _PC if (name, exponent, delay_ms) in found]
        best = max(peers, key=lambda each: each.rate, default=None)
        where = f"Zipf {exponent}, {delay_ms:g} ms"
        if contender == "tongban":
            if best is not None and delay_ms <= 10:
                yield _ratio(
                    f"engine alone, {where}", 1.3, mine.rate, best.rate, "Parallel Consumer, its best"
                )
            if mine.bound is not None and (delay_ms >= 50 or (exponent == 1.0 and delay_ms == 10)):
                yield _ratio(
                    f"engine alone, {where}", 0.92, mine.rate, mine.bound, "bound of the hottest case"
                )
            other = found.get(("pyrallel", exponent, delay_ms))
            if other is not None and delay_ms <= 10:
                yield _ratio(f"engine alone, {where}", 3.0, mine.rate, other.rate, "pyrallel-consumer")
        elif contender in {"tongban-signed", "tongban-batch"} and best is not None:
            batch = contender == "tongban-batch"
            least = 3.0 if batch else (1.0 if delay_ms >= 10 else 0.6 if delay_ms == 0 else None)
            what = f"{'batches of 100' if batch else 'signed and receipted'}, {where}"
            if least is not None:
                yield _ratio(what, least, mine.rate, best.rate, "Parallel Consumer, its best")
        if contender in {"tongban-signed", "tongban-batch"} and delay_ms == 0:
            most = 45 if contender == "tongban-batch" else 250
            yield Goal(
                what=f"{'batches of 100' if most == 45 else 'signed and receipted'}, {where}: CPU",
                goal=f"≤ {most} µs",
                figure=f"{mine.cpu_us:.0f} µs",
                beside="–",
                ratio=f"{mine.cpu_us / most:.2f}",
                met=mine.cpu_us <= most,
            )
    yield from _trial_goals(trials)


def _trial_goals(trials: Mapping[str, Any]) -> Iterator[Goal]:
    for row in trials.get("kill", ()):
        if row["contender"] == "tongban" and "lost" in row:
            fine = not row["lost"] and row["replayed"] <= row["in_flight"] and row["first_s"] <= 3
            yield Goal(
                what="kill -9 and back at once",
                goal="0 lost, repeats ≤ in flight, ≤ 3 s",
                figure=f"{row['lost']:,} lost, {row['replayed']:,} repeated",
                beside=f"{row['in_flight']} in flight",
                ratio=f"{row['first_s']:.1f} s",
                met=fine,
            )
    for name, least, what in (
        ("two", 1.7, "two workers on two cores against one (Kafka and the partner on the same two)"),
        ("partners", 0.85, "many partners against ten"),
        ("lanes", 0.85, "scheduler with 10⁶ open lanes against 10⁴"),
    ):
        if name in trials:
            ratio = trials[name]["ratio"]
            yield Goal(
                what=what,
                goal=f"≥ {least} ×",
                figure="–",
                beside="–",
                ratio=f"{ratio:.2f}",
                met=ratio >= least,
            )
    if "lanes" in trials:
        size = trials["lanes"]["rows"][-1]["bytes_per_lane"]
        yield Goal(
            what="an open lane",
            goal="≤ 1 KB",
            figure=f"{size:.0f} bytes",
            beside="–",
            ratio="–",
            met=size <= 1024,
        )
    if "sick" in trials:
        before = trials["sick"]["before"]["p99"]
        for how in ("hung", "dead"):
            during = trials["sick"][how]["p99"]
            yield Goal(
                what=f"a third of the partners {how}: the others' p99",
                goal="≤ 1.2 × before",
                figure=f"{during:.1f} ms",
                beside=f"{before:.1f} ms",
                ratio=f"{during / before:.2f}",
                met=during <= 1.2 * before,
            )


def _ratio(what: str, least: float, rate: float, other: float, beside: str) -> Goal:
    return Goal(
        what=what,
        goal=f"≥ {least} ×",
        figure=f"{rate:,.0f}/s",
        beside=f"{other:,.0f}/s ({beside})",
        ratio=f"{rate / other:.2f}",
        met=rate >= least * other,
    )


def _kill(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    cells = [
        (CONTENDERS[row["contender"]].title, f"not run: {row['missing']}", "", "", "")
        if "missing" in row
        else (
            CONTENDERS[row["contender"]].title,
            f"{row['lost']:,}",
            f"{row['replayed']:,}",
            f"{row['out_of_order']:,}",
            f"{row['first_s']:.1f}",
        )
        for row in rows
    ]
    return table(("", "lost", "delivered again", "out of order", "seconds to the first delivery"), cells)


def _pairs(result: Mapping[str, Any]) -> list[str]:
    rates = [(name, f"{result[name]['rate']:,.0f}/s") for name in ("one", "two")]
    return table(("workers", "rate"), [*rates, ("two ÷ one", f"{result['ratio']:.2f}")])


def _partners(result: Mapping[str, Any]) -> list[str]:
    rows = zip(result["partners"], result["rates"], result["cpu_us"], strict=True)
    return table(
        ("partners", "rate", "CPU µs per record"), [(f"{n}", f"{r:,.0f}/s", f"{c:.0f}") for n, r, c in rows]
    )


def _lanes(result: Mapping[str, Any]) -> list[str]:
    rows = [(f"{r['lanes']:,}", f"{r['bytes_per_lane']:.0f}", f"{r['per_s']:,.0f}") for r in result["rows"]]
    return table(("open lanes", "bytes each", "handed out, settled and offered per CPU second"), rows)


def _sick(result: Mapping[str, Any]) -> list[str]:
    phases = [(name, each) for name, each in result.items() if isinstance(each, Mapping)]
    rows = [
        (name, f"{each['p50']:.1f}", f"{each['p99']:.1f}", f"{each['records']:,}") for name, each in phases
    ]
    return table(("healthy partners", "p50, ms", "p99, ms", "records"), rows)


def _backlog(result: Mapping[str, Any]) -> list[str]:
    rows = [
        (f"{each['percent']} %", f"{each['rate']:,.0f}/s", f"{each['rss_mb']:.0f}")
        for each in result["marks"]
    ]
    return table(("of the backlog", "rate of this tenth", "resident memory, MB"), rows)


_TITLES: Final = {
    "kill": "kill -9 in mid-run, the same static member back at once",
    "two": "two workers",
    "partners": "many partners",
    "lanes": "open lanes",
    "sick": "a third of the partners sick",
    "backlog": "a large backlog",
}
_TRIALS: Final[Mapping[str, Callable[[Any], list[str]]]] = {
    "kill": _kill,
    "two": _pairs,
    "partners": _partners,
    "lanes": _lanes,
    "sick": _sick,
    "backlog": _backlog,
}
