"""`statushub generate`: summarize a text, answer questions about it, and publish each piece."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from statushub.hub.cli.encode import cancel_on_signals, default_name
from statushub.hub.cli.failure import INTERRUPTED, TERMINATED, cancelled
from statushub.hub.cli.number import WholeNumber
from statushub.hub.cli.refusal import refused
from statushub.hub.cli.target import producer, target_options
from statushub.hub.cli.terminal import echo, printable

if TYPE_CHECKING:
    from statushub.hub.model.receipt import Refusal
    from statushub.producers.generate import Options, Result

RATE: Final = 2.0
"""States a second: each has the whole summary so far."""

BASE_URL: Final = "OPENAI_BASE_URL"
"""The variable with a server's address, as the client knows it."""

EPILOG: Final = """\b
Examples:
  statushub generate article.html
  statushub generate https://example.com/report.pdf --base-url http://127.0.0.1:11434/v1 --model llama3.2
  OPENAI_API_KEY=… statushub generate notes.txt --model gpt-5-mini

Prints the summary and the answers. The key is read from OPENAI_API_KEY only. Without --model and --base-url sentences
of the text are chosen on this machine. Exit codes:
  1  there is no answer
  2  the command line is invalid
  4  the answer is printed, and the hub refused its status, such as for an id of another channel
"""


@click.command(epilog=EPILOG, short_help="Summarize a text and publish the summary as it grows.")
@click.argument("source")
@click.option("--channel", default="drafts", show_default=True, help="Channel to publish on.")
@click.option("--content-id", metavar="ID", help="Content id of the text; by default made from SOURCE.")
@click.option("--model", metavar="NAME", help="Name of the model.  [default: the first that the server has]")
@click.option(
    "--base-url",
    metavar="URL",
    envvar=BASE_URL,
    help=f"Address of a server with OpenAI's API, such as Ollama, vLLM or llama.cpp.  [env var: {BASE_URL}]",
)
@click.option("--questions", type=WholeNumber(), default=3, show_default=True, help="Number of questions, 0 to 20.")
@click.option(
    "--redirect-host",
    "redirect_hosts",
    multiple=True,
    metavar="HOST",
    help="Another host to which SOURCE may redirect, such as *.example.com; may be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="Print summary and qa_list as one line of JSON.")
@target_options
@click.pass_context
def generate(
    context: click.Context,
    /,
    source: str,
    channel: str,
    content_id: str | None,
    as_json: bool,
    hub: str | None,
    broker: str | None,
    tenant: str | None,
    token: str | None,
    **chosen: Any,
) -> None:
    """Summarize SOURCE, a text, HTML or PDF file or an http(s) URL of one, and publish each piece."""
    from statushub.producers.generate import Options

    options = Options(**{**chosen, "base_url": chosen["base_url"] or None, "model": chosen["model"] or None})
    target = {"hub": hub, "broker": broker, "tenant": tenant, "token": token}
    job = {"source": source, "channel": channel, "content_id": content_id or default_name(source, "text")}
    code, result, refusal = asyncio.run(_until_signalled(target, job, options))
    if result is not None:
        _show(result, as_json=as_json)
    if refusal is not None:
        raise refused(refusal, channel, job["content_id"])
    context.exit(code)


def require_generator() -> None:
    """Raise `MissingExtra`, which says what to install, where texts cannot be summarized."""
    importlib.import_module("statushub.producers.generate")


async def _until_signalled(
    target: Mapping[str, Any], job: dict[str, Any], options: Options
) -> tuple[int, Result | None, Refusal | None]:
    """Generate, and return the exit code, the result, and why the hub refused the status, if it did.

    A signal cancels the work, which publishes that it was cancelled.
    """
    import anyio

    from statushub.hub.cli.work_view import WorkView
    from statushub.producers.cancelled import Cancelled
    from statushub.producers.generate import generate

    signals: list[int] = []
    with anyio.CancelScope() as scope, WorkView() as view:
        cancel_on_signals(scope, signals)
        async with producer(**target, rate=RATE) as publisher:
            try:
                result = await generate(**job, producer=view.observe(publisher), options=options)
            except Cancelled as error:
                raise cancelled(error.message, error.request) from error
    if scope.cancelled_caught:
        return INTERRUPTED if signal.SIGINT in signals else TERMINATED, None, None
    return 0, result, view.refused


def _show(result: Result, *, as_json: bool) -> None:
    pairs = [{"question": each.question, "answer": each.answer} for each in result.qa_list]
    if as_json:
        echo(json.dumps({"summary": result.summary, "qa_list": pairs}, ensure_ascii=False))
        return
    echo(_lines(result.summary))
    for pair in pairs:
        echo(f"{os.linesep}{_lines(pair['question'])}{os.linesep}{_lines(pair['answer'])}")


def _lines(text: str) -> str:
    """`text` with its lines, and without control characters."""
    return "\n".join(printable(line) for line in text.split("\n"))
