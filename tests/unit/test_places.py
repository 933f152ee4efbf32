"""Encrypted places: what they tell, and which are refused."""

from __future__ import annotations

import pytest

from statushub.hub.auth.places import Places
from statushub.hub.model.errors import Invalid

PLACE = "nam9icy9h"


def test_a_place_comes_back_from_every_hub_with_the_secret() -> None:
    """The same place is the same text each time, which does not contain it."""
    one, other = Places(b"secret"), Places(b"secret")
    hidden = one.hide(PLACE, "acme")
    assert hidden == other.hide(PLACE, "acme")
    assert PLACE not in hidden
    assert other.reveal(hidden, "acme") == PLACE
    assert one.hide(PLACE, "rival") != hidden


def test_what_is_not_hidden_stays_as_it_is() -> None:
    """Other places, whatever they are."""
    assert Places(b"secret").reveal(PLACE, "acme") == PLACE


@pytest.mark.parametrize("text", ["x", "xa", "xab", "xä", "x===", "x" + "A" * 40])
def test_a_forged_place_is_invalid(text: str) -> None:
    """One of another secret or tenant, changed, or made up."""
    places = Places(b"secret")
    hidden = places.hide(PLACE, "acme")
    for forged in (text, hidden[:-2], Places(b"other").hide(PLACE, "acme"), places.hide(PLACE, "rival")):
        with pytest.raises(Invalid) as refused:
            places.reveal(forged, "acme")
        assert refused.value.field == "after"
