"""What is said about the numbers: how they are measured, what was tried, and why a curve bends."""

from __future__ import annotations

from typing import Final

CHOOSING: Final = """
Each number is the median of one run, in which the servers took turns on one machine, each with one core: compare rows,
and expect other absolute numbers on yours. A delivery is one event of 200 bytes to one of 1,000 viewers of a channel,
(a) below; p50 and p99 are its way from the publisher to the viewer. An idle viewer is one of 10,000, (e) below. A
connect is one of 10,000 that come back together and, where the server keeps a history, catch up on what they missed,
(d) below.
"""
"""For docs/benchmarks.md, before the table for a reader who has to choose."""

PUBLISHED: Final = ("Mercure, as it publishes", "", "", "", "", "at most 26,000; not measured here", "")
"""40,000 connections in the 1 GiB of a t3.micro."""

AFTER_CHOICE: Final = """
The servers do not do the same. Statushub keeps the state of each content, and brings a viewer up to it, however long
it was away; Centrifugo, Mercure and nchan keep a history of messages, from which a viewer that was away for longer than
it lasts gets a part or nothing; better-sse and sse-starlette keep none, and their connects catch nothing up. Mercure's
own figure is [40,000 connections on a machine with 1 GiB](https://mercure.rocks/docs/hub/load-test), which is at most
26 KB for each. The bare loop writes to sockets and knows nothing: no server can cost less.
[What machines many viewers need](capacity.md) follows from these numbers.
"""
"""After that table."""

BUDGET: Final = """
What is promised are ratios of measurements of the same round. Two lines have a unit, because nothing is comparable:
the throughput of the SDK, and a page of the index.
"""
"""Before the budget."""

METHOD: Final = """
Each measurement starts its server anew on a free loopback port, loads it, and stops it. The servers take turns,
the order rotates from round to round, and each ratio is made of two measurements of one round. The tables give
the median and, in brackets, the minimum and the maximum. Some workloads have fewer rounds: those whose numbers are the
same each time, those that take minutes, and curves, of which the shape counts.

CPU is the user and system time of the server's processes (all of them; Redis' is listed separately), from the
first publish to the last delivery, divided by the number of deliveries. It includes the work that the kernel does
on the sender's behalf on loopback: the receiver's side of TCP, and waking the reader. Its parts in user space and in
the kernel are shares that the kernel's timer sampled. Memory is the proportional set size (PSS), less that before the
first viewer, divided by the number of viewers. The server has one core, also where it is several processes; the load
generator (`tests/bench/load.c`) and Redis share the other. Each measurement checks that every event reached every
viewer in order; a measurement that fails this check is discarded and listed below.

Events carry the same data everywhere, about 200 bytes. They are published the way each server takes them: to
Redis where the hub runs over Redis, otherwise by HTTP on one pipelined connection, twenty to a request in (b) for
the embedded hub. In (b) and (c) the publisher sends each event when it is due, within a millisecond. Each server
is a single process, unless several are measured: nchan has one worker, Centrifugo and Mercure have `GOMAXPROCS=1`.
Centrifugo has its memory engine, a history, and `uni_sse`; Mercure writes its history into a file. Only Mercure's
publisher has a token. nchan, better-sse and sse-starlette keep no state per content and skip nothing; those without a
history have nothing to catch up on in (d). The portable path of the hub may skip superseded states; (b) lists how many
it skipped.
"""

CONNECTING: Final = (
    "A stream that is the first request of its connection is opened without uvicorn's protocol, a task, the layers of "
    "middleware and the router, and leaves in one write: two thirds of what it was. A quarter of the rest is the "
    "kernel's, and less than half is Python: the head of the request, its checks, the viewer, and what it missed. "
    "Freezing and tuning the garbage collector was tried: no gain. Not tried: the same in C. The loop's connect is a "
    "few system calls: 16 µs on this machine, and 37 on another, where this was 4.8 times."
)

EMBEDDED: Final = (
    "An event of a known content is a part of its transaction's record in a journal, and its rows are written once in "
    "a while: 0.73 to 0.76 of the CPU before at 20,000 events/s, 0.79 to 0.87 at fewer, in runs that alternate with "
    "the version before. Of 50 µs some 15 are the delivery, 14 the store, of which SQLite is a fifth, 9 reading and "
    "checking the event, and most of the rest the request. Tried, and no gain: statements on the thread of the event "
    "loop, a shorter switch interval, and no garbage collection. A response in one write instead of two saves 2 %."
)

