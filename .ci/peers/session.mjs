// The TypeScript SDK's client: one long session for each case, which does many things, some at once.
import fs from "node:fs";
import path from "node:path";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { sleep, within } from "./setting.mjs";

const patience = 20000;

function newClient(era, folder, logs) {
  const client = new Client({ name: "peers", version: "1" }, {
    capabilities: { sampling: {}, elicitation: { form: {} }, roots: { listChanged: true } },
    versionNegotiation: { mode: era === "modern" ? { pin: "2026-07-28" } : "legacy" } });
  client.setRequestHandler("sampling/createMessage", async request =>
    ({ model: "m", role: "assistant", content: { type: "text", text: `canned answer to ${JSON.stringify(request.params.messages)}` } }));
  client.setRequestHandler("elicitation/create", async () =>
    ({ action: "accept", content: { name: "Ada", username: "ada", email: "a@b.c" } }));
  client.setRequestHandler("roots/list", async () => ({ roots: [{ uri: `file://${path.join(folder, "files")}`, name: "files" }] }));
  client.setNotificationHandler("notifications/message", n => { logs.push(n.params); });
  return client;
}

// A session notes what came of every step; a step that fails is noted with its error.
class Session {
  notes = [];
  logs = [];
  progress = [];
  constructor(era, folder) { this.era = era; this.folder = folder; this.client = newClient(era, folder, this.logs); }
  note(step, value) { this.notes.push([step, value]); }
  async attempt(step, action) {
    try { this.note(step, await within(patience, step, action())); }
    catch (e) { this.note(step, { error: e.code ?? e.name, message: e.message }); }
  }
  tool(name, args, options) { return this.client.callTool({ name, arguments: args }, options); }
  watch = { onprogress: p => { this.progress.push([p.progress, p.total, p.message]); } };
}

async function lists(s) {
  await s.attempt("tools", async () => (await s.client.listTools()).tools);
  await s.attempt("resources", async () => (await s.client.listResources()).resources);
  await s.attempt("templates", async () => (await s.client.listResourceTemplates()).resourceTemplates);
  await s.attempt("prompts", async () => (await s.client.listPrompts()).prompts);
}

const complete = (s, prompt, argument, value, context) =>
  s.client.complete({ ref: { type: "ref/prompt", name: prompt }, argument: { name: argument, value }, ...(context && { context: { arguments: context } }) });

