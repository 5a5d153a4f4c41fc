// Everything happens to a hub that the dashboard and the alerts of examples/grafana are about, while a real Prometheus reads
// it by examples/grafana/prometheus.yaml. Then each query of the dashboard must have an answer, and the alerts that fire must
// be the ones that should.
//
//   node metrics.mjs --mcpx PATH --mock PATH --prometheus PATH --promtool PATH
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { Prometheus, queriesOf, variablesOf } from "./prometheus.mjs";
import { stopAll, until } from "./programs.mjs";
import { Stage } from "./stage.mjs";

const grafana = path.resolve(import.meta.dirname, "../../examples/grafana");
const option = { type: "string" };
const { values: programs } = parseArgs({ options: { mcpx: option, mock: option, prometheus: option, promtool: option } });

// What fires at once when what happens here happens. Others wait for some minutes first.
const fires = ["McpxChainProblem", "McpxIntegrityFinding", "McpxReloadRefused", "McpxSplitView"];
// What waits.
const waits = ["McpxBreakerOpen"];

const work = fs.mkdtempSync(path.join(os.tmpdir(), "mcpx-metrics-"));
const problems = [];
try {
  const stage = new Stage(programs, path.join(work, "stage"));
  await stage.start();
  const prometheus = new Prometheus(programs, path.join(work, "prometheus"));
  await prometheus.start(grafana, { target: stage.address, credential: stage.credential });
  await stage.calm(); // so that the counters are seen before they count
  await prometheus.scraped();
  await stage.storm();
  await prometheus.scraped();

  const dashboard = JSON.parse(fs.readFileSync(path.join(grafana, "mcpx.json"), "utf8"));
  const queries = queriesOf(dashboard), variables = variablesOf(dashboard);
  for (const query of queries) {
    const problem = await prometheus.asks(query);
    if (problem) problems.push(`panel "${query.title}": ${problem}: ${query.expr}`);
  }
  for (const variable of variables) {
    const values = await prometheus.values(variable);
    if (!values.length) problems.push(`variable "${variable.name}" has no values: ${variable.query}`);
  }
  // The questions must be able to fail.
  for (const expr of ["mcpx_there_is_no_such_metric", "sum(mcpx_sessions_open) by"]) {
    if (!await prometheus.asks({ expr })) problems.push(`nothing is found wrong with ${expr}`);
  }

  await until("the alerts fire", async () => {
    const states = await prometheus.alerts();
    const missing = fires.filter(name => states[name]?.state !== "firing").concat(waits.filter(name => states[name]?.state !== "pending"));
    return missing.length === 0 || missing;
  }).catch(err => problems.push(err.message));
  const states = await prometheus.alerts();
  for (const [name, alert] of Object.entries(states)) {
    if (alert.health !== "ok") problems.push(`alert ${name} cannot be evaluated: ${alert.lastError}`);
    if (alert.state === "firing" && !fires.includes(name)) problems.push(`alert ${name} fires without need`);
    for (const { annotations } of alert.alerts) for (const [key, text] of Object.entries(annotations))
      if (/error|<no value>|\{\{/.test(text) && key !== "runbook") problems.push(`alert ${name}: ${key} cannot be shown: ${text}`);
  }
  console.log(`${queries.length} queries of the dashboard, ${variables.length} variables, ${Object.keys(states).length} alerts, of which ${fires.length} fire`);
} catch (err) {
  problems.push(err.stack);
} finally {
  await stopAll();
  fs.rmSync(work, { recursive: true, force: true });
}
for (const problem of problems) console.error(problem);
console.log(problems.length ? `metrics: FAILED, ${problems.length} problems` : "metrics: all is as it should be");
process.exit(problems.length ? 1 : 0);
