"""A setting, as declared in `Config`: its variable, its flag, and how its text is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import inspect

from statushub.hub.config import Config
from statushub.hub.marks import UNITS, Flag, Rule, Secret
from statushub.hub.model.variables import PREFIX

BOOLEANS: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
"""Words for a boolean, in any case."""

SYNONYMS: Final = {"warn": "warning", "err": "error", "fatal": "critical"}
"""Other words for a choice: those of other programs for a severity."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One field of `Config`."""

    name: str
    default: Any
    description: str
    """In Markdown."""
    declaration: Any
    """The field's annotation, with the range or pattern that `msgspec.convert` checks."""
    kind: inspect.Type
    """The same, as msgspec describes it."""
    flag: str
    """Empty for a secret."""
    metavar: str
    form: str
    choices: tuple[str, ...]
    """The valid values, where they are few."""
    rule: Rule | None

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.upper()

    @property
    def repeatable(self) -> bool:
        """Whether the flag may be repeated, and the variable is a list with commas."""
        return isinstance(self.kind, inspect.VarTupleType)

    @property
    def boolean(self) -> bool:
        """Whether the flag takes no value and has a `--no-` form."""
        return isinstance(self.kind, inspect.BoolType)

    @property
    def label(self) -> str:
        """How an error names the setting when its source is not known: `--port (STATUSHUB_PORT)`."""
        return f"{self.flag} ({self.variable})" if self.flag else self.variable

    @property
    def range(self) -> str:
        """The valid values of a number, such as `0 to 65535`; else empty."""
        match self.kind:
            case inspect.IntType(ge=least, le=most) | inspect.FloatType(ge=least, le=most):
                return f"{_text(least)} to {_text(most)}"
            case _:
                return ""

    @property
    def defaults(self) -> tuple[str, ...]:
        """The default as it would be given: several texts where it is repeatable, none where it is empty."""
        values = self.default if self.repeatable else (self.default,)
        return tuple(text for value in values if (text := _text(value)))

    @property
    def expected(self) -> str:
        """What a valid value is, in words that fit after "is not"."""
        match self.kind:
            case inspect.BoolType():
                return f"one of {', '.join(BOOLEANS)}"
            case inspect.LiteralType():
                return f"one of {', '.join(self.choices)}"
            case inspect.IntType():
                return f"a whole number {self._of}from {self.range}"
            case inspect.FloatType():
                return f"a number {self._of}from {self.range}"
            case _:
                return self.form or "text"

    @property
    def _of(self) -> str:
        """The unit of a number, in words between "a number" and its range."""
        return f"of {self.metavar.lower()} " if self.metavar in UNITS else ""

    def parse(self, text: str) -> Any:
        """The value that `text` stands for in an environment variable or on the command line.

        Raises `ValueError`, which says what would be valid.
        """
        value: Any = text
        if self.repeatable:
            value = [item.strip() for item in text.split(",") if item.strip()]
        elif self.boolean:
            value = BOOLEANS.get(text.strip().lower(), text)
        elif isinstance(self.kind, inspect.LiteralType):
            value = SYNONYMS.get(text.strip().lower(), text.strip().lower())
        elif not isinstance(self.kind, inspect.StrType):
            value = text.strip()
        return self._convert(value, text, strict=False)

    def check(self, value: object) -> Any:
        """`value`, which is not text that has to be parsed, in the setting's type. Raises `ValueError` as `parse`."""
        return self._convert(value, value, strict=True)

    def _convert(self, value: object, given: object, *, strict: bool) -> Any:
        try:
            converted = msgspec.convert(value, self.declaration, strict=strict)
        except msgspec.ValidationError as error:
            wrong = self._wrong(value) if isinstance(value, list | tuple) else given
            raise ValueError(f"{wrong!r} is not {self.expected}") from error
        for text in converted if self.repeatable else [converted]:
            if isinstance(text, str):
                self._check_text(text)
        return converted

    def _wrong(self, values: Sequence[object]) -> object:
        """The first of these values that cannot be one of a setting's."""
        for value in values:
            try:
                msgspec.convert([value], self.declaration)
            except msgspec.ValidationError:
                return value
        return values

    def _check_text(self, text: str) -> None:
        try:
            # What an environment holds may be no text.
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError("it is not UTF-8") from error
        if self.rule is not None and text != self.default:
            try:
                self.rule.check(text)
            except ValueError as error:
                raise ValueError(f"{text!r} {error}") from error


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    # 30 rather than 30.0
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _declared() -> Iterator[Setting]:
    defaults = Config()
    for name, declaration in get_type_hints(Config, include_extras=True).items():
        marks = declaration.__metadata__
        flag = next((mark for mark in reversed(marks) if isinstance(mark, Flag)), Flag())
        secret = any(isinstance(mark, Secret) for mark in marks)
        kind = inspect.type_info(declaration)
        yield Setting(
            name=name,
            default=getattr(defaults, name),
            description=next(mark.description for mark in marks if getattr(mark, "description", None)),
            declaration=declaration,
            kind=kind.type if isinstance(kind, inspect.Metadata) else kind,
            flag="" if secret else flag.name or f"--{name.replace('_', '-')}",
            metavar=flag.metavar or "TEXT",
            form=flag.form,
            choices=_choices(declaration.__origin__),
            rule=next((mark for mark in marks if isinstance(mark, Rule)), None),
        )


def _choices(type: Any) -> tuple[str, ...]:
    if type is bool:
        return ("true", "false")
    # In the order of their declaration, which msgspec does not keep.
    return get_args(type) if get_origin(type) is Literal else ()


SETTINGS: Final = {setting.name: setting for setting in _declared()}
"""Every setting, by its name, in the order of `Config`."""
