"""A reference model of the broker's contract, in plain Python. It shares no code with the brokers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
    lease: float | None = None
    request: bytes | None = None
    requested: int = 0
    cancelled: tuple[float, float] | None = None
    processing: bool = True
    kept: tuple[float, float] = (math.inf, math.inf)
    """When its retention ends."""
    appended: frozenset[str] = frozenset()
    """The fields that deltas have appended to."""
    state: dict[str, Any] | None = None
    """The whole state, where deltas have made another one of the data."""

    @property
    def whole(self) -> dict[str, Any]:
        """The state without a request to cancel."""
        said: dict[str, Any] = json.loads(self.data) if self.state is None else self.state
        return dict(said)

    @property
    def shown(self) -> bytes | dict[str, Any]:
        """The data as they are read, of which those of a content that has grown may have another order of fields."""
        if self.state is not None:
            return self.whole | ({} if self.request is None else {"cancel_requested": json.loads(self.request)})
        return self.data if self.request is None else self.data[:-1] + b',"cancel_requested":' + self.request + b"}"


@dataclass
class Reference:
    """The state of one tenant, by the rules of the contract. `begins` are when the runs began; every other attempt
    begins after them."""

    offset: int = 0
    begins: Mapping[str, float] = field(default_factory=dict)
    contents: dict[str, Content] = field(default_factory=dict)
    tombstones: dict[tuple[str, str], tuple[int, bytes]] = field(default_factory=dict)
    gone: dict[str, Content] = field(default_factory=dict)
    announced: list[tuple[int, int, str, str]] = field(default_factory=list)
    swept: float | None = None
    pause: float = 0.0

    def publish(self, publication: Publication, when: tuple[float, float], retention: float = math.inf) -> int | str:
        """The offset of a publication, or the reason of its refusal; `when` is the interval in which it was made."""
        before, verdict = self.offset, self._publish(publication, when)
        if self.offset != before:
            self.contents[publication.content_id].kept = (when[0] + retention, when[1] + retention)
        return verdict

    def _publish(self, publication: Publication, when: tuple[float, float]) -> int | str:
        content = self.contents.get(publication.content_id)
        if publication.delta is not None:
            return self._grow(publication, when, content)
        if content is None and (gone := self.gone.get(publication.content_id)) is not None:
            return self._return(publication, when, gone)
        if content is None:
            attempt = publication.attempt if publication.attempt is not None else 1
            return self._accept(publication, when, attempt, publication.seq, {})
        if content.channel != publication.channel:
            return "wrong_channel"
        if publication.run is not None and publication.run != content.run:
            if publication.run in content.former or not self._later(publication, content):
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

    def _grow(self, publication: Publication, when: tuple[float, float], content: Content | None) -> int | str:
        """A delta, which neither begins a content nor opens an attempt; its attempt is not given."""
        said = json.loads(publication.data)
        if content is None:
            gone = self.gone.get(publication.content_id)
            late = gone is not None and gone.seq is not None and (publication.seq or 0) <= gone.seq
            return "removed" if gone is not None and (publication.run is not None or late) else "unknown"
        if content.channel != publication.channel:
            return "wrong_channel"
        if publication.run is not None and publication.run != content.run:
            former = publication.run in content.former
            return "superseded" if former or not self._later(publication, content) else "gap"
        if content.seq is not None and (publication.seq or 0) <= content.seq:
            return content.seqs[content.seq] if publication.seq == content.seq else "superseded"
        if content.ended:
            return "closed"
        if not content.processing or publication.delta is None or publication.delta.follows != content.seq:
            return "gap"
        offset = self._tick(publication.channel, publication.content_id, publication.type)
        sets = said.get("set", {})
        state, appended = content.whole | sets, set(content.appended) - sets.keys()
        for name, addition in said.get("append", {}).items():
            before = state.get(name)
            state[name] = before + addition if type(before) is type(addition) else addition
            appended.add(name)
        state["timestamp"] = said["timestamp"]
        since, lease = self._lease_time(when), publication.lease
        content.seq, content.seqs = publication.seq, {publication.seq or 0: offset}
        content.offset, content.state, content.appended = offset, state, frozenset(appended)
        content.lease, content.deadline = lease, (since[0] + lease, since[1] + lease) if lease else None
        return offset

    def _return(self, publication: Publication, when: tuple[float, float], gone: Content) -> int | str:
        """A publication of a content that was removed. Every run of `begins` began before any removal."""
        if publication.run is not None:
            return "removed"
        if publication.attempt is not None and publication.attempt <= gone.attempt:
            return "removed"
        seqs = (publication.seq, gone.seq)
        if publication.attempt is None and seqs[0] is not None and seqs[1] is not None and seqs[0] <= seqs[1]:
            return "removed"
        attempt = gone.attempt + 1 if publication.attempt is None else publication.attempt
        return self._accept(publication, when, attempt, publication.seq, {}, gone)

    def remove(self, channel: str, content_ids: Sequence[str]) -> list[str]:
        """Remove contents; returns those that were there."""
        found = [
            it for it in dict.fromkeys(content_ids) if it in self.contents and self.contents[it].channel == channel
        ]
        for content_id in found:
            offset = self._tick(channel, content_id, "content_removed")
            self.gone[content_id] = self.contents.pop(content_id)
            data = f'{{"content_id":"{content_id}","channel_id":"{channel}"}}'.encode()
            self.tombstones[channel, content_id] = (offset, data)
        return found

    def forget(self, content_id: str) -> None:
        """Remove a content whose retention has ended: nothing of its fence is kept."""
        channel = self.contents[content_id].channel
        self.remove(channel, [content_id])
        del self.gone[content_id]

    def outlived(self, now: float) -> tuple[set[str], set[str]]:
        """The contents whose retention has ended by then, and those of which it may have."""
        must = {key for key, it in self.contents.items() if it.kept[1] < now}
        return must, {key for key, it in self.contents.items() if it.kept[0] < now} - must

    def members(self, channel: str) -> list[str]:
        """The contents of a channel, in the order of their offsets."""
        return [it for _, it, type, _ in self.changes(channel, 0) if type != "content_removed"]

    def _later(self, publication: Publication, content: Content) -> bool:
        began = self.begins[publication.run or ""]
        return began > content.began or (publication.restart and began == content.began)

    def overdue(self, now: float) -> tuple[set[str], set[str]]:
        """Sweep: the contents that must end now, and those that may, as their deadline is only known as an interval."""
        if self.swept is not None and not 0 <= now - self.swept <= GAP:
            self.pause += now - self.swept
        self.swept, passed = now, now - self.pause
        ends = [(key, end) for key, it in self.contents.items() for end in (it.deadline, it.cancelled) if end]
        must = {key for key, end in ends if end[1] < passed}
        may = {key for key, end in ends if end[0] < passed}
        return must, may - must

    def codes(self, content_id: str, now: float) -> set[str]:
        """The error codes with which a sweep at that time may end the content: the lease comes first."""
        content, passed = self.contents[content_id], now - self.pause
        stalls = content.deadline is not None and content.deadline[0] < passed
        stops = content.cancelled is not None and content.cancelled[0] < passed
        certain = content.deadline is not None and content.deadline[1] < passed
        return {"stalled"} if certain else {*(("stalled",) if stalls else ()), *(("cancelled",) if stops else ())}

    def cancel(self, channel: str, content_id: str, request: bytes, when: tuple[float, float]) -> int | str:
        """The offset of a request to cancel, or why there is none."""
        content = self.contents.get(content_id)
        if content is None or content.channel != channel:
            return "unknown"
        if content.ended:
            return "ended"
        if content.request is None:
            content.offset = self._tick(channel, content_id, content.type)
            since, seconds = self._lease_time(when), min(content.lease or 60.0, 60.0) + 10
            content.request, content.cancelled = request, (since[0] + seconds, since[1] + seconds)
            content.requested = content.offset
        return content.requested

    def stall(self, content_id: str, type: str, data: bytes) -> None:
        """End the content; the rest of its fence is unchanged."""
        content = self.contents[content_id]
        content.offset = self._tick(content.channel, content_id, type)
        content.ended, content.type, content.data = True, type, data
        content.state, content.appended, content.kept = None, frozenset(), (math.inf, math.inf)
        content.deadline = content.request = content.cancelled = None

    def changes(self, channel: str, since: int) -> list[tuple[int, str, str, bytes | dict[str, Any]]]:
        """Offset, id, type and data of each content's latest event after `since`."""
        contents: list[tuple[int, str, str, bytes | dict[str, Any]]] = [
            (content.offset, key, content.type, content.shown)
            for key, content in self.contents.items()
            if content.channel == channel and content.offset > since
        ]
        tombstones: list[tuple[int, str, str, bytes | dict[str, Any]]] = [
            (offset, key, "content_removed", data)
            for (there, key), (offset, data) in self.tombstones.items()
            if there == channel and offset > since
        ]
        return sorted(contents + tombstones, key=lambda it: it[0])

    def lookup(self, content_ids: Sequence[str]) -> list[tuple[str, int, bytes | dict[str, Any]] | None]:
        """Channel, offset and data of each content's latest event."""
        return [self._found(content_id) for content_id in content_ids]

    def _found(self, content_id: str) -> tuple[str, int, bytes | dict[str, Any]] | None:
        content = self.contents.get(content_id)
        if content is not None:
            return content.channel, content.offset, content.shown
        tombs = [(offset, there, data) for (there, key), (offset, data) in self.tombstones.items() if key == content_id]
        if not tombs:
            return None
        offset, there, data = max(tombs)
        return there, offset, data

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
        self.tombstones.pop((publication.channel, publication.content_id), None)
        self.gone.pop(publication.content_id, None)
        present = self.contents.get(publication.content_id)
        same = present if present is not None and present.attempt == attempt else None
        kept = None if publication.terminal else same
        left = same.appended - json.loads(publication.data).keys() if same else frozenset()
        grown = {name: value for name, value in same.whole.items() if name in left} if same else {}
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
            lease=lease,
            request=kept.request if kept else None,
            requested=kept.requested if kept else 0,
            cancelled=kept.cancelled if kept else None,
            processing=publication.phase is Phase.PROCESSING,
            appended=left,
            state=json.loads(publication.data) | grown if left else None,
        )
        return offset

    def _tick(self, channel: str, content_id: str, type: str) -> int:
        there = [content.offset for content in self.contents.values() if content.channel == channel]
        there += [offset for (name, _), (offset, _) in self.tombstones.items() if name == channel]
        prev = max(there, default=0)
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
