// A model that has made up its mind, for clients that would ask a real one: it asks for the tools that the prompt names, one after
// the other, and then repeats what came of them. Part of the story beside it, so that what calls the servers are real clients.
//
// A prompt holds, any number of times: CALL tool-name arguments (JSON in base64) END. It speaks as much of three APIs as the clients
// use: POST /v1/messages (Anthropic), /v1/chat/completions (OpenAI), /v1beta/models/NAME:streamGenerateContent (Gemini).
import { createServer } from 'node:http';

export class Model {
  #server;
  #turns = Infinity; // calls that may go; those that wait are in #waiting
  #waiting = [];

  async start() {
    this.#server = createServer((req, res) => this.#answer(req, res).catch((err) => res.writeHead(400).end(JSON.stringify({ error: { message: String(err) } }))));
    await new Promise((done) => this.#server.listen(0, '127.0.0.1', done));
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  stop() {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** From now on only this many calls are asked for, until more are granted. */
  hold(turns) {
    this.#turns = turns;
  }

  /** Lets all calls go. */
  release() {
    this.#turns = Infinity;
    for (const go of this.#waiting.splice(0)) go();
  }

  async #turn() {
    if (this.#turns > 0) this.#turns--;
    else await new Promise((go) => this.#waiting.push(go));
  }

  async #answer(req, res) {
    const parts = [];
    for await (const part of req) parts.push(part);
    const ask = JSON.parse(Buffer.concat(parts).toString() || '{}');
    if (req.url.includes('ountTokens') || req.url.includes('count_tokens')) return res.end('{"input_tokens":1,"totalTokens":1}');
    if (req.url.includes('/messages')) return this.#anthropic(ask, res);
    if (req.url.includes('/chat/completions')) return this.#openai(ask, res);
    if (req.url.includes('treamGenerateContent')) return this.#gemini(ask, res);
    if (req.url.includes('enerateContent')) return res.setHeader('Content-Type', 'application/json').end(JSON.stringify(reply([{ text: '{}' }])));
    res.writeHead(404).end('{}');
  }

  /** The next call that the texts ask for and that is on offer, or what to say at the end. */
  async #next(texts, results, offered) {
    const orders = [...texts.join('\n').matchAll(/CALL (\S+) ([A-Za-z0-9+/=]+) END/g)];
    const order = orders[results.length];
    if (!order) return { said: orders.length ? 'RESULT ' + JSON.stringify(results) : 'ok' };
    if (!offered.includes(order[1])) return { said: `NO TOOL ${order[1]} AMONG ${offered.join(" ")} AFTER ${JSON.stringify(results)}` };
    await this.#turn();
    return { name: order[1], args: JSON.parse(Buffer.from(order[2], 'base64')), id: `call_${results.length}` };
  }

  async #anthropic(ask, res) {
    const content = ask.messages.flatMap((m) => (typeof m.content === 'string' ? [{ type: 'text', text: m.content }] : m.content));
    const results = content.filter((part) => part.type === 'tool_result').map((part) => part.content);
    const call = await this.#next(content.map((part) => part.text ?? ''), results, (ask.tools ?? []).map((tool) => tool.name));
    const message = { id: 'msg_1', type: 'message', role: 'assistant', model: ask.model, content: [], stop_reason: null, usage: { input_tokens: 1, output_tokens: 1 } };
    if (!ask.stream) {
      return res.setHeader('Content-Type', 'application/json').end(JSON.stringify({ ...message, content: [{ type: 'text', text: call.said ?? '' }], stop_reason: 'end_turn' }));
    }
    const event = (type, rest) => [type, { type, ...rest }];
    stream(res, [
      event('message_start', { message }),
      event('content_block_start', { index: 0, content_block: call.name ? { type: 'tool_use', id: call.id, name: call.name, input: {} } : { type: 'text', text: '' } }),
      event('content_block_delta', { index: 0, delta: call.name ? { type: 'input_json_delta', partial_json: JSON.stringify(call.args) } : { type: 'text_delta', text: call.said } }),
      event('content_block_stop', { index: 0 }),
      event('message_delta', { delta: { stop_reason: call.name ? 'tool_use' : 'end_turn' }, usage: { output_tokens: 1 } }),
      event('message_stop', {}),
    ]);
  }

  async #openai(ask, res) {
    const results = ask.messages.filter((m) => m.role === 'tool').map((m) => m.content);
    const texts = ask.messages.flatMap((m) => (typeof m.content === 'string' ? [m.content] : (m.content ?? []).map((part) => part.text ?? '')));
    const call = await this.#next(texts, results, (ask.tools ?? []).map((tool) => tool.function.name));
    const chunk = (delta, finish_reason = null) => ['', { id: 'c1', object: 'chat.completion.chunk', created: 1, model: ask.model, choices: [{ index: 0, delta, finish_reason }] }];
    const asked = call.name && [{ index: 0, id: call.id, type: 'function', function: { name: call.name, arguments: JSON.stringify(call.args) } }];
    stream(res, [chunk({ role: 'assistant', ...(asked ? { tool_calls: asked } : { content: call.said }) }), chunk({}, asked ? 'tool_calls' : 'stop'), ['', '[DONE]']]);
  }

  async #gemini(ask, res) {
    const parts = ask.contents.flatMap((content) => content.parts ?? []);
    const results = parts.filter((part) => part.functionResponse).map((part) => part.functionResponse.response);
    const offered = (ask.tools ?? []).flatMap((tool) => tool.functionDeclarations ?? []).map((tool) => tool.name);
    const call = await this.#next(parts.map((part) => part.text ?? ''), results, offered);
    stream(res, [['', reply([call.name ? { functionCall: { name: call.name, args: call.args } } : { text: call.said }])]]);
  }
}

const reply = (parts) => ({
  candidates: [{ content: { role: 'model', parts }, finishReason: 'STOP', index: 0 }],
  usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 1, totalTokenCount: 2 },
});

function stream(res, events) {
  res.writeHead(200, { 'Content-Type': 'text/event-stream' });
  for (const [name, data] of events) res.write(`${name ? `event: ${name}\n` : ''}data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`);
  res.end();
}
