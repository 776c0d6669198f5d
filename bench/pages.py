"""``docs/benchmarks.md`` has a section of each bench; each writes its own and leaves the others."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import orjson

from bench.processes import OUT


def with_section(page: str, heading: str, told: str) -> str:
    """The page with this section (its heading, of the second level, included) in place of the one it had."""
    before, found, rest = page.partition(heading + "\n")
    if not found:
        return f"{page.rstrip()}\n\n{told}"
    _, another, after = rest.partition("\n## ")
    following = f"\n## {after}" if another else ""
    return f"{before.rstrip()}\n\n{told.rstrip()}\n{following}"


def section_of(page: str, heading: str) -> str:
    """The section of this heading that a page has; empty when it has none."""
    _, found, rest = page.partition(heading + "\n")
    return f"{found}{rest.partition(chr(10) + '## ')[0].rstrip()}\n" if found else ""


def kept(page: str, before: str, headings: Sequence[str]) -> str:
    """``page`` with those sections of the page ``before`` that others have made: they stay until they run again."""
    for heading in headings:
        if told := section_of(before, heading):
            page = with_section(page, heading, told)
    return page


def write(path: Path, heading: str, told: str) -> None:
    """Write the section into the page at ``path``."""
    page = path.read_text(encoding="utf-8") if path.exists() else "# Benchmarks\n"
    path.write_text(with_section(page, heading, told), encoding="utf-8")


def add_argument(parser: argparse.ArgumentParser) -> None:
    """``--page``."""
    parser.add_argument("--page", type=Path, help="the page whose section this is (docs/benchmarks.md)")


def publish(name: str, found: object, heading: str, told: str, page: Path | None) -> None:
    """Keep the section, print it, and write it into the page if there is one."""
    keep(name, found, told)
    if page is not None:
        write(page, heading, told)


def keep(name: str, found: object, told: str) -> None:
    """The figures (a dataclass) and what is told of them, in ``bench/.out``; the latter is printed too."""
    OUT.mkdir(exist_ok=True)
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    (OUT / f"{name}.json").write_bytes(orjson.dumps(found, option=options))
    (OUT / f"{name}.md").write_text(told, encoding="utf-8")
    print(told)
