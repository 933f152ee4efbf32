"""Real database servers on free ports, in folders of their own: PostgreSQL and MariaDB as Debian has them.

Neither runs as root. Where the tests do, the servers run as a user without privileges.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tests.support.ports import free_port, wait_for_port
from tests.support.waiting import eventually

INIT_SECONDS: Final = 120.0
"""For a database to be made, on a machine that is busy with other tests."""

USER: Final = "nobody"
"""The user of the servers where the tests run as root."""

POSTGRES: Final = "/usr/lib/postgresql"
"""Where Debian has the programs of each version, which are not on the path."""


class DatabaseServer:
    """A database server; it can be killed, stopped, paused and started again."""

    def __init__(self, folder: Path) -> None:
        """`folder` is empty, and belongs to the user of the server."""
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address for `--source`."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Make the database."""
        raise NotImplementedError

    def command(self) -> Sequence[str]:
        """The server's command line."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the server, and wait until it accepts connections."""
        with (self.folder / "stderr").open("ab") as errors:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                **_identity(),
            )
        wait_for_port(self.port, self.process, within=INIT_SECONDS)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End every connection, and the server in order."""
        self._end(signal.SIGINT)

    def pause(self) -> None:
        """Send SIGSTOP to all of its processes: connections are accepted by the kernel, and not answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Send SIGCONT to them."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self.process:
            # The children after it: it makes no others then.
            self.process.send_signal(number)
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(child), number)

    def _end(self, number: signal.Signals) -> None:
        if self.process:
            self.resume()
            self.process.send_signal(number)
            self.process.wait(INIT_SECONDS)
            self.process = None

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command,
            cwd=self.folder,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=INIT_SECONDS,
            **_identity(),
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")


class PostgresServer(DatabaseServer):
    """A PostgreSQL."""

    @property
    def url(self) -> str:
        return f"postgresql+asyncpg://hub:secret@127.0.0.1:{self.port}/postgres"

    def prepare(self) -> None:
        password = self.folder / "password"
        password.write_text("secret")
        password.chmod(0o644)
        self._run(
            *(_postgres("initdb"), "--pgdata", str(self.folder / "data"), "--username", "hub", "--no-sync"),
            *("--pwfile", str(password), "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"),
        )

    def command(self) -> Sequence[str]:
        return [
            *(_postgres("postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), "-h", "127.0.0.1"),
            *("-k", str(self.folder), "-c", "fsync=off", "-c", "shared_buffers=64MB", "-c", "max_connections=60"),
            *("-c", "timezone=UTC"),
        ]

    def start(self) -> None:
        super().start()
        # It listens before it has recovered.
        asked = [_postgres("pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-q"]
        eventually(lambda: subprocess.run(asked, check=False).returncode == 0, within=INIT_SECONDS)

    def kill(self) -> None:
        # As a crash for its clients and its data; a killed postmaster would leave processes that hold the memory.
        self._end(signal.SIGQUIT)


class MariadbServer(DatabaseServer):
    """A MariaDB."""

    @property
    def url(self) -> str:
        return f"mariadb+asyncmy://hub:secret@127.0.0.1:{self.port}/statushub"

    @property
    def _setup(self) -> Path:
        """What every start executes: no client can log in before it."""
        return self.folder / "setup.sql"

    def prepare(self) -> None:
        self._setup.write_text(
            "CREATE DATABASE IF NOT EXISTS statushub CHARACTER SET utf8mb4;\n"
            "CREATE USER IF NOT EXISTS hub@'%' IDENTIFIED BY 'secret';\n"
            "GRANT ALL ON statushub.* TO hub@'%';\n"
            "CREATE USER IF NOT EXISTS reader@'%' IDENTIFIED BY 'secret';\n"
            "GRANT SELECT ON statushub.* TO reader@'%';\n"
        )
        self._setup.chmod(0o644)
        self._run(
            *("mariadb-install-db", "--no-defaults", f"--datadir={self.folder / 'data'}", "--skip-test-db"),
            "--auth-root-authentication-method=normal",
        )

    def command(self) -> Sequence[str]:
        # Each commit is with the kernel (2), and so outlives a kill; with 0 it stays in the process for a second.
        return [
            *("/usr/sbin/mariadbd", "--no-defaults", f"--datadir={self.folder / 'data'}", f"--port={self.port}"),
            *("--bind-address=127.0.0.1", f"--socket={self.folder / 'socket'}", "--skip-log-bin"),
            *(f"--pid-file={self.folder / 'pid'}", "--innodb-flush-log-at-trx-commit=2", "--skip-name-resolve"),
            *("--innodb-buffer-pool-size=64M", f"--init-file={self._setup}"),
        ]

    def stop(self) -> None:
        self._end(signal.SIGTERM)


@contextlib.contextmanager
def running_database(kind: type[DatabaseServer]) -> Iterator[DatabaseServer]:
    """A server for the block."""
    # Below pytest's folder, which only root may enter, its user could not get to it.
    folder = Path(tempfile.mkdtemp(prefix="statushub-db-"))
    try:
        if identity := _identity():
            os.chown(folder, identity["user"], identity["group"])
        server = kind(folder)
        server.prepare()
        server.start()
        try:
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _identity() -> dict[str, Any]:
    """As whom a server runs, where it is not the user of the tests."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(USER)
    return {"user": user.pw_uid, "group": user.pw_gid}


def _postgres(program: str) -> str:
    found = sorted(Path(POSTGRES).glob(f"*/bin/{program}"), key=lambda path: int(path.parts[-3]))
    return str(found[-1]) if found else program
