"""The commands of operations that the how-to pages show can be typed as they stand there."""

from __future__ import annotations

import re
import shlex
import string
from pathlib import Path

import pytest

from broker.commands.desk import desk
from broker.commands.partners import partner
from broker.errors import Unreachable
from tests.commands.desk_view import CASE, HENGSHAN, View, a_dossier, a_line

PAGES = sorted((Path(__file__).parents[3] / "docs" / "how-to").glob("*.md"))
GROUPS = {"partner": partner.app, "desk": desk.app}
WORDS = {
    "MESSAGE": "451300/m-1",
    "SECOND": "451300/m-2",
    "THIRD": "451300/m-3",
    "PARTNER": HENGSHAN,
    "CASE": CASE,
}


def shown() -> list[str]:
    found: list[str] = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            found.extend(line for line in block.splitlines() if re.match(r"tongban (desk|partner) ", line))
    return found


def test_the_pages_show_every_command() -> None:
    named = {tuple(line.split()[1:3]) for line in shown()}
    for group, app in GROUPS.items():
        names = {
            (group, each.name or (each.callback.__name__ if each.callback else ""))
            for each in app.registered_commands
        }
        assert names <= named


@pytest.mark.parametrize("line", shown(), ids=lambda line: " ".join(line.split()[1:4]))
def test_what_the_pages_show_can_be_typed(view: View, line: str) -> None:
    """Each comes as far as the ledger, which is away here: nothing in it is wrong use (exit 2)."""
    view.put(dossiers=[a_dossier(1), a_dossier(2), a_dossier(3)], lines=[a_line()])
    text = string.Template(line).substitute(WORDS)
    _, group, name, *words = shlex.split(text, comments=True)
    try:
        code, _, _ = view.run(GROUPS[group], name, *words, env={"TONGBAN_OPERATOR": "张三"})
    except Unreachable:
        return
    assert code in (0, 1, 3)
