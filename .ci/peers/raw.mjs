// A client that writes lines and keeps every byte that comes back.
import { spawn } from "node:child_process";
import { sleep } from "./setting.mjs";

// converse writes lines and reads until there are as many answers as expected, then ends as a client does.
async function converse(command, env, { lines, answers, unasked }) {
  const child = spawn(command[0], command.slice(1), { env, stdio: ["pipe", "pipe", "ignore"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", d => { text += d; });
  child.stdin.on("error", () => {});
  const gone = new Promise(done => { child.on("close", done); child.on("error", done); });
  for (const line of lines) child.stdin.write(line + "\n");
  const answered = () => text.split("\n").slice(0, -1).filter(l => !isNotification(l) && !(unasked && l.includes(unasked))).length >= answers;
  for (const end = Date.now() + 15000; !answered() && Date.now() < end;) await sleep(20);
  await sleep(200); // what comes beyond the answers is noticed as well
  child.stdin.end();
  const stop = setTimeout(() => child.kill("SIGTERM"), 2500);
  const kill = setTimeout(() => child.kill("SIGKILL"), 8000);
  await gone;
  clearTimeout(stop);
  clearTimeout(kill);
  return text;
}

const isNotification = line => line.startsWith("{") && line.includes('"method":"notifications/');

const hello = JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "raw", version: "1" } } });
const ready = '{"jsonrpc":"2.0","method":"notifications/initialized"}';
const meta = '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"raw","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}';

const talks = [
  { name: "everything server", server: "everything", answers: 4, lines: [hello, ready,
    '{"jsonrpc":"2.0","id":"s-1","method":"tools/list","params":{}}',
    '{"params":{"arguments":{"message":"\\u00e9 \\/ 1"},"name":"echo"},"method":"tools/call","id":9007199254740991,"jsonrpc":"2.0"}',
    '{"jsonrpc":"2.0","id":7,"method":"no/such/method"}'] },
  { name: "memory server", server: "memory", answers: 4, lines: [hello, ready,
    '{"jsonrpc":"2.0","id":"\\u00e9\\"","method":"tools/list"}',
    '{"jsonrpc":"2.0","id":-1,"method":"tools/call","params":{"name":"read_graph","arguments":{}}}',
    '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"search_nodes","arguments":{"query":"\\ud83d\\ude00"}}}'] },
  { name: "go server, legacy", server: "go", answers: 3, lines: [hello, ready,
    '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}',
    '{"jsonrpc":"2.0","id":"two","method":"tools/call","params":{"name":"test_multiple_content_types","arguments":{}}}'] },
  { name: "go server, modern", server: "go", answers: 3, lines: [
    `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{${meta}}}`,
    `{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{${meta}}}`,
    `{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"test_simple_text","arguments":{},${meta}}}`] },
  // One request at a time, so that the order of everything is the server's.
  { name: "go server, progress in order", server: "go", answers: 2, ordered: true, lines: [hello, ready,
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":"p/\\u0031"},"name":"test_tool_with_progress","arguments":{}}}'] },
  // Whether a cancelled request is still answered is a race. The next one is answered.
  { name: "go server, cancelled", server: "go", answers: 2, unasked: '"id":"slow"', lines: [hello, ready,
    '{"jsonrpc":"2.0","id":"slow","method":"tools/call","params":{"name":"test_sampling","arguments":{"prompt":"p"}}}',
    '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"slow","reason":"enough"}}',
    '{"jsonrpc":"2.0","id":"next","method":"ping"}'] },
];

export function rawCases() {
  return talks.map(talk => ({
    name: `raw lines, ${talk.name}`, server: talk.server,
    run: async (command, env) => {
      const lines = (await converse(command, env, talk)).split("\n");
      if (talk.ordered) return lines;
      return lines.filter(line => !isNotification(line) && !(talk.unasked && line.includes(talk.unasked))).sort();
    },
    sound: lines => lines.filter(l => l.includes('"jsonrpc"') && !isNotification(l)).length >= talk.answers ? null
      : `too few answers: ${JSON.stringify(lines).slice(0, 400)}`,
  }));
}
