-- Takes over layout 4, which had no journal.

CREATE TABLE journal (place INTEGER NOT NULL PRIMARY KEY, record BLOB NOT NULL);
