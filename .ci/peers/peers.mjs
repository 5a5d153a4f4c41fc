// Do real clients see the same through a wrapper as without it?
//
//   node peers.mjs --mcpx PATH --go-server PATH [--only raw,session,inspector,lifecycle,policy] PREFIX...
//
// PREFIX is the wrapper's command, which the server's command is appended to. Exit: 0 the same, 1 not, 2 usage.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { inspectorCases } from "./inspector.mjs";
import { lifecycle } from "./lifecycle.mjs";
import { readme, record, rules } from "./policy.mjs";
import { rawCases } from "./raw.mjs";
import { Report, compare, each } from "./report.mjs";
import { sessionCases } from "./session.mjs";
import { Setting } from "./setting.mjs";

const cut = process.argv.indexOf("--");
const { values } = parseArgs({ args: process.argv.slice(2, cut), options: {
  mcpx: { type: "string" }, "go-server": { type: "string" }, only: { type: "string", default: "raw,session,inspector,lifecycle,policy" } } });
const prefix = process.argv.slice(cut + 1);
if (cut < 0 || !prefix.length || !values.mcpx || !values["go-server"]) {
  console.error("usage: peers.mjs --mcpx PATH --go-server PATH [--only PARTS] -- PREFIX...");
  process.exit(2);
}

const work = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "mcpx-peers-")));
const setting = new Setting({ work, goServer: values["go-server"], prefix });
const report = new Report();
const cases = list => each(list, 3, c => compare(report, setting, c));
const parts = {
  raw: () => cases(rawCases()),
  session: () => cases(sessionCases()),
  inspector: () => cases(inspectorCases(setting)),
  lifecycle: () => lifecycle(report, setting),
  policy: async () => {
    await readme(report, setting, values.mcpx);
    await rules(report, setting);
    await record(report, setting, values.mcpx);
  },
};
try {
  for (const part of values.only.split(",")) {
    if (!parts[part]) throw new Error(`there is no part "${part}": there are ${Object.keys(parts).join(", ")}`);
    const began = Date.now(), before = report.good;
    await parts[part]();
    console.log(`${part.padEnd(10)} ${report.good - before} good, ${((Date.now() - began) / 1000).toFixed(1)} s`);
  }
} finally {
  fs.rmSync(work, { recursive: true, force: true });
}
console.log(`peers: ${report.good} good of ${report.good + report.bad.length}`);
process.exit(report.bad.length || !report.good ? 1 : 0);
