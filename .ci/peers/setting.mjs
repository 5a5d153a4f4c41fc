// The setting of a run: the real servers, fresh folders, and what is left of processes.
import fs from "node:fs";
import path from "node:path";
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";

export const here = import.meta.dirname;
export const root = path.resolve(here, "../..");
export const sleep = ms => new Promise(done => setTimeout(done, ms));

const packaged = (name, file) => path.join(here, "node_modules/@modelcontextprotocol", name, file);
export const inspectorProgram = packaged("inspector", "clients/launcher/build/index.js");

// A Setting is where one kind of run happens: work is its folder, wrap makes the wrapped command of a command.
export class Setting {
  constructor({ work, goServer, prefix }) {
    Object.assign(this, { work, goServer, prefix });
    this.home = path.join(work, "home");
    this.state = path.join(work, "state");
    for (const folder of [this.home, this.state]) fs.mkdirSync(folder, { recursive: true });
  }

  wrap(command) { return [...this.prefix, ...command]; }

  // What a client gives to the server that it starts. MCPX_STATE_DIR is for the wrapper alone.
  environment(mark, folder) {
    return { PATH: process.env.PATH, HOME: this.home, PEERS_MARK: mark, MCPX_STATE_DIR: this.state,
      MEMORY_FILE_PATH: path.join(folder, "memory.jsonl") };
  }

  command(server, folder) {
    switch (server) {
      case "everything": return [process.execPath, packaged("server-everything", "dist/index.js"), "stdio"];
      case "filesystem": return [process.execPath, packaged("server-filesystem", "dist/index.js"), path.join(folder, "files")];
      case "memory": return [process.execPath, packaged("server-memory", "dist/index.js")];
      case "go": return [this.goServer];
    }
    throw new Error(`there is no server ${server}`);
  }

  // Runs are compared, so each finds the same files under the same names.
  fresh(name) {
    const folder = path.join(this.work, "runs", name.replace(/[^a-z0-9]+/gi, "-"));
    fs.rmSync(folder, { recursive: true, force: true });
    const files = path.join(folder, "files");
    fs.mkdirSync(files, { recursive: true });
    fs.writeFileSync(path.join(files, "a.txt"), "alpha\nbeta \u00e9\u2028 \u{1f600}\n");
    fs.writeFileSync(path.join(files, "big.txt"), "0123456789abcdef".repeat(3 << 16)); // 3 MiB on one line
    return folder;
  }
}

export const newMark = () => randomUUID();

// left names the processes that carry a mark in their environment and live on, after at most wait ms. They are ended.
export async function left(mark, wait = 5000) {
  const find = () => fs.readdirSync("/proc").filter(p => {
    if (!/^\d+$/.test(p) || Number(p) === process.pid) return false;
    try { return fs.readFileSync(`/proc/${p}/environ`, "utf8").includes(mark); } catch { return false; }
  });
  let found = find();
  for (const end = Date.now() + wait; found.length && Date.now() < end; found = find()) await sleep(50);
  return found.map(p => {
    let line = p;
    try { line = fs.readFileSync(`/proc/${p}/cmdline`, "utf8").replaceAll("\0", " ").trim(); } catch {}
    try { process.kill(Number(p), "SIGKILL"); } catch {}
    return line;
  });
}

// run starts a command, and gives its exit and outputs. A client that hangs is ended, with all that it started.
export function run(command, { env, cwd, input = "", timeout = 30000 }) {
  return new Promise(done => {
    const child = spawn(command[0], command.slice(1), { env, cwd, detached: true });
    let out = "", err = "", late = false;
    child.stdout.setEncoding("utf8").on("data", d => { out += d; });
    child.stderr.setEncoding("utf8").on("data", d => { err += d; });
    child.stdin.on("error", () => {});
    child.stdin.end(input);
    const timer = setTimeout(() => { late = true; try { process.kill(-child.pid, "SIGKILL"); } catch {} }, timeout);
    const end = exit => { clearTimeout(timer); done({ exit: late ? `nothing after ${timeout} ms` : exit, out, err }); };
    child.on("error", e => end(e.code));
    child.on("close", (code, signal) => end(code ?? signal));
  });
}

// within fails when a promise takes longer than it may.
export function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, fail) => { timer = setTimeout(() => fail(new Error(`${what}: nothing after ${ms} ms`)), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
