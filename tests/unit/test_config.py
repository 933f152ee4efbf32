"""Settings: their declaration, their sources (variable, flag, default), and the errors that name them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
from msgspec import inspect

from statushub.hub.brokers import open_broker
from statushub.hub.cli import cli
from statushub.hub.cli.setting_options import given
from statushub.hub.cli.settings_table import BEGIN, COMMAND, END, main, table, updated
from statushub.hub.config import LOCAL_ORIGINS, Config
from statushub.hub.environment import load, unknown_variables
from statushub.hub.model.errors import ConfigError
from statushub.hub.settings import SETTINGS, Setting
from tests.support.tokens import SECRET

PAGE = Path(__file__).parents[2] / "docs/deployment.md"

COMPATIBLE: dict[str, Any] = {
    **{"insecure": True, "broker": "redis://localhost", "ticket_secret": SECRET},
    "public_key": "some-key.pem",
    "video_keys": "redis://localhost",
    "source": "sqlite:///team.db",
    "feed": True,
}
"""Settings with which any single other setting is valid: rules between settings have tests of their own."""

NEEDED: dict[str, dict[str, Any]] = {
    "documents_index": {"documents": "documents"},
    "documents_url": {"documents_categories": ("blog=total",)},
}
"""What a setting is valid with only."""

TEXTS = {
    "secret": (SECRET, SECRET),
    "ticket_secret": (SECRET, SECRET),
    "jwks_url": ("https://issuer/keys", "https://issuer/keys"),
    "host": ("0.0.0.0", "0.0.0.0"),
    "log_level": ("debug", "debug"),
    "log_format": ("json", "json"),
    "tracing": ("on", True),
    "events": ("message", "message"),
    "insecure": ("on", True),
    "access_log": ("YES", True),
    "results_url": ("/videos/", "/videos/"),
    "cors_origins": ("https://a, https://b:*,", ("https://a", "https://b:*")),
    "cors_headers": ("X-Tab, x-source,", ("X-Tab", "x-source")),
    "allowed_hosts": ("hub.example.com, [::2]", ("hub.example.com", "[::2]")),
    "proxies": ("10.0.0.1,10.0.0.2", ("10.0.0.1", "10.0.0.2")),
    "source_table": ("public.posts", "public.posts"),
    "source_tenant_column": ("owner", "owner"),
    "source_columns": ("channel_id=board, id=post,", ("channel_id=board", "id=post")),
    "source_tenants": ("acme, beta", ("acme", "beta")),
    "record": ("Endings", "endings"),
    "jobs_modules": ("app.jobs, reports", ("app.jobs", "reports")),
    "jobs_tenants": ("acme, beta", ("acme", "beta")),
    "documents_url": ("https://api.example.com/{keyword}", "https://api.example.com/{keyword}"),
    "documents_categories": ("blog=total, cafe:cafearticle=total", ("blog=total", "cafe:cafearticle=total")),
    "documents_headers": ("X-Id: a b, X-Key: c", ("X-Id: a b", "X-Key: c")),
    "documents_counter": ("app.search:count", "app.search:count"),
    "instagram": ("on", True),
    "instagram_graph": ("https://graph.instagram.com", "https://graph.instagram.com"),
    "instagram_version": ("v25.0", "v25.0"),
    "instagram_time": ("off", "off"),
    "instagram_timezone": ("Europe/Berlin", "Europe/Berlin"),
    "instagram_tenant": ("acme", "acme"),
    "video_tenants": ("acme=4711, beta=b-1,", ("acme=4711", "beta=b-1")),
    "video_job_tenants": ("acme,beta", ("acme", "beta")),
    "video_steps": ("probing=1, encoding=2.5", ("probing=1", "encoding=2.5")),
}
"""A text and its value, for settings that take neither a number nor arbitrary text."""

FLAGGED = [setting for setting in SETTINGS.values() if setting.flag]
NUMBERS = [setting for setting in SETTINGS.values() if isinstance(setting.kind, inspect.IntType | inspect.FloatType)]


def by_name(setting: Setting) -> str:
    return setting.name


def sample(setting: Setting, tmp_path: Path) -> tuple[str, Any]:
    """A valid text for this setting that is not its default, and the value that it stands for."""
    if setting in NUMBERS:
        low, high = limits(setting)
        number = high if setting.default != high else low
        return str(number), number
    if setting.name == "secret_file":
        (tmp_path / "secret").write_text(SECRET)
        return (str(tmp_path / "secret"),) * 2
    if setting.boolean:
        return str(not setting.default), not setting.default
    return TEXTS.get(setting.name, ("some-text", "some-text"))


def limits(setting: Setting) -> tuple[float, float]:
    """The least and the greatest valid number."""
    assert isinstance(setting.kind, inspect.IntType | inspect.FloatType)
    assert setting.kind.ge is not None
    assert setting.kind.le is not None
    return setting.kind.ge, setting.kind.le


def option(setting: Setting) -> click.Option:
    """The option of `statushub serve` for this setting."""
    [found] = [option for option in cli.commands["serve"].params if option.name == setting.name]
    assert isinstance(found, click.Option)
    return found


def from_flags(*arguments: str) -> dict[str, Any]:
    """The settings that a command line gives."""
    return given(cli.commands["serve"].make_context("serve", list(arguments)).params)


def compatible(setting: Setting) -> dict[str, Any]:
    excluded = {setting.name, "public_key" if setting.name == "jwks_url" else ""}
    compatible = {name: value for name, value in COMPATIBLE.items() if name not in excluded}
    return compatible | NEEDED.get(setting.name, {})


def test_every_field_is_a_setting() -> None:
    """Settings keep the order of their declaration and are described by a sentence."""
    assert tuple(SETTINGS) == Config.__struct_fields__
    assert all(setting.description.endswith(".") for setting in SETTINGS.values())


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=by_name)
def test_a_setting_is_read_from_its_variable(setting: Setting, tmp_path: Path) -> None:
    """The variable is the setting's name in capitals after `STATUSHUB_`."""
    text, value = sample(setting, tmp_path)
    config = load({f"STATUSHUB_{setting.name.upper()}": text}, **compatible(setting))
    assert getattr(config, setting.name) == value != setting.default


