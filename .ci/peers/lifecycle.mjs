// How a wrapped server begins and ends, seen from outside.
import { spawn } from "node:child_process";
import { difference } from "./report.mjs";
import { left, newMark, run, within } from "./setting.mjs";

const hello = JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "life", version: "1" } } });

async function ended(report, setting, signal) {
  const name = `a wrapper that ends by ${signal} leaves no server`, folder = setting.fresh(signal), mark = newMark();
  const command = setting.wrap(setting.command("everything", folder)); // it ignores the end of its stdin
  const child = spawn(command[0], command.slice(1), { env: setting.environment(mark, folder), stdio: ["pipe", "pipe", "ignore"] });
  child.stdin.on("error", () => {});
  child.stdin.write(hello + "\n");
  try { await within(10000, "initialize", new Promise(done => child.stdout.once("data", done))); }
  catch (e) { report.fail("BROKEN", name, e.message); }
  child.kill(signal);
  const lives = await left(mark);
  report.check(name, lives.length === 0, lives.join(" | "));
}

export async function lifecycle(report, setting) {
  for (const signal of ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"]) await ended(report, setting, signal);
  const exit = async command => {
    const folder = setting.fresh("exit"), mark = newMark();
    const r = await run(command, { env: setting.environment(mark, folder) });
    return { exit: r.exit, out: r.out, lives: await left(mark) };
  };
  const commands = { "a server's exit status": ["sh", "-c", "exit 7"], "a server that says nothing": ["sh", "-c", "cat >/dev/null"],
    "a server that is killed": ["sh", "-c", "kill -9 $$"] };
  for (const [name, command] of Object.entries(commands)) {
    const direct = await exit(command), wrapped = await exit(setting.wrap(command));
    if (direct.exit === "SIGKILL") direct.exit = 128 + 9;
    const found = difference(direct, wrapped);
    report.check(`${name} passes through`, !found, found);
  }
  const gone = await exit(setting.wrap(["/nonexistent/server"]));
  report.check("a command that is not there ends with an error and nothing on stdout", gone.exit !== 0 && gone.out === "", JSON.stringify(gone));
}
