// A hub with servers of all sorts, clients, and machines whose wrappers report to it; and everything that can go wrong.
import fs from "node:fs";
import path from "node:path";
import { createHash } from "node:crypto";
import { childrenOf, freePort, pause, Program, run, until } from "./programs.mjs";

const config = ({ mock, mockURL, nobody, control, credential }) => `
listen: 127.0.0.1:0
servers:
  - name: web
    url: ${mockURL}
    policy: { deny_tools: ["dangerous_*"] }
  - name: trial
    url: ${mockURL}
    mode: shadow
    policy: { deny_tools: ["dangerous_*"] }
  - name: nobody
    url: http://127.0.0.1:${nobody}/mcp
  - name: child
    command: ${mock}
    args: [stdio]
    env: { MOCK_MCP_CONTROL: ${control} }
  - name: files
    policy: { deny_tools: ["dangerous_*"] }
auth:
  enabled: true
  clients: [ { name: prometheus, token_file: ${credential} }, { name: agent, token: the-token-of-an-agent } ]
rate_limit: { enabled: true, per_tool: true, tool_rps: 3, tool_burst: 6 }
circuit_breaker: { enabled: true, failure_threshold: 2, cooldown: 1s }
inspection: { tool_integrity: warn }
`;

export class Stage {
  constructor(programs, folder) {
    Object.assign(this, { ...programs, folder });
    this.control = path.join(folder, "control");
    this.credential = path.join(folder, "credential");
  }