@pytest.mark.parametrize("setting", FLAGGED, ids=by_name)
def test_a_setting_is_read_from_its_flag(setting: Setting, tmp_path: Path) -> None:
    """Flag and variable have the same meaning; a list repeats its flag, a boolean flag takes no value."""
    text, value = sample(setting, tmp_path)
    if setting.repeatable:
        arguments = [word for item in value for word in (setting.flag, item)]
    else:
        arguments = [setting.flag] if setting.boolean else [setting.flag, text]
    config = load({}, **compatible(setting), **from_flags(*arguments))
    assert getattr(config, setting.name) == value


def test_an_absent_flag_sets_nothing() -> None:
    """Lists and booleans are left out of the settings like any other."""
    assert load({}, **from_flags()) == load({}) == Config()


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=by_name)
def test_a_default_is_valid(setting: Setting) -> None:
    """A default as printed in the help and the docs is accepted as input."""
    assert setting.check(setting.default) == setting.default == getattr(Config(), setting.name)
    assert setting.parse(",".join(setting.defaults)) == setting.default


@pytest.mark.parametrize("setting", NUMBERS, ids=by_name)
def test_a_number_is_limited_to_its_range(setting: Setting) -> None:
    """Both limits are valid; beyond them, the error of variable and flag gives name, value and range."""
    low, high = limits(setting)
    for valid in (low, high):
        assert getattr(load({setting.variable: str(valid)}, **compatible(setting)), setting.name) == valid
    for wrong in (low - 1, high + 1, "many", "nan", ""):
        with pytest.raises(ConfigError) as caught:
            load({setting.variable: str(wrong)}, **compatible(setting))
        assert caught.value.field == setting.name
        assert caught.value.message.startswith(f"{setting.variable} is invalid: {str(wrong)!r} is not a")
        assert caught.value.message.endswith(f" from {setting.range}")
        with pytest.raises(click.BadParameter, match=rf"from {setting.range}\.") as refused:
            from_flags(setting.flag, str(wrong))
        assert f"'{setting.flag}'" in refused.value.format_message()
    with pytest.raises(ConfigError, match=f"^{setting.flag} is invalid: "):
        load({}, **{setting.name: high + 1})


@pytest.mark.parametrize("setting", FLAGGED, ids=by_name)
def test_help_shows_variable_default_and_range(setting: Setting) -> None:
    """The option's help is the documented description without Markdown."""
    told = option(setting).help or ""
    assert told.startswith(setting.description.replace("`", ""))
    assert f"[env var: {setting.variable}" in told
    assert all(default in told.partition("default: ")[2] for default in setting.defaults)
    assert setting.range in told


