"""`statushub source`: the migration of the system of record, and a check of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from statushub.extras import required
from statushub.hub.cli.failure import TROUBLE, USAGE, Failure
from statushub.hub.cli.outcome import Outcome
from statushub.hub.cli.setting_options import given, options_of
from statushub.hub.cli.terminal import echo, printable
from statushub.hub.environment import load
from statushub.hub.model.errors import ConfigError
from statushub.hub.model.record_names import DIALECTS, RecordNames, record_names
from statushub.hub.settings import SETTINGS

if TYPE_CHECKING:
    from statushub.hub.config import Config
    from statushub.hub.sources.sql.inspection import Inspection

SETTINGS_OF_SOURCE: Final = (
    "source",
    "source_table",
    "source_columns",
    "source_tenant_column",
    "source_tenants",
    "record",
)

EPILOG: Final = """\b
Examples:
  statushub source sql --dialect mysql
  statushub source check --source postgresql://hub@db.example.com/team

\b
  sql    prints the statements that add the columns and indexes, and, as comments, those that take them back
  check  connects, says what is missing, explains the plans of the hub's queries, and says whether the hub may
         update the table

The exit code of `check` is 1 where the database cannot be reached, and 2 where a query uses no index, or where
--record is set and the table may not be updated.
"""


@click.command(epilog=EPILOG, short_help="Print the migration of the system of record, or check it.")
@click.argument("what", metavar="sql|check", type=click.Choice(["sql", "check"]))
@click.option("--dialect", type=click.Choice(DIALECTS), help="Database to write for.  [default: that of --source]")
@click.option("--reverse", is_flag=True, help="Print the statements that take the migration back.")
@options_of(SETTINGS_OF_SOURCE)
@click.pass_obj
def source(environ: Mapping[str, str], /, what: str, dialect: str | None, reverse: bool, **flags: Any) -> int:
    """Print what the table of --source needs, or check it. Nothing is changed."""
    own = {SETTINGS[name].variable for name in SETTINGS_OF_SOURCE if name != "record" or what == "check"}
    settings = load({name: text for name, text in environ.items() if name in own}, **given(flags))
    names = record_names(
        table=settings.source_table,
        columns=settings.source_columns,
        tenant_column=settings.source_tenant_column,
        tenants=settings.source_tenants,
    )
    if what == "sql":
        _print(dialect or _dialect(settings), names, reverse=reverse)
        return 0
    if dialect or reverse:
        raise Failure("--dialect and --reverse are of `source sql`", USAGE)
    if not settings.source:
        raise ConfigError(f"{SETTINGS['source'].label} is missing: the database to check", field="source")
    return _check(settings, names)


def _dialect(settings: Config) -> str:
    named = settings.source.partition(":")[0].partition("+")[0]
    return named if named in DIALECTS else DIALECTS[0]


def _print(dialect: str, names: RecordNames, *, reverse: bool) -> None:
    with required("the source"):
        from statushub.hub.sources.sql.migration import migration, reversal
    back = reversal(dialect, names)
    if reverse:
        echo(back.rstrip())
        return
    echo(migration(dialect, names))
    echo("\n".join(["-- To take it back:", *(f"-- {line}" for line in back.splitlines())]))


def _check(settings: Config, names: RecordNames) -> int:
    import anyio

    with required("the source"):
        from statushub.hub.sources.contract import SourceUnavailable
        from statushub.hub.sources.sql.inspection import inspect
    try:
        found = anyio.run(inspect, settings.source, names)
    except SourceUnavailable as error:
        raise Failure(error.message, TROUBLE) from error
    code = 0
    for part, outcome in [*_outcomes(found, names), ("record", _writing(found, needed=settings.record != "off"))]:
        echo(f"{part:<8} {outcome.word:<4}  {printable(outcome.sentence)}")
        code = code or outcome.code
    for plan in found.plans:
        if plan.trouble:
            echo("\n".join(f"         {printable(line)}" for line in plan.text.splitlines()))
    return code


def _outcomes(found: Inspection, names: RecordNames) -> list[tuple[str, Outcome]]:
    lacking = f"; it lacks {', '.join(found.missing)}, which `statushub source sql` adds where the hub needs them"
    outcomes = [("table", Outcome(f"{names.table} at {found.where}{lacking if found.missing else ''}"))]
    for plan in found.plans:
        if plan.trouble:
            sentence = f"{plan.query}: {plan.trouble}; `statushub source sql` has the index"
            outcomes.append(("query", Outcome(sentence, USAGE)))
        else:
            outcomes.append(("query", Outcome(f"{plan.query}: {', '.join(plan.indexes) or 'the primary key'}")))
    return outcomes


def _writing(found: Inspection, *, needed: bool) -> Outcome:
    columns = ", ".join(found.written)
    if not found.refused:
        return Outcome(f"{'writes' if needed else '--record could write'} back into {columns}")
    sentence = f"may not update {columns}: {found.refused}"
    return Outcome(sentence, USAGE) if needed else Outcome(f"nothing is written back, and --record {sentence}")
