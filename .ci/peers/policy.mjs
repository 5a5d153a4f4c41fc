// What the user of mcpx has set up by hand: the README's entry in a client's file, rules in front of the real filesystem
// server, and the record of it all.
import fs from "node:fs";
import path from "node:path";
import { call, inspect } from "./inspector.mjs";
import { here, left, newMark, root, run } from "./setting.mjs";

// readmeEntry is the client file that the README shows, with places in a folder. The configuration is copied there: pins
// are written beside it, and those of an earlier run must not judge this one.
function readmeEntry(mcpx, folder, documents) {
  const config = path.join(folder, "filesystem.yaml");
  fs.copyFileSync(path.join(root, "examples/filesystem.yaml"), config);
  const readme = fs.readFileSync(path.join(root, "README.md"), "utf8");
  const block = readme.match(/^```json\n(.*?)^```$/ms)?.[1] ?? "{}";
  const file = JSON.parse(block.replaceAll("/Users/you/Documents", documents)
    .replaceAll("/Users/you/mcpx/filesystem.yaml", config));
  for (const entry of Object.values(file.mcpServers)) if (entry.command === "mcpx") entry.command = mcpx;
  return file;
}

// The README's example: mcpx wrap around npx around the real filesystem server, started by the Inspector.
export async function readme(report, setting, mcpx) {
  const folder = setting.fresh("readme"), mark = newMark(), documents = path.join(folder, "files");
  const file = path.join(folder, "client.json");
  const client = readmeEntry(mcpx, folder, documents);
  const entry = client.mcpServers?.filesystem;
  if (!report.check("README's client file has an entry that is wrapped", entry?.command === mcpx && entry.args[0] === "wrap", JSON.stringify(client))) return;
  entry.type = "stdio";
  entry.env = { ...entry.env, ...setting.environment(mark, folder) };
  fs.writeFileSync(file, JSON.stringify(client));
  fs.writeFileSync(path.join(setting.work, "outside.txt"), "a secret");
  // npx finds the server that is installed here, as it is one of ours.
  const ask = request => inspect({ file, server: "filesystem", env: { ...process.env, PEERS_MARK: mark }, cwd: here }, request);

  const listed = (await ask(["--method", "tools/list"])).out?.result?.tools?.map(t => t.name).sort() ?? [];
  report.check("README's example lists what may be read and nothing that writes",
    listed.includes("read_text_file") && !listed.some(n => /write|edit|move|create/.test(n)), JSON.stringify(listed));
  const got = await ask(call("read_text_file", { path: path.join(documents, "a.txt") }));
  report.check("README's example reads a file", got.exit === 0 && JSON.stringify(got.out).includes("alpha"), JSON.stringify(got).slice(0, 400));
  const written = path.join(documents, "new.txt");
  const refused = await ask(call("write_file", { path: written, content: "x" }));
  report.check("README's example writes nothing", refused.exit !== 0 && !fs.existsSync(written), JSON.stringify(refused).slice(0, 400));
  const lives = await left(mark);
  report.check("README's example leaves no process", lives.length === 0, lives.join(" | "));
}

// witness puts a shell between mcpx and the server, which writes down every line that the server is sent.
const witness = (log, command) => ["sh", "-c", 'log=$1; shift; tee -a "$log" | "$@"', "witness", log, ...command];

// Rules in front of a server that itself would allow everything: what is refused has never reached it.
export async function rules(report, setting) {
  const folder = setting.fresh("rules"), mark = newMark(), files = path.join(folder, "files");
  const documents = path.join(files, "documents"), received = path.join(folder, "received.jsonl");
  fs.mkdirSync(documents);
  fs.writeFileSync(path.join(documents, "a.txt"), "may be read");
  fs.writeFileSync(path.join(files, "secret.txt"), "may not be read");
  fs.symlinkSync(path.join(files, "secret.txt"), path.join(documents, "link.txt"));
  const policy = path.join(folder, "mcpx.yaml");
  // Lists are left whole: the Inspector does not call what is not listed, and the call is what is to be refused.
  fs.writeFileSync(policy, `inspection: { filter_tools_list: false }
servers:
  - name: filesystem
    policy:
      deny_tools: ["write_*"]
      tool_rules:
        read_text_file: { args: { path: { within: ${JSON.stringify(documents)} } } }
`);
  const server = setting.command("filesystem", folder), file = path.join(folder, "client.json");
  const env = setting.environment(mark, folder);
  const [command, ...words] = setting.wrap(witness(received, server));
  const wrap = [...words.slice(0, words.indexOf("--")), "--config", policy, "--name", "filesystem", ...words.slice(words.indexOf("--"))];
  const entry = (command, args) => ({ type: "stdio", command, args, env });
  fs.writeFileSync(file, JSON.stringify({ mcpServers: { ruled: entry(command, wrap), free: entry(server[0], server.slice(1)) } }));
  const ask = (server, request) => inspect({ file, server, env: { ...process.env, PEERS_MARK: mark } }, request);

  const secret = path.join(files, "secret.txt"), made = path.join(documents, "made.txt");
  const attempts = [
    ["a path outside", call("read_text_file", { path: secret }), /within/],
    ["a path that climbs out", call("read_text_file", { path: documents + "/../secret.txt" }), /within/],
    ["a link that leads out", call("read_text_file", { path: path.join(documents, "link.txt") }), /within/],
    ["a denied tool", call("write_file", { path: made, content: "x" }), /deny_tools/],
  ];
  for (const [name, request, rule] of attempts) {
    const free = await ask("free", request);
    report.check(`control: without rules ${name} is served`, free.exit === 0, JSON.stringify(free).slice(0, 400));
    fs.rmSync(made, { force: true });
    const ruled = await ask("ruled", request);
    const text = JSON.stringify(ruled);
    report.check(`${name} is refused, and the reason names the rule`,
      ruled.exit !== 0 && rule.test(text) && !text.includes("may not be read") && !fs.existsSync(made), text.slice(0, 400));
  }
  const allowed = await ask("ruled", call("read_text_file", { path: path.join(documents, "a.txt") }));
  report.check("what the rules allow is served", allowed.exit === 0 && JSON.stringify(allowed.out).includes("may be read"), JSON.stringify(allowed).slice(0, 400));

  const lines = fs.readFileSync(received, "utf8").split("\n").filter(Boolean);
  const calls = lines.filter(l => l.includes('"tools/call"'));
  report.check("the server received the allowed call and no other", calls.length === 1 && calls[0].includes("a.txt"), calls.join("\n"));
  const lives = await left(mark);
  report.check("the rules' sessions leave no process", lives.length === 0, lives.join(" | "));
}

// The log of everything that was wrapped in this setting verifies, and holds the denials.
export async function record(report, setting, mcpx) {
  const env = { ...process.env, MCPX_STATE_DIR: setting.state, HOME: setting.home };
  const ask = words => run([mcpx, ...words], { env, cwd: setting.work });
  const denials = await ask(["audit", "query", "--decision", "deny", "--server", "filesystem", "--json"]);
  const denied = denials.out.split("\n").filter(Boolean);
  const named = word => denied.some(line => line.includes(word));
  report.check("the audit log holds the denials with their rules", denials.exit === 0 && named("within") && named("deny_tools"),
    `exit ${denials.exit}: ${denials.err}${denied.join("\n").slice(0, 400)}`);
  report.check("the audit log holds no argument of a refused call", !denials.out.includes("secret.txt"), denials.out.slice(0, 400));
  const verdict = await ask(["audit", "verify"]);
  report.check("the audit log of all sessions verifies", verdict.exit === 0, verdict.out + verdict.err);
}
