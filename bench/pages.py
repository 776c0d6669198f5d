"""``docs/benchmarks.md`` has a section of each bench; each writes its own and leaves the others."""

from __future__ import annotations

from pathlib import Path


def with_section(page: str, heading: str, told: str) -> str:
    """The page with this section (its heading, of the second level, included) in place of the one it had."""
    before, found, rest = page.partition(heading + "\n")
    if not found:
        return f"{page.rstrip()}\n\n{told}"
    _, another, after = rest.partition("\n## ")
    following = f"\n## {after}" if another else ""
    return f"{before.rstrip()}\n\n{told.rstrip()}\n{following}"


def write(path: Path, heading: str, told: str) -> None:
    """Write the section into the page at ``path``."""
    page = path.read_text(encoding="utf-8") if path.exists() else "# Benchmarks\n"
    path.write_text(with_section(page, heading, told), encoding="utf-8")
