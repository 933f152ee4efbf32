"""The errors of an installation in which an extra is missing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest

from statushub.extras import EXTRAS

WITHOUT = """
import runpy, sys
for module in {missing!r}:
    sys.modules[module] = None
{code}
"""


def without(missing: Sequence[str], code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process in which these modules are not installed."""
    script = WITHOUT.format(missing=list(missing), code=code)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)


def statushub(*arguments: str) -> str:
    """Code that runs a command line."""
    return f"sys.argv = {['statushub', *arguments]!r}; runpy.run_module('statushub', run_name='__main__')"


@pytest.mark.parametrize(
    ("missing", "code", "message"),
    [
        (
            ["click"],
            statushub("serve"),
            "statushub: the command line needs click, which is not installed: pip install 'statushub[cli]';"
            " 'statushub[server]' also runs a hub",
        ),
        (
            ["starlette"],
            statushub("serve"),
            "statushub: this command needs starlette, which is not installed: pip install 'statushub[server]'",
        ),
        (
            ["av"],
            statushub("encode", "clip.mp4"),
            "statushub: statushub.encode needs av, which is not installed: pip install 'statushub[encode]'",
        ),
        (
            ["pypdf"],
            statushub("generate", "a.txt"),
            "statushub: statushub.generate needs pypdf, which is not installed: pip install 'statushub[generate]'",
        ),
        (
            ["jwt"],
            statushub("token", "--read", "**"),
            "statushub: this command needs jwt, which is not installed: pip install 'statushub[server]'",
        ),
        (
            ["sqlalchemy"],
            statushub("serve", "--source", "sqlite:///team.db"),
            "statushub: the source needs sqlalchemy, which is not installed: pip install 'statushub[sql]'",
        ),
        (
            ["asyncpg"],
            statushub("serve", "--source", "postgresql://localhost/team"),
            "statushub: the source needs asyncpg, which is not installed: pip install 'statushub[sql]'",
        ),
    ],
    ids=["no command line", "no server", "no encoder", "no generator", "no tokens", "no record", "no driver"],
)
def test_a_command_says_which_extra_is_missing(missing: list[str], code: str, message: str) -> None:
    """The command prints one line on stderr and ends with exit code 1."""
    ended = without(missing, code)
    assert (ended.stderr, ended.stdout, ended.returncode) == (f"{message}\n", "", 1)


def test_a_setting_says_which_extra_it_needs() -> None:
    """The line names the setting, and the exit code is that of settings that cannot work."""
    ended = without(["opentelemetry"], statushub("serve", "--tracing", "--port", "0", "--broker", "memory:"))
    message = (
        "statushub: --tracing (STATUSHUB_TRACING): tracing needs opentelemetry, which is not installed: "
        "pip install 'statushub[otel]'"
    )
    assert (ended.stderr, ended.stdout, ended.returncode) == (f"{message}\n", "", 2)


def test_a_hub_that_does_not_trace_imports_nothing_for_it() -> None:
    """It starts where OpenTelemetry is missing."""
    ended = without(
        ["opentelemetry"], "from statushub.hub import app, server\nprint('opentelemetry.sdk' in sys.modules)"
    )
    assert (ended.stderr, ended.stdout, ended.returncode) == ("", "False\n", 0)


@pytest.mark.parametrize(
    ("missing", "code", "message"),
    [
        (
            ["starlette"],
            "from statushub import create_app",
            "statushub.create_app needs starlette, which is not installed: pip install 'statushub[server]'",
        ),
        (
            ["av"],
            "import statushub.encode",
            "statushub.encode needs av, which is not installed: pip install 'statushub[encode]'",
        ),
        (
            ["sentencex"],
            "import statushub.generate",
            "statushub.generate needs sentencex, which is not installed: pip install 'statushub[generate]'",
        ),
        (
            ["openai"],
            "import statushub.generate, statushub.producers.generate.model",
            "statushub.generate needs openai, which is not installed: pip install 'statushub[generate]'",
        ),
    ],
)
def test_an_import_says_which_extra_is_missing(missing: list[str], code: str, message: str) -> None:
    """The error is the last line of the traceback."""
    ended = without(missing, code)
    assert ended.stderr.splitlines()[-1] == f"statushub.extras.MissingExtra: {message}"


def test_publishing_commands_need_no_server() -> None:
    """`publish` runs with the extra `cli`: it fails only because no hub listens."""
    missing = [module for module, extra in EXTRAS.items() if extra != "cli"]
    ended = without(missing, statushub("publish", "ch", "c", "processing", "--hub", "http://127.0.0.1:9"))
    assert ended.stderr.startswith("statushub: http://127.0.0.1:9"), ended.stderr
    assert ended.returncode == 1
