"""The command line, `statushub`. Each command has a module, which imports slow dependencies only when it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from statushub.extras import MissingExtra, required
from statushub.hub import __version__
from statushub.hub.cli.bridge import bridge
from statushub.hub.cli.cancel import cancel
from statushub.hub.cli.check import check
from statushub.hub.cli.demo import demo
from statushub.hub.cli.encode import encode
from statushub.hub.cli.failure import INTERRUPTED, TROUBLE, USAGE, Failure
from statushub.hub.cli.feed_import import feed
from statushub.hub.cli.generate import generate
from statushub.hub.cli.get import get
from statushub.hub.cli.ls import ls
from statushub.hub.cli.publish import publish
from statushub.hub.cli.remove import remove
from statushub.hub.cli.revoke import revoke
from statushub.hub.cli.serve import serve
from statushub.hub.cli.source import source
from statushub.hub.cli.terminal import echo, tolerate
from statushub.hub.cli.token import token
from statushub.hub.cli.watch import watch
from statushub.hub.cli.worker import worker
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


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": HELP_COLUMNS}, epilog=EPILOG)
@click.version_option(__version__, message="statushub %(version)s")
def cli() -> None:
    """A real-time status hub: workers publish, browsers see it the moment it changes.

    Start with `statushub demo`.
    """


for _command in (
    demo,
    serve,
    publish,
    watch,
    get,
    ls,
    cancel,
    remove,
    encode,
    generate,
    token,
    revoke,
    check,
    bridge,
    source,
    feed,
    worker,
):
    cli.add_command(_command)


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
