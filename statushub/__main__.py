"""`python -m statushub` is `statushub`."""

from __future__ import annotations

from statushub.hub.cli import main

if __name__ == "__main__":
    main()
