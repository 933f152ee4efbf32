"""A reference model of the broker's contract, in plain Python. It shares no code with the brokers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from statushub.hub.model.publication import Publication
from statushub.hub.model.vocabulary import Phase

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
    run: str | None = None
    former: tuple[str, ...] = ()
    began: float = math.inf
    deadline: tuple[float, float] | None = None


@dataclass
class Reference:
    """The state of one tenant, by the rules of the contract. `begins` are when the runs began; every other attempt
    begins after them."""

    offset: int = 0
    begins: Mapping[str, float] = field(default_factory=dict)
    contents: dict[str, Content] = field(default_factory=dict)
    announced: list[tuple[int, int, str, str]] = field(default_factory=list)
    swept: float | None = None
    pause: float = 0.0

    def publish(self, publication: Publication, when: tuple[float, float]) -> int | str:
        """The offset of a publication, or the reason of its refusal; `when` is the interval in which it was made."""
        content = self.contents.get(publication.content_id)
        if content is None:
            attempt = publication.attempt if publication.attempt is not None else 1
            return self._accept(publication, when, attempt, publication.seq, {})
        if content.channel != publication.channel:
            return "wrong_channel"
        if publication.run is not None and publication.run != content.run:
            if publication.run in content.former or self.begins[publication.run] <= content.began:
                return "superseded"
            return self._accept(publication, when, content.attempt + 1, publication.seq, {}, content)
        attempt = content.attempt if publication.attempt is None else publication.attempt
        if attempt < content.attempt:
            return "superseded"
        if attempt > content.attempt:
            return self._accept(publication, when, attempt, publication.seq, {}, content)
        if publication.seq is not None and content.seq is not None:
            if publication.seq == content.seq:
                return content.seqs[publication.seq]
            if publication.seq < content.seq:
                return "superseded"
        if content.ended and not publication.restart:
            return "closed"
        seq = content.seq if publication.seq is None else publication.seq
        return self._accept(publication, when, attempt + content.ended, seq, content.seqs, content, joins=True)

    def overdue(self, now: float) -> tuple[set[str], set[str]]:
        """Sweep: the contents that must end now, and those that may, as their deadline is only known as an interval."""
        if self.swept is not None and not 0 <= now - self.swept <= GAP:
            self.pause += now - self.swept
        self.swept, passed = now, now - self.pause
        must = {key for key, content in self.contents.items() if content.deadline and content.deadline[1] < passed}
        may = {key for key, content in self.contents.items() if content.deadline and content.deadline[0] < passed}
        return must, may - must

    def stall(self, content_id: str, type: str, data: bytes) -> None:
        """End the content; the rest of its fence is unchanged."""
        content = self.contents[content_id]
        content.offset = self._tick(content.channel, content_id, type)
        content.ended, content.type, content.data = True, type, data
        content.deadline = None

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
        before: Content | None = None,
        *,
        joins: bool = False,
    ) -> int:
        offset = self._tick(publication.channel, publication.content_id, publication.type)
        lease = publication.lease if publication.phase is Phase.PROCESSING else None
        run, began = publication.run, self.begins.get(publication.run or "", math.inf)
        former: tuple[str, ...] = ()
        if before is not None and joins:
            run, former, began = before.run, before.former, before.began
        elif before is not None:
            former = before.former if before.run is None else (before.run, *before.former)[:8]
        since = self._lease_time(when)
        self.contents[publication.content_id] = Content(
            channel=publication.channel,
            attempt=attempt,
            seq=seq,
            seqs=seqs if publication.seq is None else {**seqs, publication.seq: offset},
            ended=publication.terminal,
            offset=offset,
            type=publication.type,
            data=publication.data,
            run=run,
            former=former,
            began=began,
            deadline=(since[0] + lease, since[1] + lease) if lease else None,
        )
        return offset

    def _tick(self, channel: str, content_id: str, type: str) -> int:
        prev = max((content.offset for content in self.contents.values() if content.channel == channel), default=0)
        self.offset += 1
        self.announced.append((prev, self.offset, content_id, type))
        return self.offset

    def _lease_time(self, when: tuple[float, float]) -> tuple[float, float]:
        """The lease time, which stands still at the last sweep where that is long ago or in the future."""
        if self.swept is not None and (when[1] < self.swept or when[0] > self.swept + GAP):
            when = (self.swept, self.swept)
        elif self.swept is not None:
            when = (min(when[0], self.swept), when[1])
        return when[0] - self.pause, when[1] - self.pause
