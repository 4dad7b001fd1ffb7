PRAGMA application_id = 1668573284;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE change (
        id       INTEGER PRIMARY KEY,
        revision INTEGER NOT NULL,
        key      TEXT NOT NULL,
        value    BLOB
    ) STRICT;
INSERT INTO "change" VALUES(1,2,'router/r1',X'00FF');
INSERT INTO "change" VALUES(2,3,'doc/edge/r1',X'7B226B696E64223A22646F63756D656E74227D');
INSERT INTO "change" VALUES(3,4,'router/r2',NULL);
CREATE TABLE committed (
        revision INTEGER PRIMARY KEY,
        write_id TEXT NOT NULL UNIQUE
    ) STRICT;
INSERT INTO "committed" VALUES(2,'w2');
INSERT INTO "committed" VALUES(3,'w3');
INSERT INTO "committed" VALUES(4,'w4');
CREATE TABLE state (
        only      INTEGER PRIMARY KEY CHECK (only = 1),
        epoch     INTEGER NOT NULL,
        revision  INTEGER NOT NULL,
        compacted INTEGER NOT NULL
    ) STRICT;
INSERT INTO "state" VALUES(1,2,4,1);
CREATE TABLE stored (
        key      TEXT PRIMARY KEY,
        value    BLOB NOT NULL,
        revision INTEGER NOT NULL
    ) STRICT;
INSERT INTO "stored" VALUES('router/r1',X'00FF',2);
INSERT INTO "stored" VALUES('doc/edge/r1',X'7B226B696E64223A22646F63756D656E74227D',3);
CREATE INDEX change_revision ON change (revision);
COMMIT;
