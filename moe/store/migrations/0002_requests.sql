CREATE TABLE requests (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    has_text INTEGER NOT NULL,
    record BLOB NOT NULL
);
CREATE INDEX requests_by_id ON requests (id);
