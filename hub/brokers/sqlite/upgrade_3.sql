-- Takes over layout 3, whose contents did not grow.

ALTER TABLE contents ADD COLUMN grown BLOB;

CREATE TABLE growth (
    tenant TEXT NOT NULL,
    content_id TEXT NOT NULL,
    op TEXT NOT NULL,
    name TEXT NOT NULL,
    place INTEGER NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (tenant, content_id, op, name, place)
) WITHOUT ROWID;
