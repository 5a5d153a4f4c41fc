// The official suite: it is run as its users run it, and what it writes down about each check is read.
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";
import { run } from "../peers/setting.mjs";

// A scenario that hangs costs all of it, so that a broken gateway is known before long.
const scenarioTime = 15000;

// Trace records carry no verdict. Other INFO rows do: "not applicable here".
const trace = c => c.status === "INFO" && /^(incoming|outgoing|stream)-/.test(c.id);

// A Suite runs scenarios. An outcome is { scored, checks: { "id/name": [status, …] }, messages: [text, …] } of one scenario.
export class Suite {
  constructor({ modules, work }) {
    this.folder = path.join(modules, "@modelcontextprotocol/conformance");
    this.program = path.join(this.folder, "dist/index.js");
    this.work = work;
    this.yaml = createRequire(modules + "/")("yaml");
    this.runs = 0;
  }

  // server runs all that a revision requires of a server, and what the suite does not score, against a URL.
  async server(url, revision) {
    const out = path.join(this.work, `server-${++this.runs}`);
    const r = await run([process.execPath, this.program, "server", "--url", url, "--requirements", revision,
      "--timeout", String(scenarioTime), "--output-dir", out], { timeout: 170000 });
    if (![0, 1].includes(r.exit) || !/^Total:/m.test(r.out))
      throw new Error(`the suite did not come to its end at ${url}: exit ${r.exit}\n${(r.out + r.err).slice(-2000)}`);
    const outcomes = this.required(revision);
    for (const [name, outcome] of Object.entries(outcomes)) read(outcome, out, `server-${name}-`);
    if (Object.values(outcomes).some(o => o.scored && failed(o)) !== (r.exit === 1))
      throw new Error(`the suite's exit status ${r.exit} does not fit what it wrote to ${out}`);
    return outcomes;
  }

  // client lets the suite play one server, whose URL is the last argument of the command.
  async client(command, scenario, revision) {
    const out = path.join(this.work, `client-${++this.runs}`);
    const r = await run([process.execPath, this.program, "client", "--command", command, "--scenario", scenario,
      "--spec-version", revision, "--timeout", String(scenarioTime), "--output-dir", out], { timeout: 2 * scenarioTime });
    const outcome = read({ scored: true, checks: {}, messages: [] }, out, "");
    // The suite is content with a client that never came.
    if (r.exit !== 0) outcome.messages.push(`exit ${r.exit}: ${(r.out + r.err).slice(-1500)}`);
    if (r.exit !== 0 && !failed(outcome)) outcome.checks["the client's exit"] = ["FAILURE"];
    return outcome;
  }

  required(revision) {
    const set = this.yaml.parse(fs.readFileSync(path.join(this.folder, "requirements", revision + ".yaml"), "utf8"));
    const unscored = (set.not_scored ?? []).filter(e => e.leg === "server").map(e => e.scenario);
    const outcome = scored => ({ scored, checks: {}, messages: [] });
    return Object.fromEntries([...set.server.map(n => [n, outcome(true)]), ...unscored.map(n => [n, outcome(false)])]);
  }
}

// failed reports whether a scenario failed. One that left no check has crashed.
export const failed = outcome => {
  const statuses = Object.values(outcome.checks).flat();
  return statuses.length === 0 || statuses.includes("FAILURE");
};

// read adds to an outcome what is written in the folders below out whose names begin so and end with a time.
function read(outcome, out, begin) {
  const folders = fs.existsSync(out) ? fs.readdirSync(out, { recursive: true, withFileTypes: true }) : [];
  for (const file of folders.filter(f => f.name === "checks.json")) {
    const name = path.relative(out, file.parentPath);
    if (begin && name.replace(/\d{4}-\d\d-\d\dT[\d-]+Z$/, "") !== begin) continue;
    for (const c of JSON.parse(fs.readFileSync(path.join(file.parentPath, file.name), "utf8"))) {
      if (trace(c)) continue;
      (outcome.checks[`${c.id}/${c.name}`] ??= []).push(c.status);
      if (c.status === "FAILURE" || c.status === "WARNING")
        outcome.messages.push(`${c.id}: ${c.errorMessage ?? ""}`.replace(/\s+/g, " ").slice(0, 400));
    }
  }
  return outcome;
}
