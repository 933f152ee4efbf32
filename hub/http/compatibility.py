"""Whether the installed uvicorn has the private parts that `hub/http/` uses: `arrival`, `close_delimited`,
`connection`, `handover`, `outlet` and `pace`.

A minor version of uvicorn may rename them. The hub then serves on uvicorn's own h11 protocol, where streams take the
portable path, instead of failing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from importlib import import_module
from inspect import isfunction
from typing import Any, Final

from statushub.hub.config import Config
from statushub.hub.http.unread import Unread
from statushub.hub.wire.frames import MESSAGE_BYTES

PARTS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "uvicorn.server": {"ServerState": ("connections", "default_headers")},
    "uvicorn.protocols.http.flow_control": {
        "FlowControl": ("pause_reading", "read_paused", "resume_reading", "write_paused"),
    },
    "uvicorn.protocols.http.httptools_impl": {
        "HttpToolsProtocol": (
            "_start_asgi_task",
            "_unset_keepalive_if_required",
            "_unsupported_upgrade_warning",
            "app_state",
            "connections",
            "cycle",
            "flow",
            "loop",
            "on_body",
            "on_header",
            "on_headers_complete",
            "on_message_begin",
            "on_message_complete",
            "on_response_complete",
            "on_url",
            "parser",
            "pipeline",
            "scheme",
            "send_400_response",
            "shutdown",
            "transport",
        ),
        "RequestResponseCycle": (
            "chunked_encoding",
            "default_headers",
            "disconnected",
            "expected_content_length",
            "keep_alive",
            "message_event",
            "more_body",
            "response_complete",
            "response_started",
            "scope",
            "send",
            "transport",
            "waiting_for_100_continue",
        ),
    },
}
"""Modules, their classes, and of each the methods and attributes. Their users' docstrings say what for."""

PORTABLE: Final = "h11"
"""uvicorn's name of the protocol to serve on instead. It has a limit on heads, which its httptools protocol lacks."""

PORTABLE_WEBSOCKET: Final = "websockets-sansio"
"""uvicorn's name of the protocol for WebSocket beside it; with hand-over uvicorn needs none."""


def missing_parts() -> list[str]:
    """The private parts that are missing, such as `RequestResponseCycle.response_complete`; none where all is well."""
    return list(_missing())


def http_protocol(settings: Config) -> Any:
    """For uvicorn's `http` setting: the hand-over protocol, or `PORTABLE` where a part is missing."""
    if missing_parts():
        return PORTABLE
    # Importing them needs the parts.
    from statushub.hub.http.arrival import Arrivals
    from statushub.hub.http.handover import HandoverProtocol

    ordinary = partial(
        HandoverProtocol,
        head_bytes=settings.max_head,
        head_seconds=settings.request_timeout,
        stall_seconds=settings.stall_timeout,
        unread=Unread(settings.max_unread),
    )
    return Arrivals(ordinary, head_bytes=settings.max_head, head_seconds=settings.request_timeout)


def websocket_options(http: Any) -> dict[str, Any]:
    """uvicorn's settings of WebSocket beside its `http` setting. Its own protocol would bypass the limits of
    connections, so it is used only where there is no hand-over."""
    if http != PORTABLE:
        return {"ws": "none"}
    return {"ws": PORTABLE_WEBSOCKET, "ws_max_size": MESSAGE_BYTES, "ws_per_message_deflate": False}


def _missing() -> Iterator[str]:
    for place, kinds in PARTS.items():
        try:
            module = import_module(place)
        except ImportError:
            yield place
            continue
        for name, parts in kinds.items():
            kind = getattr(module, name, None)
            if kind is None:
                yield f"{place}.{name}"
            else:
                yield from (f"{name}.{part}" for part in parts if part not in _names(kind))


def _names(kind: type) -> set[str]:
    """The names of a class's methods and attributes, those that only its constructor sets included."""
    constructors = [vars(base).get("__init__") for base in kind.__mro__]
    return set(dir(kind)).union(*(made.__code__.co_names for made in constructors if isfunction(made)))
