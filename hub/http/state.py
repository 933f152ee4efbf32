"""The parts of the application that requests need, as `create_app` puts them into `app.state`."""

from __future__ import annotations

from starlette.requests import HTTPConnection, Request

from statushub.hub.auth.places import Places
from statushub.hub.auth.tokens import Authenticator
from statushub.hub.config import Config
from statushub.hub.http.observer import Observed
from statushub.hub.http.rate_limiter import RateLimiter, ReadLimiter, WriteLimiter
from statushub.hub.hub import Hub


def hub_of(request: HTTPConnection) -> Hub:
    """The hub that answers this request."""
    hub: Hub = request.app.state.hub
    return hub


def config_of(request: HTTPConnection) -> Config:
    """The settings of the application."""
    config: Config = request.app.state.config
    return config


def authenticator_of(request: HTTPConnection) -> Authenticator:
    """The authenticator of the application."""
    authenticator: Authenticator = request.app.state.auth
    return authenticator


def places_of(request: Request) -> Places:
    """What hides the places in lists of which a token reads a part."""
    places: Places = request.app.state.places
    return places


def rate_limiter_of(request: Request) -> RateLimiter:
    """The rate limiter of all publishers."""
    rates: RateLimiter = request.app.state.rates
    return rates


def read_limiter_of(request: Request) -> ReadLimiter:
    """The rate limiter of all readers."""
    reads: ReadLimiter = request.app.state.reads
    return reads


def feed_limiter_of(request: Request) -> WriteLimiter:
    """The rate limiter of what users write into feeds."""
    rates: WriteLimiter = request.app.state.feed_rates
    return rates


def producer_limiter_of(request: Request) -> WriteLimiter:
    """The rate limiter of what producers write into feeds."""
    rates: WriteLimiter = request.app.state.feed_producers
    return rates


def routes_of(request: Request) -> Observed:
    """The routes as metrics name them."""
    routes: Observed = request.app.state.routes
    return routes
