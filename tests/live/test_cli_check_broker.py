"""`statushub check --broker`: a Redis, without a hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import pytest
from redis import Redis

from statushub.hub.brokers.redis import commands
from statushub.hub.brokers.redis.inspection import TENANT, _tries
from statushub.hub.cli.broker_checks import _server
from tests.support.command import command
from tests.support.listening import listening
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer, running_redis
from tests.support.waiting import eventually

pytestmark = [pytest.mark.redis, pytest.mark.anyio]

LINE = re.compile(r"(server|rights|library|memory|disk) +(ok|FAIL|skip) +(\S.*)")
PAGE = Path(__file__).parents[2] / "docs/deployment.md"
RULES = PAGE.read_text().partition("```acl\n")[2].partition("```")[0].split()
"""The rules of the documentation for a hub's user."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        server.command("ACL", "SETUSER", "hub", "on", ">pw", *RULES)
        yield server


def address(server: RedisServer, user: str = "hub", password: str = "pw", query: str = "") -> str:
    return f"redis://{user}:{password}@127.0.0.1:{server.port}/0{query}"


def checked(url: str, *arguments: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit code, and of each part its word and its sentence."""
    result = command("check", *arguments, "--broker", url)
    assert result.stderr == ""
    lines = [LINE.fullmatch(line) for line in result.stdout.splitlines()]
    return result.returncode, {line[1]: (line[2], line[3]) for line in lines if line}


def words(parts: dict[str, tuple[str, str]]) -> str:
    return " ".join(word for word, _ in parts.values())


async def test_a_fit_server(server: RedisServer) -> None:
    """A line for each part, in order, exit code 0, and nothing is left in the server."""
    code, parts = checked(address(server))
    assert (code, list(parts)) == (0, ["server", "rights", "library", "memory", "disk"])
    assert words(parts) == "ok ok ok ok ok"
    assert re.fullmatch(r"(Redis|Valkey) \d+\.\S+ answers", parts["server"][1])
    assert "not loaded" in parts["library"][1]
    assert "has an append-only file" in parts["disk"][1]
    assert server.command("KEYS", "*").split() == []
    async with listening(address(server)):
        assert checked(address(server), "library") == (0, {"library": ("ok", f"version 5.{commands.MINOR}")})


async def test_an_older_library_is_named(server: RedisServer) -> None:
    """It is the next hub that replaces it."""
    source = commands.LIBRARY.replace(f"local MINOR = {commands.MINOR}\n", "local MINOR = 1\n")
    with Redis(port=server.port) as client:
        client.execute_command("FUNCTION", "LOAD", source)
    assert checked(address(server), "library")[1]["library"][1].startswith("version 5.1; hubs of this version")


def test_a_wrong_password_exits_with_2(server: RedisServer) -> None:
    """The line says so without the password, and nothing else is checked."""
    code, parts = checked(address(server, password="secret"))
    assert (code, words(parts)) == (2, "FAIL skip skip skip skip")
    assert "refuses the user name or the password" in parts["server"][1]
    assert "secret" not in str(parts)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.startswith("+")])
def test_each_right_that_is_missing_is_named(server: RedisServer, rule: str) -> None:
    """Whatever rule of the documentation the user lacks; what only a hub needs is no failure of a worker."""
    server.command("ACL", "SETUSER", "hub", f"-{rule[1:]}")
    code, parts = checked(address(server), "rights")
    only_hubs = rule in ("+function|load", "+function|delete", "+ssubscribe", "+sunsubscribe", "+smembers")
    assert code == (0 if only_hubs else 2)
    assert parts["rights"][1].endswith(rule)
    assert server.command("KEYS", "*").split() == []


def test_keys_and_channels_that_are_denied_are_named(server: RedisServer) -> None:
    """With the prefix of the URL, where it has one."""
    assert (
        checked(address(server, query="?prefix=myapp"), "rights")[1]["rights"][1] == "this user lacks ~myapp:* &myapp:*"
    )
    server.command("ACL", "SETUSER", "hub", "resetchannels")
    assert checked(address(server), "rights")[1]["rights"][1] == "this user lacks &hub*"


def test_a_library_that_the_user_may_not_load_is_a_failure(server: RedisServer) -> None:
    """A worker's user waits for a hub."""
    server.command("ACL", "SETUSER", "hub", "-function|load")
    code, parts = checked(address(server), "library")
    assert (code, parts["library"][0]) == (2, "FAIL")
    assert "may not load it" in parts["library"][1]


def test_what_the_user_may_not_read_is_skipped(server: RedisServer) -> None:
    """Without `INFO` neither version, memory nor disk is known."""
    server.command("ACL", "SETUSER", "hub", "-info")
    code, parts = checked(address(server), "server", "memory", "disk")
    assert (code, words(parts)) == (0, "ok skip skip")


def test_every_right_of_the_library_is_tried() -> None:
    """The commands that the functions call, and the rules of the documentation, are all among those that are tried."""
    tried = {str(words[0]).lower() for words in _tries(commands.prefix("hub", TENANT))}
    tried |= {"ssubscribe", "sunsubscribe", "hsetnx", "sadd", "append"}
    assert {name.lower() for name in re.findall(r"redis\.p?call\('(\w+)'", commands.LIBRARY)} <= tried
    assert {rule[1:].partition("|")[0] for rule in RULES if rule.startswith("+")} <= tried


def test_a_server_that_evicts_is_a_failure(server: RedisServer) -> None:
    """With the policy, and what is right."""
    server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    code, parts = checked(address(server), "memory")
    assert (code, parts["memory"][0]) == (2, "FAIL")
    assert "allkeys-lru" in parts["memory"][1]
    assert "noeviction" in parts["memory"][1]


def test_a_server_that_is_almost_full_is_a_warning(server: RedisServer) -> None:
    """It refuses what is published soon."""
    used = int(re.findall(r"used_memory:(\d+)", server.command("INFO", "memory"))[0])
    server.command("CONFIG", "SET", "maxmemory", str(used * 101 // 100))
    code, parts = checked(address(server), "memory")
    assert (code, parts["memory"][0]) == (0, "ok")
    assert re.search(r"noeviction; \d+% of maxmemory is used", parts["memory"][1])


@pytest.mark.parametrize(
    ("said", "code", "sentence"),
    [
        ({"redis_version": "6.2.5", "role": "master"}, 2, "is Redis 6.2.5: Redis 7 or Valkey is needed"),
        ({"redis_version": "7.0.0", "role": "master"}, 0, "Redis 7.0.0 answers"),
        ({"redis_version": "7.2.4", "valkey_version": "8.1.0", "role": "master"}, 0, "Valkey 8.1.0 answers"),
    ],
    ids=["older", "oldest", "Valkey"],
)
def test_the_version_is_told_by_what_servers_say(said: dict[str, str], code: int, sentence: str) -> None:
    """Fields of `INFO` as these servers sent them; Redis 6 has no functions."""
    outcome = _server(said)
    assert outcome.code == code
    assert outcome.sentence.startswith(sentence)


def test_a_snapshot_that_fails_is_a_failure(tmp_path: Path) -> None:
    """Redis then refuses what is published."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with running_redis(folder, appendonly=False) as server:
        assert "no append-only file" in checked(server.url, "disk")[1]["disk"][1]
        rmtree(folder)
        server.command("BGSAVE")
        eventually(lambda: "rdb_last_bgsave_status:err" in server.command("INFO", "persistence"))
        code, parts = checked(server.url, "disk")
    assert (code, parts["disk"][0]) == (1, "FAIL")
    assert "snapshot failed" in parts["disk"][1]


def test_a_replica_is_a_failure(server: RedisServer, tmp_path: Path) -> None:
    """It cannot be written to."""
    folder = tmp_path / "replica"
    folder.mkdir()
    arguments = ("--replicaof", f"127.0.0.1 {server.port}")
    with running_redis(folder, appendonly=False, arguments=arguments) as replica:
        code, parts = checked(replica.url)
    assert (code, parts["server"]) == (1, ("FAIL", "is a read-only replica"))


def test_a_server_that_lacks_functions_names_the_command(tmp_path: Path) -> None:
    """As where an administrator has turned it off."""
    with running_redis(tmp_path, appendonly=False, arguments=("--rename-command", "FCALL", "")) as server:
        code, parts = checked(server.url, "rights")
    assert (code, parts["rights"]) == (2, ("FAIL", "this user lacks the command FCALL"))


def test_a_server_that_is_away_exits_with_1() -> None:
    """Nothing else is checked."""
    code, parts = checked(f"redis://127.0.0.1:{free_port()}")
    assert (code, words(parts)) == (1, "FAIL skip skip skip skip")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--broker", "sqlite:///a.db"), "begins with one of redis"),
        (("--broker", "redis://h", "--hub", "http://h"), "excludes --hub"),
        (("token", "--broker", "redis://h"), "'token' is checked without --broker"),
        (("rights",), "'rights' is checked with --broker"),
        (("--broker", "redis://h:99999"), "port"),
    ],
)
def test_options_that_contradict_each_other_exit_with_2(arguments: tuple[str, ...], message: str) -> None:
    """One line says why."""
    result = command("check", *arguments)
    assert result.returncode == 2
    assert message in result.stderr