SECRETS = {"secret", "ticket_secret", "documents_headers"}


def test_secrets_have_no_flag() -> None:
    """Other users of the machine can read a process's command line."""
    assert {setting.name for setting in SETTINGS.values() if not setting.flag} == SECRETS
    assert {option.name for option in cli.commands["serve"].params} == {setting.name for setting in FLAGGED}


def test_the_page_has_the_generated_table_of_settings() -> None:
    """The table in docs/deployment.md equals the one generated from the declarations."""
    page = PAGE.read_text()
    assert updated(page) == page, f"docs/deployment.md is not up to date; run: {COMMAND}"


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=by_name)
def test_the_page_has_a_row_for_each_setting(setting: Setting) -> None:
    """A row gives flag, variable, default, range and description."""
    lines = PAGE.read_text().splitlines()
    [row] = [
        line for line in lines if line.startswith("| ") and line.split(" | ")[1].startswith(f"`{setting.variable}`")
    ]
    flag, _, default, values, meaning = (cell.strip() for cell in row[2:-2].split(" | "))
    assert flag.startswith(f"`{setting.flag}") if setting.flag else not flag
    assert default == ", ".join(f"`{text}`" for text in setting.defaults)
    assert values.replace("`", "") == (setting.range or ", ".join(setting.choices))
    assert meaning == setting.description


def test_the_command_writes_only_the_table_of_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Other text is kept; a page without the markers is refused; without a page, the table is printed."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    main([str(page)])
    assert page.read_text() == f"before\n{BEGIN}\n\n{table()}\n\n{END}\nafter\n"
    page.write_text("a page without a table")
    with pytest.raises(ValueError, match="needs the lines"):
        main([str(page)])
    main([])
    assert capsys.readouterr().out == f"{table()}\n"


def test_defaults_serve_loopback_and_store_in_a_file() -> None:
    """An empty environment is valid, and the producers' variables are ignored."""
    config = load({"PATH": "/bin", "STATUSHUB_URL": "http://hub", "STATUSHUB_TOKEN": "t", "STATUSHUB_TENANT": "acme"})
    assert (config.host, config.port, config.broker) == ("127.0.0.1", 8000, "sqlite:///statushub.db")
    assert config.cors_origins == LOCAL_ORIGINS


def test_overrides_take_precedence_over_the_environment() -> None:
    """An override of None keeps the variable's value; an overridden variable may be invalid."""
    environ = {"STATUSHUB_PORT": "many", "STATUSHUB_HEARTBEAT": " 2.5 ", "STATUSHUB_ACCESS_LOG": "yes"}
    config = load(environ, port=9001, host=None)
    assert (config.port, config.host, config.heartbeat, config.access_log) == (9001, "127.0.0.1", 2.5, True)


@pytest.mark.parametrize(
    ("variable", "close"),
    [
        ("STATUSHUB_PROT", "STATUSHUB_PORT"),
        ("STATUSHUB_CORS_ORIGIN", "STATUSHUB_CORS_ORIGINS"),
        ("STATUSHUB_TOKE", "STATUSHUB_TOKEN"),
        ("STATUSHUB_", ""),
    ],
)
def test_an_unknown_variable_is_ignored_with_a_suggestion(variable: str, close: str) -> None:
    """The sentence names the variable with the most similar spelling."""
    assert load({variable: "1"}) == Config()
    [sentence] = unknown_variables({variable: "1", "PATH": "/bin", "STATUSHUB_URL": "http://hub"})
    assert sentence.startswith(f"{variable} is not a setting, and is ignored.")
    assert sentence.partition("Did you mean ")[2].rstrip("?") == close


SERVICE_LINKS = {
    "STATUSHUB_SERVICE_HOST": "10.96.0.7",
    "STATUSHUB_SERVICE_PORT": "8000",
    "STATUSHUB_SERVICE_PORT_HTTP": "8000",
    "STATUSHUB_PORT": "tcp://10.96.0.7:8000",
    "STATUSHUB_PORT_8000_TCP": "tcp://10.96.0.7:8000",
    "STATUSHUB_PORT_8000_TCP_PROTO": "tcp",
    "STATUSHUB_PORT_8000_TCP_PORT": "8000",
    "STATUSHUB_PORT_8000_TCP_ADDR": "10.96.0.7",
    "STATUSHUB_REDIS_PORT": "tcp://10.96.0.8:6379",
    "STATUSHUB_REDIS_SERVICE_HOST": "10.96.0.8",
}
"""What Kubernetes sets in every container for Services named `statushub` and `statushub-redis`."""


