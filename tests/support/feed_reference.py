"""The promises of hub/feeds/contract.py in the fewest words: what a store of one tenant answers."""

from __future__ import annotations

from collections.abc import Sequence

from statushub.hub.feeds.contract import WEIGHTS, Counts, Reason, Trend, Written
from statushub.hub.feeds.writes import COUNTER_MAX, AnyWrite, Count, Delete, Follow, Like, Notify, Read

ZEROS = (0, 0, 0, 0, 0)


class FeedReference:
    """The state of one tenant."""

    def __init__(self) -> None:
        self.likes: set[tuple[str, str]] = set()
        self.follows: set[tuple[str, str]] = set()
        self.videos: dict[str, tuple[int, ...] | None] = {}
        self.notes: dict[str, dict[str, tuple[str, bool]]] = {}
        self.ids: set[str] = set()

    def write(self, write: AnyWrite) -> Written:
        """What becomes of a write."""
        if write.id is not None:
            if write.id in self.ids:
                return Written(reason=Reason.REPEAT)
            self.ids.add(write.id)
        if isinstance(write, Read):
            marked = self._read(write)
            return Written(reason=None if marked else Reason.UNCHANGED, marked=marked)
        return Written(reason=self._reason(write))

    def _reason(self, write: AnyWrite) -> Reason | None:
        match write:
            case Like():
                if write.liked and self._deleted(write.video_id):
                    return Reason.DELETED
                if not _put(self.likes, (write.user_id, write.video_id), write.liked):
                    return Reason.UNCHANGED
                self._count(write.video_id, (0, 1 if write.liked else -1, 0, 0, 0))
            case Follow():
                if not _put(self.follows, (write.user_id, write.followed_id), write.following):
                    return Reason.UNCHANGED
            case Count():
                if self._deleted(write.video_id):
                    return Reason.DELETED
                if not self._count(write.video_id, write.changes):
                    return Reason.UNCHANGED
            case Delete():
                if self._deleted(write.video_id):
                    return Reason.UNCHANGED
                self.videos[write.video_id] = None
            case Notify():
                assert write.id is not None
                self.notes.setdefault(write.user_id, {})[write.id] = (write.category, False)
        return None

    def _read(self, write: Read) -> int:
        notes = self.notes.get(write.user_id, {})
        ids = list(notes) if write.notification_ids is None else write.notification_ids
        marked = [id for id in dict.fromkeys(ids) if id in notes and not notes[id][1]]
        for id in marked:
            notes[id] = (notes[id][0], True)
        return len(marked)

    def _deleted(self, video: str) -> bool:
        return self.videos.get(video, ZEROS) is None

    def _count(self, video: str, changes: Sequence[int]) -> bool:
        before = self.videos.get(video, ZEROS)
        if before is None:
            return False
        after = tuple(min(max(b + c, 0), COUNTER_MAX) for b, c in zip(before, changes, strict=True))
        self.videos[video] = after
        return after != before

    def counts(self, video: str) -> Counts | None:
        """The counters of a video."""
        stored = self.videos.get(video, ZEROS)
        return None if stored is None else Counts(**dict(zip(Counts.__struct_fields__, stored, strict=True)))

    def trending(self) -> list[Trend]:
        """All videos with counters."""
        scores = {video: _score(stored) for video, stored in self.videos.items() if stored is not None}
        found = [Trend(score=score, video=video) for video, score in scores.items() if score]
        return sorted(found, key=lambda it: (it.score, it.video.encode()), reverse=True)

    def notifications(self, user: str, category: str | None) -> list[tuple[str, bool]]:
        """A user's notifications: id and whether it was read, the newest first."""
        notes = reversed(self.notes.get(user, {}).items())
        return [(id, read) for id, (named, read) in notes if category in (None, named)]

    def unread(self, user: str) -> int:
        """How many of them are not read."""
        return sum(not read for _, read in self.notes.get(user, {}).values())


def _put(members: set[tuple[str, str]], member: tuple[str, str], there: bool) -> bool:
    if (member in members) == there:
        return False
    members.symmetric_difference_update({member})
    return True


def _score(stored: Sequence[int]) -> int:
    return min(sum(value * weight for value, weight in zip(stored, WEIGHTS, strict=True)), COUNTER_MAX)
