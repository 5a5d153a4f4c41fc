-- What happened to calls, counted as the events come: by the minute for two days, by ten minutes for two weeks, by the hour for
-- as long as events are kept (figures.go). Each is kept for all servers (server 0), for each server (tool 0), and for each of its
-- tools; tool -1 stands for those beyond the first 200. Times are Unix seconds. Earlier events are counted by fill.go.
CREATE TABLE figures (
  step   INTEGER NOT NULL, -- in seconds: 60, 600 or 3600
  server INTEGER NOT NULL,
  tool   INTEGER NOT NULL,
  at     INTEGER NOT NULL, -- when the step begins
  counts BLOB NOT NULL,    -- tally.go
  PRIMARY KEY (step, server, tool, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX figures_age ON figures (step, at); -- which to remove

ALTER TABLE events ADD COLUMN trace BLOB; -- the 16 bytes of its id; of earlier events it is in their lines only

CREATE INDEX events_trace ON events (trace, at) WHERE trace IS NOT NULL;    -- those of a trace
CREATE INDEX events_shadow ON events (at) WHERE decision = 3;               -- allowed in shadow mode only: few
CREATE INDEX events_failed ON events (at) WHERE outcome IN (2, 3, 5, 7);    -- tool_error, error, timeout, dropped: few