SINGLY: Final = (
    "At this rate events come one by one: each wakes Redis and the hub, is one read and one write, and wakes the "
    "reader. On other machines it was 1.01 to 1.22 times. Above 2,000 a second, reads are joined once a millisecond; "
    "at this rate that costs more than it saves."
)

SHARED: Final = (
    "Each process reads each announcement; and four that share a core find its caches full of the others' data at each "
    "turn. On another machine it was 1.05 to 1.11."
)

REMARKS: Final[dict[str, str]] = {
    "a-floor-1000": (
        "0.31 of 2.4 µs are the hub's own, in user space; the rest is send(), which both call once a delivery."
    ),
    "b-hub-redis-1000": SINGLY,
    "b-hub-redis-5000": SINGLY,
    "e-beats": (
        "On another machine, where it was 2.02 times, 3 of 10.6 ms of CPU a second were those of a hub without a "
        "viewer: uvicorn looks ten times a second whether it shall stop, and other timers fire as often. A heartbeat "
        "took 11 µs there, as nchan's did: most of it is a write to a socket that the processor has forgotten."
    ),
    "i-open_us": (
        "Both are opened in one call, without uvicorn's protocol, a task and the layers of middleware, at half of what "
        "they cost before. A socket has more to do: its request has four headers more, one of which is hashed, its "
        "session is an object beside its viewer, and its first message says `subscribed`."
    ),
    "processes-workers-4": SHARED,
    "processes-hubs-4": SHARED,
    "b-hub-embedded-1000": EMBEDDED,
    "b-hub-embedded-5000": EMBEDDED,
    "b-hub-embedded-20000": EMBEDDED,
    "b-hub-redis-20000": (
        "Two thirds of it are spent in the kernel, and the bare C loop pays them too: each event wakes the server, "
        "takes one read and one write, and wakes the reader. Reading announcements once a millisecond made it a "
        "third less, and so less than the C loop itself takes in the same rounds."
    ),
    "c": (
        "Since version 0.23 uvloop writes immediately, so that the writes of one loop iteration leave one by one. The "
        "events of one batch of announcements leave in one write; where events arrive singly there is nothing to join."
    ),
    "d-centrifugo": CONNECTING,
    "d-floor": CONNECTING,
    "f-others": (
        "It was 2.2 times while the kernel kept 4 MB for each stalled socket and took every event until then; now it "
        "keeps 16 KiB beyond the peer's receive window (TCP_NOTSENT_LOWAT), and a stalled viewer is behind immediately."
    ),
    "g-replica": (
        "Each content's line is encoded and checked once, not with each poll; what remains is half the server's "
        "own cost (a POST that does nothing) and half reading a hundred ids and joining a hundred lines."
    ),
    "g-broker": (
        "A poll reads the broker only where one of its ids is unknown or its contents lie in more than 8 channels; "
        "otherwise its channels are followed from then on, and it costs what the line above says. Simultaneous polls "
        "share one read, which halved the cost of each, and takes Redis a tenth of the time: of 32 that poll without a "
        "pause about 15 share one. A read takes 100 µs of redis-py, whatever its size, and a hundred rows another 200 "
        "to unpack and check; a poll that shares with no other pays all of it. Sending the ids as one argument was "
        "tried: a tenth less. Not tried: bypassing redis-py, and keeping the rows of one read for the next."
    ),
}
"""For a missed line of the budget: the reason, and what was tried."""

FAILURES: Final[dict[str, str]] = {
    "centrifugo": (
        "Centrifugo closes a stream whose write is not done within a second, which its single core, shared with other "
        "work of a busy machine, may take for thousands of viewers."
    ),
    "b-hub-embedded": (
        "In an hour in which the machine was slow the publisher, which does not wait for answers, was more than 256 "
        "requests ahead of them, and the hub closed its connection. It now applies backpressure instead."
    ),
}
"""For measurements that failed, by workload and server, or by server: the reason."""

GROWTH: Final[dict[str, str]] = {
    "index": (
        "With each event the channel moves to the end of a sorted set. What that costs depends on how many channels "
        "are published into: among a hundred thousand at random, nearly each move reads memory that no cache holds."
    ),
    "growth-viewers": (
        "Between 300 and 3,000 viewers the hub's cost rises by a half, nchan's by a third and the bare loop's by a "
        "quarter: the cost of a send() in the kernel grows, not what the hub adds in user space."
    ),
    "growth-channels": (
        "The hub costs a quarter more at 1,000 channels than at 10; on another machine it and nchan a third. There the "
        "kernel caused it: in a run that separated the two, the hub's user time was 21, 23 and 18 µs at 10, 1,000 and "
        "10,000 channels, and its system time 16, 23 and 21; nchan's system time rose from 19 to 22 and 25, the loop's "
        "from 16 to 20 and 18. Each event goes to another socket than those before it."
    ),
    "processes": (
        "Each process reads each announcement, which is little beside a thousand deliveries; Redis sends one to each."
    ),
    "processes-events": (
        "With few viewers of each channel it is not flat: each process reads the announcements of every channel that "
        "one of its viewers follows. The growth from row to row, divided by the processes more, is what one costs."
    ),
    "growth-unwatched": "Flat, and close to zero: Redis sends the hub no announcement of a channel without viewers.",
    "growth-contents": (
        "A tenth more at 50,000 than at 1,000: the dictionaries that hold contents grow in steps, and two of them take "
        "20 to 40 bytes each per content. Of a hundred contents, some fit in memory that the interpreter has free."
    ),
}
"""For a curve: why it bends, or that it is flat."""

