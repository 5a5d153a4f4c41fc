// A hub with a home of its own, and whoever sends events to it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Asks again and again until there is an answer: what it throws last is thrown after ten seconds. */
export async function until(ask) {
  for (const end = Date.now() + 10_000; ; await pause(100)) {
    try {
      return await ask();
    } catch (err) {
      if (Date.now() > end) throw err;
    }
  }
}

export class Hub {
  constructor(mcpx, config) {
    this.mcpx = mcpx;
    this.home = realpathSync(mkdtempSync(join(tmpdir(), 'mcpx-page-')));
    mkdirSync(join(this.home, 'run'), { mode: 0o700 });
    mkdirSync(join(this.home, 'work'));
    writeFileSync(join(this.home, 'mcpx.yaml'), config);
    this.env = {
      PATH: process.env.PATH,
      HOME: this.home,
      XDG_STATE_HOME: join(this.home, 'state'),
      XDG_RUNTIME_DIR: join(this.home, 'run'),
      XDG_CONFIG_HOME: join(this.home, 'config'),
    };
  }

  async start() {
    const args = ['hub', '-c', 'mcpx.yaml', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
    this.process = spawn(this.mcpx, args, { cwd: this.home, env: this.env, stdio: ['ignore', 'inherit', 'pipe'] });
    this.said = '';
    this.process.stderr.on('data', (part) => (this.said += part));
    for (let i = 0; i < 200; i++) {
      this.address = /"address":"([^"]+)"/.exec(this.said)?.[1];
      if (this.address) return this;
      await pause(50);
    }
    throw new Error(`the hub does not start: ${this.said}`);
  }

  /** Runs a command of mcpx in the hub's home, and returns what it printed. */
  async run(args, { input = '', code = 0 } = {}) {
    const child = spawn(this.mcpx, args, { cwd: this.home, env: this.env, stdio: ['pipe', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.on('data', (part) => (out += part));
    child.stderr.on('data', (part) => (err += part));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    const [ended] = await once(child, 'close');
    if (code !== null && ended !== code) throw new Error(`mcpx ${args.join(' ')}: exit ${ended}: ${out}${err}`);
    return out;
  }

  /** A link that lets one browser in, once. */
  async link() {
    const out = await this.run(['dashboard', '--print']);
    return /https?:\/\/\S+/.exec(out)?.[0] ?? Promise.reject(new Error(`no link in: ${out}`));
  }

  async token(name, ...flags) {
    return /mcpx_[A-Za-z0-9_-]+/.exec(await this.run(['hub', 'token', 'create', '--name', name, ...flags]))[0];
  }

  /**
   * A session of an MCP client with a server behind `mcpx wrap`: its requests are sent one after the other. It stays open a
   * little longer, as sessions do: a wrapper has nothing to do with its hub before its first messages are through.
   */
  async session(server, command, requests, { client = 'editor' } = {}) {
    const child = spawn(this.mcpx, ['wrap', '--name', server, '--', ...command], { cwd: join(this.home, 'work'), env: this.env, stdio: ['pipe', 'pipe', 'pipe'] });
    let said = '';
    child.stderr.on('data', (part) => (said += part));
    child.stdin.on('error', () => {});
    const ended = once(child, 'close');
    const answers = new Map();
    let text = '';
    child.stdout.on('data', (part) => {
      const lines = (text += part).split('\n');
      text = lines.pop();
      for (const line of lines) {
        const message = JSON.parse(line);
        answers.get(message.id)?.(message);
      }
    });
    let id = 0;
    const ask = (method, params) => {
      const answer = new Promise((done) => answers.set(++id, done));
      child.stdin.write(JSON.stringify({ jsonrpc: '2.0', id, method, params }) + '\n');
      return Promise.race([answer, ended.then(() => Promise.reject(new Error(`mcpx wrap ended before it answered ${method}: ${said}`)))]);
    };
    await ask('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: client, version: '1.0' } });
    child.stdin.write('{"jsonrpc":"2.0","method":"notifications/initialized"}\n');
    const all = [];
    for (const [method, params] of requests) all.push(await ask(method, params));
    await pause(500);
    child.stdin.end();
    await ended;
    return all;
  }

  async post(path, token, body) {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const answer = await fetch(`http://${this.address}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  }

  async stop() {
    const ended = once(this.process, 'exit');
    this.process.kill('SIGTERM');
    await ended;
    rmSync(this.home, { recursive: true, force: true });
  }
}

// A Chain is the record of one wrapper that runs somewhere else: events that follow one another by their hashes.
export class Chain {
  #seq = 0;
  #head = '0'.repeat(64);
  #lines = [];

  constructor(hub, token, about) {
    this.hub = hub;
    this.token = token;
    this.about = { source: 'wrap', instance: randomBytes(6).toString('hex'), host: 'laptop', user: 'ann', ...about };
    this.name = `${this.about.instance}-${randomBytes(4).toString('hex')}`;
  }

  /** Adds an event. Its members are what package audit writes, in any order. */
  add(time, event) {
    const id = `01a20627-74a3-706c-8576-${(++this.#seq).toString(16).padStart(12, '0')}`;
    const line = JSON.stringify({ time: time.toISOString(), id, seq: this.#seq, prev: this.#head, ...this.about, ...event });
    this.#head = createHash('sha256').update(line).digest('hex');
    this.#lines.push(line);
  }

  /** A call: its decision and, where it was allowed, its outcome. */
  call(time, tool, { ms = 5, outcome = 'ok', ...more } = {}) {
    const about = { method: 'tools/call', target: tool, request_id: this.#seq + 1, era: 'legacy', ...more };
    if (more.decision === 'deny') return this.add(time, { ...about, outcome: 'denied', kind: 'decision' });
    this.add(time, { decision: 'allow', rule: 'default', ...about, kind: 'decision' });
    const { args, rule, reason, decision, ...rest } = about;
    this.add(new Date(+time + ms), { ...rest, outcome, latency_ms: ms, kind: 'outcome' });
  }

  get seq() {
    return this.#seq;
  }

  /** Forgets what came before: the next event is not in its place. */
  break() {
    this.#head = 'f'.repeat(64);
  }

  /** Sends what was added, in batches. */
  async send() {
    while (this.#lines.length) {
      const body = this.#lines.splice(0, 5000).join('\n') + '\n';
      const answer = await fetch(`http://${this.hub.address}/v1/events`, {
        method: 'POST',
        headers: { authorization: `Bearer ${this.token}`, 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip', 'mcpx-chain': this.name },
        body: gzipSync(body, { level: 1 }),
      });
      if (!answer.ok) throw new Error(`events are refused: ${answer.status} ${await answer.text()}`);
    }
  }
}
