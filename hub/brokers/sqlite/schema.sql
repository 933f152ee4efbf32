-- The embedded broker's file. Times are Unix seconds. `PRAGMA user_version` counts the layouts.

-- One row a tenant: the name of its clock's life, and how far it has come.
CREATE TABLE clock (
    tenant TEXT NOT NULL PRIMARY KEY,
    epoch TEXT NOT NULL,
    offset INTEGER NOT NULL
) WITHOUT ROWID;

-- One row in all: when leases were last swept.
CREATE TABLE sweep (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    swept REAL NOT NULL
);

-- One row a content: its latest event and what the fence needs.
CREATE TABLE content (
    tenant TEXT NOT NULL,
    content_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    seq INTEGER,
    given INTEGER,              -- the offset that seq was given
    closed INTEGER NOT NULL,    -- 1 once the attempt has ended
    offset INTEGER NOT NULL,
    type TEXT NOT NULL,
    data BLOB NOT NULL,
    leased REAL,                -- when the lease was set; null without a lease, as deadline is
    deadline REAL,
    vanishes REAL NOT NULL,     -- the end of its retention
    PRIMARY KEY (tenant, content_id)
);

CREATE INDEX content_by_offset ON content (tenant, channel, offset);
CREATE INDEX content_by_deadline ON content (deadline) WHERE deadline IS NOT NULL;
CREATE INDEX content_by_vanishing ON content (vanishes);
