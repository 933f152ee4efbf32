-- The statements of the embedded broker. Each follows a line `-- name: <its name>`; times are Unix seconds.

-- name: fence_state
SELECT channel, attempt, seq, given, closed FROM content WHERE tenant = ? AND content_id = ? AND vanishes > ?;

-- name: channel_offset
SELECT max(offset) FROM content WHERE tenant = ? AND channel = ?;

-- name: store
INSERT OR REPLACE INTO content (
    tenant, content_id, channel, attempt, seq, given, closed, offset, type, data, leased, deadline, vanishes
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: changes
SELECT channel, content_id, offset, type, data FROM content
WHERE tenant = ? AND channel = ? AND offset > ? AND vanishes > ? ORDER BY offset;

-- name: lookup
SELECT channel, content_id, offset, type, data FROM content
WHERE tenant = ? AND content_id IN (SELECT value FROM json_each(?)) AND vanishes > ?;

-- name: offsets
SELECT (SELECT coalesce(max(offset), 0) FROM content WHERE tenant = ? AND channel = value)
FROM json_each(?) ORDER BY key;

-- Lease time stood still since the last sweep, or since the lease was set.
-- name: pause_leases
UPDATE content SET deadline = deadline + (:now - max(:swept, leased)) WHERE deadline IS NOT NULL AND leased < :now;

-- The clock was set back: leases that were set before move with it.
-- name: set_leases_back
UPDATE content SET deadline = deadline + (:now - :swept), leased = leased + (:now - :swept)
WHERE deadline IS NOT NULL AND (leased > :now OR leased < :now - :gap);

-- The contents whose lease ran out, of each tenant those that ran out first.
-- name: due
SELECT tenant, attempt, seq, given, channel, content_id, offset, type, data FROM content WHERE rowid IN (
    SELECT rowid FROM (
        SELECT rowid, row_number() OVER (PARTITION BY tenant ORDER BY deadline) AS place
        FROM content WHERE deadline < ? AND vanishes > ?
    ) WHERE place <= ?
) ORDER BY deadline;

-- name: last_sweep
SELECT swept FROM sweep;

-- Without leases nothing stands still, and an idle hub need not write to its disk every second.
-- name: save_sweep
INSERT OR REPLACE INTO sweep SELECT 1, ? WHERE EXISTS (SELECT 1 FROM content WHERE deadline IS NOT NULL);

-- name: remove_vanished
DELETE FROM content WHERE rowid IN (SELECT rowid FROM content WHERE vanishes <= ? ORDER BY vanishes LIMIT ?);

-- name: clock
SELECT epoch, offset FROM clock WHERE tenant = ?;

-- name: save_clock
INSERT OR REPLACE INTO clock VALUES (?, ?, ?);
