"""Reads the settings from the environment, and checks the rules between them."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from statushub.hub.config import SECRET_BYTES, Config, is_loopback
from statushub.hub.model.errors import ConfigError
from statushub.hub.model.variables import PREFIX, PRODUCER_VARIABLES
from statushub.hub.settings import SETTINGS, Setting


def load(environ: Mapping[str, str], **overrides: Any) -> Config:
    """The settings: `overrides` by their names, which are the command line's, before the variables of `environ`.

    An override that is None counts as not given; a variable that is overridden is not read. Raises `ConfigError`,
    whose `field` is the name of the setting that is unknown, invalid or in conflict with another.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    values = {name: _checked(name, value) for name, value in given.items()}
    for variable, text in environ.items():
        if variable.startswith(PREFIX) and variable not in PRODUCER_VARIABLES:
            setting = _setting(variable)
            if setting.name not in given:
                values[setting.name] = _parsed(setting, text, variable)
    if values.get("secret_file"):
        values["secret"] = _secret(values)
    config = Config(**values)
    _check_exposure(config)
    _check_keys(config)
    _check_secrets(config)
    _check_workers(config)
    return config


def _setting(variable: str) -> Setting:
    name = variable.removeprefix(PREFIX).lower()
    if name in SETTINGS:
        return SETTINGS[name]
    known = ", ".join(setting.variable for setting in SETTINGS.values())
    # Without the prefix, which would make every name similar.
    hint = "".join(f" Did you mean {SETTINGS[close].variable}?" for close in get_close_matches(name, SETTINGS, n=1))
    raise ConfigError(f"{variable} is not a setting.{hint} The settings are {known}", field=name)


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
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{label}: {path!r} cannot be read: {error}", field="secret_file") from error


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
    address = urlsplit(config.jwks_url)
    local = address.scheme == "http" and is_loopback(address.hostname or "")
    if config.jwks_url and address.scheme != "https" and not local:
        raise ConfigError(
            f"{label} must begin with https://, because an attacker who can change the response could sign tokens",
            field="jwks_url",
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
