"""The log lines of document batches, as their operators know them."""

from __future__ import annotations

import logging
from typing import Any

from statushub.producers.jobs.log import JobLog

logger = logging.getLogger(__name__)


def created(job_id: str, keywords: int) -> None:
    """A batch was started by a request."""
    logger.info("[배치] 작업 생성: %s (%d개 키워드)", job_id, keywords)


def _line(text: object) -> str:
    """The text in one line: a keyword must not look like another line of the log."""
    return " ".join(str(text).split())


class BatchLog(JobLog):
    """The log lines of a batch."""

    def begun(self, job_id: str, *, goes_on: bool) -> None:
        logger.info("[배치] 작업 %s: %s", "재개" if goes_on else "시작", job_id)

    def ended_item(self, job_id: str, number: int, input: Any, *, done: int, total: int, problem: str | None) -> None:
        if problem is None:
            logger.info("[배치] %d/%d 완료: %s", done, total, _line(input))
        else:
            logger.warning("[배치] %d/%d 실패: %s (%s)", done, total, _line(input), _line(problem))

    def waits(self, job_id: str, number: int, input: Any, *, problem: str, seconds: float) -> None:
        logger.info("[배치] 재시도 대기 %.1f초: %s (%s)", seconds, _line(input), _line(problem))

    def ended(self, job_id: str, status: str, *, completed: int, failed: int) -> None:
        said = {"completed": "완료", "cancelled": "취소"}.get(status, "실패")
        logger.info("[배치] 작업 %s: %s (성공 %d, 실패 %d)", said, job_id, completed, failed)
