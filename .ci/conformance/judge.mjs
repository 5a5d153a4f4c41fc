// Is one run of the suite worse than another, and only where that is expected?
import { failed } from "./suite.mjs";

// A check that is gone is as bad as one that failed, and so is a status that we do not know.
const rank = { SUCCESS: 0, INFO: 1, SKIPPED: 1, WARNING: 2, FAILURE: 3, absent: 3 };
const worth = status => rank[status] ?? rank.FAILURE;

// A check may be reported several times: the worst report is its status.
const status = reports => reports.reduce((a, b) => worth(b) > worth(a) ? b : a, reports.length ? "SUCCESS" : "absent");
const successes = reports => reports.filter(s => s === "SUCCESS").length;

// worse lists the checks that came out worse through the gateway than directly: { scenario, check, was, now, message }. So
// did a check with fewer good reports than before, and one that is new and fails.
export function worse(direct, through) {
  const found = [];
  for (const [scenario, before] of Object.entries(direct)) {
    const after = through[scenario] ?? { checks: {}, messages: [] };
    for (const check of new Set([...Object.keys(before.checks), ...Object.keys(after.checks)])) {
      const then = before.checks[check] ?? [], now = after.checks[check] ?? [];
      const sinks = then.length ? worth(status(now)) > worth(status(then)) : status(now) === "FAILURE";
      if (!sinks && successes(now) >= successes(then)) continue;
      const message = after.messages.find(m => m.startsWith(check.split("/")[0] + ":")) ?? after.messages[0];
      found.push({ scenario, check, was: status(then), now: status(now), message });
    }
  }
  return found;
}

// judge holds what is worse against what is expected: { scenario: { "check id": status } }. Whatever is on one side only
// is a problem, in words.
export function judge(direct, through, expected = {}) {
  const problems = [], met = new Set();
  for (const w of worse(direct, through)) {
    const id = w.check.split("/")[0];
    if (expected[w.scenario]?.[id] === w.now) { met.add(`${w.scenario} ${id}`); continue; }
    problems.push(`worse: ${w.scenario}, ${w.check}: ${w.was} directly, ${w.now} through the hub${w.message ? `\n       ${w.message}` : ""}`);
  }
  for (const [scenario, checks] of Object.entries(expected)) for (const [id, status] of Object.entries(checks ?? {})) {
    if (!met.has(`${scenario} ${id}`)) problems.push(`stale: ${scenario}, ${id} is expected to be ${status} and is not: take it out of the list`);
  }
  return problems;
}

// sound names what a direct run fails, which it must not: two failures are no agreement.
export function sound(direct) {
  const scored = Object.entries(direct).filter(([, o]) => o.scored);
  if (!scored.length) return ["the suite ran no scenario"];
  return scored.filter(([, o]) => failed(o)).map(([name, o]) => `fails directly: ${name}: ${o.messages[0] ?? "it left no result"}`);
}

// tally counts what the revision requires: "30/30".
export function tally(outcomes) {
  const scored = Object.values(outcomes).filter(o => o.scored);
  return `${scored.filter(o => !failed(o)).length}/${scored.length}`;
}

// good counts the checks that succeeded, scored or not.
export const good = outcomes => Object.values(outcomes).flatMap(o => Object.values(o.checks).flat()).filter(s => s === "SUCCESS").length;
