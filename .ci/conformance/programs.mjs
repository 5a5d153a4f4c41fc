// The programs of a run: the servers that the suite knows, and the hub in front of them.
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { sleep, within } from "../peers/setting.mjs";

// A Program is a child process that is known to serve at .url, until stop.
export class Program {
  constructor(command, options) {
    this.log = "";
    this.child = spawn(command[0], command.slice(1), { stdio: ["ignore", "pipe", "pipe"], ...options });
    this.child.on("error", e => { this.log += e.message; });
    for (const stream of [this.child.stdout, this.child.stderr]) stream.setEncoding("utf8").on("data", d => { this.log += d; });
  }

  get running() { return this.child.pid !== undefined && this.child.exitCode === null && this.child.signalCode === null; }

  // serves waits until a function gives the URL.
  async serves(find) {
    for (const end = Date.now() + 15000; Date.now() < end && this.running; await sleep(20)) {
      this.url = await find();
      if (this.url) return this;
    }
    const log = this.log;
    await this.stop();
    throw new Error(`${this.child.spawnfile} does not serve:\n${log.slice(-3000)}`);
  }

  // stop ends the program as a user would, and says whether it ended in time.
  async stop() {
    if (!this.running) return true;
    const ended = once(this.child, "exit");
    this.child.kill("SIGTERM");
    try { await within(10000, "exit", ended); return true; }
    catch { this.child.kill("SIGKILL"); return false; }
  }
}

async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  await new Promise(done => server.close(done));
  return port;
}

const listens = port => new Promise(done => {
  const socket = net.connect(port, "127.0.0.1", () => { socket.destroy(); done(true); });
  socket.on("error", () => done(false));
});

// goServer starts the Go SDK's conformance server. It has one era at a time: sessions for 2025-11-25, none for 2026-07-28.
export async function goServer(program, { stateless }) {
  const port = await freePort();
  const server = new Program([program, `-http=127.0.0.1:${port}`, `-stateless=${stateless}`]);
  return server.serves(async () => await listens(port) && `http://127.0.0.1:${port}/`);
}

// hub starts mcpx hub with the configuration of examples/conformance, whose variables come from the environment. It gets a
// copy, since its pins are kept beside the file.
export async function hub(program, { work, variables }) {
  fs.mkdirSync(work, { recursive: true });
  const config = path.join(work, "mcpx.yaml");
  fs.copyFileSync(path.resolve(import.meta.dirname, "../../examples/conformance/mcpx.yaml"), config);
  const gateway = new Program([program, "hub", "-c", config, "--listen", "127.0.0.1:0"],
    { cwd: work, env: { ...process.env, ...variables, MCPX_STATE_DIR: path.join(work, "state") } });
  return gateway.serves(async () => {
    const address = /"address":"([^"]+)"/.exec(gateway.log)?.[1];
    return address && `http://${address}/mcp/`;
  });
}
