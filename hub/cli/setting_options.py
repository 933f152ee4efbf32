"""The options of `statushub serve`, one for each setting that has a flag."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import click

from statushub.hub.settings import SETTINGS, Setting

Command = TypeVar("Command", bound=Callable[..., Any])


class SettingType(click.ParamType[Any]):
    """Reads a flag's value as the setting's environment variable is read."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.name = setting.metavar.lower()

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self.setting.parse(value)
        except ValueError as error:
            return self.fail(f"{error}.", param, ctx)


def setting_options(command: Command) -> Command:
    """Give `command` an option for each setting that has a flag. Those that are not given are passed as None."""
    for setting in reversed(SETTINGS.values()):
        if setting.flag:
            command = _option(setting)(command)
    return command


def options_of(names: Collection[str]) -> Callable[[Command], Command]:
    """As `setting_options`, for those of the settings with these names."""

    def give(command: Command) -> Command:
        for setting in reversed(SETTINGS.values()):
            if setting.name in names and setting.flag:
                command = _option(setting)(command)
        return command

    return give


def given(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given: click passes an empty tuple for a repeatable one that was not."""
    return {name: value for name, value in flags.items() if value is not None and value != ()}


def _option(setting: Setting) -> Callable[[Command], Command]:
    if setting.boolean:
        return click.option(f"{setting.flag}/--no-{setting.flag[2:]}", setting.name, default=None, help=_help(setting))
    return click.option(
        setting.flag,
        setting.name,
        default=None,
        type=click.STRING if setting.repeatable else SettingType(setting),
        multiple=setting.repeatable,
        metavar=setting.metavar,
        help=_help(setting),
    )


def _help(setting: Setting) -> str:
    text = setting.description.replace("`", "")
    facts = [f"env var: {setting.variable}"]
    if setting.defaults:
        facts.append(f"default: {', '.join(setting.defaults)}")
    if setting.range:
        facts.append(setting.range)
    elif setting.choices and not setting.boolean:
        facts.append(", ".join(setting.choices))
    return f"{text}{' May be repeated.' if setting.repeatable else ''}  [{'; '.join(facts)}]"
