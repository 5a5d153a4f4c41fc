// Does the official suite find through mcpx hub what it finds without?
//
//   node conformance.mjs --modules DIR --mcpx PATH --go-server PATH --go-client PATH [--only self,server,client]
//
// Exit: 0 as expected, 1 not, 2 usage. What is expected stands in examples/conformance.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { brokenGateway, faults } from "./broken.mjs";
import { run } from "../peers/setting.mjs";
import { goServer, hub } from "./programs.mjs";
import { good, judge, sound, tally, worse } from "./judge.mjs";
import { Suite } from "./suite.mjs";
import { missing, table } from "./table.mjs";

const root = path.resolve(import.meta.dirname, "../.."), examples = path.join(root, "examples/conformance");
const revisions = ["2025-11-25", "2026-07-28"];
const columns = {
  http: revision => revision === "2025-11-25" ? "stateful" : "stateless",
  stdio: () => "child",
  shared: () => "shared",
};
// What a client does to a server in these reaches it through a gateway. The others are about OAuth, where the hub is a
// party of its own.
const clientScenarios = {
  "2025-11-25": ["initialize", "tools_call", "elicitation-sep1034-client-defaults", "sse-retry", "json-schema-2020-12-preservation"],
  "2026-07-28": ["tools_call", "request-metadata", "sep-2322-client-request-state", "http-standard-headers", "http-custom-headers",
    "http-invalid-tool-headers", "json-schema-ref-no-deref", "json-schema-2020-12-preservation"],
};

const { values: given } = parseArgs({ options: { modules: { type: "string" }, mcpx: { type: "string" }, "go-server": { type: "string" },
  "go-client": { type: "string" }, only: { type: "string", default: "self,server,client" } } });
if (!given.modules || !given.mcpx || !given["go-server"] || !given["go-client"]) {
  console.error("usage: conformance.mjs --modules DIR --mcpx PATH --go-server PATH --go-client PATH [--only self,server,client]");
  process.exit(2);
}
const parts = given.only.split(",");

const work = fs.mkdtempSync(path.join(os.tmpdir(), "mcpx-conformance-"));
const suite = new Suite({ modules: given.modules, work });
const expected = suite.yaml.parse(fs.readFileSync(path.join(examples, "expected-failures.yaml"), "utf8")) ?? {};
const programs = [], cells = {}, problems = [];

function wrong(...found) {
  for (const p of found) console.log(`     ${p}`);
  problems.push(...found);
}

function report(column, row, direct, outcomes, found) {
  (cells[row] ??= {})[column] = tally(outcomes);
  console.log(`${row.padEnd(18)} ${column.padEnd(7)} ${tally(outcomes).padEnd(6)} ${good(outcomes)} checks good, of ${good(direct)} directly`);
  wrong(...found);
}

const began = async program => { programs.push(await program); return programs.at(-1); };

async function servers() {
  const stateful = await began(goServer(given["go-server"], { stateless: false }));
  const stateless = await began(goServer(given["go-server"], { stateless: true }));
  const direct = {};
  for (const [revision, { url }] of [["2025-11-25", stateful], ["2026-07-28", stateless]]) {
    direct[revision] = await suite.server(url, revision);
    report("direct", revision, direct[revision], direct[revision], sound(direct[revision]));
  }
  if (parts.includes("self")) await noticed(stateless.url, "2026-07-28", direct["2026-07-28"]);
  if (!parts.includes("server")) return;
  const home = path.join(work, "hub");
  const gateway = await began(hub(given.mcpx, { work: home,
    variables: { STATEFUL_URL: stateful.url, STATELESS_URL: stateless.url, GO_SERVER: given["go-server"] } }));
  for (const column of Object.keys(columns)) for (const revision of revisions) {
    const through = async () => {
      const outcomes = await suite.server(gateway.url + columns[column](revision), revision);
      return [outcomes, judge(direct[revision], outcomes, expected[column]?.[revision] ?? {})];
    };
    let [outcomes, found] = await through();
    if (found.length) { // some checks give a notification a second to come, which a busy machine may take: what is wrong is wrong twice
      console.log(`     once more, because of ${found.map(p => p.split("\n")[0]).join("; ")}`);
      [outcomes, found] = await through();
    }
    report(column, revision, direct[revision], outcomes, found);
  }
  if (!await gateway.stop()) wrong("the hub does not end after SIGTERM");
  const verify = await run([given.mcpx, "audit", "verify"], { cwd: home, env: { ...process.env, MCPX_STATE_DIR: path.join(home, "state") } });
  if (verify.exit !== 0) wrong(`the audit log of the runs: exit ${verify.exit}: ${verify.out}${verify.err}`);
}

// noticed holds the comparison against gateways of which it is known what is wrong with them.
async function noticed(target, revision, direct) {
  for (const [name, fault] of Object.entries(faults)) {
    const gateway = await brokenGateway(target, fault);
    const found = worse(direct, await suite.server(gateway.url, revision));
    await gateway.stop();
    console.log(`${revision.padEnd(18)} a gateway that ${name === "none" ? "has no fault" : name}: ${found.length} checks worse`);
    if ((found.length === 0) !== (name === "none")) wrong(`the comparison misjudges a gateway with the fault "${name}"`);
  }
}

async function clients() {
  Object.assign(process.env, { CONFORMANCE_MCPX: given.mcpx, CONFORMANCE_CLIENT: given["go-client"], CONFORMANCE_WORK: work });
  const through = `"${process.execPath}" "${path.join(import.meta.dirname, "through.mjs")}"`;
  for (const [revision, scenarios] of Object.entries(clientScenarios)) {
    const direct = {}, outcomes = {};
    for (const scenario of scenarios) {
      direct[scenario] = await suite.client(`"${given["go-client"]}"`, scenario, revision);
      outcomes[scenario] = await suite.client(through, scenario, revision);
    }
    const row = `${revision} client`;
    report("direct", row, direct, direct, sound(direct));
    report("http", row, direct, outcomes, judge(direct, outcomes, expected.client?.[revision] ?? {}));
  }
}

try {
  for (const [column, byRevision] of Object.entries(expected)) for (const revision of Object.keys(byRevision ?? {})) {
    if (![...Object.keys(columns), "client"].includes(column) || !revisions.includes(revision))
      wrong(`expected-failures.yaml: there is no run ${column}, ${revision}`);
  }
  if (parts.includes("self") || parts.includes("server")) await servers();
  if (parts.includes("client")) await clients();
} finally {
  for (const program of programs) await program.stop();
  if (!process.env.CONFORMANCE_KEEP) fs.rmSync(work, { recursive: true, force: true });
}
const lines = table(revisions, cells);
console.log("\n" + lines.join("\n") + "\n");
if (parts.includes("server") && parts.includes("client")) {
  for (const file of ["README.md", "examples/conformance/README.md"])
    wrong(...missing(fs.readFileSync(path.join(root, file), "utf8"), lines).map(line => `${file} shows another table: it lacks ${line}`));
}
console.log(problems.length ? `conformance: FAILED, ${problems.length} problems` : "conformance: as expected");
process.exit(problems.length ? 1 : 0);
