"""A model behind OpenAI's API, by the official client: streams an answer, and says why there is none."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, Final

import anyio

from statushub.extras import required
from statushub.hub.model.redaction import HIDDEN
from statushub.producers.generate.errors import (
    AnswerFiltered,
    AnswerInvalid,
    GenerateError,
    ModelRefused,
    ModelUnavailable,
    RequestRejected,
)
from statushub.producers.generate.options import is_address
from statushub.producers.generate.prompts import FORMS, Messages
from statushub.producers.sources.location import printable

with required("statushub.generate"):
    import openai

KEY: Final = "OPENAI_API_KEY"
"""The variable with the key, as the client knows it."""

NO_KEY: Final = "none"
"""What a server of one's own gets in its place: the client demands one."""

REPETITIONS: Final = 5
"""Repetitions of a request that is answered 429 or 5xx, or not at all. The client waits as `Retry-After` says, or half
a second and longer each time, up to 8 s."""

PAUSE_SECONDS: Final = 0.5
PAUSE_SECONDS_MAX: Final = 60.0
"""The pauses of the client, where this repeats a request in its place."""

CUTS: Final = 3
"""Repetitions of an answer that breaks off in its middle."""

CUT_SECONDS: Final = 0.5
"""Pause before the first of them; it doubles each time."""

SILENCE_SECONDS: Final = 120.0
"""Longest time between two pieces of an answer: a large model on a small machine reads its prompt for so long."""

CONNECT_SECONDS: Final = 10.0

ANSWER_TOKENS: Final = 2_000
"""Longest answer: a summary or the pairs take a quarter. A small model may repeat itself without an end."""

REASON_CHARACTERS: Final = 300
"""Longest text of a server or a model in a message."""

Piece = str | None
"""A piece of an answer; None where the answer has broken off, and begins anew."""


