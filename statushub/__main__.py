"""The command `statushub`, also run by `python -m statushub`."""

from __future__ import annotations

import sys

from statushub.extras import MissingExtra, required


def main() -> None:
    """Run the command line of this process, and exit with its code."""
    try:
        with required("the command line"):
            from statushub.hub import cli
    except MissingExtra as error:
        sys.exit(f"statushub: {error}; 'statushub[server]' also runs a hub")
    cli.main()


if __name__ == "__main__":
    main()
