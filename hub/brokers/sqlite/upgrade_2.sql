-- Takes over layout 2, which had no removals on request and no requests to cancel, and of channels neither contents by
-- phase nor the time of the latest event; that is the time of this.

ALTER TABLE channels DROP COLUMN contents;

ALTER TABLE channels ADD COLUMN updated REAL NOT NULL DEFAULT 0;

ALTER TABLE channels ADD COLUMN pending INTEGER NOT NULL DEFAULT 0;

ALTER TABLE channels ADD COLUMN processing INTEGER NOT NULL DEFAULT 0;

ALTER TABLE channels ADD COLUMN completed INTEGER NOT NULL DEFAULT 0;

ALTER TABLE channels ADD COLUMN failed INTEGER NOT NULL DEFAULT 0;

ALTER TABLE channels ADD COLUMN idle INTEGER NOT NULL DEFAULT 0;

UPDATE channels SET updated = (julianday('now') - 2440587.5) * 86400;

UPDATE channels SET pending = found.pending, processing = found.processing, completed = found.completed,
    failed = found.failed, idle = found.idle
FROM (
    SELECT tenant, channel, count(*) FILTER (WHERE phase = 'pending') AS pending,
        count(*) FILTER (WHERE phase = 'processing') AS processing,
        count(*) FILTER (WHERE phase = 'completed') AS completed, count(*) FILTER (WHERE phase = 'failed') AS failed,
        count(*) FILTER (WHERE phase = 'idle') AS idle
    FROM contents GROUP BY tenant, channel
) AS found WHERE found.tenant = channels.tenant AND found.channel = channels.channel;

CREATE INDEX channels_by_offset ON channels (tenant, offset);

ALTER TABLE contents ADD COLUMN lease REAL;

ALTER TABLE contents ADD COLUMN cancel BLOB;

ALTER TABLE contents ADD COLUMN cancel_offset INTEGER;

ALTER TABLE contents ADD COLUMN cancel_deadline REAL;

CREATE INDEX contents_by_cancel ON contents (cancel_deadline) WHERE cancel_deadline IS NOT NULL;

CREATE TABLE removals (
    tenant TEXT NOT NULL,
    content_id TEXT NOT NULL,
    offset INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    seq INTEGER,
    run TEXT,
    runs TEXT NOT NULL,
    removed INTEGER NOT NULL,
    PRIMARY KEY (tenant, content_id)
) WITHOUT ROWID;
