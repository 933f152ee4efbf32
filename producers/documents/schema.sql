-- One row for each document's file. `signature` changes with the file; a file that holds no text has no grams.
CREATE TABLE documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path BLOB NOT NULL UNIQUE,
    category TEXT NOT NULL,
    signature TEXT NOT NULL
);
-- Of each document its characters and its pairs of neighbours. Those of a document that has gone stay until the index
-- is made anew: a table without content cannot be told to forget them before SQLite 3.43.
CREATE VIRTUAL TABLE grams USING fts5(unigrams, bigrams, content='', columnsize=0, tokenize="{tokenizer}");
-- `name` tells this file from others, `version` counts its changes, `dead` the grams that are left behind.
CREATE TABLE state (name TEXT NOT NULL, version INTEGER NOT NULL, dead INTEGER NOT NULL);
