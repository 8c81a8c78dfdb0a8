CREATE TABLE IF NOT EXISTS laws (
    id INTEGER PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    abbreviation TEXT NOT NULL,
    title TEXT NOT NULL,
    short TEXT NOT NULL,
    issued TEXT NOT NULL,
    as_of TEXT NOT NULL,
    source TEXT NOT NULL,
    retrieved TEXT NOT NULL,
    built TEXT NOT NULL,
    etag TEXT NOT NULL,
    kind TEXT NOT NULL,
    size INTEGER NOT NULL,
    folded TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS names (
    key TEXT NOT NULL,
    law INTEGER NOT NULL,
    rank INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS names_by_key ON names (key);
CREATE INDEX IF NOT EXISTS names_by_law ON names (law);
CREATE TABLE IF NOT EXISTS sections (
    id INTEGER PRIMARY KEY,
    law INTEGER NOT NULL,
    level INTEGER NOT NULL,
    heading TEXT NOT NULL,
    first TEXT NOT NULL,
    last TEXT NOT NULL,
    folded TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS sections_by_law ON sections (law);
CREATE TABLE IF NOT EXISTS norms (
    id INTEGER PRIMARY KEY,
    law INTEGER NOT NULL,
    kind TEXT NOT NULL,
    number TEXT NOT NULL,
    key TEXT NOT NULL,
    last_key TEXT NOT NULL,
    label TEXT NOT NULL,
    headings TEXT NOT NULL,
    footnotes TEXT NOT NULL,
    notes TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS norms_by_number ON norms (law, kind, key);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (title, text, tokenize = 'unicode61 remove_diacritics 2');
