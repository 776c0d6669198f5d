"""A small country for the walks: its directory as the product reads it, and the same facts in plain words.

Two editions: in the second the agreement has ended and the promise of ``putong`` is another one, so that a walk
can tell whether a case ends under what it was opened under.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Final

from broker.core.catalogue.directory import Directory, read_directory

HALL = "451300"
TOWN = "430423"
TREASURY = "430423-caizheng"
STRANGER = "350200"
WITHIN = "430423-minzheng"
NOBODY = "999999"
BROKER = "tongban"
LEAD = "430400"
AUTHORITIES = ("430400-gongan", "430400-yibao", "430400-renshe")
ROADS = ("360300-jiaotong", "450300-jiaotong")
PARTNERS: Final = (HALL, TOWN, TREASURY, STRANGER, WITHIN, LEAD, *AUTHORITIES, *ROADS)
CLOSED: Final = frozenset({date(2026, 3, 16), date(2026, 3, 17), date(2026, 6, 1), date(2026, 9, 28)})
"""Days on which TOWN is closed although the country works."""
COMPLAINT_DAYS: Final = 7


@dataclass(frozen=True)
class Thing:
    """An item in plain words. ``steps``: code, and limit as a text (``2 days``, ``90 minutes``, or nothing)."""

    days: int
    minutes: float | None = None
    accept: int = 5
    issue: int = 10
    rectify: int = 15
    yellow_days: int = 1
    yellow_share: float = 0.5
    steps: tuple[tuple[str, str], ...] = ()
    classes: dict[str, tuple[int, float | None]] = field(default_factory=dict)


STEPS = (("SC", "2 days"), ("FH", "90 minutes"), ("QF", ""))
THINGS: Final[dict[str, Thing]] = {
    "putong": Thing(days=7, steps=STEPS, yellow_days=2),
    "yueding": Thing(days=20, accept=3, issue=4, rectify=6),
    "miaopi": Thing(days=1, minutes=30, yellow_share=0.25, yellow_days=0),
    "dangri": Thing(days=0),
    "fenlei": Thing(days=7, classes={"I": (0, None), "II": (0, 480), "III": (3, None)}),
    "yijianshi": Thing(days=10),
    "lianban": Thing(days=7),
    "yanxian": Thing(days=7),
}
AGREED: Final = {"yueding": 4}
"""Working days on which HALL and TOWN have agreed, other than the item's own."""
OTHER_DAYS: Final = 2
"""What ``putong`` promises in the second edition."""


@dataclass(frozen=True)
class Whole:
    """A service of several parts in plain words: name, item, authority, and after which parts."""

    lead: str
    answers: str
    parts: tuple[tuple[str, str, str, tuple[str, ...]], ...] = ()
    along: str = ""


WHOLES: Final[dict[str, Whole]] = {
    "yijianshi": Whole(
        lead=LEAD,
        answers="broker",
        parts=(
            ("jia", "yueding", LEAD, ()),
            ("yi", "dangri", AUTHORITIES[0], ("jia",)),
            ("bing", "miaopi", AUTHORITIES[1], ("jia",)),
            ("ding", "putong", AUTHORITIES[2], ("yi", "bing")),
        ),
    ),
    "lianban": Whole(
        lead=LEAD,
        answers="lead",
        parts=(("dong", "putong", AUTHORITIES[0], ()), ("xi", "dangri", AUTHORITIES[1], ("dong",))),
    ),
    "yanxian": Whole(lead=LEAD, answers="lead", along="putong"),
}


def agreed(edition: int, one: str, other: str, item: str, mode: str | None) -> bool:
    """Whether the directory lets a case of ``item`` begin between the two."""
    if edition == 1 or {one, other} not in ({HALL, TOWN}, {HALL, LEAD}):
        return False
    if {one, other} == {HALL, LEAD}:
        return item in WHOLES and mode in {"online", "joint"}
    return item in THINGS and item not in WHOLES and mode in {"online", "collected", "joint"}


def _item(code: str, thing: Thing, days: int) -> str:
    lines = [f'code="{code}"', f'name="{code}"', f"promised_days={days}", f"accept_days={thing.accept}"]
    lines += [
        f"issue_days={thing.issue}",
        f"rectify_days={thing.rectify}",
        f"yellow_days={thing.yellow_days}",
    ]
    lines += [f"yellow_share={thing.yellow_share}"]
    if thing.minutes is not None:
        lines += ["instant=true", f"minutes={thing.minutes}"]
    for code_, limit in thing.steps:
        number, _, unit = limit.partition(" ")
        lines += ["[[steps]]", f'code="{code_}"', f'name="{code_}"', *([f"{unit}={number}"] if unit else [])]
    for name, (promised, minutes) in thing.classes.items():
        lines += [f"[classes.{name}]", f"promised_days={promised}"]
        lines += [f"minutes={minutes}"] if minutes is not None else []
    return "\n".join(lines)


def _partner(code: str) -> str:
    more = ""
    if code == TOWN:
        more = f"closures=[{', '.join(sorted(map(str, CLOSED)))}]\ncomplaint_days={COMPLAINT_DAYS}\n"
    if code == TREASURY:
        more = f'treasury_for=["{TOWN}"]\n'
    return f'id="{code}"\nname="{code} 窗口"\ncontact="窗口"\n{more}[connector]\nkind="mailbox"\n'


def _whole(code: str, whole: Whole) -> str:
    text = f'code="{code}"\nname="{code}"\nlead="{whole.lead}"\nanswer="{whole.answers}"\n'
    if whole.along:
        return text + f'route_item="{whole.along}"\n'
    for name, item, authority, before in whole.parts:
        text += f'[[parts]]\nname="{name}"\nitem="{item}"\nauthority="{authority}"\nafter={list(before)}\n'
    return text.replace("'", '"')


def _agreement(one: str, other: str, items: list[str], modes: list[str], more: str = "") -> tuple[str, str]:
    pair = sorted((one, other))
    text = f"partners={pair}\nitems={items}\nmodes={modes}\nsince=2026-01-01\n{more}".replace("'", '"')
    return f"agreements/{'--'.join(pair)}.toml", text


def _documents(edition: int) -> dict[str, str]:
    days = {code: thing.days for code, thing in THINGS.items()}
    if edition == 1:
        days["putong"] = OTHER_DAYS
    documents = {
        **{f"partners/{each}.toml": _partner(each) for each in PARTNERS},
        **{f"items/{code}.toml": _item(code, thing, days[code]) for code, thing in THINGS.items()},
        **{f"bundles/{code}.toml": _whole(code, whole) for code, whole in WHOLES.items()},
        **dict([_agreement(LEAD, each, ["putong"], ["joint"]) for each in ROADS]),
    }
    if edition == 0:
        plain = [code for code in THINGS if code not in WHOLES]
        promised = "".join(f"[promised]\n{code}={number}\n" for code, number in AGREED.items())
        documents |= dict(
            [
                _agreement(HALL, TOWN, plain, ["online", "collected", "joint"], promised),
                _agreement(HALL, LEAD, list(WHOLES), ["online", "joint"]),
            ]
        )
    return documents


EDITIONS: Final[tuple[Directory, Directory]] = (read_directory(_documents(0)), read_directory(_documents(1)))
