// The MCP Inspector's command line: one process, one session and one request for each case.
import fs from "node:fs";
import path from "node:path";
import { inspectorProgram, run } from "./setting.mjs";

// inspect asks one thing of the entry "s" of a client file, or of another entry of a file of one's own.
export async function inspect({ file, server = "s", era = "legacy", env, cwd }, request) {
  const r = await run([process.execPath, inspectorProgram, "--cli", "--config", file, "--server", server,
    "--protocol-era", era, "--format", "json", "-q", ...request], { env, cwd });
  const parse = text => { try { return JSON.parse(text); } catch { return text; } };
  return { exit: r.exit, out: parse(r.out), err: parse(r.err) };
}

export const call = (name, args) => ["--method", "tools/call", "--tool-name", name, "--tool-args-json", JSON.stringify(args)];
const read = uri => ["--method", "resources/read", "--uri", uri];
const prompt = (name, ...args) => ["--method", "prompts/get", "--prompt-name", name, ...args.flatMap(a => ["--prompt-args", a])];
const method = name => ["--method", name];
const lists = ["tools/list", "resources/list", "resources/templates/list", "prompts/list"].map(method);

// A request is followed by the exit that a direct run must have: 1 for an error, 5 for a tool that failed.
const fails = (exit, request) => Object.assign(request, { exit });

const requests = {
  everything: () => [method("initialize"), ...lists,
    call("echo", { message: "quote \" backslash \\ tab \t \u00e9 \u2028 \u{1f600}" }),
    call("get-sum", { a: 1.5, b: 2 }), fails(5, call("get-sum", { a: "x" })),
    call("get-structured-content", { location: "Chicago" }), call("get-tiny-image", {}), call("get-resource-links", { count: 2 }),
    call("get-annotated-message", { messageType: "error", includeImage: true }),
    read("demo://resource/static/document/architecture.md"), fails(1, read("demo://nowhere/1")),
    prompt("simple-prompt"), prompt("args-prompt", "city=Paris", "state=Texas"), fails(1, prompt("no-such-prompt"))],
  filesystem: files => [method("tools/list"),
    call("read_text_file", { path: path.join(files, "a.txt") }), call("read_text_file", { path: path.join(files, "big.txt") }),
    fails(5, call("read_text_file", { path: "/etc/hostname" })), call("list_directory", { path: files }),
    call("write_file", { path: path.join(files, "w.txt"), content: "w\n" })],
  memory: () => [method("tools/list"),
    call("create_entities", { entities: [{ name: "Ada", entityType: "person", observations: ["wrote \u201cnotes\u201d"] }] }),
    call("read_graph", {}), fails(5, call("create_entities", { entities: "none" }))],
  go: () => [...lists, call("test_simple_text", {}), call("test_multiple_content_types", {}),
    fails(5, call("test_error_handling", {})), read("test://static-text"), read("test://static-binary"),
    read("test://template/7/data"), prompt("test_prompt_with_arguments", "arg1=x", "arg2=y")],
};

function oneRequest(setting, server, era, index, words) {
  const name = `inspector, ${server} server, ${era}, ${index}: ${words.slice(1).filter(w => !w.startsWith("--")).join(" ").replaceAll(setting.work, "").slice(0, 60)}`;
  return {
    name, server,
    run: (command, env, folder) => {
      const file = path.join(folder, "client.json");
      fs.writeFileSync(file, JSON.stringify({ mcpServers: { s: { type: "stdio", command: command[0], args: command.slice(1), env } } }));
      // The folder has the case's name in it, so requests are made for it.
      const request = requests[server](path.join(folder, "files"))[index];
      return inspect({ file, era, env: { ...process.env, ...env } }, request);
    },
    sound: got => got.exit === (words.exit ?? 0) ? null : `exit ${got.exit} instead of ${words.exit ?? 0}: ${JSON.stringify(got.err).slice(0, 300)}`,
  };
}

export function inspectorCases(setting) {
  const sessions = [["everything", "legacy"], ["filesystem", "legacy"], ["memory", "legacy"], ["go", "legacy"], ["go", "modern"]];
  return sessions.flatMap(([server, era]) =>
    requests[server](path.join(setting.work, "files")).map((words, i) => oneRequest(setting, server, era, i, words)));
}
