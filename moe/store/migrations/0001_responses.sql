CREATE TABLE responses (
    id TEXT PRIMARY KEY,
    created REAL NOT NULL,
    size_bytes INTEGER NOT NULL,
    reply BLOB NOT NULL,
    input BLOB NOT NULL
);
CREATE INDEX responses_by_age ON responses (created);
