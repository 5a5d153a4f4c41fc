// Prometheus, and what Grafana would ask of it.
import fs from "node:fs";
import path from "node:path";
import { Program, run, until } from "./programs.mjs";

const rateInterval = "10s", range = "1m";

export class Prometheus {
  constructor(programs, folder) {
    Object.assign(this, { programs, folder });
    fs.mkdirSync(folder, { recursive: true });
  }

  // start reads the example's own files; only addresses, the place of the credential and the pace are others.
  async start(examples, { target, credential }) {
    const replaced = [["127.0.0.1:8080", target], ["/etc/prometheus/mcpx-token", credential],
      ["scrape_interval: 15s", "scrape_interval: 1s"], ["evaluation_interval: 15s", "evaluation_interval: 1s"]];
    let config = fs.readFileSync(path.join(examples, "prometheus.yaml"), "utf8");
    for (const [from, to] of replaced) {
      if (!config.includes(from)) throw new Error(`prometheus.yaml does not have ${from}`);
      config = config.replace(from, to);
    }
    const file = path.join(this.folder, "prometheus.yaml");
    fs.writeFileSync(file, config);
    fs.copyFileSync(path.join(examples, "alerts.yaml"), path.join(this.folder, "alerts.yaml"));
    console.log((await run([this.programs.promtool, "check", "config", file], { cwd: this.folder })).trim());
    this.program = new Program([this.programs.prometheus, `--config.file=${file}`, `--storage.tsdb.path=${path.join(this.folder, "data")}`,
      "--web.listen-address=127.0.0.1:0"], { cwd: this.folder });
    this.url = "http://" + await this.program.says(/msg="Listening on" address=(\S+)/);
    await until("Prometheus reads the hub", async () => {
      const { activeTargets } = await this.api("targets");
      return activeTargets.length === 1 && (activeTargets[0].health === "up" || activeTargets);
    });
  }

  async api(what, parameters = {}) {
    const answer = await (await fetch(`${this.url}/api/v1/${what}?${new URLSearchParams(parameters)}`, { signal: AbortSignal.timeout(10_000) })).json();
    if (answer.status !== "success" || answer.warnings?.length) throw new Error(answer.error ?? answer.warnings.join("; "));
    return answer.data;
  }

  // scraped waits until what has happened was read, twice, since a rate has two ends.
  async scraped() {
    const now = Date.now() / 1000;
    await until("a scrape", async () => {
      const { result } = await this.api("query", { query: `count_over_time(up{job="mcpx"}[${Math.ceil(Date.now() / 1000 - now) + 1}s])` });
      return Date.now() / 1000 - now > 3 && Number(result[0]?.value[1]) >= 2;
    });
  }

  // asks gives what is wrong with the answer to a query, undefined for nothing.
  async asks({ expr, instant, quiet }) {
    try {
      const query = filled(expr), now = Date.now() / 1000;
      const { result } = instant ? await this.api("query", { query })
        : await this.api("query_range", { query, start: now - 30, end: now, step: "1s" });
      const numbers = result.flatMap(series => series.values ?? [series.value]).map(([, value]) => Number(value));
      return quiet || numbers.some(Number.isFinite) ? undefined : "no data";
    } catch (err) {
      return err.message;
    }
  }

  // values are what a variable offers.
  async values({ query }) {
    const [, selector, label] = /^label_values\((.*), (\w+)\)$/.exec(query);
    return this.api(`label/${label}/values`, { "match[]": filled(selector) });
  }

  // alerts gives the rules by name.
  async alerts() {
    const { groups } = await this.api("rules", { type: "alert" });
    return Object.fromEntries(groups.flatMap(group => group.rules).map(rule => [rule.name, rule]));
  }
}

// filled puts in what Grafana puts in for the variables of a dashboard that shows everything.
function filled(expr) {
  const text = expr.replaceAll("$__rate_interval", rateInterval).replaceAll("$__range", range).replace(/\$(job|instance|server|source|client)\b/g, ".*");
  if (text.includes("$")) throw new Error(`an unknown variable in ${expr}`);
  return text;
}

// queriesOf lists what the panels and the annotations of a dashboard ask. An annotation may be quiet: nothing need have happened.
export function queriesOf(dashboard) {
  const panels = dashboard.panels.flatMap(panel => (panel.targets ?? []).map(({ expr, instant }) => ({ title: panel.title, expr, instant })));
  const notes = dashboard.annotations.list.filter(note => note.expr).map(note => ({ title: note.name, expr: note.expr, quiet: true }));
  return [...panels, ...notes];
}

export const variablesOf = dashboard => dashboard.templating.list.filter(v => v.type === "query").map(v => ({ name: v.name, query: v.query.query }));
