"""Certificates for servers with TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any


def certificate(folder: Path) -> dict[str, Any]:
    """uvicorn's settings for TLS with a new certificate for `localhost`, which is its own authority."""
    key, file = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    options = ["-keyout", str(key), "-out", str(file), "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*command, *options], check=True, capture_output=True)
    return {"ssl_keyfile": key, "ssl_certfile": file}
