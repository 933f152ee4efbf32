-- The embedded broker's file. Times are Unix seconds, but for `began` and `now`, which are milliseconds.
-- `PRAGMA user_version` counts the layouts.

-- One row a tenant: the name of its clock's life, how far it has come, the latest time it has seen, what the tenant
-- stores, and the floor of the channels that are empty.
CREATE TABLE clocks (
    tenant TEXT NOT NULL PRIMARY KEY,
    epoch TEXT NOT NULL,
    offset INTEGER NOT NULL,
    now INTEGER NOT NULL,
    contents INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    floor INTEGER NOT NULL
) WITHOUT ROWID;

-- One row in all: the file's name and the number of its transactions, by which a restored copy is recognized (see
-- mark.py), when leases were last swept, and for how long lease time has stood still.
CREATE TABLE life (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    name TEXT NOT NULL,
    transactions INTEGER NOT NULL,
    swept REAL,
    pause REAL NOT NULL
);

-- One row a content: its latest event and what the fence needs.
CREATE TABLE contents (
    tenant TEXT NOT NULL,
    content_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    run TEXT,
    runs TEXT NOT NULL,         -- the former runs, the latest first, with spaces between
    began INTEGER NOT NULL,     -- when the run began
    seq INTEGER,
    seq_offset INTEGER,         -- the offset of the event that brought seq
    phase TEXT NOT NULL,
    offset INTEGER NOT NULL,
    type TEXT NOT NULL,
    data BLOB NOT NULL,
    deadline REAL,              -- of the lease, in lease time; null without one
    ends REAL NOT NULL,         -- the end of its retention
    PRIMARY KEY (tenant, content_id)
);

CREATE INDEX contents_by_offset ON contents (tenant, channel, offset);
CREATE INDEX contents_by_deadline ON contents (deadline) WHERE deadline IS NOT NULL;
CREATE INDEX contents_by_end ON contents (ends);

-- One row a channel: the offset of its latest event, how many contents it has, and its floor.
CREATE TABLE channels (
    tenant TEXT NOT NULL,
    channel TEXT NOT NULL,
    offset INTEGER NOT NULL,
    contents INTEGER NOT NULL,
    tombstones INTEGER NOT NULL,
    floor INTEGER NOT NULL,
    PRIMARY KEY (tenant, channel)
) WITHOUT ROWID;

-- One row a removed content of a channel.
CREATE TABLE tombstones (
    tenant TEXT NOT NULL,
    channel TEXT NOT NULL,
    content_id TEXT NOT NULL,
    offset INTEGER NOT NULL,
    ends REAL NOT NULL,         -- when it is forgotten
    PRIMARY KEY (tenant, channel, content_id)
);

CREATE INDEX tombstones_by_offset ON tombstones (tenant, channel, offset);
CREATE INDEX tombstones_by_content ON tombstones (tenant, content_id, offset);
CREATE INDEX tombstones_by_end ON tombstones (ends);
