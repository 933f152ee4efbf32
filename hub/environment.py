"""Reads the settings from the environment, and checks the rules between them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from statushub.hub.config import SECRET_BYTES, Config
from statushub.hub.model.addresses import is_loopback
from statushub.hub.model.document_source import document_categories, document_headers
from statushub.hub.model.errors import ConfigError
from statushub.hub.model.record_names import record_names
from statushub.hub.model.spelling import closest
from statushub.hub.model.variables import PREFIX, PRODUCER_VARIABLES
from statushub.hub.model.video_steps import video_steps
from statushub.hub.model.video_tenants import video_tenants
from statushub.hub.settings import SETTINGS, Setting

SECRET_BYTES_MAX: Final = 64 * 1024
"""Most of a secret's file that is read: it may be the wrong one."""

_SERVICE_LINK = re.compile(
    r"\w+_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS = re.compile(r"(?:tcp|udp|sctp)://.+:\d+")


def load(environ: Mapping[str, str], **overrides: Any) -> Config:
    """The settings: `overrides` by their names, which are the command line's, before the variables of `environ`.

    An override that is None counts as not given; a variable that is overridden, or that is not of a setting, is not
    read (`unknown_variables`). Raises `ConfigError`, whose `field` is the name of the setting that is invalid or in
    conflict with another.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    values = {name: _checked(name, value) for name, value in given.items()}
    for variable, text in environ.items():
        setting = _setting(variable)
        if setting is not None and setting.name not in given and not _is_service_link(variable, text):
            values[setting.name] = _parsed(setting, text, variable)
    if values.get("secret_file"):
        values["secret"] = _secret(values)
    config = Config(**values)
    _check_exposure(config)
    _check_keys(config)
    _check_secrets(config)
    _check_workers(config)
    _check_results(config)
    _check_videos(config)
    _check_record(config)
    _check_documents(config)
    _check_feed(config)
    return config


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """A sentence for each variable that looks like a setting and is none, with the setting that it is most like."""
    names = {variable.removeprefix(PREFIX).lower(): variable for variable in PRODUCER_VARIABLES}
    names |= {name: setting.variable for name, setting in SETTINGS.items()}
    sentences = []
    for variable, text in environ.items():
        name = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX) and name not in names and not _is_service_link(variable, text):
            # Compared without the prefix, which would make every name similar.
            close = closest(name, names)
            hint = "" if close is None else f" Did you mean {names[close]}?"
            sentences.append(f"{variable} is not a setting, and is ignored.{hint}")
    return sentences


def _setting(variable: str) -> Setting | None:
    return SETTINGS.get(variable.removeprefix(PREFIX).lower()) if variable.startswith(PREFIX) else None


def _is_service_link(variable: str, text: str) -> bool:
    """Whether Kubernetes has set it for a Service named `statushub`, or one whose name begins so.

    It sets STATUSHUB_PORT, too, to an address, which no port is.
    """
    is_address = variable.endswith("_PORT") and _SERVICE_ADDRESS.fullmatch(text) is not None
    return is_address or _SERVICE_LINK.fullmatch(variable) is not None


def _parsed(setting: Setting, text: str, variable: str) -> Any:
    try:
        return setting.parse(text)
    except ValueError as error:
        raise ConfigError(f"{variable} is invalid: {error}", field=setting.name) from error


def _checked(name: str, value: object) -> Any:
    if name not in SETTINGS:
        raise ConfigError(f"{name!r} is not a setting", field=name)
    setting = SETTINGS[name]
    try:
        return setting.check(value)
    except ValueError as error:
        raise ConfigError(f"{setting.flag or setting.variable} is invalid: {error}", field=name) from error


def _secret(values: Mapping[str, Any]) -> str:
    label = SETTINGS["secret_file"].label
    if values.get("secret"):
        raise ConfigError(f"{label} and {SETTINGS['secret'].label} exclude each other", field="secret_file")
    path = values["secret_file"]
    try:
        with Path(path).open("rb") as file:
            secret = file.read(SECRET_BYTES_MAX + 1).decode().strip()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{label}: {path!r} is not UTF-8 text", field="secret_file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{label}: {path!r} cannot be read: {reason}", field="secret_file") from error
    if not secret or len(secret) > SECRET_BYTES_MAX:
        size = f"more than {SECRET_BYTES_MAX} bytes" if secret else "no secret"
        raise ConfigError(f"{label}: {path!r} holds {size}", field="secret_file")
    return secret


def _check_exposure(config: Config) -> None:
    if not (config.auth_required or config.insecure or is_loopback(config.host)):
        raise ConfigError(
            f"{SETTINGS['host'].label} is {config.host!r}, where every client could read and publish everything: set "
            f"{SETTINGS['secret'].variable} to the output of `openssl rand -hex 32`, so that each request needs a "
            "token; or, where a proxy authenticates requests, add --insecure",
            field="host",
        )


def _check_keys(config: Config) -> None:
    label = SETTINGS["jwks_url"].label
    if config.public_key and config.jwks_url:
        raise ConfigError(f"{label} and {SETTINGS['public_key'].label} exclude each other", field="jwks_url")
    for name in ("issuer", "audience"):
        if getattr(config, name) and not config.auth_required:
            raise ConfigError(
                f"{SETTINGS[name].label} has no effect: without a key no token is checked, and every client may read "
                "and publish",
                field=name,
            )
    if config.auth_required and not (config.secret or config.ticket_secret or config.embedded):
        variable = SETTINGS["ticket_secret"].variable
        raise ConfigError(
            f"{variable} is missing: hubs that share a Redis must accept each other's tickets; set it on all of them "
            "to one output of `openssl rand -hex 32`",
            field="ticket_secret",
        )


def _check_secrets(config: Config) -> None:
    sources = {"secret": "secret_file" if config.secret_file else "secret", "ticket_secret": "ticket_secret"}
    for name, source in sources.items():
        length = len(getattr(config, name).encode())
        if 0 < length < SECRET_BYTES:
            raise ConfigError(
                f"{SETTINGS[source].label} holds {length} bytes and could be guessed; it needs at least "
                f"{SECRET_BYTES}, such as the output of `openssl rand -hex 32`",
                field=name,
            )


def _check_workers(config: Config) -> None:
    if config.workers > 1 and config.embedded:
        raise ConfigError(
            f"{SETTINGS['workers'].label} is {config.workers}, but the embedded broker belongs to one process: use a "
            "redis:// broker",
            field="workers",
        )


def _check_results(config: Config) -> None:
    if config.results_dir and config.results_url:
        raise ConfigError(
            f"{SETTINGS['results_url'].label} and {SETTINGS['results_dir'].label} exclude each other",
            field="results_url",
        )


def _check_videos(config: Config) -> None:
    for name, parse in (("video_tenants", video_tenants), ("video_steps", video_steps)):
        try:
            parse(getattr(config, name))
        except ValueError as error:
            raise ConfigError(f"{SETTINGS[name].label} {error}", field=name) from error
    if config.video_bridge and not config.video_keys:
        raise ConfigError(
            f"{SETTINGS['video_bridge'].label} needs {SETTINGS['video_keys'].label}, the Redis to follow",
            field="video_bridge",
        )


def _check_feed(config: Config) -> None:
    if config.feed_job_notices and not config.feed:
        raise ConfigError(
            f"{SETTINGS['feed_job_notices'].label} needs {SETTINGS['feed'].label}, which keeps notifications",
            field="feed_job_notices",
        )


def _check_record(config: Config) -> None:
    if config.record != "off" and not config.source:
        raise ConfigError(
            f"{SETTINGS['record'].label} needs {SETTINGS['source'].label}, the database to write into", field="record"
        )
    for name, given in (
        ("source_columns", {"columns": config.source_columns}),
        ("source_tenants", {"tenants": config.source_tenants, "tenant_column": config.source_tenant_column}),
    ):
        try:
            record_names(**given)
        except ValueError as error:
            raise ConfigError(f"{SETTINGS[name].label} {error}", field=name) from error


def _check_documents(config: Config) -> None:
    sources = [name for name in ("documents", "documents_url", "documents_counter") if getattr(config, name)]
    if len(sources) > 1:
        raise ConfigError(
            f"{SETTINGS[sources[1]].label} and {SETTINGS[sources[0]].label} exclude each other", field=sources[1]
        )
    if config.documents_index and not config.documents:
        raise ConfigError(
            f"{SETTINGS['documents_index'].label} needs {SETTINGS['documents'].label}, the folder to index",
            field="documents_index",
        )
    for name, parse in (("documents_categories", document_categories), ("documents_headers", document_headers)):
        try:
            parse(getattr(config, name))
        except ValueError as error:
            raise ConfigError(f"{SETTINGS[name].label} {error}", field=name) from error
    if config.documents_url and not config.documents_categories:
        raise ConfigError(
            f"{SETTINGS['documents_url'].label} needs {SETTINGS['documents_categories'].label}, such as blog=total",
            field="documents_url",
        )
    if config.counts_documents and config.embedded and not config.jobs:
        raise ConfigError(
            f"{SETTINGS[sources[0]].label} needs {SETTINGS['jobs'].label}: with an embedded broker the hub counts "
            "itself",
            field=sources[0],
        )
