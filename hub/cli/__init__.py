"""The command line, `statushub`. Each command has a module, which is imported when the command is asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Final

import click

from statushub.extras import MissingExtra, required
from statushub.hub import __version__
from statushub.hub.cli.failure import INTERRUPTED, TROUBLE, USAGE, Failure
from statushub.hub.cli.terminal import echo, tolerate
from statushub.hub.model.errors import StatushubError

USAGE_CODES: Final = frozenset(
    {"config", "denied", "forbidden", "invalid", "malformed", "not_found", "too_large", "unauthorized"}
)
"""Codes of the errors that the caller has to fix, and for which a retry is useless."""

EPILOG: Final = """\b
Examples:
  statushub demo
  statushub serve --broker redis://localhost:6379/0 --workers 4
  statushub publish encodes clip-15 generating --progress 40
  statushub watch encodes
  statushub encode clip.mp4 --destination /srv/video/clip
  statushub generate article.html
  statushub check
"""


HELP_COLUMNS: Final = 100
"""Widest help, in a terminal that has room: at click's 80 the options of `serve` wrap three times."""


class Commands(Mapping[str, click.Command]):
    """The commands by their names, each imported when it is asked for: a script that publishes pays for one of them."""

    NAMES: Final = (
        "bridge",
        "cancel",
        "check",
        "demo",
        "encode",
        "feed",
        "generate",
        "get",
        "ls",
        "publish",
        "remove",
        "revoke",
        "serve",
        "source",
        "token",
        "watch",
        "worker",
    )

    MODULES: Final = {"feed": "feed_import"}
    """Of commands whose module has another name."""

    def __getitem__(self, name: str) -> click.Command:
        if name not in self.NAMES:
            raise KeyError(name)
        module = import_module(f"{__name__}.{self.MODULES.get(name, name)}")
        command: click.Command = getattr(module, name)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(self.NAMES)

    def __len__(self) -> int:
        return len(self.NAMES)


@click.group(
    commands=Commands(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": HELP_COLUMNS},
    epilog=EPILOG,
)
@click.version_option(__version__, message="statushub %(version)s")
def cli() -> None:
    """A real-time status hub: workers publish, browsers see it the moment it changes.

    Start with `statushub demo`.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line, by default that of the process, and end the process with its exit code."""
    tolerate()
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code. An error is one line on stderr."""
    try:
        with required("this command"):
            code = cli.main(list(arguments), prog_name="statushub", standalone_mode=False, obj=os.environ)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except click.Abort:
        return INTERRUPTED
    except Failure as error:
        return _report(error.message, error.code)
    except click.ClickException as error:
        return _report(error.format_message(), error.exit_code, _hint(error))
    except StatushubError as error:
        return _report(error.message, USAGE if error.code in USAGE_CODES else TROUBLE)
    except (MissingExtra, OSError) as error:
        return _report(str(error), TROUBLE)
    return code if isinstance(code, int) else 0


def _report(message: str, code: int, hint: str = "") -> int:
    echo(f"statushub: {' '.join(message.split())}{hint}", err=True)
    return code


def _hint(error: click.ClickException) -> str:
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f" Try '{error.ctx.command_path} --help'."
    return ""