  async start() {
    this.hub = this.machine("hub");
    fs.writeFileSync(this.credential, "the-token-of-prometheus", { mode: 0o600 });
    fs.writeFileSync(this.control, "");
    const port = await freePort();
    new Program([this.mock, "serve", `127.0.0.1:${port}`], { cwd: this.folder });
    this.config = path.join(this.hub.cwd, "mcpx.yaml");
    fs.writeFileSync(this.config, config({ ...this, mockURL: `http://127.0.0.1:${port}/mcp`, nobody: await freePort() }), { mode: 0o600 });
    this.gateway = new Program([this.mcpx, "hub", "-c", "mcpx.yaml", "--admin", "none"], this.hub);
    this.address = await this.gateway.says(/"address":"([^"]+)".*mcpx hub is listening/);
    this.laptop = await this.enrol("laptop");
    this.wrapper = this.wrap(this.hub);
    await this.wrapper.ask("tools/list", {});
    await this.wrapper.call("echo", { text: "hello" });
  }

  // machine is the folder and environment of a user's machine.
  machine(name) {
    const home = path.join(this.folder, name);
    fs.mkdirSync(path.join(home, "run"), { recursive: true, mode: 0o700 });
    return { cwd: home, env: { PATH: process.env.PATH, HOME: home, XDG_STATE_HOME: path.join(home, "state"), XDG_CONFIG_HOME: path.join(home, "config"),
      XDG_RUNTIME_DIR: path.join(home, "run"), DBUS_SESSION_BUS_ADDRESS: `unix:path=${home}/none` } };
  }

  // enrol makes a machine of somebody who has a token.
  async enrol(name) {
    const made = await run([this.mcpx, "hub", "token", "create", "--name", name], this.hub);
    const token = /mcpx_[A-Za-z0-9_-]+/.exec(made)[0], key = /ed25519:[A-Za-z0-9_-]+/.exec(made)[0];
    const machine = this.machine(name);
    await run([this.mcpx, "login", `http://${this.address}`, "--key", key], { ...machine, input: token + "\n" });
    return { ...machine, token };
  }

  // wrap starts a session with the demo server behind a wrapper.
  wrap(machine, variables = {}) {
    const program = new Program([this.mcpx, "wrap", "--name", "files", "--", this.mock, "stdio"],
      { ...machine, env: { ...machine.env, ...variables }, stdin: "pipe" });
    let id = 1;
    const say = message => program.child.stdin.write(JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n");
    say({ id, method: "initialize", params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "test", version: "1" } } });
    say({ method: "notifications/initialized" });
    const ask = (method, params) => {
      say({ id: ++id, method, params });
      return program.says(new RegExp(`^.*("id":${id}[,}]).*$`, "m"));
    };
    return { program, ask, call: (name, args) => ask("tools/call", { name, arguments: args }) };
  }

  // ask sends a request to a server of the gateway, and gives the status of the answer.
  async ask(server, method, params, token = "the-token-of-an-agent") {
    const answer = await fetch(`http://${this.address}/mcp/${server}`, { method: "POST", signal: AbortSignal.timeout(20_000),
      headers: { "content-type": "application/json", accept: "application/json, text/event-stream", authorization: `Bearer ${token}` },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }) });
    await answer.text();
    return answer.status;
  }

  call(server, name, args = { text: "hello", path: "/tmp/none" }) { return this.ask(server, "tools/call", { name, arguments: args }); }

  // wants asks until the status is what it should be.
  async wants(status, what, ask) { await until(`${what} answers ${status}`, async () => { const got = await ask(); return got === status || got; }); }

  // calm is a first round of everything that is in order.
  async calm() {
    for (const server of ["web", "trial", "child"]) {
      await this.wants(200, server, () => this.ask(server, "tools/list", {}));
      await this.wants(200, server, () => this.call(server, "echo"));
    }
  }

  // storm is everything else, over some seconds, so that there is something to see.
  async storm() {
    await this.attack();
    for (let round = 0; round < 8; round++) {
      for (const server of ["web", "trial", "child", "nobody"]) await this.call(server, "echo");
      for (const server of ["web", "trial"]) await this.call(server, "dangerous_delete");
      await this.ask("web", "tools/list", {}, "a-guess");
      await this.wrapper.call(round % 2 ? "echo" : "dangerous_delete", { text: "hello", path: "/" });
      await pause(700);
    }
    for (let i = 0; i < 12; i++) await this.call("web", "read_file"); // more than the rate limit lets through
  }

  async attack() {
    await this.wants(403, "web", () => this.call("web", "dangerous_delete"));
    await this.wants(200, "trial", () => this.call("trial", "dangerous_delete"));
    // A stdio server that ends, and one that changes what it says.
    for (const pid of childrenOf(this.gateway.child.pid)) process.kill(pid, "SIGKILL");
    await this.wants(200, "child, after it was killed,", () => this.call("child", "echo"));
    fs.writeFileSync(this.control, "description");
    await this.wants(200, "child", () => this.ask("child", "tools/list", {}));
    // A machine on which the same version of a server says something else, and one with an edited record.
    const other = this.wrap(this.laptop, { MOCK_MCP_CONTROL: this.control });
    await other.ask("tools/list", {});
    await this.edited();
    // A file that is refused.
    const sound = fs.readFileSync(this.config);
    fs.appendFileSync(this.config, "no_such_key: 1\n");
    this.gateway.child.kill("SIGHUP");
    await this.gateway.says(/(no_such_key)/);
    fs.writeFileSync(this.config, sound);
    this.gateway.child.kill("SIGHUP");
  }

  // edited sends a record of which the second line does not follow from the first.
  async edited() {
    const about = { source: "wrap", instance: "0123456789ab", host: "laptop", user: "bob", server: "files", method: "tools/call", target: "echo", kind: "decision", decision: "allow", rule: "default" };
    let prev = "0".repeat(64);
    const lines = [1, 2].map(seq => {
      const line = JSON.stringify({ time: new Date().toISOString(), id: `01a20627-74a3-706c-8576-00000000000${seq}`, seq, prev, ...about });
      prev = createHash("sha256").update(line + "edited").digest("hex");
      return line;
    });
    const answer = await fetch(`http://${this.address}/v1/events`, { method: "POST", body: lines.join("\n") + "\n", signal: AbortSignal.timeout(20_000),
      headers: { authorization: `Bearer ${this.laptop.token}`, "content-type": "application/x-ndjson", "mcpx-chain": "0123456789ab-01234567" } });
    if (!answer.ok) throw new Error(`the edited record is refused: ${answer.status} ${await answer.text()}`);
  }
}
