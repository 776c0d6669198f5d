"""Order per case, freedom between cases: lanes, offsets, schedules, circuits, rates."""
