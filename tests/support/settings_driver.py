"""Runs `statushub serve` once for each case, in one process: reads a JSON list of cases from stdin, and writes one of
outcomes to stdout.

A case has `arguments` and `environ`; an outcome has the exit `code` and what went to `stderr`. Each case runs in a
process of its own, forked once everything is imported, and ends after `SECONDS` at the latest.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from typing import Any

import uvloop  # noqa: F401

from statushub.hub import server  # noqa: F401
from statushub.hub.brokers.redis import broker as redis_broker  # noqa: F401
from statushub.hub.brokers.sqlite import broker as sqlite_broker  # noqa: F401
from statushub.hub.cli import run

SECONDS = 60


def outcome(case: dict[str, Any]) -> dict[str, Any]:
    """Run one case. A hub that starts to serve is ended by a signal, and so has a negative code."""
    with tempfile.TemporaryFile() as written:
        child = os.fork()
        if child == 0:
            signal.alarm(SECONDS)
            os.dup2(written.fileno(), 2)
            os.environ.update(case["environ"])
            os._exit(run(["serve", *case["arguments"]]))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        written.seek(0)
        return {"code": code, "stderr": written.read().decode(errors="replace")}


if __name__ == "__main__":
    json.dump([outcome(case) for case in json.load(sys.stdin)], sys.stdout)
