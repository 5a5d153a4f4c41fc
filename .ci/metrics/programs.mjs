// What runs while the metrics are looked at: programs that end with the run, and a client.
import fs from "node:fs";
import net from "node:net";
import { spawn } from "node:child_process";
import { once } from "node:events";

export const pause = ms => new Promise(done => setTimeout(done, ms));

// until asks until the answer is true, and says what it was at last if it never is.
export async function until(what, ask, limit = 20_000) {
  let last;
  for (const end = Date.now() + limit; Date.now() < end; await pause(100)) {
    try {
      last = await ask();
      if (last === true) return;
    } catch (err) {
      last = err;
    }
  }
  throw new Error(`not within ${limit / 1000} s: ${what}: ${last?.stack ?? JSON.stringify(last)}`);
}

export async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  await new Promise(done => server.close(done));
  return port;
}

const running = [];

// A Program is a child process whose output is kept.
export class Program {
  constructor(command, { stdin = "ignore", ...options }) {
    this.log = "";
    this.child = spawn(command[0], command.slice(1), { stdio: [stdin, "pipe", "pipe"], ...options });
    this.ended = new Promise(done => {
      this.child.on("error", err => { this.log += err.message; done(err.code); });
      this.child.on("exit", (code, signal) => done(code ?? signal));
    });
    for (const stream of [this.child.stdout, this.child.stderr]) stream.setEncoding("utf8").on("data", text => { this.log += text; });
    running.push(this);
  }

  get alive() { return this.child.pid !== undefined && this.child.exitCode === null && this.child.signalCode === null; }

  // says waits until the output matches, and gives the first group.
  async says(pattern) {
    let found;
    await until(`${this.child.spawnfile} says ${pattern}`, () => {
      found = pattern.exec(this.log)?.[1];
      if (found === undefined && !this.alive) throw new Error(`it has ended: ${this.log.slice(-3000)}`);
      return found !== undefined || this.log.slice(-3000);
    });
    return found;
  }

  // stop ends it as a user would, by force after ten seconds.
  async stop() {
    if (!this.alive) return;
    this.child.kill("SIGTERM");
    const timer = setTimeout(() => this.child.kill("SIGKILL"), 10_000);
    await this.ended;
    clearTimeout(timer);
  }
}

// stopAll ends what still runs, the youngest first.
export async function stopAll() {
  for (const program of running.reverse()) await program.stop();
}

// run gives the output of a program that ends by itself.
export async function run(command, options) {
  const program = new Program(command, { ...options, stdin: "pipe" });
  program.child.stdin.on("error", () => {});
  program.child.stdin.end(options.input ?? "");
  const timer = setTimeout(() => program.child.kill("SIGKILL"), 30_000);
  const code = await program.ended;
  clearTimeout(timer);
  if (code !== 0) throw new Error(`${command.join(" ")}: exit ${code}: ${program.log}`);
  return program.log;
}

// childrenOf lists the processes that a process has started and that still run.
export function childrenOf(pid) {
  return fs.readdirSync("/proc").filter(entry => /^\d+$/.test(entry)).map(Number).filter(entry => {
    try {
      return Number(/\) \S+ (\d+)/.exec(fs.readFileSync(`/proc/${entry}/stat`, "utf8"))[1]) === pid;
    } catch {
      return false; // it has ended
    }
  });
}
