// What was compared, and how it came out.
import { isDeepStrictEqual } from "node:util";
import { left, newMark } from "./setting.mjs";

export class Report {
  good = 0;
  bad = [];

  ok(name) { this.good++; if (process.env.PEERS_VERBOSE) console.log(`ok       ${name}`); }
  fail(kind, name, detail) { this.bad.push(name); console.log(`${kind.padEnd(8)} ${name}\n         ${detail}`); }
  check(name, holds, detail) { if (holds) this.ok(name); else this.fail("WRONG", name, detail); return holds; }
}

// difference says where two values differ first, null where they do not.
export function difference(direct, wrapped, at = "") {
  if (isDeepStrictEqual(direct, wrapped)) return null;
  if (direct && wrapped && typeof direct === "object" && typeof wrapped === "object") {
    for (const key of new Set([...Object.keys(direct), ...Object.keys(wrapped)])) {
      const found = difference(direct[key], wrapped[key], `${at}/${key}`);
      if (found) return found;
    }
  }
  const show = v => String(JSON.stringify(v)).slice(0, 240);
  return `${at || "/"}: direct ${show(direct)}, wrapped ${show(wrapped)}`;
}

// compare runs a case directly and through the wrapper. One case is { name, server, run(command, env, folder), sound(value) }:
// sound says what is wrong with a direct run, so that two failures are not taken for equal. A server that differs from
// itself says nothing: the case is tried again.
export async function compare(report, setting, c) {
  const once = async wrapped => {
    const folder = setting.fresh(c.name), mark = newMark();
    const command = setting.command(c.server, folder);
    const value = await c.run(wrapped ? setting.wrap(command) : command, setting.environment(mark, folder), folder);
    const lives = await left(mark);
    if (lives.length && wrapped) report.fail("ORPHAN", c.name, lives.join(" | "));
    return value;
  };
  let found;
  for (let attempt = 0; attempt < 3; attempt++) {
    const direct = await once(false);
    const unsound = c.sound?.(direct);
    if (unsound) return report.fail("BROKEN", c.name, `the direct run: ${unsound}`);
    found = difference(direct, await once(true));
    if (!found) return report.ok(c.name);
    if (!difference(direct, await once(false))) return report.fail("DIFFERS", c.name, found);
  }
  report.fail("UNSTABLE", c.name, `the server differs from itself in three attempts; last ${found}`);
}

// each runs a function for all items, some at a time: clients wait more than they work.
export async function each(items, width, work) {
  const queue = [...items];
  await Promise.all(Array.from({ length: width }, async () => { while (queue.length) await work(queue.shift()); }));
}
