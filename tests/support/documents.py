"""Real documents for readers of texts: HTML pages and PDF files, made here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pypdf

MILL: Final = (
    "The tide mill of Harwich was built in 1170 beside the sea wall.",
    "The mill used the water that the flood left behind a dam to turn its wheel at ebb.",
    "Dr. Miller, who kept the mill in 1840, wrote that its wheel turned six hours in every tide.",
    "The mill stood still when the sea wall was broken in 1953.",
    "A society of volunteers has repaired the wheel of the mill since 2009.",
    "Since 2021 the mill grinds flour again on Sundays, and school classes watch the wheel turn.",
)

KOREAN: Final = (
    "하리치의 조력 방앗간은 1170년에 바닷가에 지어졌다.",
    "방앗간은 밀물이 둑 뒤에 남긴 물로 썰물 때 바퀴를 돌렸다.",
    "1840년에 방앗간을 지키던 밀러 박사는 밀물마다 여섯 시간씩 곡식을 빻았다고 적었다.",
    "방앗간은 1953년 방조제가 무너지면서 멈추었다.",
    "자원봉사 단체가 2009년부터 방앗간의 바퀴를 수리했다.",
    "2021년부터 방앗간은 일요일마다 다시 밀가루를 빻는다.",
)


def html(sentences: Sequence[str] = MILL, title: str = "The tide mill") -> str:
    """A page with an article, between a menu and a footer."""
    middle = len(sentences) // 2
    paragraphs = "".join(f"<p>{' '.join(part)}</p>" for part in (sentences[:middle], sentences[middle:]))
    return (
        f"<!doctype html><html><head><meta charset=utf-8><title>{title}</title></head><body>"
        "<nav><a href=/>Home</a> <a href=/basket>Your basket is empty</a></nav>"
        f"<article><h1>{title}</h1>{paragraphs}</article>"
        "<footer>Imprint and cookies</footer><script>track('reader')</script></body></html>"
    )


def pdf(path: Path, pages: Sequence[Sequence[str]] = (MILL[:3], MILL[3:])) -> Path:
    """Write a PDF with a line for each text of a page."""
    count = len(pages)
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(count))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, lines in enumerate(pages):
        shown = "".join(f"({line}) Tj T* " for line in lines)
        stream = f"BT /F1 10 Tf 14 TL 40 760 Td {shown}ET"
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {5 + 2 * number} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>",
            f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        ]
    written, offsets = "%PDF-1.4\n", []
    for number, text in enumerate(objects, 1):
        offsets.append(len(written))
        written += f"{number} 0 obj\n{text}\nendobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    written += f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R >>\n"
    path.write_bytes(f"{written}startxref\n{written.rindex('xref')}\n%%EOF\n".encode("latin-1"))
    return path


def locked_pdf(path: Path) -> Path:
    """Write a PDF that is encrypted with a password."""
    with pypdf.PdfReader(pdf(path)) as reader:
        writer = pypdf.PdfWriter(clone_from=reader)
    writer.encrypt("secret")
    writer.write(path)
    return path
