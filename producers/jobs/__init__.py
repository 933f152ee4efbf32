"""Jobs: work that is cut into items, runs beside the hub or in workers, and goes on where it was after any crash.

The hub's state is the only truth. A job is a content of the channel `jobs`, its items are contents `<job id>/<number>`
of the channel `jobs/<job id>`; there is no queue besides. A worker finds its work by reading the channel, and what it
may write is decided by the broker's fence (`claims`).
"""
