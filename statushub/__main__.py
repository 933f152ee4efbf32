"""The command `statushub`, also run by `python -m statushub`."""

from __future__ import annotations

import sys
from typing import Final

from statushub.extras import MissingExtra, required

# httpx imports a command line of its own wherever click and rich are installed, which would be a fifth of the time that
# a command takes. It goes on without one that cannot be imported.
ABSENT: Final = "httpx._main"


def main() -> None:
    """Run the command line of this process, and exit with its code."""
    sys.modules[ABSENT] = None  # type: ignore[assignment]  # what `import` takes as "not there"
    try:
        with required("the command line"):
            from statushub.hub import cli
    except MissingExtra as error:
        sys.exit(f"statushub: {error}; 'statushub[server]' also runs a hub")
    cli.main()


if __name__ == "__main__":
    main()