const scripts = {
  async everything(s, env) {
    await sleep(800); // the server asks for roots first, then has one tool more
    await lists(s);
    await s.attempt("16 at once", () => Promise.all(Array.from({ length: 16 }, (_, i) => s.tool("echo", { message: `n${i}` }))));
    await s.attempt("long", () => s.tool("trigger-long-running-operation", { duration: 0.4, steps: 4 }, s.watch));
    s.note("progress", s.progress.slice(0, 3)); // the last one may come after the result
    await s.attempt("roots", () => s.tool("get-roots-list", {}));
    await s.attempt("sampling", () => s.tool("trigger-sampling-request", { prompt: "p", maxTokens: 7 }));
    await s.attempt("elicitation", () => s.tool("trigger-elicitation-request", {}));
    await s.attempt("completion", () => complete(s, "completable-prompt", "department", "S"));
    await s.attempt("completion in context", () => complete(s, "completable-prompt", "name", "", { department: "Sales" }));
    await s.attempt("level", () => s.client.setLoggingLevel("debug"));
    await s.attempt("subscribe", () => s.client.subscribeResource({ uri: "demo://resource/dynamic/text/1" }));
    await s.attempt("unsubscribe", () => s.client.unsubscribeResource({ uri: "demo://resource/dynamic/text/1" }));
    await s.attempt("2 MiB", async () => (await s.tool("echo", { message: "x".repeat(2 << 20) })).content[0].text.length);
    await s.attempt("cancelled", () => s.tool("trigger-long-running-operation", { duration: 3, steps: 3 }, { signal: AbortSignal.timeout(300) }));
    await s.attempt("after it", () => s.tool("echo", { message: "still here" }));
    await s.attempt("bad resource", () => s.client.readResource({ uri: "test://nowhere" }));
    await s.attempt("environment", async () => {
      const seen = JSON.parse((await s.tool("get-env", {})).content[0].text);
      return [seen.PEERS_MARK === env.PEERS_MARK, seen.HOME, seen.MEMORY_FILE_PATH];
    });
  },
  async go(s) {
    await lists(s);
    await s.attempt("16 at once", () => Promise.all(Array.from({ length: 16 }, () => s.tool("test_simple_text", {}))));
    await s.attempt("progress", () => s.tool("test_tool_with_progress", {}, s.watch));
    s.note("progress seen", s.progress);
    if (s.era === "legacy") await s.attempt("level", () => s.client.setLoggingLevel("debug"));
    await s.attempt("logging", () => s.tool("test_tool_with_logging", {}));
    s.note("logs seen", s.logs);
    const asks = s.era === "legacy" ? ["test_sampling", "test_elicitation", "test_elicitation_sep1330_enums"]
      : ["sampling", "elicitation", "list_roots", "multiple_inputs", "multi_round", "request_state"].map(n => `test_input_required_result_${n}`);
    for (const name of asks) await s.attempt(name, () => s.tool(name, { prompt: "p", message: "m" }));
    await s.attempt("completion", () => complete(s, "test_prompt_with_arguments", "arg1", "x"));
    if (s.era === "legacy") await s.attempt("subscribe", () => s.client.subscribeResource({ uri: "test://watched-resource" }));
    await s.attempt("bad resource", () => s.client.readResource({ uri: "test://nowhere" }));
  },
  async filesystem(s) {
    const at = name => path.join(s.folder, "files", name);
    await sleep(300); // the server asks for roots, and then allows them alone
    await lists(s);
    await s.attempt("allowed", () => s.tool("list_allowed_directories", {}));
    await s.attempt("big", async () => (await s.tool("read_text_file", { path: at("big.txt") })).content[0].text.length);
    await s.attempt("write", () => s.tool("write_file", { path: at("w.txt"), content: "one\ntwo \u2028\n" }));
    await s.attempt("edit", () => s.tool("edit_file", { path: at("w.txt"), edits: [{ oldText: "one", newText: "1" }] }));
    s.note("on disk", fs.existsSync(at("w.txt")) && fs.readFileSync(at("w.txt"), "utf8"));
    await s.attempt("search", () => s.tool("search_files", { path: at(""), pattern: "*.txt" }));
    await s.attempt("outside", () => s.tool("read_text_file", { path: "/etc/hostname" }));
  },
  async memory(s) {
    const entity = (name, ...observations) => ({ name, entityType: "person", observations });
    await lists(s);
    await s.attempt("create", () => s.tool("create_entities", { entities: [entity("Ada", "counts"), entity("Bob")] }));
    await s.attempt("relate", () => s.tool("create_relations", { relations: [{ from: "Ada", to: "Bob", relationType: "knows" }] }));
    await s.attempt("add", () => s.tool("add_observations", { observations: [{ entityName: "Bob", contents: ["\u00e9 \u{1f600}"] }] }));
    await s.attempt("search", () => s.tool("search_nodes", { query: "Ada" }));
    await s.attempt("graph", () => s.tool("read_graph", {}));
    s.note("on disk", fs.readFileSync(path.join(s.folder, "memory.jsonl"), "utf8"));
  },
};

async function session(server, era, command, env, folder) {
  const s = new Session(era, folder);
  const transport = new StdioClientTransport({ command: command[0], args: command.slice(1), env, stderr: "ignore" });
  try { await within(patience, "connect", s.client.connect(transport)); }
  catch (e) {
    await s.client.close().catch(() => {});
    return [["connect", { error: e.message }]];
  }
  s.note("server", [s.client.getServerVersion(), s.client.getServerCapabilities(), s.client.getInstructions() ?? null]);
  await scripts[server](s, env);
  await within(15000, "close", s.client.close());
  return s.notes;
}

// What a direct run must bring about, so that a server that refuses everything is not taken for a good one.
const failing = { everything: ["cancelled", "bad resource"], go: ["bad resource"], filesystem: ["resources", "templates", "prompts"], memory: ["resources", "templates", "prompts"] };

export function sessionCases() {
  const sessions = [["everything", "legacy"], ["filesystem", "legacy"], ["memory", "legacy"], ["go", "legacy"], ["go", "modern"]];
  return sessions.map(([server, era]) => ({
    name: `SDK session, ${server} server, ${era}`, server,
    run: (command, env, folder) => session(server, era, command, env, folder),
    sound: notes => {
      const bad = notes.filter(([step, value]) => value?.error !== undefined && !failing[server].includes(step));
      if (bad.length) return JSON.stringify(bad).slice(0, 600);
      return notes.length < 7 ? `stopped early: ${JSON.stringify(notes).slice(0, 300)}` : null;
    },
  }));
}
