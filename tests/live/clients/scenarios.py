"""What happens to a client, and whether it is shown each final state all the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from statushub.hub.model.publication import EVENT_BYTES
from tests.live.clients.answers import CUTS
from tests.live.clients.running import Running, Shown, shown, wait_for
from tests.live.clients.stage import Stage
from tests.support.waiting import eventually

Start = Callable[[], Running]
"""Starts the client's program once more."""

YES: Final = "yes"
"""The final state is shown, and nothing else that was shown before."""
WHOLE: Final = "whole"
"""The final state is shown, after the whole state once more: the client has not sent its cursor."""

TOKEN_SECONDS: Final = 4.0
"""Long enough for a page or a process to open its stream."""

QUIET_SECONDS: Final = 12.0
"""Longer than the read time-outs of 5 and 10 s."""

SEPARATORS: Final = "a\x85b\u2028c\u2029d"
"""Characters at which Python's `splitlines` and its like end a line."""

HEAD_BYTES: Final = 256
"""More than the fields of an event but for its title."""


def first_state(stage: Stage, start: Start) -> str:
    """The state from before the client came is shown: each content once, and nothing that is no event."""
    stage.publish("early", "generating")
    stage.publish("done", "complete")
    program = start()
    until_state(program, "done", "complete")
    assert [event.data["content_id"] for event in contents(program)] == ["early", "done"]
    return YES


def live(stage: Stage, start: Start) -> str:
    """What is published while the stream is open is shown, the largest event and odd characters too."""
    program = watching(stage, start)
    stage.publish("live", "generating", title=SEPARATORS)
    until_state(program, "live", "generating", title=SEPARATORS)
    filler = "x" * (EVENT_BYTES - HEAD_BYTES)
    stage.publish("live", "complete", title=filler)
    until_state(program, "live", "complete", title=filler)
    return YES


def cut(stage: Stage, start: Start) -> str:
    """The connection breaks, and then the next, which had no id; the final state is published before the client is
    back.
    """
    program = watching(stage, start)
    ready = stage.answers.ready
    stage.sever()
    eventually(lambda: stage.answers.ready > ready)
    stage.sever()
    stage.publish("final", "complete")
    until_state(program, "final", "complete")
    return resumed(program)


def cut_in_a_frame(stage: Stage, start: Start) -> str:
    """The connections of several clients break within the frame of the final state, each after another byte."""
    programs = [start() for _ in range(CUTS)]
    stage.publish("before", "generating")
    for program in programs:
        until_state(program, "before", "generating")
    stage.answers.cut_frames_with(b'"final"')
    stage.publish("final", "complete")
    eventually(lambda: len(stage.answers.cut) == CUTS)
    stage.sever()
    for program in programs:
        until_state(program, "final", "complete")
    return YES


def restart(stage: Stage, start: Start) -> str:
    """The hub says farewell, ends the stream cleanly, and is away while the client comes back."""
    program = watching(stage, start)
    stage.stop()
    stage.start()
    stage.publish("final", "complete")
    until_state(program, "final", "complete")
    return resumed(program)


def restart_behind_nginx(stage: Stage, start: Start) -> str:
    """The hub is away behind nginx for so long that nginx has answered the client in its place."""
    with stage.nginx():
        program = watching(stage, start)
        answered = stage.answers.count
        stage.stop()
        eventually(lambda: stage.answers.count > answered)
        stage.start()
        stage.publish("final", "complete")
        until_state(program, "final", "complete")
        return resumed(program)


def new_epoch(stage: Stage, start: Start) -> str:
    """The hub has lost its state: the client is told to discard its own, and shown the new one."""
    program = watching(stage, start)
    stage.stop()
    stage.forget()
    stage.start()
    stage.publish("final", "complete")
    until_state(program, "final", "complete")
    assert "reset" in [event.type for event in shown(program)]
    return YES


def expiry(stage: Stage, start: Start) -> str:
    """The token expires, the hub ends the stream and refuses the client; then there is a new token."""
    stage.publish("early", "generating")
    stage.renew(TOKEN_SECONDS)
    program = start()

    def opened() -> bool:
        # On a busy machine a program may take longer to begin than its token is valid.
        if stage.token_expired:
            stage.renew(TOKEN_SECONDS)
        return bool(shown(program))

    eventually(opened)
    refused = stage.answers.refused
    eventually(lambda: stage.answers.refused > refused)
    assert stage.ended > 0
    stage.renew()
    stage.publish("final", "complete")
    until_state(program, "final", "complete")
    return resumed(program)


def quiet(stage: Stage, start: Start) -> str:
    """Nothing is published for longer than the client's default read time-out, and its connection stays open."""
    program = watching(stage, start)
    answered = stage.answers.count
    beats = QUIET_SECONDS // 4
    eventually(lambda: [event.type for event in shown(program)].count("heartbeat") >= beats)
    assert stage.answers.count == answered
    stage.publish("final", "complete")
    until_state(program, "final", "complete")
    return YES


SCENARIOS: Final[Mapping[str, Callable[[Stage, Start], str]]] = {
    "first state": first_state,
    "live": live,
    "cut": cut,
    "cut in a frame": cut_in_a_frame,
    "restart": restart,
    "nginx": restart_behind_nginx,
    "new epoch": new_epoch,
    "expiry": expiry,
}
"""By the column of the page's table."""


def watching(stage: Stage, start: Start) -> Running:
    """A program that has been shown the first state."""
    stage.publish("early", "generating")
    program = start()
    until_state(program, "early", "generating")
    return program


def until_state(program: Running, content_id: str, status: str, **data: str) -> None:
    """Return once the program has shown this status of a content."""
    expected = {"content_id": content_id, "status": status, **data}

    def wanted(event: Shown) -> bool:
        return expected.items() <= event.data.items()

    wait_for(program, wanted, f"{content_id} {status}")


def contents(program: Running) -> list[Shown]:
    """The events of contents that were shown."""
    return [event for event in shown(program) if "content_id" in event.data]


def resumed(program: Running) -> str:
    """Whether what was shown before was not shown again."""
    early = [event for event in contents(program) if event.data["content_id"] == "early"]
    return YES if len(early) == 1 else WHOLE
