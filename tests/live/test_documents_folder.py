"""Counting the documents of a folder, which changes."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from statushub.producers.documents import index as indexing
from statushub.producers.documents.counter import CountFailed, KeywordRefused
from statushub.producers.documents.folder import FolderCounter
from statushub.producers.documents.index import Index
from statushub.producers.documents.reading import TEXT_BYTES
from statushub.producers.documents.text import normalized

pytestmark = pytest.mark.anyio

SEED: Final = 20261130

LETTERS: Final = (
    *"맥북프로아이폰가나 \n\t",
    *"aAbBéÉ",
    "e\u0301",
    "ß",
    "İ",
    *"C++'\"“*:^()-",
    "🧠",
    "🫠",
    "हि",
    "\u200b",
)


class Documents:
    """A folder of documents, and the counts of its index after each change."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "documents"
        self.root.mkdir()
        self.index = Index(self.root, folder / "index.db")
        self.index.open()

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def count(self, keyword: str) -> Mapping[str, int]:
        self.index.refresh(lambda: False)
        return self.index.count(keyword)


@pytest.fixture
def documents(tmp_path: Path) -> Documents:
    return Documents(tmp_path)


def test_a_document_has_a_keyword_where_its_text_contains_it(documents: Documents) -> None:
    """Of random texts of many scripts the index finds those that a search through the text finds."""
    chance = random.Random(SEED)
    texts = ["".join(chance.choices(LETTERS, k=chance.randrange(1, 60))) for _ in range(300)]
    for number, text in enumerate(texts):
        documents.write(f"{'blog' if number % 3 else 'cafe'}/{number}.txt", text)
    keywords = ["".join(chance.choices(LETTERS, k=chance.choice((1, 1, 2, 2, 3, 5)))) for _ in range(400)]
    found = 0
    for keyword in [*keywords, "맥북", "e\u0301", "É", "SS", '"', "C++"]:
        wanted = normalized(keyword)
        if wanted:
            expected = {"blog": 0, "cafe": 0}
            for number, text in enumerate(texts):
                expected["blog" if number % 3 else "cafe"] += wanted in normalized(text)
            assert documents.count(keyword) == expected, repr(keyword)
            found += sum(expected.values())
    assert found > 1_000


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("맥북", "새 맥북을 샀다"),
        ("폰", "아이폰"),
        ("맥북", "\u1106\u1162\u11a8\u1107\u116e\u11a8"),  # as macOS names files
        ("\u1106\u1162\u11a8\u1107\u116e\u11a8", "맥북"),
        ("맥북 프로", "맥북\n   프로"),
        ("MacBook", "macbook"),
        ("straße", "STRASSE"),
    ],
)
def test_spelling_does_not_matter(documents: Documents, keyword: str, text: str) -> None:
    """Case, the form of Unicode and the kind of space make no difference."""
    documents.write("blog/1.txt", text)
    assert documents.count(keyword) == {"blog": 1}


def test_every_category_is_named(documents: Documents) -> None:
    """A folder without the keyword, or without files, has 0; folders below it count as it; what is hidden, or lies
    beside the folders, is not counted."""
    documents.write("blog/2025/11/a.txt", "맥북")
    documents.write("blog/b.txt", "아이폰")
    documents.write("cafe/.draft.txt", "맥북")
    documents.write(".git/a.txt", "맥북")
    documents.write("a.txt", "맥북")
    (documents.root / "news").mkdir()
    assert documents.count("맥북") == {"blog": 1, "cafe": 0, "news": 0}


def test_changes_of_files_are_counted(documents: Documents) -> None:
    """New, changed, renamed, moved and removed files and folders count as they are at that moment."""
    path = documents.write("blog/1.txt", "맥북")
    documents.write("blog/2.txt", "아이폰")
    assert documents.count("맥북") == {"blog": 1}
    before = documents.index.source
    documents.count("맥북")
    assert documents.index.source == before
    path.write_text("아이폰")
    assert documents.count("맥북") == {"blog": 0}
    assert documents.index.source != before
    path.rename(documents.root / "blog/3.txt")
    assert documents.count("아이폰") == {"blog": 2}
    (documents.root / "blog").rename(documents.root / "cafe")
    assert documents.count("아이폰") == {"cafe": 2}
    (documents.root / "cafe/3.txt").unlink()
    assert documents.count("아이폰") == {"cafe": 1}


