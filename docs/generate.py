"""Write the reference pages that are made from the code's own tables: ``python docs/generate.py [--check]``.

With ``--check`` nothing is written; exit 1 when a page is not what the tables say.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import get_type_hints

import life_pictures
import pictures

from broker.core.case.lifecycle import lifecycle_diagram, lifecycle_table
from broker.core.case.lifecycle_docs import fee_diagram, guards_table, rating_diagram
from broker.core.evaluation.figure_columns import dictionary_table
from broker.core.evaluation.figures import SMALL
from broker.core.problems import CATALOGUE
from broker.settings import Settings

HERE = Path(__file__).parent
MADE = "<!-- Made by docs/generate.py from the code; change the code. -->\n"


def life_cycle() -> str:
    """Every message type, who may say it and when, what it must satisfy, and the diagrams of the states."""
    return (
        f"# Life cycle of a case\n\n{MADE}\n"
        "The tables of `broker/core/case/transitions.py` and `broker/core/case/guards.py`. A message that they do not allow is "
        "refused: with [`transition-illegal`](problems.md#transition-illegal), which names state, role and what is "
        "allowed, or with the [code](problems.md) of what it does not satisfy. In words, for the people of a hall: "
        "[the life of a case](../explanation/life-of-a-case.md), "
        "[一件办件的一生](../explanation/life-of-a-case.zh-CN.md).\n\n"
        f"```mermaid\n{lifecycle_diagram().strip()}\n```\n\n"
        "Fee and rating have states of their own beside it:\n\n"
        f"```mermaid\n{fee_diagram().strip()}\n```\n\n```mermaid\n{rating_diagram().strip()}\n```\n\n"
        f"{lifecycle_table().strip()}\n\n## What a message must also be\n\n{guards_table().strip()}\n"
    )


def problems() -> str:
    """Every kind of refusal."""
    rows = "".join(_problem(code) for code in CATALOGUE)
    return (
        f"# Problems\n\n{MADE}\n"
        "Every refusal is `application/problem+json` (RFC 9457). `type` is `/problems/<code>`, a page that the "
        "broker serves; `errors[]` names each field with its JSON pointer and what was expected; nothing that "
        f"was sent is repeated.\n{rows}"
    )


def _problem(code: str) -> str:
    kind = CATALOGUE[code]
    return (
        f"\n## {code}\n\nHTTP {kind.status}. {kind.title}. {kind.mend}\n\n{kind.title_zh}。{kind.mend_zh}\n"
    )


def configuration() -> str:
    """Every setting with its default."""
    lines = "\n".join(_sections())
    return (
        f"# Configuration\n\n{MADE}\n"
        "`tongban.toml` where the command runs, or the file that `--config` or `TONGBAN_CONFIG` names. "
        "`TONGBAN_<SECTION>_<KEY>` overrides a key. Every fault is reported at once, by file and key, before "
        f"anything starts.\n\n```toml\n{lines}\n```\n"
    )


def _sections() -> Iterator[str]:
    house = Settings()
    for section in dataclasses.fields(Settings):
        yield f"[{section.name}]"
        values = getattr(house, section.name)
        for key in dataclasses.fields(get_type_hints(Settings)[section.name]):
            yield _line(key.name, getattr(values, key.name))
        yield ""


def _line(key: str, value: object) -> str:
    match value:
        case None:
            return f"# {key} ="
        case bool():
            return f"{key} = {str(value).lower()}"
        case int() | float():
            return f"{key} = {value}"
        case tuple():
            return f"{key} = [{', '.join(repr(each) for each in value)}]"
        case _:
            return f'{key} = "{value}"'


def figures() -> str:
    """The data dictionary of ``tongban figures``."""
    return (
        f"# Figures\n\n{MADE}\n"
        "`tongban figures --month 2026-11 --to FOLDER` writes `figures.csv`, `figures.parquet` and "
        "`figures.dictionary.csv` (this table). `--since 2026-01 --until 2026-11` takes several months, both "
        "included. The figures come from the view; a view rebuilt from the ledger gives the same bytes of CSV.\n\n"
        "- No case and no person is in them. Partners and items are codes of the directory.\n"
        f"- Small groups are hidden: a row of fewer than {SMALL} cases (`--small`) has `suppressed` true and no "
        "numbers. So have as many further rows, the next smallest ones, as it takes that no hidden number follows "
        "from the totals and the rows shown; where the hidden part of a total can be worked out, it is of at least "
        f"two rows and {SMALL} cases.\n"
        "- Each number is of the month in which what it counts happened, so the figures of a month that is over "
        "stay as they are; only `corrected` still grows.\n"
        "- Quantiles are exact, by nearest rank: the smallest value that the share of cases does not exceed. Over "
        f"fewer than {SMALL} decisions they are blank.\n"
        "- CSV is UTF-8 with a header (RFC 4180); blank: not told, or nothing to tell. The Parquet columns carry "
        "unit and meaning, in both languages, as metadata.\n\n"
        f"{dictionary_table()}"
    )


def explanation(name: str) -> str:
    """The page as it is, with its pictures drawn anew."""
    text = (HERE / "explanation" / name).read_text(encoding="utf-8")
    return re.sub(r"(<!-- picture: (\w+) -->\n).*?(<!-- /picture -->)", _drawn, text, flags=re.DOTALL)


def _drawn(place: re.Match[str]) -> str:
    drawn_in = life_pictures if hasattr(life_pictures, place[2]) else pictures
    picture: str = getattr(drawn_in, place[2])()
    return f"{place[1]}{picture}\n{place[3]}"


PAGES = {
    **{
        HERE / "explanation" / name: partial(explanation, name)
        for name in ("delivery.md", "life-of-a-case.md", "life-of-a-case.zh-CN.md")
    },
    HERE / "reference" / "figures.md": figures,
    HERE / "reference" / "life-cycle.md": life_cycle,
    HERE / "reference" / "problems.md": problems,
    HERE / "reference" / "configuration.md": configuration,
}


def main() -> int:
    """Write the pages, or with ``--check`` name those that differ."""
    stale = [
        path
        for path, page in PAGES.items()
        if not path.exists() or path.read_text(encoding="utf-8") != page()
    ]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(HERE.parent)} is not what the code says; run: python docs/generate.py")
        return 1 if stale else 0
    for path in stale:
        path.write_text(PAGES[path](), encoding="utf-8")
        print(f"wrote {path.relative_to(HERE.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
