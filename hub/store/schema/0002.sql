-- What happened to calls, counted as the events come: by the minute for two days, by ten minutes for two weeks, by the hour for
-- as long as events are kept (figures.go). Each is kept for all servers (server 0), for each server (tool 0), and for each of its
-- tools; tool -1 stands for those beyond the first 200. Times are Unix seconds.
CREATE TABLE figures (
  step    INTEGER NOT NULL, -- in seconds: 60, 600 or 3600
  server  INTEGER NOT NULL,
  tool    INTEGER NOT NULL,
  at      INTEGER NOT NULL, -- when the step begins
  measure INTEGER NOT NULL, -- 1 calls, 2 denied, 3 shadowed, 4 errors, 5 requests; from 16 on a bucket of latencies
  n       INTEGER NOT NULL,
  PRIMARY KEY (step, server, tool, at, measure)
) STRICT, WITHOUT ROWID;
CREATE INDEX figures_age ON figures (step, at); -- which to remove

ALTER TABLE events ADD COLUMN trace BLOB; -- the 16 bytes of its id

CREATE INDEX events_trace ON events (trace, at) WHERE trace IS NOT NULL;
CREATE INDEX events_shadow ON events (at) WHERE decision = 3;               -- allowed in shadow mode only
CREATE INDEX events_failed ON events (at) WHERE outcome IN (2, 3, 5, 7);    -- tool_error, error, timeout, dropped

-- The figures of the events that are there, in which nothing was rehearsed yet.
CREATE TEMP TABLE counted AS
  SELECT e.at / 1000 AS at, coalesce(e.server, 0) AS server, CASE WHEN e.target IS NULL THEN -1 ELSE e.target END AS tool, e.latency AS latency,
    CASE WHEN e.kind = 1 AND e.method = m.id THEN 1 WHEN e.kind = 1 THEN 5 WHEN e.kind = 2 AND e.method = m.id THEN 16 ELSE 0 END AS what,
    e.decision = 2 AS denied, e.outcome IN (2, 3, 5, 7) AS failed
  FROM events e LEFT JOIN texts m ON m.text = 'tools/call' WHERE e.kind <= 2;
CREATE TEMP TABLE measured AS
  SELECT at, server, tool, 1 AS measure FROM counted WHERE what = 1
  UNION ALL SELECT at, server, tool, 2 FROM counted WHERE what = 1 AND denied
  UNION ALL SELECT at, server, tool, 4 FROM counted WHERE what = 16 AND failed
  UNION ALL SELECT at, server, CASE what WHEN 1 THEN tool ELSE 0 END, 5 FROM counted WHERE what IN (1, 5)
  UNION ALL SELECT at, server, tool, 16 + CAST(8 * log2(max(latency, 1)) AS INTEGER) FROM counted WHERE what = 16 AND latency IS NOT NULL;
CREATE TEMP TABLE steps (step INTEGER, since INTEGER);
INSERT INTO steps SELECT 60, coalesce(max(at), 0) - 172800 FROM counted;
INSERT INTO steps SELECT 600, coalesce(max(at), 0) - 1209600 FROM counted;
INSERT INTO steps SELECT 3600, 0;
INSERT INTO figures SELECT step, server, tool, at / step * step, measure, count(*) FROM measured, steps WHERE at >= since AND server > 0 AND tool <> 0 GROUP BY 1, 2, 3, 4, 5;
INSERT INTO figures SELECT step, server, 0, at / step * step, measure, count(*) FROM measured, steps WHERE at >= since AND server > 0 GROUP BY 1, 2, 3, 4, 5;
INSERT INTO figures SELECT step, 0, 0, at / step * step, measure, count(*) FROM measured, steps WHERE at >= since GROUP BY 1, 2, 3, 4, 5;
DROP TABLE counted;
DROP TABLE measured;
DROP TABLE steps;
