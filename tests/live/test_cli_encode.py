"""`statushub encode`: real encodes of short clips."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, Popen, run

import httpx
import pytest

from statushub.hub.cli.encode import default_name
from tests.support.command import command, ended, environment, line_with, read_terminal, started
from tests.support.live import live_hub
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer

SAMPLE = ("encode", "--sample", "1", "--preset", "ultrafast", "--threads", "1")


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    """A hub for all tests; each uses its own channel."""
    with live_hub() as live:
        yield live.base_url


def test_an_encode_is_published_and_its_playlist_printed(hub: str, tmp_path: Path) -> None:
    """stdout is the playlist's path, stderr shows the steps, and the hub has the final state."""
    result = command(*SAMPLE, "--hub", hub, "--destination", "out", "--content-id", "clip", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, "out/master.m3u8\n")
    assert (tmp_path / "out/master.m3u8").read_text().startswith("#EXTM3U")
    assert re.search(r"^ +7% transcoding$", result.stderr, re.MULTILINE)
    [content] = httpx.get(f"{hub}/api/contents/encodes").json()["contents"]
    assert (content["content_id"], content["status"], content["hls_path"]) == ("clip", "complete", "out/master.m3u8")


def test_the_default_destination_is_named_after_the_content(hub: str, tmp_path: Path) -> None:
    """The destination is a folder in encodes/."""
    result = command(*SAMPLE, "--hub", hub, "--channel", "named", cwd=tmp_path)
    name = re.fullmatch(r"encodes/(sample-[0-9a-f]{8})/master\.m3u8\n", result.stdout)
    assert name
    [content] = httpx.get(f"{hub}/api/contents/named").json()["contents"]
    assert content["content_id"] == name[1]


def test_a_terminal_shows_a_bar(hub: str, tmp_path: Path) -> None:
    """The bar is on stderr, so that stdout has only the playlist's path."""
    ours, theirs = pty.openpty()
    arguments = [sys.executable, "-m", "statushub", *SAMPLE, "--hub", hub, "--channel", "bar"]
    with Popen(arguments, cwd=tmp_path, env=environment({"TERM": "xterm"}), stdout=PIPE, stderr=theirs) as process:
        os.close(theirs)
        seen = read_terminal(ours)
        out, _ = process.communicate(timeout=20)
    os.close(ours)
    assert out.endswith(b"/master.m3u8\n")
    assert "sample.mp4" in seen
    assert "━" in seen


@pytest.mark.parametrize("by", ["flag", "variable"])
def test_an_encode_into_a_hub_s_results_is_served(by: str, tmp_path: Path) -> None:
    """The published path is that below the hub's results, and every file that it names is there."""
    arguments = ("--results-dir", "results") if by == "flag" else ()
    env = {} if by == "flag" else {"STATUSHUB_RESULTS_DIR": "results"}
    with live_hub(results_dir=str(tmp_path / "results")) as live:
        options = ("--hub", live.base_url, "--channel", "a/b", "--content-id", "50% done", *arguments)
        result = command(*SAMPLE, *options, cwd=tmp_path, env=env)
        assert result.returncode == 0, result.stderr
        assert (tmp_path / result.stdout.strip()).is_file()
        [content] = httpx.get(f"{live.base_url}/api/contents/a%2Fb").json()["contents"]
        address = httpx.URL(f"{live.base_url}/results/").join(content["hls_path"])
        master = httpx.get(address).raise_for_status()
        playlist = httpx.get(address.join(master.text.split()[-1])).raise_for_status()
        segment = httpx.get(playlist.url.join(playlist.text.split()[-2])).raise_for_status()
        assert segment.headers["content-type"] == "video/iso.segment"
        assert httpx.get(address.join("poster.jpg")).headers["content-type"] == "image/jpeg"


