-- Times are Unix milliseconds, but for serials.

CREATE TABLE principals (
  id     INTEGER PRIMARY KEY,
  name   TEXT NOT NULL UNIQUE,
  chains INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The head of a chain outlives its events: a batch that is sent again long after they were removed is still known.
CREATE TABLE chains (
  id        INTEGER PRIMARY KEY,
  principal INTEGER NOT NULL REFERENCES principals (id),
  name      TEXT NOT NULL,
  seq       INTEGER NOT NULL DEFAULT 0, -- of the head
  hash      BLOB NOT NULL,              -- of the head's line
  events    INTEGER NOT NULL DEFAULT 0, -- in the store
  problems  INTEGER NOT NULL DEFAULT 0,
  last      INTEGER NOT NULL,           -- when something came
  UNIQUE (principal, name)
) STRICT;
CREATE INDEX chains_idle ON chains (last) WHERE events = 0; -- which to forget
CREATE INDEX chains_bad ON chains (last) WHERE problems > 0; -- which to show first
CREATE INDEX chains_last ON chains (last);

CREATE TABLE problems (
  id     INTEGER PRIMARY KEY,
  chain  INTEGER NOT NULL REFERENCES chains (id) ON DELETE CASCADE,
  reason TEXT NOT NULL,
  about  TEXT NOT NULL, -- what it is told of once: a seq, a server
  seq    INTEGER NOT NULL,
  detail TEXT NOT NULL,
  at     INTEGER NOT NULL,
  UNIQUE (chain, reason, about)
) STRICT;

-- Texts that events repeat. An event that uses one keeps its day up to date, so that what no event has can be removed.
CREATE TABLE texts (
  id   INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE,
  day  INTEGER NOT NULL
) STRICT;

-- What events are searched by. Ids rise by arrival. Nothing is declared to reference another table, and what was written is in
-- a table of its own: 20,000 rows come in a second, and a search must not read all lines. The members with a number of their
-- own (kind, decision, outcome, flaw) are numbered in codes.go; server, target, client, method, rule, host and user are texts.
CREATE TABLE events (
  id        INTEGER PRIMARY KEY,
  chain     INTEGER NOT NULL,
  seq       INTEGER NOT NULL,
  at        INTEGER NOT NULL,
  principal INTEGER NOT NULL,
  kind      INTEGER NOT NULL,
  decision  INTEGER NOT NULL,
  outcome   INTEGER NOT NULL,
  flaw      INTEGER NOT NULL,
  server    INTEGER,
  target    INTEGER,
  client    INTEGER,
  method    INTEGER,
  rule      INTEGER,
  host      INTEGER,
  user      INTEGER,
  latency   INTEGER -- µs
) STRICT;
CREATE UNIQUE INDEX events_chain ON events (chain, seq);                   -- exactly once; a chain in order
CREATE INDEX events_at ON events (at);                                     -- the newest; a range of time
CREATE INDEX events_server ON events (server, at);                         -- those of a server
CREATE INDEX events_target ON events (target, at) WHERE target IS NOT NULL; -- those of a tool
CREATE INDEX events_principal ON events (principal, at);                   -- those of a person or a machine
CREATE INDEX events_denied ON events (at) WHERE decision = 2;              -- denials: few, and asked for most
CREATE INDEX events_rare ON events (kind, at) WHERE kind > 2;              -- neither decisions nor outcomes: few

-- The lines as they were written: what was hashed.
CREATE TABLE lines (
  id   INTEGER PRIMARY KEY, -- of the event
  line BLOB NOT NULL
) STRICT;

-- Which hour it was when events from first on arrived. By this, not by what a wrapper's clock said, they are removed.
CREATE TABLE arrivals (
  first INTEGER PRIMARY KEY, -- id of an event
  hour  INTEGER NOT NULL     -- since 1970
) STRICT;

CREATE TABLE tokens (
  name    TEXT PRIMARY KEY,
  hash    BLOB NOT NULL UNIQUE, -- SHA-256 of the secret
  servers TEXT NOT NULL,        -- JSON
  admin   INTEGER NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER,
  used    INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE wrappers (
  id        INTEGER PRIMARY KEY,
  principal TEXT NOT NULL,
  instance  TEXT NOT NULL,
  server    TEXT NOT NULL,
  presence  BLOB NOT NULL, -- JSON
  seen      INTEGER NOT NULL,
  ended     INTEGER NOT NULL,
  UNIQUE (principal, instance, server)
) STRICT;
CREATE INDEX wrappers_seen ON wrappers (ended, seen); -- which to forget

-- Definitions that wrappers saw.
CREATE TABLE definitions (
  id         INTEGER PRIMARY KEY,
  server     TEXT NOT NULL,
  kind       TEXT NOT NULL,
  name       TEXT NOT NULL,
  digest     TEXT NOT NULL,
  definition BLOB NOT NULL,
  size       INTEGER NOT NULL, -- of definition
  principal  TEXT NOT NULL,    -- who saw it first
  first      INTEGER NOT NULL,
  last       INTEGER NOT NULL,
  UNIQUE (server, kind, name, digest)
) STRICT;
CREATE INDEX definitions_share ON definitions (principal, server, last, size); -- how much is whose
CREATE INDEX definitions_size ON definitions (server, size);                   -- how much there is of a server
CREATE INDEX definitions_last ON definitions (last);                           -- which to forget

-- The versions of the server that said so.
CREATE TABLE versions (
  id         INTEGER PRIMARY KEY,
  definition INTEGER NOT NULL REFERENCES definitions (id) ON DELETE CASCADE,
  version    TEXT NOT NULL,              -- name and version of the server; empty if it told none
  info       BLOB NOT NULL,              -- all that the server said of itself
  split      INTEGER NOT NULL DEFAULT 0, -- it was told that others saw another definition
  last       INTEGER NOT NULL,
  UNIQUE (definition, version)
) STRICT;

CREATE TABLE sightings (
  version INTEGER NOT NULL REFERENCES versions (id) ON DELETE CASCADE,
  witness TEXT NOT NULL, -- principal@host
  at      INTEGER NOT NULL,
  PRIMARY KEY (version, witness)
) STRICT, WITHOUT ROWID;

CREATE TABLE approvals (
  server TEXT NOT NULL,
  kind   TEXT NOT NULL,
  name   TEXT NOT NULL,
  digest TEXT NOT NULL,
  by     TEXT NOT NULL,
  at     INTEGER NOT NULL,
  PRIMARY KEY (server, kind, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE revocations (
  server TEXT NOT NULL,
  tool   TEXT NOT NULL,
  reason TEXT NOT NULL,
  by     TEXT NOT NULL,
  at     INTEGER NOT NULL,
  PRIMARY KEY (server, tool)
) STRICT, WITHOUT ROWID;

CREATE TABLE serials (
  server    TEXT NOT NULL,
  principal TEXT NOT NULL,
  hash      BLOB NOT NULL,    -- SHA-256 of the content
  serial    INTEGER NOT NULL, -- Unix nanoseconds, or one more than before
  PRIMARY KEY (server, principal)
) STRICT, WITHOUT ROWID;
