"""The access log of answers that uvicorn does not write itself."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.utils import get_client_addr, get_path_with_query_string

logger = logging.getLogger("uvicorn.access")


def log_answer(scope: Any, status: HTTPStatus) -> None:
    """Log the answer to this request as uvicorn logs those that it writes."""
    if logger.hasHandlers():
        logger.info(
            '%s - "%s %s HTTP/%s" %d',
            get_client_addr(scope),
            scope["method"],
            get_path_with_query_string(scope),
            scope["http_version"],
            status,
        )
