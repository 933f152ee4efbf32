"""The certificates and keys that a URL of a Redis names: unusable ones are found before the first connection, which
would be tried again and again."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from statushub.hub.model.errors import ConfigError


def check_tls(options: Mapping[str, Any]) -> None:
    """Read the files that redis-py's options name. Raises `ConfigError` where one cannot be used."""
    authorities = options.get("ssl_ca_certs"), options.get("ssl_ca_path")
    chain = options.get("ssl_certfile"), options.get("ssl_keyfile")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    named = ""
    try:
        if any(authorities):
            named = repr(authorities[0] or authorities[1])
            context.load_verify_locations(*authorities)
        if any(chain):
            named = repr(chain[0] or chain[1])
            # Without a password OpenSSL would ask for one.
            context.load_cert_chain(chain[0] or "", chain[1], password=options.get("ssl_password") or "")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"broker names {named}, which cannot be used for TLS: {reason}", field="broker") from error
