"""The cache of verified tokens: which verifications it saves, and which it must not."""

from __future__ import annotations

import time
from typing import Any

import pytest

from statushub.hub.auth.origins import Origins
from statushub.hub.auth.tickets import Tickets
from statushub.hub.auth.tokens import KNOWN, KNOWN_SECONDS, Authenticator
from statushub.hub.model.errors import Unauthorized
from tests.support.tokens import SECRET, token

pytestmark = pytest.mark.anyio


class CountedSecret:
    """A key that counts its verifications and can be withdrawn."""

    algorithms = frozenset({"HS256"})

    def __init__(self) -> None:
        self.uses = 0
        self.withdrawn = False

    async def find(self, algorithm: str, key_id: str | None) -> Any:
        self.uses += 1
        if self.withdrawn:
            raise Unauthorized("withdrawn")
        return SECRET


class Verifier:
    """An authenticator with a counting key and a clock that tests set."""

    def __init__(self) -> None:
        self.key = CountedSecret()
        self.now = time.time()
        self.authenticator = Authenticator(
            [self.key],
            Tickets(SECRET.encode(), 30.0),
            origins=Origins(()),
            cookie="statushub_token",
            clock=lambda: self.now,
        )

    async def verifications(self, *tokens: str) -> int:
        """The number of these tokens that were verified, not found in the cache."""
        before = self.key.uses
        for each in tokens:
            await self.authenticator.verify(each)
        return self.key.uses - before


@pytest.fixture
def known() -> Verifier:
    return Verifier()


async def test_a_known_token_is_not_verified_again(known: Verifier) -> None:
    """The token stays in the cache for its time, however often it is used."""
    one = token()
    assert await known.verifications(one) == 1
    known.now += KNOWN_SECONDS - 0.1
    assert await known.verifications(one, one) == 0


async def test_a_known_token_is_verified_again_after_its_time(known: Verifier) -> None:
    """The time counts from the verification, not from the last use, so that a withdrawn key is noticed."""
    one = token()
    await known.verifications(one)
    for _ in range(3):
        known.now += KNOWN_SECONDS / 4
        assert await known.verifications(one) == 0
    known.now += KNOWN_SECONDS / 4
    assert await known.verifications(one) == 1


@pytest.mark.parametrize("seconds", [0.1, KNOWN_SECONDS, 3600.0])
async def test_a_clock_that_is_set_back_does_not_lengthen_trust(known: Verifier, seconds: float) -> None:
    """After a step back of the clock the token is verified again."""
    one = token()
    await known.verifications(one)
    known.now -= seconds
    assert await known.verifications(one) == 1


async def test_a_token_that_fails_leaves_the_cache(known: Verifier) -> None:
    """Setting the clock back to when the token was valid does not restore it."""
    one = token()
    await known.verifications(one)
    known.key.withdrawn = True
    known.now += KNOWN_SECONDS
    with pytest.raises(Unauthorized, match="withdrawn"):
        await known.authenticator.verify(one)
    known.now -= KNOWN_SECONDS / 2
    with pytest.raises(Unauthorized, match="withdrawn"):
        await known.authenticator.verify(one)


async def test_a_known_token_expires(known: Verifier) -> None:
    """A cached token expires on time, although its next verification is not due yet."""
    one = token(exp=known.now + 1)
    assert await known.verifications(one) == 1
    known.now += 0.9
    assert await known.verifications(one) == 0
    known.now += 0.2
    with pytest.raises(Unauthorized, match="expired"):
        await known.authenticator.verify(one)
    assert known.key.uses == 1


async def test_the_least_recently_used_token_is_evicted(known: Verifier) -> None:
    """A use keeps a token in the cache; a full cache evicts another one."""
    first, second = token(sub="first"), token(sub="second")
    await known.verifications(first, second)
    for number in range(KNOWN - 2):
        await known.authenticator.verify(token(sub=str(number)))
    assert await known.verifications(first) == 0
    await known.verifications(token(sub="one more"))
    assert await known.verifications(first) == 0
    assert await known.verifications(second) == 1
