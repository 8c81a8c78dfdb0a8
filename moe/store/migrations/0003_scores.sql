CREATE TABLE scores (
    model TEXT NOT NULL,
    domain TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('feedback', 'escalation')),
    positive INTEGER NOT NULL CHECK (positive BETWEEN 0 AND total),
    total INTEGER NOT NULL,
    PRIMARY KEY (model, domain, source)
) WITHOUT ROWID;