@pytest.mark.redis
def test_an_encode_publishes_straight_to_redis(redis_server: RedisServer, tmp_path: Path) -> None:
    """With --broker no hub is needed; any hub on that Redis shows the final state."""
    result = command(*SAMPLE, "--broker", redis_server.url, "--channel", "cli-encode", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    with live_hub(redis_server.url) as live:
        [content] = httpx.get(f"{live.base_url}/api/contents/cli-encode").json()["contents"]
    assert content["status"] == "complete"


def test_an_unreachable_hub_does_not_stop_an_encode(tmp_path: Path) -> None:
    """A warning is printed, and the video is written."""
    url = f"http://127.0.0.1:{free_port()}"
    result = command(*SAMPLE, "--hub", url, "--destination", "out", cwd=tmp_path)
    assert result.returncode == 0
    assert (tmp_path / "out/master.m3u8").is_file()
    assert f"statushub: {url} cannot be reached" in result.stderr
    assert all(line.startswith((" ", "Generating", "100%", "statushub: ")) for line in result.stderr.splitlines())
    assert "Traceback" not in result.stderr


def test_an_id_of_another_channel_ends_with_4(hub: str, tmp_path: Path) -> None:
    """The video is written and its path printed; a line names both channels."""
    event = {"channel": "taken", "content_id": "shared", "data": {"status": "generating"}}
    httpx.post(f"{hub}/api/publish", json=event).raise_for_status()
    arguments = ("--hub", hub, "--channel", "mine", "--content-id", "shared", "--destination", "out")
    result = command(*SAMPLE, *arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (4, "out/master.m3u8\n")
    assert (tmp_path / "out/master.m3u8").is_file()
    assert re.search(r"belongs to channel 'taken', .* in channel 'mine': give it another id", result.stderr)
    assert result.stderr.splitlines()[-1].startswith("statushub: refused, wrong_channel: ")


def test_a_failed_encode_is_one_line(hub: str, tmp_path: Path) -> None:
    """The exit code is 1, and the last line and the hub have the reason."""
    result = command("encode", "gone.mp4", "--hub", hub, "--channel", "failed", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1] == "statushub: gone.mp4 does not exist."
    [content] = httpx.get(f"{hub}/api/contents/failed").json()["contents"]
    assert (content["status"], content["error_code"]) == ("error", "source_not_found")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_cancelled_encode_is_published(number: int, code: int, hub: str, tmp_path: Path) -> None:
    """The hub has the final state when the command ends, and only the destination's folder is left."""
    channel = f"stopped-{code}"
    arguments = ("encode", "--sample", 6, "--preset", "slower", "--hub", hub, "--channel", channel)
    with started(*arguments, cwd=tmp_path, env={"TMPDIR": str(tmp_path)}) as process:
        line_with(process, "transcoding", of="stderr")
        assert ended(process, number)[0] == code
    [content] = httpx.get(f"{hub}/api/contents/{channel}").json()["contents"]
    assert (content["status"], content["error_code"]) == ("error", "cancelled")
    assert [path.name for path in tmp_path.iterdir()] == ["encodes"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give either a SOURCE or --sample SECONDS"),
        (("clip.mp4", "--sample", "1"), "give either a SOURCE or --sample SECONDS"),
        (("clip.mp4", "--preset", "quick"), "preset must be one of"),
        (("clip.mp4", "--crf", "99"), "crf must be from 0 to 51"),
        (("clip.mp4", "--broker", "memory:"), "belongs to its hub"),
        (("clip.mp4", "--public-url", "nope"), "'nope' is neither a URL"),
        (("clip.mp4", "--public-url", "//cdn.example.com"), "neither a URL"),
        (("clip.mp4", "--public-url", "https:///videos"), "neither a URL"),
    ],
)
def test_an_invalid_encode_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    """The exit code is 2."""
    result = command("encode", *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["encode", "demo"])
def test_a_missing_encoder_says_what_to_install(name: str) -> None:
    """The error is one line and names the extra `encode`."""
    program = f"import sys; sys.modules['av'] = None; import hub.cli; hub.cli.main({json.dumps([name])})"
    result = run([sys.executable, "-c", program], capture_output=True, text=True, env=environment(), check=False)
    assert result.returncode == 1
    assert re.fullmatch(r"statushub: [^\n]*pip install 'statushub\[encode\]'[^\n]*\n", result.stderr)


def test_sources_of_one_name_are_different_contents(tmp_path: Path) -> None:
    """The id has the name and a hash of the location, and is valid for any name."""
    one, two = (
        default_name(str(tmp_path / "a" / "my * clip?.mp4")),
        default_name(str(tmp_path / "b" / "my * clip?.mp4")),
    )
    assert re.fullmatch(r"my-clip-[0-9a-f]{8}", one)
    assert one != two
    assert default_name(str(tmp_path / "a" / "my * clip?.mp4")) == one
    assert default_name("https://example.com/%2A?x=1").startswith("video-")
