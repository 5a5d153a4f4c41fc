// A client that writes lines and keeps every byte that comes back.
import { spawn } from "node:child_process";
import { sleep } from "./setting.mjs";

// converse writes lines and reads until there are as many answers as expected, then ends as a client does.
async function converse(command, env, talk) {
  const child = spawn(command[0], command.slice(1), { env, stdio: ["pipe", "pipe", "ignore"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", d => { text += d; });
  child.stdin.on("error", () => {});
  const gone = new Promise(done => { child.on("close", done); child.on("error", done); });
  const until = async met => { for (const end = Date.now() + 10000; !met() && Date.now() < end;) await sleep(20); };
  const write = lines => { for (const line of lines) child.stdin.write(line + "\n"); };
  write(talk.lines);
  if (talk.then) {
    await until(() => text.includes(talk.then.seen));
    write(talk.then.lines);
  }
  await until(() => said(text, talk).length >= talk.answers && text.includes(talk.kept ?? ""));
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

// said are the whole lines that are compared, less the notifications that come when they come.
function said(text, talk) {
  const lines = text.split("\n").slice(0, -1).filter(line => !(talk.ignored && line.includes(talk.ignored)));
  return talk.ordered ? lines : lines.filter(line => !isNotification(line) || (talk.kept && line.includes(talk.kept)));
}

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
  { name: "go server, progress in order", server: "go", answers: 5, ordered: true, lines: [hello, ready,
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":"p/\\u0031"},"name":"test_tool_with_progress","arguments":{}}}'] },
  // The server asks back, is told that the request is cancelled, and withdraws its own. Whether it still answers is a race.
  { name: "go server, cancelled", server: "go", answers: 3, ignored: '"id":"slow"', kept: "notifications/cancelled",
    lines: [hello, ready, '{"jsonrpc":"2.0","id":"slow","method":"tools/call","params":{"name":"test_sampling","arguments":{"prompt":"p"}}}'],
    then: { seen: "sampling/createMessage", lines: [
      '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"slow","reason":"enough"}}',
      '{"jsonrpc":"2.0","id":"next","method":"ping"}'] } },
];

export function rawCases() {
  return talks.map(talk => ({
    name: `raw lines, ${talk.name}`, server: talk.server,
    run: async (command, env) => {
      const text = await converse(command, env, talk), lines = said(text, talk);
      // What follows the last line is stray, and noticed.
      return [...(talk.ordered ? lines : lines.sort()), text.slice(text.lastIndexOf("\n") + 1)];
    },
    sound: lines => lines.filter(l => l.includes('"jsonrpc"') && (talk.ordered || !isNotification(l))).length >= talk.answers ? null
      : `too few answers: ${JSON.stringify(lines).slice(0, 400)}`,
  }));
}