class Model:
    """One model of one server."""

    def __init__(self, base_url: str | None, name: str | None) -> None:
        """`base_url` is by default the client's own, or its variable's; `name` the first that the server has. Raises
        `RequestRejected` for an address that is none."""
        self._name = name
        self._key = os.environ.get(KEY) or NO_KEY
        try:
            self._client = openai.AsyncOpenAI(
                api_key=self._key,
                base_url=base_url,
                max_retries=REPETITIONS,
                timeout=openai.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS),
            )
        except Exception as error:  # noqa: BLE001 - what the variables of proxies and certificates raise has no class
            raise RequestRejected(f"The model's client cannot be set up: {self._clean(error)}.") from None
        self._address = printable(str(self._client.base_url))
        if not is_address(str(self._client.base_url)):
            # It is that of the variable.
            raise RequestRejected(f"The address {self._address} is malformed: expected http(s)://host[:port]/path.")
        self._forms = [*FORMS]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def answer(self, messages: Messages, *, formed: bool = False) -> AsyncGenerator[Piece]:
        """The pieces of the answer to `messages`; in the form of pairs where `formed`, as far as the server can.

        Raises `GenerateError`.
        """
        for cut in range(CUTS + 1):
            try:
                async for piece in self._answer(messages, formed=formed):
                    yield piece
            except (_Cut, openai.APIConnectionError, openai.APIStatusError) as error:
                if not isinstance(error, _Cut):
                    raise self._error(error) from None
                if cut == CUTS:
                    message = f"{self._address} broke off its answer {CUTS + 1} times: {error}."
                    raise ModelUnavailable(message) from None
            else:
                return
            yield None
            await anyio.sleep(CUT_SECONDS * 2**cut)

    async def _answer(self, messages: Messages, *, formed: bool) -> AsyncGenerator[str]:
        stream = await self._request(messages, formed=formed)
        refusal, ending = "", None
        try:
            async with stream:
                async for chunk in stream:
                    for choice in chunk.choices or ():
                        if choice.delta.content:
                            yield choice.delta.content
                        refusal += choice.delta.refusal or ""
                        ending = choice.finish_reason or ending
        except openai.APIError as error:
            if _filtered(error):
                raise self._error(error) from None
            # The head has arrived: what goes wrong now may go right the next time.
            raise _Cut(self._clean(error)) from None
        except (ValueError, TypeError, AttributeError) as error:
            raise _Cut(f"a part of it is malformed ({type(error).__name__})") from None
        except OSError as error:
            raise _Cut(type(error).__name__) from None
        _check(refusal, ending, self._clean)

    async def _request(self, messages: Messages, *, formed: bool) -> Any:
        while formed and self._forms:
            form = {"response_format": self._forms[0]}
            try:
                # Some servers answer 500 to a form that they do not know, which is not worth repeating.
                return await self._create(self._client.with_options(max_retries=0), messages, form)
            except openai.APIStatusError as error:
                if "response_format" in str(error):
                    self._forms.pop(0)
                    continue
                await anyio.sleep(_pause(error))
            except openai.APIConnectionError:
                await anyio.sleep(PAUSE_SECONDS)
            return await self._create(self._client, messages, form)
        return await self._create(self._client, messages, {})

    async def _create(self, client: Any, messages: Messages, form: dict[str, Any]) -> Any:
        name = await self._named()
        return await client.chat.completions.create(
            model=name, messages=messages, max_tokens=ANSWER_TOKENS, stream=True, **form
        )

    async def _named(self) -> str:
        if self._name is None:
            async for each in self._client.models.list():
                self._name = each.id
                break
            else:
                raise RequestRejected(f"{self._address} has no model; name one.", field="model")
        return self._name

    def _error(self, error: openai.APIError) -> GenerateError:
        where = self._address
        if _filtered(error):
            return AnswerFiltered(f"A content filter of {where} stopped the request: {self._clean(error)}.")
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            # Without the server's words, which quote the key.
            return RequestRejected(f"{where} does not accept the key of the variable {KEY}.", field="key")
        if isinstance(error, openai.APITimeoutError):
            return ModelUnavailable(f"{where} does not answer in time.")
        if isinstance(error, openai.APIConnectionError):
            return ModelUnavailable(f"{where} cannot be reached: {self._clean(error.__cause__ or error)}.")
        if isinstance(error, openai.RateLimitError | openai.InternalServerError):
            return ModelUnavailable(f"{where} is overloaded or out of quota: {self._clean(error)}.")
        if isinstance(error, openai.NotFoundError) and not isinstance(error.body, dict):
            hint = "OpenAI's API is not there; its address often ends with /v1"
            return RequestRejected(f"{where} rejects the request: {self._clean(error)}. {hint}.")
        return RequestRejected(f"{where} rejects the request: {self._clean(error)}.")

    def _clean(self, error: BaseException | str) -> str:
        """The text of `error`, in one line and without the key."""
        said = getattr(error, "body", None)
        told = said.get("message") if isinstance(said, dict) else None
        text = " ".join(str(told or error).split()).rstrip(".") or type(error).__name__
        return text.replace(self._key, HIDDEN)[:REASON_CHARACTERS] if self._key != NO_KEY else text[:REASON_CHARACTERS]


def _pause(error: openai.APIStatusError) -> float:
    """The seconds after which a request that was answered so is repeated, as the client itself would."""
    with suppress(ValueError):
        return min(max(float(error.response.headers.get("retry-after", PAUSE_SECONDS)), 0), PAUSE_SECONDS_MAX)
    return PAUSE_SECONDS


class _Cut(Exception):
    """Raised when an answer breaks off."""


def _filtered(error: openai.APIError) -> bool:
    return "content_filter" in (error.code, error.type)


def _check(refusal: str, ending: str | None, clean: Any) -> None:
    """Raise where an answer did not end as one does."""
    if refusal:
        raise ModelRefused(f"The model refuses to answer: {clean(refusal)}.")
    if ending == "content_filter":
        raise AnswerFiltered("A content filter of the model's server stopped the answer.")
    if ending is None:
        raise _Cut("it has no end")


def beginning(answer: str) -> str:
    """The beginning of an answer, as a message may quote it."""
    line = " ".join(answer.split())
    with suppress(UnicodeError):
        line = line.encode("utf-8", "replace").decode()
    return line if len(line) <= REASON_CHARACTERS else f"{line[:REASON_CHARACTERS]}…"


def invalid(fault: str, answer: str) -> AnswerInvalid:
    """The error of an answer with a `fault`."""
    came = f"it begins: {beginning(answer)}" if answer.strip() else "it is empty"
    return AnswerInvalid(f"The model's answer is not of the form that was asked for ({fault}); {came}")