def test_service_links_of_kubernetes_are_no_settings() -> None:
    """A Service named as the hub neither keeps it from starting nor makes it warn."""
    assert load(SERVICE_LINKS) == Config()
    assert unknown_variables(SERVICE_LINKS) == []
    with pytest.raises(ConfigError, match=r"^STATUSHUB_PORT is invalid"):
        load({"STATUSHUB_PORT": "10.96.0.7:8000"})


@pytest.mark.parametrize("setting", [it for it in SETTINGS.values() if it.boolean], ids=by_name)
def test_a_setting_that_enables_is_a_boolean(setting: Setting) -> None:
    """Each such variable takes the same words, in any case."""
    words = {True: ("on", "true", "1", "yes"), False: ("off", "false", "0", "no")}
    for value, texts in words.items():
        for text in texts:
            for spelled in (text, text.upper(), f" {text.title()} "):
                assert getattr(load({setting.variable: spelled}, **compatible(setting)), setting.name) is value


@pytest.mark.parametrize(
    ("text", "level"),
    [("WARN", "warning"), ("warn", "warning"), (" Info ", "info"), ("DEBUG", "debug"), ("fatal", "critical")],
)
def test_a_log_level_is_understood_in_any_case(text: str, level: str) -> None:
    """Variable and flag take the words of other programs, too."""
    assert load({"STATUSHUB_LOG_LEVEL": text}).log_level == level
    assert from_flags("--log-level", text) == {"log_level": level}


@pytest.mark.parametrize(
    ("environ", "overrides", "field"),
    [
        ({"STATUSHUB_INSECURE": "maybe"}, {}, "insecure"),
        ({"STATUSHUB_LOG_LEVEL": "loud"}, {}, "log_level"),
        ({}, {"port": 8000.5}, "port"),
        ({}, {"workers": 2}, "workers"),
        ({}, {"workers": 2, "broker": "memory:"}, "workers"),
        ({}, {"log_level": "loud"}, "log_level"),
        ({}, {"cookie": "a b"}, "cookie"),
        ({"STATUSHUB_CORS_HEADERS": "X Tab"}, {}, "cors_headers"),
        ({}, {"cors_headers": ("*",)}, "cors_headers"),
        ({}, {"cookie": "ab\n"}, "cookie"),
        ({"STATUSHUB_SECRET": "x" * 31}, {}, "secret"),
        ({"STATUSHUB_TICKET_SECRET": "x" * 31}, {}, "ticket_secret"),
        ({"STATUSHUB_SECRET": SECRET}, {"secret_file": "/nowhere"}, "secret_file"),
        ({}, {"secret_file": "/nowhere"}, "secret_file"),
        ({}, {"public_key": "a.pem", "jwks_url": "https://a"}, "jwks_url"),
        ({}, {"jwks_url": "http://issuer.example.com/keys"}, "jwks_url"),
        ({}, {"jwks_url": "ftp://issuer.example.com/keys"}, "jwks_url"),
        ({}, {"issuer": "https://issuer.example.com"}, "issuer"),
        ({}, {"audience": "hub"}, "audience"),
        ({}, {"results_dir": "results", "results_url": "/"}, "results_url"),
        ({}, {"public_key": "a.pem", "broker": "redis://localhost"}, "ticket_secret"),
        ({}, {"video_bridge": True}, "video_bridge"),
        ({}, {"video_tenants": ("acme=1", "acme=2")}, "video_tenants"),
        ({}, {"video_tenants": ("acme=1", "beta=1")}, "video_tenants"),
        ({}, {"video_job_tenants": ("a b",)}, "video_job_tenants"),
        ({}, {"video_steps": ("probing=0", "encoding=0")}, "video_steps"),
        ({}, {"video_steps": ("probing=1", "Probing=2")}, "video_steps"),
        ({}, {"video_channel": "a/status"}, "video_channel"),
        ({}, {"record": "endings"}, "record"),
        ({}, {"feed_job_notices": True}, "feed_job_notices"),
        ({}, {"feed_tenant": "a b"}, "feed_tenant"),
        ({"STATUSHUB_RECORD": "ending", "STATUSHUB_SOURCE": "sqlite:///team.db"}, {}, "record"),
        ({}, {"host": "0.0.0.0"}, "host"),
        ({}, {"host": "example.org"}, "host"),
    ],
)
def test_an_invalid_setting_is_named(environ: dict[str, str], overrides: dict[str, Any], field: str) -> None:
    """The error begins with the variable or the flag that has to be changed."""
    with pytest.raises(ConfigError) as caught:
        load(environ, **overrides)
    assert caught.value.field == field
    named = caught.value.message.partition(" ")[0]
    assert named.rstrip(":") in (SETTINGS[field].flag, SETTINGS[field].variable)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("retention", "7d", "'7d' is not a number of seconds from 1 to 315360000"),
        ("max_body", "1x", "'1x' is not a whole number of bytes from 1024 to 1073741824"),
        ("port", "x", "'x' is not a whole number from 0 to 65535"),
        ("allowed_hosts", "a,http://b,c", "'http://b' is not a host name without a scheme or port"),
        ("proxies", "127.0.0.1,nope", "'nope' is neither an IP address"),
    ],
)
def test_an_error_says_the_value_and_its_unit(name: str, text: str, message: str) -> None:
    """Of a list it says the value that is wrong."""
    variable = SETTINGS[name].variable
    with pytest.raises(ConfigError, match=re.escape(f"{variable} is invalid: {message}")):
        load({variable: text})


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:hub.db", "broker begins with 'sqlite:', and must begin with sqlite:///FILE"),
        ("redis:localhost", "broker begins with 'redis:', and must begin with redis://"),
        ("postgres://h", "broker begins with 'postgres', which is none of sqlite:///FILE, memory:, redis://"),
        ("memory", "broker begins with 'memory', which is none of"),
    ],
)
def test_the_error_of_a_broker_says_how_its_url_begins(url: str, message: str) -> None:
    """And no more of it, since it may hold a password."""
    with pytest.raises(ConfigError, match=re.escape(message)):
        open_broker(url)


