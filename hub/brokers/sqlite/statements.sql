-- The statements of the embedded broker. Each follows a line `-- name: <its name>`; times are as in schema.sql.

-- name: content
SELECT rowid, channel, attempt, run, runs, began, seq, seq_offset, phase, offset, length(data), lease, grown, cancel,
    cancel_offset, cancel_deadline FROM contents
WHERE tenant = ? AND content_id = ?;

-- name: store
INSERT OR REPLACE INTO contents (
    attempt, run, runs, began, seq, seq_offset, phase, offset, type, data, deadline, ends, lease, tenant, content_id,
    channel, cancel, cancel_offset, cancel_deadline, grown
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: update
UPDATE contents SET
    attempt = ?, run = ?, runs = ?, began = ?, seq = ?, seq_offset = ?, phase = ?, offset = ?, type = ?, data = ?,
    deadline = ?, ends = ?, lease = ?
WHERE rowid = ?;

-- name: grow
UPDATE contents SET began = ?, seq = ?, seq_offset = ?, offset = ?, deadline = ?, ends = ?, lease = ?, grown = ?
WHERE tenant = ? AND content_id = ?;

-- name: save_record
INSERT OR REPLACE INTO growth (tenant, content_id, op, name, place, payload) VALUES (?, ?, ?, ?, ?, ?);

-- name: records
SELECT op, name, payload FROM growth WHERE tenant = ? AND content_id = ? ORDER BY place;

-- name: values
SELECT name, payload FROM growth WHERE tenant = ? AND content_id = ? AND op = 's';

-- name: delete_values
DELETE FROM growth WHERE tenant = ? AND content_id = ? AND op = 's';

-- name: delete_records
DELETE FROM growth WHERE tenant = ? AND content_id = ? AND op IN ('t', 'l', 'v') AND name = ?;

-- name: delete_growth
DELETE FROM growth WHERE tenant = ? AND content_id = ?;

-- name: data
SELECT data FROM contents WHERE tenant = ? AND content_id = ?;

-- name: cancel
UPDATE contents SET offset = ?, cancel = ?, cancel_offset = ?, cancel_deadline = ? WHERE tenant = ? AND content_id = ?;

-- name: cancels
SELECT channel, content_id, attempt, cancel_offset, cancel FROM contents
WHERE tenant = ? AND cancel_deadline IS NOT NULL ORDER BY cancel_deadline DESC LIMIT ?;

-- name: cancelled
SELECT tenant, channel, content_id, offset, type, data, grown, cancel FROM contents
WHERE cancel_deadline < ? ORDER BY cancel_deadline LIMIT ?;

-- name: delete_content
DELETE FROM contents WHERE tenant = ? AND content_id = ?;

-- name: changes
SELECT channel, content_id, offset, type, data, grown, cancel FROM contents
WHERE tenant = :tenant AND channel = :channel AND offset > :since
UNION ALL
SELECT channel, content_id, offset, NULL, NULL, NULL, NULL FROM tombstones
WHERE tenant = :tenant AND channel = :channel AND offset > :since ORDER BY offset;

-- name: lookup
SELECT channel, content_id, offset, type, data, grown, cancel FROM contents
WHERE tenant = ? AND content_id IN (SELECT value FROM json_each(?));

-- name: lookup_tombstones
SELECT channel, content_id, max(offset), NULL, NULL, NULL, NULL FROM tombstones
WHERE tenant = ? AND content_id IN (SELECT value FROM json_each(?)) GROUP BY content_id;

-- name: channel
SELECT offset, tombstones, floor, updated, pending, processing, completed, failed, idle FROM channels
WHERE tenant = ? AND channel = ?;

-- name: save_channel
INSERT INTO channels (
    tenant, channel, offset, tombstones, floor, updated, pending, processing, completed, failed, idle
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, channel) DO UPDATE SET
    offset = excluded.offset, tombstones = excluded.tombstones, floor = excluded.floor, updated = excluded.updated,
    pending = excluded.pending, processing = excluded.processing, completed = excluded.completed,
    failed = excluded.failed, idle = excluded.idle;

-- name: channels_by_name
SELECT CAST(channel AS BLOB), offset, updated, pending, processing, completed, failed, idle FROM channels
WHERE tenant = :tenant AND channel > :named AND channel >= :prefix AND channel < :beyond ORDER BY channel LIMIT :rows;

-- name: channels_by_offset
SELECT CAST(channel AS BLOB), offset, updated, pending, processing, completed, failed, idle FROM channels
WHERE tenant = :tenant AND offset > :since AND offset < :below ORDER BY offset DESC LIMIT :rows;

-- name: delete_channel
DELETE FROM channels WHERE tenant = ? AND channel = ?;

-- name: offsets
SELECT coalesce((SELECT offset FROM channels WHERE tenant = ? AND channel = value), 0)
FROM json_each(?) ORDER BY key;

-- The contents whose lease ran out, of each tenant those that ran out first.
-- name: due
SELECT tenant, channel, content_id, offset, type, data, grown, cancel FROM contents WHERE rowid IN (
    SELECT rowid FROM (
        SELECT rowid, row_number() OVER (PARTITION BY tenant ORDER BY deadline) AS place
        FROM contents WHERE deadline < ?
    ) WHERE place <= ?
) ORDER BY deadline;

-- name: ended
SELECT tenant, channel, content_id FROM contents WHERE ends <= ? ORDER BY ends LIMIT ?;

-- name: save_tombstone
INSERT OR REPLACE INTO tombstones (tenant, channel, content_id, offset, ends) VALUES (?, ?, ?, ?, ?);

-- name: delete_tombstone
DELETE FROM tombstones WHERE tenant = ? AND channel = ? AND content_id = ?;

-- name: ended_tombstones
SELECT tenant, channel, content_id, offset FROM tombstones WHERE ends <= ? ORDER BY ends LIMIT ?;

-- name: removal
SELECT attempt, seq, run, runs, removed FROM removals WHERE tenant = ? AND content_id = ?;

-- name: save_removal
INSERT OR REPLACE INTO removals (tenant, content_id, offset, attempt, seq, run, runs, removed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: delete_removal
DELETE FROM removals WHERE tenant = ? AND content_id = ?;

-- name: forget_removal
DELETE FROM removals WHERE tenant = ? AND content_id = ? AND offset = ?;

-- name: listed
SELECT content_id, offset FROM contents WHERE tenant = ? AND channel = ? AND offset > ? ORDER BY offset LIMIT ?;

-- name: save_record_of_journal
INSERT INTO journal (record) VALUES (?);

-- name: records_of_journal
SELECT record FROM journal ORDER BY place;

-- name: delete_journal
DELETE FROM journal;

-- Whether the lease or the retention of any content has ended.
-- name: overdue
SELECT EXISTS (SELECT 1 FROM contents WHERE deadline < ?) OR EXISTS (SELECT 1 FROM contents WHERE ends <= ?);

-- name: life
SELECT name, transactions, swept, pause FROM life;

-- name: save_life
INSERT OR REPLACE INTO life (only, name, transactions, swept, pause) VALUES (1, ?, ?, ?, ?);

-- name: leases
SELECT EXISTS (SELECT 1 FROM contents WHERE deadline IS NOT NULL)
    OR EXISTS (SELECT 1 FROM contents WHERE cancel_deadline IS NOT NULL);

-- name: clock
SELECT epoch, offset, now, contents, bytes, floor FROM clocks WHERE tenant = ?;

-- name: epochs
SELECT tenant, epoch FROM clocks;

-- name: set_epoch
UPDATE clocks SET epoch = ? WHERE tenant = ?;

-- name: save_clock
INSERT OR REPLACE INTO clocks (tenant, epoch, offset, now, contents, bytes, floor) VALUES (?, ?, ?, ?, ?, ?, ?);
