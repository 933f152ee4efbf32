-- The statements of the embedded broker. Each follows a line `-- name: <its name>`; times are as in schema.sql.

-- name: content
SELECT channel, attempt, run, runs, began, seq, seq_offset, phase, offset, type, length(data), deadline FROM contents
WHERE tenant = ? AND content_id = ?;

-- name: store
INSERT OR REPLACE INTO contents (
    tenant, content_id, channel, attempt, run, runs, began, seq, seq_offset, phase, offset, type, data, deadline, ends
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: delete_content
DELETE FROM contents WHERE tenant = ? AND content_id = ?;

-- name: changes
SELECT channel, content_id, offset, type, data FROM contents
WHERE tenant = :tenant AND channel = :channel AND offset > :since
UNION ALL
SELECT channel, content_id, offset, NULL, NULL FROM tombstones
WHERE tenant = :tenant AND channel = :channel AND offset > :since ORDER BY offset;

-- name: lookup
SELECT channel, content_id, offset, type, data FROM contents
WHERE tenant = ? AND content_id IN (SELECT value FROM json_each(?));

-- name: lookup_tombstones
SELECT channel, content_id, max(offset), NULL, NULL FROM tombstones
WHERE tenant = ? AND content_id IN (SELECT value FROM json_each(?)) GROUP BY content_id;

-- name: channel
SELECT offset, contents, tombstones, floor FROM channels WHERE tenant = ? AND channel = ?;

-- name: save_channel
INSERT OR REPLACE INTO channels (tenant, channel, offset, contents, tombstones, floor) VALUES (?, ?, ?, ?, ?, ?);

-- name: delete_channel
DELETE FROM channels WHERE tenant = ? AND channel = ?;

-- name: offsets
SELECT coalesce((SELECT offset FROM channels WHERE tenant = ? AND channel = value), 0)
FROM json_each(?) ORDER BY key;

-- The contents whose lease ran out, of each tenant those that ran out first.
-- name: due
SELECT tenant, channel, content_id, offset, type, data FROM contents WHERE rowid IN (
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

-- name: life
SELECT name, transactions, swept, pause FROM life;

-- name: save_life
INSERT OR REPLACE INTO life (only, name, transactions, swept, pause) VALUES (1, ?, ?, ?, ?);

-- name: leases
SELECT EXISTS (SELECT 1 FROM contents WHERE deadline IS NOT NULL);

-- name: clock
SELECT epoch, offset, now, contents, bytes, floor FROM clocks WHERE tenant = ?;

-- name: epochs
SELECT tenant, epoch FROM clocks;

-- name: set_epoch
UPDATE clocks SET epoch = ? WHERE tenant = ?;

-- name: save_clock
INSERT OR REPLACE INTO clocks (tenant, epoch, offset, now, contents, bytes, floor) VALUES (?, ?, ?, ?, ?, ?, ?);
