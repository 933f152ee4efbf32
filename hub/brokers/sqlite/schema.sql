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

-- One row a transaction that has changed contents or channels whose rows do not know it yet (see journal.py).
CREATE TABLE journal (place INTEGER NOT NULL PRIMARY KEY, record BLOB NOT NULL);

-- One row a content: its latest event and what the fence needs. `grown` is how deltas have grown it, as JSON; null where
-- none have since its last whole event. `cancel` is a request to cancel the attempt, as JSON.
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
    lease REAL,                 -- the lease in seconds; null without one
    cancel BLOB,
    cancel_offset INTEGER,      -- of its announcement
    cancel_deadline REAL,       -- when a sweep ends the attempt, in lease time
    grown BLOB,
    PRIMARY KEY (tenant, content_id)
);

-- One row a record of a content that grows (see growth.py): the values that deltas have set (with 0 as their place), and
-- the log of what they have appended, in the order of its places.
CREATE TABLE growth (
    tenant TEXT NOT NULL,
    content_id TEXT NOT NULL,
    op TEXT NOT NULL,
    name TEXT NOT NULL,
    place INTEGER NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (tenant, content_id, op, name, place)
) WITHOUT ROWID;

CREATE INDEX contents_by_offset ON contents (tenant, channel, offset);
CREATE INDEX contents_by_deadline ON contents (deadline) WHERE deadline IS NOT NULL;
CREATE INDEX contents_by_cancel ON contents (cancel_deadline) WHERE cancel_deadline IS NOT NULL;
CREATE INDEX contents_by_end ON contents (ends);

-- One row a channel: the offset of its latest event, how many tombstones it has, its floor, when its latest event came,
-- and how many contents it has in each phase.
CREATE TABLE channels (
    tenant TEXT NOT NULL,
    channel TEXT NOT NULL,
    offset INTEGER NOT NULL,
    tombstones INTEGER NOT NULL,
    floor INTEGER NOT NULL,
    updated REAL NOT NULL,
    pending INTEGER NOT NULL,
    processing INTEGER NOT NULL,
    completed INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    idle INTEGER NOT NULL,
    PRIMARY KEY (tenant, channel)
) WITHOUT ROWID;

CREATE INDEX channels_by_offset ON channels (tenant, offset);

-- One row a removed content of a channel.
CREATE TABLE tombstones (
    tenant TEXT NOT NULL,
    channel TEXT NOT NULL,
    content_id TEXT NOT NULL,
    offset INTEGER NOT NULL,
    ends REAL NOT NULL,         -- when it is forgotten
    PRIMARY KEY (tenant, channel, content_id)
);

-- One row a content that was removed on request, for as long as its tombstone: what refuses events of its former runs.
CREATE TABLE removals (
    tenant TEXT NOT NULL,
    content_id TEXT NOT NULL,
    offset INTEGER NOT NULL,    -- of its tombstone
    attempt INTEGER NOT NULL,
    seq INTEGER,
    run TEXT,
    runs TEXT NOT NULL,
    removed INTEGER NOT NULL,   -- when, in milliseconds of the clock's time
    PRIMARY KEY (tenant, content_id)
) WITHOUT ROWID;

CREATE INDEX tombstones_by_offset ON tombstones (tenant, channel, offset);
CREATE INDEX tombstones_by_content ON tombstones (tenant, content_id, offset);
CREATE INDEX tombstones_by_end ON tombstones (ends);
