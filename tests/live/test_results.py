"""Results of works, served from a folder to those who may read their channels."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest

from statushub.hub.api.results import TYPES, UNKNOWN_TYPE
from statushub.hub.model.errors import Invalid
from statushub.hub.model.results import folder_name, name_of, result_folder, result_path
from tests.support.live import LiveHub, live_hub
from tests.support.tokens import SECRET, bearer

ORIGIN = "https://app.example.com"
MOVIE = bytes(range(256)) * 40


def put(root: Path, name: str, content: bytes = MOVIE, *, tenant: str = "acme", channel: str = "films") -> Path:
    """A file of the content `metropolis`."""
    path = root / result_folder(tenant, channel, "metropolis") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of results, with one file."""
    put(tmp_path / "results", "720p/segment-00001.m4s")
    return tmp_path / "results"


@pytest.fixture
def hub(root: Path) -> Iterator[LiveHub]:
    """A hub that requires tokens and serves the folder."""
    with live_hub(secret=SECRET, results_dir=str(root), cors_origins=(ORIGIN,)) as hub:
        yield hub


def get(hub: LiveHub, path: str = "films/metropolis/720p/segment-00001.m4s", **headers: str) -> httpx.Response:
    """Get a result, by a token of the tenant `acme` unless `headers` has another."""
    return httpx.get(f"{hub.base_url}/results/{path}", headers={**bearer(), **headers})


def test_a_result_is_served_whole_and_in_ranges(hub: LiveHub) -> None:
    """Players seek by ranges, and ask again for nothing."""
    whole = get(hub)
    assert (whole.status_code, whole.content) == (200, MOVIE)
    assert whole.headers["accept-ranges"] == "bytes"
    part = get(hub, Range="bytes=100-199")
    assert (part.status_code, part.content) == (206, MOVIE[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(MOVIE)}"
    assert get(hub, Range=f"bytes={len(MOVIE)}-").status_code == 416
    again = get(hub, **{"If-None-Match": whole.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = httpx.head(f"{hub.base_url}/results/films/metropolis/720p/segment-00001.m4s", headers=bearer())
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(MOVIE)))


@pytest.mark.parametrize(("suffix", "media_type"), [*TYPES.items(), (".M3U8", TYPES[".m3u8"])])
def test_a_result_has_its_type(hub: LiveHub, root: Path, suffix: str, media_type: str) -> None:
    """Players refuse a playlist or a segment of another type."""
    put(root, f"file{suffix}")
    answer = get(hub, f"films/metropolis/file{suffix}")
    assert answer.headers["content-type"] == media_type
    assert "content-disposition" not in answer.headers


@pytest.mark.parametrize("name", ["page.html", "picture.svg", "page.xhtml", "script.js", "a.pdf", "noext"])
def test_what_could_run_as_a_page_is_downloaded(hub: LiveHub, root: Path, name: str) -> None:
    """A page of the hub's origin could use the cookie of its reader."""
    put(root, name, b"<script>alert(1)</script>")
    answer = get(hub, f"films/metropolis/{name}")
    assert answer.headers["content-type"] == UNKNOWN_TYPE
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


def test_pages_of_listed_origins_may_read_results(hub: LiveHub) -> None:
    """A player on another site needs the CORS header; an unlisted site does not get it."""
    assert get(hub, Origin=ORIGIN).headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-origin" not in get(hub, Origin="https://other.example").headers
    missing = get(hub, "films/metropolis/none.m3u8", Origin=ORIGIN)
    assert missing.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"read": ["films"]}, 200),
        ({"read": ["*"]}, 200),
        ({"read": ["films/*"]}, 403),
        ({"read": [], "write": ["films"]}, 403),
        ({"tenant": "globex"}, 404),
    ],
)
def test_who_may_read_a_channel_may_read_its_results(hub: LiveHub, claims: dict[str, Any], status: int) -> None:
    """The token's patterns and tenant decide, as for the channel's stream."""
    assert get(hub, **bearer(**claims)).status_code == status


def test_tickets_and_cookies_read_results(hub: LiveHub) -> None:
    """A ticket that is narrowed reads no more than its channels, and nothing is read without a token."""
    address = f"{hub.base_url}/results/films/metropolis/720p/segment-00001.m4s"
    assert httpx.get(address).status_code == 401
    assert httpx.get(address, cookies={"statushub_token": bearer()["Authorization"].split()[1]}).status_code == 200
    for read, status in (("films", 200), ("books", 403)):
        asked = httpx.post(f"{hub.base_url}/api/tickets", headers=bearer(), json={"read": [read]})
        assert httpx.get(address, params={"ticket": asked.json()["ticket"]}).status_code == status


