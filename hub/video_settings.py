"""The settings of the keys of video workers, as `Config` has them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from statushub.hub.marks import Flag, Rule
from statushub.hub.model.errors import Invalid
from statushub.hub.model.names import check_published_channel
from statushub.hub.model.video_steps import parse_step
from statushub.hub.model.video_tenants import check_job_tenant, parse_tenant


def check_channel(text: str) -> None:
    """Raises `ValueError` where no content can be published into a channel of this name."""
    try:
        check_published_channel(text)
    except Invalid as error:
        raise ValueError(f"is no channel: {error.message}") from error


def _check_tenant(text: str) -> None:
    parse_tenant(text)


def _check_step(text: str) -> None:
    parse_step(text)


VideoKeys = Annotated[
    str,
    Meta(
        description="Redis in which video workers keep their keys, in any form that `--broker` has: the progress route "
        "answers from these where the hub has no state of a video."
    ),
    Flag(metavar="URL"),
]
VideoTenants = Annotated[
    tuple[str, ...],
    Meta(
        description="Tenant, and the `{tenant_id}` that its keys have: `acme=4711`. By default a tenant has its own "
        "name there."
    ),
    Flag(name="--video-tenant", metavar="TENANT=ID"),
    Rule(_check_tenant),
]
VideoJobTenants = Annotated[
    tuple[str, ...],
    Meta(
        description="Tenant for which the older key `job:video:{video_id}:progress` is read, which names none. Two "
        "such tenants see each other's progress."
    ),
    Flag(name="--video-job-tenant", metavar="TENANT"),
    Rule(check_job_tenant),
]
VideoSteps = Annotated[
    tuple[str, ...],
    Meta(
        description="Step of the work on a video, in order, with its weight: the percentage follows where a worker "
        "says a step only."
    ),
    Flag(name="--video-step", metavar="STEP=WEIGHT"),
    Rule(_check_step),
]
VideoChannel = Annotated[
    str,
    Meta(
        description="Channel that the videos of these keys belong to: the bridge publishes into it, and a token must "
        "read it to be told of them."
    ),
    Flag(metavar="CHANNEL"),
    Rule(check_channel),
]
VideoBridge = Annotated[
    bool,
    Meta(
        description="Follow these keys and publish what changes, so that workers which only write them appear on the "
        "streams."
    ),
]
