"""The mark beside the embedded broker's file tells a restart from a restored or copied file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from statushub.hub.brokers.sqlite.mark import SUFFIX, Mark
from statushub.hub.brokers.sqlite.store import Store
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import ConfigError
from tests.support.publications import update

TENANT = "t"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "hub.db"


@contextmanager
def opened(file: Path) -> Iterator[Store]:
    store = Store(file, retention=3600.0)
    try:
        yield store
    finally:
        store.close()


def published(file: Path, content_id: str) -> Cursor:
    """Open the file, publish, and close it: the cursor of the event."""
    with opened(file) as store, store.transaction():
        [receipt], _ = store.publish(TENANT, [update(content_id)])
    assert receipt.cursor is not None
    return receipt.cursor


def mark(file: Path) -> Path:
    return Path(f"{file}{SUFFIX}")


def test_a_restart_keeps_the_epoch(file: Path) -> None:
    """The clock goes on where it was, however often the file is opened."""
    cursors = [published(file, str(number)) for number in range(4)]
    assert {cursor.epoch for cursor in cursors} == {cursors[0].epoch}
    assert [cursor.offset for cursor in cursors] == [cursors[0].offset + number for number in range(4)]


def test_a_mark_that_is_behind_its_file_proves_as_much(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill may come between a commit and the mark, which does not wait for the disk."""
    published(file, "a")
    with monkeypatch.context() as killed:
        killed.setattr(Mark, "write", lambda *_: None)
        before = published(file, "b")
    assert before.epoch == published(file, "c").epoch


def restored_in_place(file: Path, backup: Path) -> Path:
    file.write_bytes(backup.read_bytes())
    return file


def restored_by_replacement(file: Path, backup: Path) -> Path:
    return backup.replace(file)


def restored_with_its_mark(file: Path, backup: Path) -> Path:
    mark(backup).replace(mark(file))
    return backup.replace(file)


def opened_elsewhere(file: Path, backup: Path) -> Path:
    return backup


@pytest.mark.parametrize(
    "restore", [restored_in_place, restored_by_replacement, restored_with_its_mark, opened_elsewhere]
)
def test_a_former_state_of_the_file_begins_a_later_epoch(file: Path, restore: Callable[[Path, Path], Path]) -> None:
    """What was published since the copy is lost, and no cursor of it may be taken for one of what comes."""
    published(file, "a")
    backup = file.with_name("backup.db")
    shutil.copy(file, backup)
    shutil.copy(mark(file), mark(backup))
    lost = published(file, "b")
    restored = restore(file, backup)
    after = published(restored, "c")
    assert lost.precedes(after)
    assert lost.epoch != after.epoch
    assert published(restored, "d").epoch == after.epoch


def test_a_copy_that_is_ahead_begins_a_later_epoch(file: Path) -> None:
    """The file was set back, and then forth again: what came in between is lost."""
    first = published(file, "a")
    former = file.read_bytes()
    for number in range(5):
        published(file, str(number))
    latter = file.read_bytes()
    file.write_bytes(former)
    lost = published(file, "b")
    file.write_bytes(latter)
    after = published(file, "c")
    assert len({first.epoch, lost.epoch, after.epoch}) == 3
    assert lost.precedes(after)


def test_another_database_in_its_place_begins_a_later_epoch(file: Path) -> None:
    """A database of another hub has another name, however far it has come."""
    published(file, "a")
    other = file.with_name("other.db")
    before = [published(other, str(number)) for number in range(5)][-1]
    file.write_bytes(other.read_bytes())
    after = published(file, "b")
    assert before.epoch != after.epoch
    assert before.precedes(after)


def without(mark: Path) -> None:
    mark.unlink()


def cut(mark: Path) -> None:
    mark.write_bytes(mark.read_bytes()[:-1])


def emptied(mark: Path) -> None:
    mark.write_bytes(b"")


def overwritten(mark: Path) -> None:
    mark.write_bytes(b"\xff" * len(mark.read_bytes()))


@pytest.mark.parametrize("damage", [without, cut, emptied, overwritten])
def test_a_file_without_its_mark_begins_a_later_epoch(file: Path, damage: Callable[[Path], None]) -> None:
    """Nothing shows then that it has lost nothing; from then on it has a mark again."""
    before = published(file, "a")
    damage(mark(file))
    after = published(file, "b")
    assert before.epoch != after.epoch
    assert before.precedes(after)
    assert published(file, "c").epoch == after.epoch


def test_every_tenant_begins_a_later_epoch(file: Path) -> None:
    """The clocks of all tenants are in the file."""
    with opened(file) as store:
        for tenant in ("t", "u"):
            with store.transaction():
                store.publish(tenant, [update("a")])
        before = [store.offsets(tenant, []).cursor for tenant in ("t", "u")]
    mark(file).unlink()
    with opened(file) as store:
        after = [store.offsets(tenant, []).cursor for tenant in ("t", "u")]
    assert all(old.epoch != new.epoch and old.precedes(new) for old, new in zip(before, after, strict=True))


def test_a_mark_is_private(file: Path) -> None:
    """It is read and written by the hub's user only."""
    published(file, "a")
    assert mark(file).stat().st_mode & 0o777 == 0o600


def test_a_mark_that_cannot_be_opened_is_named(file: Path) -> None:
    """The hub does not start, since it could not tell a restored file from its own."""
    mark(file).mkdir()
    with pytest.raises(ConfigError, match="beside") as caught:
        Store(file, retention=3600.0)
    assert caught.value.field == "broker"


def test_a_broker_in_memory_has_no_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written beside what is not there."""
    monkeypatch.chdir(tmp_path)
    store = Store(None, retention=3600.0)
    with store.transaction():
        store.publish(TENANT, [update("a")])
    store.close()
    assert not [*tmp_path.iterdir()]
