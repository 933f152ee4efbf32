"""The command `statushub`, which is `python -m statushub`, too."""

from __future__ import annotations

import sys

from statushub.extras import MissingExtra, required


def main() -> None:
    """Run the process's command line, and end the process with its exit code."""
    try:
        with required("the command line"):
            from statushub.hub import cli
    except MissingExtra as error:
        sys.exit(f"statushub: {error}; 'statushub[server]' also runs a hub")
    cli.main()


if __name__ == "__main__":
    main()