def test_an_unknown_override_is_named() -> None:
    """An unknown keyword argument is a programming error, not an invalid environment."""
    with pytest.raises(ConfigError, match="'prot' is not a setting") as caught:
        load({}, prot=1)
    assert caught.value.field == "prot"


def test_the_error_of_a_weak_secret_names_the_setting_of_its_file(tmp_path: Path) -> None:
    """The error names the setting that has to be changed."""
    (tmp_path / "secret").write_text("weak")
    with pytest.raises(ConfigError, match=r"^--secret-file .* holds 4 bytes") as caught:
        load({"STATUSHUB_SECRET_FILE": str(tmp_path / "secret")})
    assert "weak" not in caught.value.message


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.3.2.1", "::1"])
def test_loopback_needs_no_key(host: str) -> None:
    """Each spelling of a loopback address is accepted without a key."""
    assert load({}, host=host).host == host


def test_other_addresses_need_insecure() -> None:
    """An address that is reachable from the network needs `insecure` or a key."""
    assert load({}, host="0.0.0.0", insecure=True).host == "0.0.0.0"


def test_a_key_allows_other_addresses() -> None:
    """Each kind of key turns authentication on."""
    assert load({"STATUSHUB_SECRET": SECRET}, host="0.0.0.0").auth_required
    assert load({}, public_key="a.pem", host="0.0.0.0").auth_required
    assert load({}, jwks_url="https://issuer.example.com/keys", host="0.0.0.0").auth_required
    assert not load({}).auth_required


def test_errors_say_how_to_generate_a_strong_secret() -> None:
    """A weak secret and a reachable address without a key both name the command."""
    for environ, overrides in (({"STATUSHUB_SECRET": "weak"}, {}), ({}, {"host": "0.0.0.0"})):
        with pytest.raises(ConfigError, match="openssl rand -hex 32"):
            load(environ, **overrides)


def test_a_secret_is_read_from_its_file(tmp_path: Path) -> None:
    """The line break that editors append is not part of the secret."""
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    assert load({"STATUSHUB_SECRET_FILE": str(file)}).secret == SECRET


def test_keys_may_be_fetched_from_loopback_without_tls() -> None:
    """Loopback traffic cannot be intercepted from another machine."""
    assert load({}, jwks_url="http://127.0.0.1:9/keys").auth_required


def test_several_workers_need_redis() -> None:
    """The embedded broker belongs to one process."""
    assert load({}, workers=2, broker="redis://localhost").workers == 2
    assert Config().workers == 1