def test_a_file_of_the_same_size_and_time_is_read_again(documents: Documents) -> None:
    """A tool that sets the time of a file back, as copies do, hides no change."""
    path = documents.write("blog/1.txt", "맥북")
    assert documents.count("맥북") == {"blog": 1}
    times = path.stat()
    path.write_text("폰북")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert documents.count("맥북") == {"blog": 0}


@pytest.mark.parametrize(
    ("data", "has"),
    [
        ("맥북".encode("cp949"), 1),
        ("맥북".encode("utf-16"), 1),
        ("\ufeff맥북".encode(), 1),
        (b"\xff\xff " + "맥북".encode() + b" \xff", 1),
        (b"PK\x00\x01" + "맥북".encode(), 0),
        (b"", 0),
        ("가".encode() * (TEXT_BYTES // 3) + "맥북".encode(), 0),
        ("맥북".encode() + "가".encode() * (TEXT_BYTES // 3), 1),
    ],
    ids=["cp949", "utf-16", "mark", "errors", "binary", "empty", "behind the limit", "cut"],
)
def test_files_in_other_encodings_are_read(documents: Documents, data: bytes, has: int) -> None:
    """Text counts however it is encoded; binary files, and what lies behind the limit, do not."""
    documents.write("blog/1.txt", data)
    assert documents.count("맥북") == {"blog": has}


def test_a_folder_that_is_gone_is_no_empty_one(documents: Documents) -> None:
    """A disk that is not mounted now fails the count, and what was indexed is kept."""
    documents.write("blog/1.txt", "맥북")
    documents.count("맥북")
    source = documents.index.source
    documents.root.rename(documents.root.with_name("away"))
    with pytest.raises(CountFailed, match="cannot be read"):
        documents.count("맥북")
    documents.root.with_name("away").rename(documents.root)
    assert documents.count("맥북") == {"blog": 1}
    assert documents.index.source == source


def test_links_do_not_lead_in_circles(documents: Documents) -> None:
    """A link to a folder above is not followed, and one to nothing is no document."""
    documents.write("blog/1.txt", "맥북")
    (documents.root / "blog/up").symlink_to(documents.root)
    (documents.root / "blog/none.txt").symlink_to(documents.root / "nowhere")
    assert documents.count("맥북") == {"blog": 1}


def test_an_index_is_found_again(documents: Documents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process, or the next start, reads no file that the first one has read."""
    documents.write("blog/1.txt", "맥북")
    documents.count("맥북")
    again = Index(documents.root, tmp_path / "index.db")
    again.open()
    monkeypatch.setattr(indexing, "read_text", lambda path: pytest.fail(f"{path} is read again"))
    again.refresh(lambda: False)
    assert again.count("맥북") == {"blog": 1}
    again.close()


def test_an_index_of_many_changes_is_made_anew(documents: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
    """What changed documents leave behind does not stay for ever."""
    monkeypatch.setattr(indexing, "DEAD_MIN", 3)
    for change in range(20):
        documents.write("blog/1.txt", f"맥북 {change} {'.' * change}")
        documents.write("blog/2.txt", "맥북")
        assert documents.count("맥북") == {"blog": 2}
        assert documents.count(f"맥북 {change} ") == {"blog": 1}
    left = documents.index._value("SELECT dead FROM state")
    assert left <= 5


@pytest.mark.parametrize("keyword", ["", " ", "\n\u00a0", "\x00"])
def test_a_blank_keyword_is_refused(documents: Documents, keyword: str) -> None:
    """It would be in every document, or in none."""
    with pytest.raises(KeywordRefused):
        documents.count(keyword)


async def test_a_counter_looks_for_changes_again(tmp_path: Path) -> None:
    """A second later it counts what has changed, and its source has another name."""
    now = [0.0]
    path = tmp_path / "documents/blog/1.txt"
    path.parent.mkdir(parents=True)
    path.write_text("맥북")
    async with FolderCounter(tmp_path / "documents", index=tmp_path / "index.db", clock=lambda: now[0]) as counter:
        source = await counter.source()
        assert await counter.count("맥북") == {"blog": 1}
        path.unlink()
        assert await counter.count("맥북") == {"blog": 1}
        now[0] += 1_000
        assert await counter.count("맥북") == {"blog": 0}
        assert await counter.source() != source
