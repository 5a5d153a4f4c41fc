// An MCP server over stdio whose tools, instructions and name are what a file says: node server.mjs FILE
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const { info, instructions, tools, prompts = [] } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const answers = {
  initialize: (params) => ({ protocolVersion: params.protocolVersion, capabilities: { tools: {}, prompts: {} }, serverInfo: info, instructions }),
  'tools/list': () => ({ tools }),
  'prompts/list': () => ({ prompts }),
  'tools/call': (params) => ({ content: [{ type: 'text', text: `called ${params.name}` }] }),
};
for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) continue;
  const result = answers[method]?.(params ?? {});
  const answer = result ? { result } : { error: { code: -32601, message: 'no such method' } };
  process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, ...answer }) + '\n');
}
