"""A reference model of the broker's contract, in plain Python. It shares no code with the brokers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from statushub.hub.model.publication import Publication

GAP = 5.0


@dataclass
class Content:
    """A content's latest event. The times of its lease are intervals, since the broker reads its own clock."""

    channel: str
    attempt: int
    seq: int | None
    seqs: dict[int, int]
    ended: bool
    offset: int
    type: str
    data: bytes
    leased: tuple[float, float] | None = None
    deadline: tuple[float, float] | None = None


@dataclass
class Reference:
    """The state of one tenant, by the rules of the contract."""

    offset: int = 0
    contents: dict[str, Content] = field(default_factory=dict)
    announced: list[tuple[int, int, str, str]] = field(default_factory=list)
    swept: float | None = None

    def publish(self, publication: Publication, when: tuple[float, float]) -> int | str:
        """The offset of a publication, or the reason of its refusal; `when` is the interval in which it was made."""
        content = self.contents.get(publication.content_id)
        if content is None:
            attempt = publication.attempt if publication.attempt is not None else 1
            return self._accept(publication, when, attempt, publication.seq, {})
        if content.channel != publication.channel:
            return "wrong_channel"
        attempt = content.attempt if publication.attempt is None else publication.attempt
        if attempt < content.attempt:
            return "superseded"
        if attempt > content.attempt:
            return self._accept(publication, when, attempt, publication.seq, {})
        if publication.seq is not None and content.seq is not None:
            if publication.seq == content.seq:
                return content.seqs[publication.seq]
            if publication.seq < content.seq:
                return "superseded"
        if content.ended:
            return "closed"
        seq = content.seq if publication.seq is None else publication.seq
        return self._accept(publication, when, attempt, seq, content.seqs)

    def overdue(self, now: float) -> tuple[set[str], set[str]]:
        """Sweep: the contents that must end now, and those that may, as their deadline is only known as an interval."""
        held = {key: content for key, content in self.contents.items() if content.deadline is not None}
        if self.swept is not None and now - self.swept > GAP:
            for content in held.values():
                self._extend(content, now, self.swept)
        self.swept = now
        must = {key for key, content in held.items() if content.deadline and content.deadline[1] < now}
        may = {key for key, content in held.items() if content.deadline and content.deadline[0] < now}
        return must, may - must

    def stall(self, content_id: str, type: str, data: bytes) -> None:
        """End the content; the rest of its fence is unchanged."""
        content = self.contents[content_id]
        content.offset = self._tick(content.channel, content_id, type)
        content.ended, content.type, content.data = True, type, data
        content.leased = content.deadline = None

    def changes(self, channel: str, since: int) -> list[tuple[int, str, str, bytes]]:
        """Offset, id, type and data of each content's latest event after `since`."""
        return sorted(
            (content.offset, key, content.type, content.data)
            for key, content in self.contents.items()
            if content.channel == channel and content.offset > since
        )

    def lookup(self, content_ids: Sequence[str]) -> list[tuple[str, int, bytes] | None]:
        """Channel, offset and data of each content's latest event."""
        found = (self.contents.get(content_id) for content_id in content_ids)
        return [None if content is None else (content.channel, content.offset, content.data) for content in found]

    def _accept(
        self,
        publication: Publication,
        when: tuple[float, float],
        attempt: int,
        seq: int | None,
        seqs: dict[int, int],
    ) -> int:
        offset = self._tick(publication.channel, publication.content_id, publication.type)
        lease = None if publication.terminal else publication.lease
        self.contents[publication.content_id] = Content(
            channel=publication.channel,
            attempt=attempt,
            seq=seq,
            seqs=seqs if publication.seq is None else {**seqs, publication.seq: offset},
            ended=publication.terminal,
            offset=offset,
            type=publication.type,
            data=publication.data,
            leased=None if lease is None else when,
            deadline=None if lease is None else (when[0] + lease, when[1] + lease),
        )
        return offset

    def _tick(self, channel: str, content_id: str, type: str) -> int:
        prev = max((content.offset for content in self.contents.values() if content.channel == channel), default=0)
        self.offset += 1
        self.announced.append((prev, self.offset, content_id, type))
        return self.offset

    @staticmethod
    def _extend(content: Content, now: float, swept: float) -> None:
        if content.leased is None or content.deadline is None:
            return
        # A later start of the lease means a later deadline and a shorter extension.
        moved = [max(now - max(swept, leased), 0.0) for leased in content.leased]
        content.deadline = (content.deadline[0] + min(moved), content.deadline[1] + max(moved))
