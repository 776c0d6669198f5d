"""Pictures of the delivery engine, drawn from the code itself: states are found by trying every move on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final

from broker.core.lane.circuit import HOUSE as CIRCUIT
from broker.core.lane.circuit import Circuit, Phase
from broker.core.lane.lanes import Lanes
from broker.core.lane.schedule import HOUSE as SCHEDULE

_CASE: Final = "case"
_LaneMove = Callable[[Lanes[str, int]], object]


def lane_states() -> str:
    """The states of a lane and what moves it, as a Mermaid diagram."""
    edges: dict[tuple[str, str], list[str]] = {}
    for behind in (0, 1):
        for start in ("no lane", "waiting", "in flight", "held", "parked"):
            for name, move in _LANE_MOVES.items():
                lanes = _lane_in(start, behind)
                try:
                    move(lanes)
                except ValueError:
                    continue  # a move that this state does not know
                end = _stand(lanes)
                label = f"{name} ({'one is behind' if behind else 'none is behind'})"
                if end != start or (name == "settled" and start == "in flight"):
                    edges.setdefault((start, end), []).append(label if name == "settled" else name)
    return _mermaid("no lane", edges)


def circuit_states() -> str:
    """The phases of a partner's circuit and what moves it, as a Mermaid diagram."""
    edges: dict[tuple[str, str], list[str]] = {}
    for start in Phase:
        for name, move in _CIRCUIT_MOVES.items():
            try:
                end = move(_circuit_in(start)).phase
            except ValueError:
                continue
            if end is not start:
                edges.setdefault((start, end), []).append(name)
    return _mermaid(Phase.CLOSED, edges)


def schedule_table() -> str:
    """The house's schedule: each wait, where it is spent, and how long after the first attempt, as Markdown."""
    rows = ["| after attempt | wait | spent | from the first attempt |", "|---|---|---|---|"]
    total_s = 0.0
    for number, wait_s in enumerate((*SCHEDULE.quick, *SCHEDULE.parked), start=1):
        total_s += wait_s
        where = "parked" if SCHEDULE.parks(wait_s) else "in the lane"
        rows.append(f"| {number} | {duration(wait_s)} | {where} | {duration(total_s)} |")
    rows.append(f"| {SCHEDULE.attempts} | – | on the desk | |")
    return "\n".join(rows)


def ramp() -> str:
    """How many may be in flight after a circuit has closed, of a limit of 64, as Markdown."""
    circuit = Circuit(policy=CIRCUIT, closed_at_s=0.0)
    moments = [CIRCUIT.ramp_s * part / 6 for part in range(7)]
    head = "| seconds after closing | " + " | ".join(f"{each:g}" for each in moments) + " |"
    line = "|---" * (len(moments) + 1) + "|"
    room = "| in flight, of 64 | " + " | ".join(str(circuit.admits(each, 64)) for each in moments) + " |"
    return "\n".join((head, line, room))


def duration(seconds: float) -> str:
    """``90`` as ``1.5 min``."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:g} s"


def _mermaid(first: str, edges: dict[tuple[str, str], list[str]]) -> str:
    return "\n".join(("```mermaid", "stateDiagram-v2", *_edges(first, edges), "```"))


def _edges(first: str, edges: dict[tuple[str, str], list[str]]) -> Iterator[str]:
    names = {state: state.replace(" ", "_").replace("-", "_") for pair in edges for state in pair}
    for state, name in names.items():
        yield f'    state "{state}" as {name}'
    yield f"    [*] --> {names[first]}"
    for (start, end), labels in edges.items():
        yield f"    {names[start]} --> {names[end]} : {', '.join(dict.fromkeys(labels))}"


def _lane_in(state: str, behind: int) -> Lanes[str, int]:
    lanes = Lanes[str, int]()
    if state == "parked":
        lanes.park(_CASE)
    if state in {"no lane", "parked"}:
        return lanes
    for entry in range(1 + behind):
        lanes.offer(_CASE, entry, 1)
    if state != "waiting":
        lanes.ready(0.0, 1)
    if state == "held":
        lanes.hold(_CASE)
    return lanes


def _stand(lanes: Lanes[str, int]) -> str:
    if lanes.is_parked(_CASE):
        return "parked"
    if lanes.in_flight:
        return "in flight"
    if lanes.held:
        return "held"
    return "waiting" if lanes.open_lanes else "no lane"


_LANE_MOVES: Final[dict[str, _LaneMove]] = {
    "offer": lambda lanes: lanes.offer(_CASE, 9, 1),
    "ready": lambda lanes: lanes.ready(0.0, 1),
    "settled": lambda lanes: lanes.settled(_CASE),
    "hold": lambda lanes: lanes.hold(_CASE),
    "park": lambda lanes: lanes.park(_CASE),
    "release": lambda lanes: lanes.release(_CASE),
}


def _circuit_in(phase: Phase) -> Circuit:
    """A circuit in a phase; a closed one stands one failure before it opens."""
    closed = Circuit(policy=CIRCUIT, half_since_s=0.0)
    for _ in range(CIRCUIT.minimum - 1):
        closed = closed.failed(0.0, "failures")
    match phase:
        case Phase.CLOSED:
            return closed
        case Phase.OPEN:
            return closed.misconfigured(0.0, "a fault").reset(0.0)
        case Phase.HALF_OPEN:
            return closed.misconfigured(0.0, "a fault").reset(0.0).probing(math.inf)


_CIRCUIT_MOVES: Final[dict[str, Callable[[Circuit], Circuit]]] = {
    "an answer": lambda circuit: circuit.succeeded(1.0),
    f"{CIRCUIT.failure_ratio:.0%} of at least {CIRCUIT.minimum} failed": lambda circuit: circuit.failed(
        1.0, "failures"
    ),
    "a fault of configuration": lambda circuit: circuit.misconfigured(1.0, "a fault"),
    "410, or an operator stops it": lambda circuit: circuit.stopped("closed"),
    "the one probe goes": lambda circuit: circuit.probing(1.0),
    "the probe is answered": lambda circuit: circuit.probed(1.0, None),
    "the probe fails": lambda circuit: circuit.probed(1.0, "failed"),
    "an operator mends it": lambda circuit: circuit.reset(1.0),
}
