-- The feeds of an embedded hub, in a file beside the broker's. Times are in milliseconds.

-- A tenant's counters: version grows with every change, and begins at the time; ids counts the ids that were remembered.
CREATE TABLE tenants (
  tenant TEXT NOT NULL PRIMARY KEY,
  version INTEGER NOT NULL,
  ids INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE likes (
  tenant TEXT NOT NULL,
  user TEXT NOT NULL,
  video TEXT NOT NULL,
  PRIMARY KEY (tenant, user, video)
) WITHOUT ROWID;

CREATE TABLE follows (
  tenant TEXT NOT NULL,
  user TEXT NOT NULL,
  followed TEXT NOT NULL,
  PRIMARY KEY (tenant, user, followed)
) WITHOUT ROWID;

-- said is when its counters were last announced.
CREATE TABLE videos (
  tenant TEXT NOT NULL,
  video TEXT NOT NULL,
  views INTEGER NOT NULL,
  likes INTEGER NOT NULL,
  comments INTEGER NOT NULL,
  remixes INTEGER NOT NULL,
  glitches INTEGER NOT NULL,
  score INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  version INTEGER NOT NULL,
  said INTEGER NOT NULL,
  PRIMARY KEY (tenant, video)
) WITHOUT ROWID;

CREATE INDEX videos_by_score ON videos (tenant, score, video) WHERE score > 0;

-- How many videos the user likes and users they follow, how many news they had, and the version of the last that was
-- announced.
CREATE TABLE users (
  tenant TEXT NOT NULL,
  user TEXT NOT NULL,
  likes INTEGER NOT NULL,
  follows INTEGER NOT NULL,
  news INTEGER NOT NULL,
  version INTEGER NOT NULL,
  said INTEGER NOT NULL,
  PRIMARY KEY (tenant, user)
) WITHOUT ROWID;

CREATE TABLE news (
  tenant TEXT NOT NULL,
  user TEXT NOT NULL,
  slot INTEGER NOT NULL,
  version INTEGER NOT NULL,
  type TEXT NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (tenant, user, slot)
) WITHOUT ROWID;

CREATE TABLE notes (
  tenant TEXT NOT NULL,
  user TEXT NOT NULL,
  place INTEGER NOT NULL,
  id TEXT NOT NULL,
  category TEXT NOT NULL,
  record BLOB NOT NULL,
  unread INTEGER NOT NULL,
  PRIMARY KEY (tenant, user, place)
) WITHOUT ROWID;

CREATE UNIQUE INDEX notes_by_id ON notes (tenant, user, id);
CREATE INDEX notes_unread ON notes (tenant, user) WHERE unread;

CREATE TABLE ids (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  number INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;

CREATE INDEX ids_by_number ON ids (tenant, number);
CREATE INDEX ids_by_time ON ids (tenant, at);

-- What is to be announced: "v" and a video, or "u" and a user, by when it is due.
CREATE TABLE due (
  tenant TEXT NOT NULL,
  member TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (tenant, member)
) WITHOUT ROWID;

CREATE INDEX due_by_time ON due (tenant, at);
