// The comparison is what everything here rests on: doctored results must not get past it.
import assert from "node:assert/strict";
import test from "node:test";
import { judge, sound, tally, worse } from "./judge.mjs";
import { missing, table } from "./table.mjs";

const run = () => ({
  ping: { scored: true, checks: { "ping/Ping": ["SUCCESS"], "wire/Wire": ["SUCCESS"] }, messages: [] },
  headers: { scored: false, checks: { "reject/Bad": ["SUCCESS", "SUCCESS"], "note/Note": ["INFO"], "slow/Slow": ["WARNING"] }, messages: [] },
  tasks: { scored: false, checks: { "tasks/Tasks": ["FAILURE"] }, messages: ["tasks: not there"] },
});
const doctored = change => { const r = run(); change(r); return r; };

test("equal runs differ in nothing", () => assert.deepEqual(judge(run(), run()), []));

test("what is worse is noticed", async t => {
  const cases = {
    "a check fails": r => { r.ping.checks["ping/Ping"] = ["FAILURE"]; },
    "a check only warns": r => { r.ping.checks["ping/Ping"] = ["WARNING"]; },
    "a check does not apply any more": r => { r.ping.checks["ping/Ping"] = ["INFO"]; },
    "a check is skipped": r => { r.ping.checks["ping/Ping"] = ["SKIPPED"]; },
    "a check has a status nobody knows": r => { r.ping.checks["ping/Ping"] = ["BROKEN"]; },
    "a check is gone": r => { delete r.ping.checks["wire/Wire"]; },
    "a warning is gone with its check": r => { delete r.headers.checks["slow/Slow"]; },
    "one of two reports fails": r => { r.headers.checks["reject/Bad"] = ["SUCCESS", "FAILURE"]; },
    "one of two reports is gone": r => { r.headers.checks["reject/Bad"] = ["SUCCESS"]; },
    "a failure is new": r => { r.ping.checks["new/New"] = ["FAILURE"]; },
    "a scenario left nothing": r => { r.ping.checks = {}; },
    "a scenario is gone": r => { delete r.headers; },
    "a scenario that is not scored fails": r => { r.headers.checks["note/Note"] = ["FAILURE"]; },
  };
  for (const [name, change] of Object.entries(cases)) await t.test(name, () => assert.notDeepEqual(judge(run(), doctored(change)), []));
});

test("what is not worse is left alone", async t => {
  const cases = {
    "a warning less": r => { r.headers.checks["slow/Slow"] = ["SUCCESS"]; },
    "a failure less": r => { r.tasks.checks["tasks/Tasks"] = ["SUCCESS"]; },
    "a failing check is not reached": r => { r.tasks.checks = {}; },
    "a new check that succeeds": r => { r.ping.checks["new/New"] = ["SUCCESS"]; },
  };
  for (const [name, change] of Object.entries(cases)) await t.test(name, () => assert.deepEqual(worse(run(), doctored(change)), []));
});

test("expectations", async t => {
  const through = doctored(r => { r.ping.checks["ping/Ping"] = ["WARNING"]; });
  await t.test("what is expected passes", () => assert.deepEqual(judge(run(), through, { ping: { ping: "WARNING" } }), []));
  await t.test("another status does not, and leaves the entry stale", () =>
    assert.deepEqual(judge(run(), through, { ping: { ping: "FAILURE" } }).map(p => p.split(":")[0]), ["worse", "stale"]));
  await t.test("an entry excuses its check alone", () =>
    assert.deepEqual(judge(run(), through, { ping: { wire: "WARNING" } }).map(p => p.split(":")[0]), ["worse", "stale"]));
  await t.test("an entry that nothing meets is stale", () =>
    assert.deepEqual(judge(run(), run(), { ping: { ping: "WARNING" } }).map(p => p.split(":")[0]), ["stale"]));
});

test("a direct run must be sound", async t => {
  await t.test("it is", () => assert.deepEqual(sound(run()), []));
  await t.test("a scored scenario fails", () => assert.equal(sound(through(["FAILURE"])).length, 1));
  await t.test("a scored scenario crashed", () => assert.equal(sound(doctored(r => { r.ping.checks = {}; })).length, 1));
  await t.test("nothing ran", () => assert.equal(sound({}).length, 1));
  function through(reports) { return doctored(r => { r.ping.checks["ping/Ping"] = reports; }); }
});

test("the table", async t => {
  const lines = table(["2025-11-25"], { "2025-11-25": { direct: tally(run()), http: "1/1" } });
  await t.test("has a row per revision and side", () => assert.equal(lines[2], "| server, 2025-11-25 | 1/1 | 1/1 | – | – |"));
  await t.test("a text may have no such table", () => assert.deepEqual(missing("nothing", lines), []));
  await t.test("a text that has one has this one", () => assert.deepEqual(missing(lines.join("\n"), lines), []));
  await t.test("an old one is noticed", () => assert.deepEqual(missing(lines.join("\n").replace("1/1", "0/1"), lines), [lines[2]]));
});
