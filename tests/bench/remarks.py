"""What people have to say about the numbers: how they come about, what was tried, why a curve bends."""

from __future__ import annotations

from typing import Final

METHOD: Final = """
Each measurement starts its competitor anew on a free loopback port, takes it, and ends it. Competitors take
turns, the order rotates from round to round, and a ratio is made of two measurements of one round. Told are the
median and, in brackets, the least and the most.

CPU is the user and system time of the server's processes (all of them; Redis' is told apart), from the first
publish to the last delivery, divided by deliveries. It includes what the kernel does on the sender's behalf on
loopback: the receiver's side of TCP, and waking the reader. Memory is proportional (PSS), by viewer: with
viewers less before the first one. The server has one core, the load generator (`tests/bench/load.c`) and Redis
have the other. Each measurement checks that every event reached every viewer, in order; one that was not so
is discarded, and said.

Events carry the same data everywhere, about 200 bytes. They are published as each competitor wants it: to Redis
where the hub stands over Redis, else by HTTP on one pipelined connection, twenty to a request in (b) for the
embedded hub. In (b) and (c) the publisher sends each event when it is due, within a millisecond. The servers
are single processes: nchan has one worker. nchan, better-sse and sse-starlette keep no state by content and skip
nothing; those without a history have nothing to catch up in (d). The portable path of the hub may skip what is
superseded; what it skipped in (b) is told.
"""

REMARKS: Final[dict[str, str]] = {
    "b": (
        "Two thirds of it are the kernel's, and the bare C loop pays them too: each event wakes the server, is one "
        "read and one write, and wakes the reader. Reading announcements once a millisecond where more than 8,000 "
        "a second come was tried: a third less, and so less than the loop itself takes in the same rounds."
    ),
    "c": (
        "Since version 0.23 uvloop writes at once, so that the writes of one loop turn leave one by one. The events "
        "of one batch of announcements leave in one write; where none come together there is nothing to join."
    ),
    "d": (
        "What goes out after the head (retry, what was missed, ready) is one write. Freezing and tuning the garbage "
        "collector was tried: no gain."
    ),
    "f-others": (
        "It was 2.2 times while the kernel kept 4 MB for each stalled socket, and took every event until then; now it "
        "keeps 16 KiB beyond what the peer has room for (TCP_NOTSENT_LOWAT), and a stalled viewer is behind at once."
    ),
    "g-replica": (
        "Each content's line is put together and checked once, not with each poll; what remains is half the server's "
        "(a POST that does nothing) and half the reading of a hundred ids and the joining of a hundred lines."
    ),
    "g-broker": (
        "A poll asks the broker only where one of its ids is unknown or its contents are of more than 8 channels; else "
        "its channels are followed from then on, and it costs what the line above says. Polls that come together are "
        "one read, which halved what each costs, and takes Redis a tenth of the time: of 32 that poll without a pause "
        "some 15 share one. A read takes 100 µs of redis-py, whatever it asks for, and a hundred rows another 200 to "
        "unpack and check; a poll alone pays all of it. Sending the ids as one argument was tried: a tenth less. Not "
        "tried: sending commands past redis-py, keeping the rows of one read for the next."
    ),
}
"""For a line of the budget that is missed: why, and what was tried."""

FAILURES: Final[dict[str, str]] = {
    "b-hub-embedded": (
        "In an hour in which the machine was slow the publisher, which does not wait for answers, was more than 256 "
        "requests ahead of them, and the hub cut it off. It is slowed down now."
    ),
}
"""For measurements that failed: why."""

GROWTH: Final[dict[str, str]] = {
    "growth-viewers": (
        "It rises by two fifths to a half between 300 and 3,000 viewers, twice that in a quiet hour, and does so for "
        "the bare loop and for nchan, too: what bends is the cost of a send() in the kernel, not what the hub adds."
    ),
    "growth-channels": (
        "The hub and nchan cost a third more at 1,000 channels than at 10; of the bare loop, runs disagree. It is the "
        "kernel's part: in a run that told them apart, the hub's user time was 21, 23 and 18 µs at 10, 1,000 and "
        "10,000 channels, and its system time 16, 23 and 21; nchan's system time went from 19 to 22 and 25, the loop's "
        "from 16 to 20 and 18. Each event goes to another socket than those before it."
    ),
    "growth-unwatched": "Flat, and next to nothing: Redis tells the hub of no channel that nobody looks at.",
    "growth-contents": (
        "A tenth more at 50,000 than at 1,000: the dictionaries that hold contents grow in steps, and two of them take "
        "20 to 40 bytes each of a content. Of a hundred, a part finds room in what the interpreter has free already."
    ),
}
"""For a curve: why it bends, or that it is flat."""
