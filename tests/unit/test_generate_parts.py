"""Parts of the generator: cutting a text, choosing sentences, reading pairs from an answer."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from statushub.hub.model.errors import Invalid
from statushub.producers.generate import Options
from statushub.producers.generate.document import Document, parts, sentences
from statushub.producers.generate.extractive import ExtractiveWriter
from statushub.producers.generate.pair_parser import PairParser
from statushub.producers.generate.result import Pair
from statushub.producers.generate.writer import Answered, Text
from tests.support.documents import KOREAN, MILL
from tests.support.model_server import pairs

QA = pairs(("Why [is it] so?", 'It says "}, {" here.'), ("Wie viel?", "Zwölf \N{PILE OF POO}."))


def test_sentences_are_found_in_both_languages() -> None:
    """Titles and numbers do not end one; a paragraph does."""
    assert sentences(" ".join(MILL), "en") == [*MILL]
    assert sentences(" ".join(KOREAN), "ko") == [*KOREAN]
    assert sentences("A heading\n\nDr. Kim walked\n3.5 km. Good!", "en") == [
        "A heading",
        "Dr. Kim walked 3.5 km.",
        "Good!",
    ]


@pytest.mark.parametrize("characters", [30, 100, 250, 10_000])
def test_parts_hold_the_whole_text(characters: int) -> None:
    """In order, none longer than the limit, and no two of them would fit into one."""
    text = " ".join(MILL)
    found = parts(text, "en", characters)
    assert "".join(found).replace(" ", "") == text.replace(" ", "")
    assert all(0 < len(part) <= characters for part in found)
    assert all(len(one) + 1 + len(sentences(other, "en")[0]) > characters for one, other in pairwise(found))


@pytest.mark.parametrize(
    ("text", "language"),
    [(" ".join(MILL), "en"), (" ".join(KOREAN), "ko"), ("API 서버는 JSON 응답을 보낸다", "ko"), ("1 2 3", "en")],
)
def test_the_language_is_that_of_most_letters(text: str, language: str) -> None:
    """Technical Korean has many Latin words."""
    assert Document(text=text).language == language


async def extracted(text: str, count: int) -> tuple[str, list[Pair]]:
    writer, document = ExtractiveWriter(), Document(text=text)
    summary = "".join([each.piece async for each in writer.summary(document) if isinstance(each, Text)])
    found = [each.pair async for each in writer.pairs(document, summary, count) if isinstance(each, Answered)]
    return summary, found


@pytest.mark.anyio
async def test_the_most_central_sentences_are_chosen() -> None:
    """A sentence that shares nothing with the others is left out, wherever it is."""
    odd = "Yesterday my neighbour bought seventeen green umbrellas."
    for place in range(len(MILL) + 1):
        summary, found = await extracted(" ".join([*MILL[:place], odd, *MILL[place:]]), 3)
        assert odd not in summary
        assert {*sentences(summary, "en")} < {*MILL}
        assert len(found) == 3
        assert len({pair.question for pair in found}) == 3


@pytest.mark.anyio
async def test_korean_questions_name_words_without_particles() -> None:
    """`방앗간은` is asked about as `방앗간`."""
    summary, found = await extracted(" ".join(KOREAN), 5)
    assert {*sentences(summary, "ko")} < {*KOREAN}
    assert any("“방앗간”" in pair.question for pair in found)
    assert all(pair.answer in KOREAN for pair in found)


@pytest.mark.anyio
@pytest.mark.parametrize("text", ["Word", "One.", "a " * 5_000, "!?", "같다", "Is it? It is. It is not."])
async def test_any_text_has_a_summary(text: str) -> None:
    """However short, long or odd."""
    summary, found = await extracted(text, 3)
    assert summary
    assert len(found) <= 3


@pytest.mark.parametrize("size", [1, 2, 7, 1_000])
def test_pairs_are_read_while_they_arrive(size: int) -> None:
    """Each with the piece that completes it, whatever its strings hold; the whole is the same."""
    parser, found, at = PairParser(), [], []
    for start in range(0, len(QA), size):
        for pair in parser.feed(QA[start : start + size]):
            found.append(pair)
            at.append(start + size)
    assert found == [Pair("Why [is it] so?", 'It says "}, {" here.'), Pair("Wie viel?", "Zwölf \N{PILE OF POO}.")]
    assert tuple(found) == parser.pairs()
    assert at[0] < len(QA) - 10 or size == 1_000


@pytest.mark.parametrize(
    "text",
    [
        "", "[", "[" * 100_000, "null", "{}", "[}", '{"qa_list": 3}', '{"qa_list": []}',
        '{"qa_list": [3, {"question": "a"}]}',
        '{"qa_list": [{"question": "", "answer": "a"}]}', '[{"question": "a", "answer": "b"}]', "prose } with { braces",
    ],
    ids=lambda text: text[:30] or "nothing",
)  # fmt: skip
def test_an_answer_of_another_form_is_no_pair(text: str) -> None:
    """`pairs` says what is wrong."""
    parser = PairParser()
    parser.feed(text)
    with pytest.raises(ValueError, match=r"."):
        parser.pairs()


@pytest.mark.parametrize("text", [f"```json\n{QA}\n```", f"```\n{QA}```\n", f"\n {QA} \n"])
def test_a_fence_around_the_answer_is_ignored(text: str) -> None:
    """Models wrap JSON into Markdown."""
    parser = PairParser()
    parser.feed(text)
    assert [pair.question for pair in parser.pairs()] == [pair["question"] for pair in json.loads(QA)["qa_list"]]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("questions", -1),
        ("questions", 21),
        *(("base_url", url) for url in ("nonsense", "localhost:11434/v1", "ftp://127.0.0.1/v1")),
        *(("base_url", url) for url in ("http://", "http://[::1/v1", "http://a:99999/v1", "http://a:0")),
        ("part_characters", 499),
        ("words_per_second", -1.0),
        ("words_per_second", float("nan")),
        *((name, 0) for name in ("source_bytes", "pages", "text_characters", "memory_bytes")),
        *((name, float("inf")) for name in ("download_seconds", "read_seconds", "answer_seconds")),
    ],
)
def test_an_option_out_of_range_is_named(field: str, value: float | str) -> None:
    """Before anything is read."""
    with pytest.raises(Invalid) as caught:
        Options(**{field: value})  # type: ignore[arg-type]
    assert caught.value.field == field
