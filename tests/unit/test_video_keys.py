"""The keys of video workers: their names, and what their values say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from statushub.hub.model.status import Status
from statushub.hub.model.video_keys import (
    VALUE_BYTES,
    VideoKey,
    job_key,
    parse_key,
    progress_key,
    status_key,
    video_status,
)
from statushub.hub.model.video_steps import VIDEO_STEPS, video_steps
from statushub.hub.model.video_tenants import video_tenants
from statushub.hub.model.vocabulary import VIDEO_STATUS

STEPS = video_steps(VIDEO_STEPS)
PROCESSING = b'{"status":"PROCESSING"}'

BROKEN = [
    b"",
    b"null",
    b"[]",
    b"7",
    b'"READY"',
    b"{",
    b"\xff",
    b'{"status":"\xff"}',
    b'{"a":' * 5_000,
    b"[" * 100_000,
    b'{"a":' + b"9" * 5_000 + b"}",
    b'{"status":"READY","a":"' + b"x" * VALUE_BYTES + b'"}',
]


def shortly(value: object) -> str:
    return f"{value!r:.24}"


def read(said: Any, progress: Any = None, job: Any = None) -> Status | None:
    """The status that Python objects say, as workers write them."""
    values = (said, progress, None if job is None else json.dumps(job).encode())
    first, second, third = [it if it is None or isinstance(it, bytes) else json.dumps(it).encode() for it in values]
    return video_status(first, second, third, STEPS)


@pytest.mark.parametrize("value", [None, *BROKEN], ids=shortly)
def test_a_status_that_cannot_be_read_is_none(value: bytes | None) -> None:
    """Without a status the progress is not looked at."""
    assert read(value, {"percent": 40}, {"percent": 30}) is None


@pytest.mark.parametrize("value", [None, *BROKEN], ids=shortly)
def test_a_progress_that_cannot_be_read_is_missing(value: bytes | None) -> None:
    """The older key is read in its place."""
    found = read(PROCESSING, value, {"percent": 30, "step": "uploading"})
    assert found
    assert (found.percent, found.text("step")) == (30, "uploading")
    found = read(PROCESSING, value)
    assert found
    assert found.percent == 0


@pytest.mark.parametrize(
    ("word", "phase"),
    [
        ("PENDING", "PENDING"),
        ("PROCESSING", "PROCESSING"),
        ("READY", "READY"),
        ("FAILED", "FAILED"),
        ("ready", "READY"),
        (" Failed ", "FAILED"),
        ("completed", "READY"),
        ("running", "PROCESSING"),
        ("transcoding", "PROCESSING"),
        ("", "PROCESSING"),
        (None, "PENDING"),
        (7, "PENDING"),
        (["READY"], "PENDING"),
    ],
)
def test_a_word_has_its_phase(word: object, phase: str) -> None:
    """Words of any case and system are known; an unknown one is a part of the work."""
    found = read({"status": word})
    assert found
    assert VIDEO_STATUS[found.phase] == phase


@pytest.mark.parametrize(
    ("progress", "percent"),
    [
        ({"percent": 43}, 43),
        ({"percent": 43.5, "progress": 7}, 43.5),
        ({"progress": 43}, 43),
        ({"percent": None, "progress": 43}, 43),
        ({"percent": float("nan"), "progress": 43}, 43),
        ({"percent": float("inf")}, 0),
        ({"percent": "43"}, 0),
        ({"percent": True}, 0),
        ({"percent": 140}, 100),
        ({"percent": -3}, 0),
        ({"percent": 10**400}, 0),
        ({"step": "presigning"}, 0),
        ({"step": "downloading"}, 1),
        ({"step": "Transcoding", "percent": None}, 12),
        ({"step": "uploading"}, 88),
        ({"step": "uploading", "percent": 3}, 3),
        ({"step": "waving"}, 0),
        ({"step": ["uploading"]}, 0),
    ],
    ids=lambda it: f"{it!r:.40}",
)
def test_a_percentage_is_tolerated_or_follows_from_the_step(progress: dict[str, Any], percent: float) -> None:
    """`percent` is taken, else `progress`, else where the step begins; what is out of range is its nearest limit."""
    found = read(PROCESSING, progress)
    assert found
    assert found.percent == percent


def test_fields_without_a_value_are_left_out() -> None:
    """None and NaN are no values, and what else is said is kept."""
    found = read(
        {"status": "PROCESSING", "hls_path": None, "title": "t"},
        {
            "percent": 1,
            "remaining_seconds": float("nan"),
            "step": "probing",
            "speed": 2.5,
            "frames": 10**400,
            "a": "\ud800",
        },
    )
    assert found
    assert found.data == {"title": "t", "step": "probing", "speed": 2.5, "progress": 1}


def test_the_progress_of_a_moment_before_the_end_is_not_shown() -> None:
    """A video that is ready is at 100; one that has failed keeps its step, and has nothing that remains."""
    late = {"percent": 97, "step": "uploading", "remaining_seconds": 3}
    ready = read({"status": "READY", "hls_path": "a.m3u8", "duration": 9.5}, late)
    assert ready
    assert ready.data == {"hls_path": "a.m3u8", "duration": 9.5, "progress": 100}
    failed = read({"status": "FAILED", "error_reason": "no audio"}, late)
    assert failed
    assert failed.data == {"error_reason": "no audio", "step": "uploading", "progress": 97}


@pytest.mark.parametrize("video", ["v", "a:b", "a:status", "1/2", "\n", "video:x:progress"])
@pytest.mark.parametrize("prefix", ["", "app:"])
def test_a_key_is_told_by_its_name(video: str, prefix: str) -> None:
    """Ids may hold a colon, and another tenant's key is never meant."""
    for name in (status_key("4711", video), progress_key("4711", video)):
        assert parse_key((prefix + name).encode(), prefix) == VideoKey(tenant_id="4711", video_id=video)
    assert parse_key((prefix + job_key(video)).encode(), prefix) == VideoKey(tenant_id=None, video_id=video)


@pytest.mark.parametrize(
    "name",
    [b"tenant:a:video:v", b"tenant::video:v:status", b"job:video::progress", b"x", b"\xff", b"tenant:a:video:v:lock"],
)
def test_other_keys_are_not_told(name: bytes) -> None:
    """Whatever else the Redis holds is left alone."""
    assert parse_key(name, "") is None
    assert parse_key(b"tenant:a:video:v:status", "app:") is None


def test_tenants_are_mapped_both_ways() -> None:
    """A tenant without an id has its own name, unless that is another's: it would read its videos."""
    tenants = video_tenants(["acme=4711", "beta=gamma"], ["acme"])
    assert [tenants.id_of(it) for it in ("acme", "beta", "gamma", "delta")] == ["4711", "gamma", None, "delta"]
    assert [tenants.tenant_of(it) for it in ("4711", "gamma", "acme", "delta", "a b")] == [
        *("acme", "beta", None, "delta", None)
    ]


@pytest.mark.parametrize("text", ["a", "a=", "a=x", "a=-1", "a=nan", "=1", "a=1e9", f"{'a' * 65}=1", "a\n=1 b=2"])
def test_a_malformed_step_is_refused(text: str) -> None:
    """The error says which form is valid."""
    with pytest.raises(ValueError, match=r"STEP=WEIGHT|names no step"):
        video_steps([text])
