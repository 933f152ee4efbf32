"""The processes in which an encoder reads its sources."""

from __future__ import annotations

from pathlib import Path
from typing import Final

MODULE: Final = b"statushub.producers.encode.child"


def encode_processes(parent: int) -> list[int]:
    """The processes that read sources for the process `parent`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields, command = _fields(path), (path.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == parent and MODULE in command:
            found.append(int(path.parent.name))
    return found


def alive(process: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return _fields(Path(f"/proc/{process}/stat"))[0] != "Z"
    except OSError:
        return False


def _fields(stat: Path) -> list[str]:
    """State, parent and the further fields of proc_pid_stat(5)."""
    return stat.read_text().rpartition(")")[2].split()
