"""A setting that cannot work keeps the hub from starting: exit code 2, and one line that names it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from msgspec import inspect

from statushub.hub.settings import SETTINGS, Setting
from tests.support.certificate import certificate
from tests.support.command import command, ended, environment, line_with, started
from tests.support.tokens import SECRET

NOT_UTF8 = "\udcff" * 40
"""What a variable holds whose bytes are no text."""

TEXTS: dict[str, tuple[str, ...]] = {
    "host": ("", " ", "*", "http://0.0.0.0", "[::1]", "127.0.0.1:8000", "a b", "x" * 64),
    "broker": (
        *("", "x", "memory", "redis:/x", "redis://h:x", "redis://h:99999", "redis://h/abc", "redis://h?foo=1"),
        *("redis://h,i", "redis+sentinel://h", "sqlite://x", "sqlite:///", "sqlite:///folder/", "sqlite:///no/hub.db"),
        *("sqlite:///folder", "sqlite:///empty.pem/hub.db", "sqlite:///text.pem"),
        *("rediss://h?ssl_ca_certs=no.pem", "rediss://h?ssl_certfile=no.pem", "rediss://h?ssl_ca_certs=text.pem"),
    ),
    "secret": ("short", NOT_UTF8),
    "secret_file": ("no.txt", "folder", "binary.pem", "empty.pem", "text.pem", "/dev/zero"),
    "public_key": (
        *("no.pem", "folder", "binary.pem", "empty.pem", "text.pem", "private.pem", "der.pem", "openssh.pem"),
        *("certificate.pem", "rsa1024.pem", "p384.pem", "secp256k1.pem", "dsa.pem", "x25519.pem", "/dev/zero"),
        "cut.pem",
    ),
    "jwks_url": (
        "x",
        "https://",
        "http://issuer.example.com",
        "ftp://h/k",
        "https://[::1",
        "https://h:99999",
        "https://a b",
    ),
    "issuer": ("https://issuer.example.com", NOT_UTF8),
    "audience": ("hub", NOT_UTF8),
    "ticket_secret": ("short", NOT_UTF8),
    "cookie": ("", "a b", "a;b", "a=b", "a\n"),
    "cors_origins": (
        "example.com",
        "https://a.example/",
        "https://a.example?x",
        "https://u@a.example",
        "null",
        "https://*.a",
    ),
    "cors_headers": ("a b", "a:b", "\u00e9", "(a)"),
    "events": ("", "both"),
    "allowed_hosts": ("http://a.example", "a.example:80", "a/b", "::1", "a b"),
    "proxies": ("nginx", "10.0.0.1/8", "10.0.0.0/33"),
    "results_dir": ("text.pem", "no/results", "text.pem/results"),
    "results_url": ("x", "//h/", "ftp://h/", "/a?b", "https://u:p@h/", "javascript:1"),
    "video_keys": (
        *("x", "redis:/x", "redis://h:x", "redis://h:99999", "redis://h/abc", "redis://h?foo=1", "redis://h,i"),
        *("redis+sentinel://h", "memory:", "rediss://h?ssl_ca_certs=no.pem", "rediss://h?ssl_ca_certs=text.pem"),
    ),
    "video_tenants": (*("acme", "acme=", "=1", "a b=1", "acme=a:b", "acme=*", "acme=1,acme=2", "acme=1,beta=1"),),
    "video_job_tenants": ("a b", "a/b", "*"),
    "video_steps": ("", "probing", "probing=x", "probing=-1", "probing=nan", "probing=inf", "=1", "a=0", "a=1,A=2"),
    "video_channel": ("", " ", "a*", "a/status", "status/batch"),
    "source": (
        *("x", "oracle://h/d", "postgresql+psycopg2://h/d", "postgresql://h", "postgresql:///d", "sqlite://"),
        *("mysql+pymysql://h/d", "postgresql://h:x/d", "http://h/d"),
    ),
    "source_table": ("", "a b", "a.b.c", ".a", "1a", 'a"', "a" * 64),
    "source_columns": ("id", "id=", "=a", "name=a", "id=a b", "id=1", "id=a,id=b"),
    "source_tenant_column": ("a b", "1", 'a"', "a.b"),
    "source_tenants": ("a b", "acme=", "=1", "acme=4711", "*"),
    "record": ("some", "endings all", "true"),
    "feed_tenant": ("", "a b", "a/b", "*"),
    "feed_channel": ("", " ", "a*"),
    "feed_user": ("", "a\nb"),
    "jobs_modules": ("a-b", "1a", "a..b", ".a", "a b"),
    "jobs_tenants": ("a b", "a/b", "*"),
    "documents": ("no", "text.pem", "folder/no"),
    "documents_index": ("index.db",),
    "documents_url": (
        *("x", "ftp://h/{keyword}", "https://h/", "https://h?q=keyword", "https://{keyword}/", "https://h/{category}"),
        *("https://h:x/{keyword}", "https://h/{keyword}#a b", "https://h/맥북/{keyword}", "https://h/#{keyword}"),
        "https://h/{keyword}",
    ),
    "documents_categories": ("blog", "blog=", "=total", "a:=b", "a=b:c", "a=b..c", "a=b,a=c", "a b=c"),
    "documents_headers": ("x-x-x", "X-Id", ": abcd", "X Id: a", NOT_UTF8),
    "documents_counter": ("x", "a:", ":b", "a:b:c", "a-b:c", "no.such.module:count", "json:loads"),
    "instagram_database": (
        "x",
        "oracle://h/d",
        "postgresql+psycopg2://h/d",
        "postgresql://h",
        "sqlite://",
        "http://h/d",
    ),
    "instagram_graph": ("", "x", "ftp://h", "https://", "https://h?a=b", "https://[::1", "https://h:99999"),
    "instagram_version": ("", "26.0", "v26", "v26.0/me", "latest"),
    "instagram_time": ("", "2:00", "24:00", "02:60", "02:00:00", "never"),
    "instagram_timezone": ("", "KST+9:00", "Mars/Olympus", "../etc", "/etc/passwd"),
    "instagram_tenant": ("", "a b", "a/b", "*"),
    "log_level": ("", "loud", "20"),
    "log_format": ("", "xml", "1"),
}
"""Values that cannot work, for each setting that is neither a number nor a boolean."""

WITHOUT_PORT = ("broker",)
"""Settings whose faults may be found only once the port is bound."""


def values(setting: Setting) -> tuple[str, ...]:
    """Texts that the setting must not take."""
    match setting.kind:
        case inspect.BoolType():
            return ("perhaps", "", "2", "enabled")
        case inspect.IntType(ge=int(low), le=int(high)):
            return ("x", "", "-1", "1.5", "nan", "0x10", str(low - 1), str(high + 1), "9" * 30, "tcp:80")
        case inspect.FloatType(ge=float() | int() as low, le=float() | int() as high):
            return ("x", "", "-1", "nan", "inf", "1e999", "1m", str(low - 1), str(high + 1))
        case _:
            return TEXTS[setting.name]


def cases() -> Iterator[tuple[Setting, str, bool]]:
    """Each setting with each bad value, as a variable and, where it has one that takes a value, as a flag."""
    for setting in SETTINGS.values():
        for value in values(setting):
            yield setting, value, False
            if setting.flag and not setting.boolean and value != NOT_UTF8:
                yield setting, value, True


CASES = list(cases())


def named(case: tuple[Setting, str, bool]) -> str:
    setting, value, as_flag = case
    return f"{setting.flag if as_flag else setting.variable}={value!a:.40}"


def files(folder: Path) -> None:
    """Files that hold no public key of a kind that verifies tokens, and no secret."""

    def public(key: Any) -> bytes:
        return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    edwards = ed25519.Ed25519PrivateKey.generate()
    contents = {
        "binary": b"\xff\x00\xfe" * 20,
        "empty": b"",
        "text": b"not a key\n",
        "private": edwards.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "der": edwards.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "openssh": edwards.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        "cut": public(edwards)[:-40],
        "rsa1024": public(rsa.generate_private_key(65_537, 1024)),
        "p384": public(ec.generate_private_key(ec.SECP384R1())),
        "secp256k1": public(ec.generate_private_key(ec.SECP256K1())),
        "dsa": public(dsa.generate_private_key(2048)),
        "x25519": public(x25519.X25519PrivateKey.generate()),
    }
    for name, content in contents.items():
        (folder / f"{name}.pem").write_bytes(content)
    (folder / "folder").mkdir()
    certificate(folder)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What became of each case. The port is in use, so that a hub which takes a bad value ends with another line."""
    folder = tmp_path_factory.mktemp("settings")
    files(folder)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        offered = []
        for setting, value, as_flag in CASES:
            port = "0" if setting.name in WITHOUT_PORT else str(taken.getsockname()[1])
            given = {"STATUSHUB_BROKER": "memory:", "STATUSHUB_PORT": port}
            given.pop(setting.variable, None)
            if setting.name == "workers":
                given["STATUSHUB_BROKER"] = "redis://localhost"
            if as_flag:
                offered.append({"environ": given, "arguments": [f"{setting.flag}={value}"]})
            else:
                offered.append({"environ": {**given, setting.variable: value}, "arguments": []})
        answer = subprocess.run(
            [sys.executable, "-m", "tests.support.settings_driver"],
            input=json.dumps(offered),
            cwd=folder,
            env=environment({"PYTHONPATH": str(Path(__file__).parents[2])}),
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
    return dict(zip(map(named, CASES), json.loads(answer.stdout), strict=True))


@pytest.mark.timeout(360)
@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_value_that_cannot_work_is_one_line(case: tuple[Setting, str, bool], outcomes: dict[str, Any]) -> None:
    """The line names the setting by its flag or variable, and shows no secret."""
    setting, value, _ = case
    outcome = outcomes[named(case)]
    assert outcome["code"] == 2, outcome
    line = outcome["stderr"]
    assert line.startswith("statushub: ")
    assert line.count("\n") == 1, line
    assert any(name and name in line for name in (setting.flag, setting.variable)), line
    assert setting.flag or value not in line


def test_every_setting_has_values_that_cannot_work() -> None:
    """A new setting needs such values here, unless its type has them."""
    assert set(TEXTS) <= set(SETTINGS)
    assert all(values(setting) for setting in SETTINGS.values())


def test_an_unknown_variable_is_a_warning(tmp_path: Path) -> None:
    """The hub serves, and its log suggests the setting that was meant; the producers' variables are none of its own."""
    env = {"STATUSHUB_PROT": "8000", "STATUSHUB_URL": "http://hub", "STATUSHUB_SERVICE_HOST": "10.0.0.1"}
    with started("serve", "--broker", "memory:", "--port", 0, cwd=tmp_path, env=env) as process:
        warning = line_with(process, r"WARNING .*STATUSHUB", of="stderr").string
        line_with(process, "Serving ", of="stderr")
        ended(process, 15)
    assert "STATUSHUB_PROT is not a setting, and is ignored. Did you mean STATUSHUB_PORT?" in warning


@pytest.mark.redis
def test_a_bad_key_ends_a_hub_with_workers(tmp_path: Path) -> None:
    """It ends before a worker process starts, which would fail again and again."""
    arguments = ("--workers", 2, "--broker", "redis://localhost", "--public-key", tmp_path / "no.pem")
    result = command("serve", *arguments, cwd=tmp_path, env={"STATUSHUB_TICKET_SECRET": SECRET})
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith("statushub: --public-key (STATUSHUB_PUBLIC_KEY): ")


@pytest.mark.parametrize("target", [(), ("--hub", "http://127.0.0.1:9")], ids=["default", "hub"])
def test_a_tenant_without_effect_is_refused(target: tuple[str, ...], tmp_path: Path) -> None:
    """A hub takes the tenant from the token: the option would publish into another tenant than it names."""
    result = command("publish", "c", "x", "running", "--tenant", "acme", *target, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("statushub: --tenant has no effect without --broker")
    assert result.stderr.count("\n") == 1
