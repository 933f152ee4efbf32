"""What a client says on its socket: JSON objects with a `type`."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from statushub.hub.auth.patterns import Patterns
from statushub.hub.model.errors import Invalid, Malformed
from statushub.hub.model.names import check_name

SOCKET_CHANNELS: Final = 64
"""Most channels and patterns of one socket, as of one stream."""


FILTER_IDS: Final = 100
"""Most contents that a filter names: a long page of cards."""


class _Command(msgspec.Struct, frozen=True, tag_field="type"):
    """Fields that are not declared are ignored, `user_id` among them: a token says who it is."""


class _Naming(_Command, frozen=True):
    """Names channels, by one field or both; or a pattern."""

    match: str | None = None
    channel_id: str | None = None
    channel_ids: Annotated[list[str], msgspec.Meta(max_length=SOCKET_CHANNELS)] = []

    def patterns(self) -> Patterns | None:
        """The pattern; None where channels are named. Raises `Invalid` where it is none, or both are named."""
        if self.match is None:
            return None
        if self.channel_id is not None or self.channel_ids:
            raise Invalid("match has a cursor of its own: name channels in another message", field="match")
        return Patterns([self.match], "match")

    def channels(self) -> list[str]:
        """The channels, each once. Raises `Invalid` where there is none, or a name is illegal."""
        named = [] if self.channel_id is None else [check_name(self.channel_id, "channel_id")]
        named += [check_name(name, f"channel_ids[{index}]") for index, name in enumerate(self.channel_ids)]
        if not named:
            raise Invalid("channel_id, or match, is missing", field="channel_id")
        return list(dict.fromkeys(named))


class Subscribe(_Naming, frozen=True, tag="subscribe"):
    """Follow these channels, or that pattern, from the cursor `since` on; with `deltas`, growing contents as deltas.
    With `content_ids`, only these contents."""

    since: str | None = None
    deltas: bool = False
    content_ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=FILTER_IDS)] | None = None

    def wanted(self) -> frozenset[str] | None:
        """The contents; None for all. Raises `Invalid` where an id is illegal."""
        if self.content_ids is None:
            return None
        return frozenset(check_name(id, f"content_ids[{index}]") for index, id in enumerate(self.content_ids))


class Unsubscribe(_Naming, frozen=True, tag="unsubscribe"):
    """Follow them no longer."""


class Ping(_Command, frozen=True, tag="ping"):
    """Asks for a `pong`."""


_decoder = msgspec.json.Decoder(Subscribe | Unsubscribe | Ping)


def command(message: bytes) -> Subscribe | Unsubscribe | Ping:
    """Read a message. Raises `Malformed` where it is no JSON, `Invalid` where it is no command."""
    try:
        said: Subscribe | Unsubscribe | Ping = _decoder.decode(message)
    except msgspec.ValidationError as error:
        raise Invalid(f"not a message of this protocol: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"a message must be a JSON object: {error}") from error
    return said