@pytest.mark.parametrize(
    "path",
    [
        "films/metropolis/none.mp4",
        "films/metropolis/720p",
        "films/metropolis/",
        "films/metropolis",
        "films/metropolis/720p/../720p/segment-00001.m4s",
        "films/metropolis/%2e%2e/%2e%2e/%2e%2e/secret.txt",
        "films/metropolis/..%2f..%2f..%2fsecret.txt",
        "films/metropolis/..%5c..%5csecret.txt",
        "films/..%2f..%2f..%2fsecret.txt",
        "..%2f../x/secret.txt",
        "films/metropolis//720p/segment-00001.m4s",
        "films/metropolis/720p/segment-00001.m4s/",
        "films/metropolis/720p/./segment-00001.m4s",
        "films/metropolis/.hidden.mp4",
        "films/metropolis/.hidden/a.mp4",
        "films/metropolis/link.mp4",
        "films/metropolis/linked/a.mp4",
        "films/linked/a.mp4",
        "films/metropolis/pipe.mp4",
        "films/metropolis/a%00.mp4",
        "films/metropolis/" + "x" * 3_000,
        "%66ilms%2Fx/metropolis/a.mp4",
    ],
)
def test_nothing_outside_of_the_folder_is_served(hub: LiveHub, root: Path, path: str) -> None:
    """Neither parents nor hidden files, symbolic links, folders or pipes."""
    folder = root / result_folder("acme", "films", "metropolis")
    for secret in (root.parent / "secret.txt", root / "secret.txt"):
        secret.write_bytes(b"secret")
    put(root, ".hidden.mp4")
    put(root, ".hidden/a.mp4")
    put(root, "a.mp4", b"secret", tenant="globex")
    (folder / "link.mp4").symlink_to(root.parent / "secret.txt")
    (folder / "linked").symlink_to(root / result_folder("globex", "films", "metropolis"))
    (folder.parent / "linked").symlink_to(root / result_folder("globex", "films", "metropolis"))
    os.mkfifo(folder / "pipe.mp4")
    # httpx would resolve dots itself.
    with closing(HTTPConnection(hub.base_url.removeprefix("http://"))) as connection:
        connection.request("GET", f"/results/{path}", headers=bearer())
        answer = connection.getresponse()
        body = answer.read()
    assert answer.status == 404, body
    assert json.loads(body)["error"]["code"] == "not_found"


def test_names_with_slashes_have_folders_of_their_own(hub: LiveHub, root: Path) -> None:
    """The channel `a` with a content `b/c` is another than `a/b` with `c`: neither reads the other's results."""
    for channel, content in (("a", "b/c"), ("a/b", "c")):
        path = root / result_folder("acme", channel, content) / "x.txt"
        path.parent.mkdir(parents=True)
        path.write_text(channel)
    for channel, content in (("a", "b/c"), ("a/b", "c")):
        address = f"{result_path(channel, content)}/x.txt"
        assert get(hub, address, **bearer(read=[channel])).text == channel
        other = "a/b" if channel == "a" else "a"
        assert get(hub, address, **bearer(read=[other])).status_code == 403


@pytest.mark.parametrize("name", ["films", "a/b", "50%", "a%2Fb", ".hidden", "..", "ü ß", "a\\b", "x" * 128])
def test_a_folder_says_its_name(name: str) -> None:
    """It is one path segment, never hidden, and stands for exactly one name."""
    folder = folder_name(name)
    assert name_of(folder) == name
    assert "/" not in folder
    assert not folder.startswith(".")


@pytest.mark.parametrize("folder", ["a%2fb", "%61", "%", ".a", "a/b", "a%zz"])
def test_a_folder_of_no_name_is_refused(folder: str) -> None:
    """Another spelling of a folder is none: a name has one."""
    with pytest.raises(Invalid):
        name_of(folder)


def test_without_a_folder_nothing_is_served() -> None:
    """The error says which setting is missing."""
    with live_hub() as hub:
        answer = httpx.get(f"{hub.base_url}/results/films/metropolis/a.mp4")
    assert answer.status_code == 404
    assert "--results-dir" in answer.json()["error"]["message"]


def test_a_missing_folder_is_created(tmp_path: Path) -> None:
    """A worker that makes the first result finds it."""
    with live_hub(results_dir=str(tmp_path / "new")) as hub:
        assert (tmp_path / "new").is_dir()
        put(tmp_path / "new", "a.mp4", tenant="default")
        assert httpx.get(f"{hub.base_url}/results/films/metropolis/a.mp4").content == MOVIE
