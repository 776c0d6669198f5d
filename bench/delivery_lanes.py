"""What open lanes cost: bytes of each, and the scheduler's rate with few and with very many of them."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Sequence
from typing import Final

from broker.core.ids import CaseId
from broker.core.lane.lanes import Lanes

Entry = tuple[CaseId, None]
_IN_FLIGHT: Final = 256
_SPIN_S: Final = 1.0


def measure(sizes: Sequence[int] = (10_000, 1_000_000)) -> list[dict[str, float]]:
    """For each number of open lanes: bytes a lane, and entries handed out, settled and offered per CPU second."""
    return [_measure(lanes) for lanes in sizes]


def _measure(count: int) -> dict[str, float]:
    cases = [CaseId(f"451300/{each:08}") for each in range(count)]
    entries = [(case, None) for case in cases]
    gc.collect()
    gc.freeze()
    tracemalloc.start()
    kept = _opened(entries)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    lanes = _opened(entries)
    done = 0
    began = time.process_time()
    while (seconds := time.process_time() - began) < _SPIN_S:
        ready = lanes.ready(0.0, _IN_FLIGHT)
        for entry in ready:
            lanes.settled(entry[0])
            lanes.offer(entry[0], entry, 5000)
        done += len(ready)
    gc.unfreeze()
    return {"lanes": count, "bytes_per_lane": used / count, "per_s": done / seconds}


def _opened(entries: Sequence[Entry]) -> Lanes[CaseId, Entry]:
    lanes: Lanes[CaseId, Entry] = Lanes(in_flight=_IN_FLIGHT)
    for entry in entries:
        lanes.offer(entry[0], entry, 5000)
    return lanes