BESIDE: Final = """
What another tenant's deliveries and polls take while one token misuses a hub over Redis, for ten seconds: 50 events and
50 polls a second, each poll of another channel. A delivery counts from when its event was due at the publisher, a poll
from its first request to its first 200; what was refused is in the last columns. `before` is the version before the hub
was changed against it, measured once; `now` is the median of three runs, by p99 of the deliveries. Pages are new, so
that there is nothing to compare them with. `python -m tests.bench.bystander` measures it, with `--python` another
version, and `--write` puts it here. The neighbour reads without a rate limit and comes again at once when it is
refused, from ten connections (thirty where it reads nothing; 600 streams of 64 channels). The hub has a core, all
clients and Redis the other, and `--stall-timeout 5`.
"""
"""For docs/benchmarks.md, as the next."""

ACTS: Final[dict[str, str]] = {
    "nothing": "does nothing",
    "unread changes": "reads nothing of `/changes`, 12,000 contents, 12.9 MB",
    "unread batches": "reads nothing of a batch of 100 contents, 5 MB",
    "status": "polls `/status` of 100,000 contents",
    "contents": "polls the whole contents of them",
    "pages": "walks the pages of `/status` of them",
    "changes": "reads all `/changes` of them",
    "streams": "opens a stream of them, and again once it is ready",
    "streams 1.0": "the same over HTTP/1.0",
    "channels": "opens streams of 38,400 channels that do not exist",
    "fills": "fills Redis (48 MB; now its tenant has 24 MiB)",
}
"""What the neighbour does, for the table."""

MEMORY: Final = """
What is not read takes memory, too; measured by hand, once. The hub has the embedded broker and `--stall-timeout 5`; the
clients ask, read nothing, and have the smallest receive buffer.

| unread answers | memory at peak, before | now | all closed, before | now |
| --- | --- | --- | --- | --- |
| 30 of 12.9 MB: a channel of 12,000 contents | 368 MB more | 36 MB more | never (45 s watched) | 8.8 s |
| 30 of 6 MB: a batch of 100 contents | 207 MB more | 39 MB more | never | 6.0 s |
| 800 of 81 KB: `/openapi.json`, without a token | 8 MB more | 18 MB more | never | 6.8 s |

Before, an answer was kept whole in the buffer of its socket. Now one that holds whole contents is encoded in pieces of
64 KiB, each once the one before it was accepted. The 800 cost more than before, as long as they last:
`/openapi.json` is larger than a piece, so that a task waits for each, which a buffer did not need.

| bytes per content, data of 326 bytes | before | now | at most |
| --- | --- | --- | --- |
| after a poll | 884 | 693 | 791 |
| after ten streams | 1,331 | 730 | 791 |
| after an update of each content | 1,521 | 779 | 798 |
"""
"""For docs/benchmarks.md: measured by hand, and not part of a run."""

NEIGHBOURS: Final = """
One token opens 600 streams of 64 channels each that do not exist, 50 at a time, over one Redis. Another tenant polls
meanwhile, each time a channel that it has not polled before; a poll counts until its first 200, however many failed
before. Then Redis' pub/sub connection is cut. The worst poll after that includes the interruption, in which a hub
knows nothing of a new channel. Each row is one run of `python -m tests.bench.neighbour`; `--lifted` lifts the limits of
followed channels, and `--write` adds a row. The first row is of the version before the limits and turns, on a
machine that had other work to do.
"""

ELSEWHERE: Final = """
## Measured on other pages

- [a page of a feed](feeds.md#what-it-costs): 100 ids in one call, and one call for each id;
- [an answer that grows](ai.md#beside-a-hub-of-messages), beside Mercure;
- [a page that polls](migrate/polling.md), and the same page on a stream;
- [the size of the JavaScript client](javascript.md#size), beside others.
"""
