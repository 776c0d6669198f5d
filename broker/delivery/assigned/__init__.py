"""One partition for as long as this worker has it: what is unfinished, blocked, parked; and the lease."""
