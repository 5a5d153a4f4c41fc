// A team's day on one machine: a hub, three real clients (Claude Code, Gemini CLI, OpenCode) whose files `mcpx clients wrap`
// changes, three real servers, a policy that changes while a client works, an update that changes a tool and is approved for
// all, a hub that is killed, a record that is whole at the end, a policy learnt from it, and a page that shows all of it.
//
//   node story.mjs --mcpx PATH --chromium PATH
//
// The commands are those of the README's quick start for teams: each of them must be run here, and the README must show each.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Browser, faultless } from '../browser/browser.mjs';
import { Model } from './model.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, 'node_modules');
const [mcpx, chromium] = ['--mcpx', '--chromium'].map((name) => process.argv[process.argv.indexOf(name) + 1]);

const fail = (message) => {
  throw new Error(message);
};
const must = (ok, message) => ok || fail(message);
const has = (text, part, where) => must(text.includes(part), `${where} does not say ${JSON.stringify(part)}:\n${text}`);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Asks until it is so, and says what it was at last if it never is. */
async function until(what, ask, limit = 30_000) {
  let last;
  for (const end = Date.now() + limit; Date.now() < end; await pause(100)) {
    try {
      last = await ask();
      if (last === true) return;
    } catch (err) {
      last = err;
    }
  }
  fail(`not within ${limit / 1000} s: ${what}: ${last?.stack ?? JSON.stringify(last)}`);
}

// A Machine is a home folder: what its owner does sees no other.
class Machine {
  constructor(name) {
    this.home = realpathSync(mkdtempSync(join(tmpdir(), `mcpx-${name}-`)));
    this.project = join(this.home, 'project');
    this.state = join(this.home, 'state', 'mcpx');
    for (const folder of [this.project, join(this.home, 'run'), join(this.home, 'bin')]) mkdirSync(folder, { recursive: true, mode: 0o700 });
    symlinkSync(mcpx, join(this.home, 'bin', 'mcpx'));
    writeFileSync(join(this.project, 'a.txt'), 'the text of a file\n');
    this.env = {
      PATH: `${join(this.home, 'bin')}:${join(modules, '.bin')}:${process.env.PATH}`,
      HOME: this.home,
      XDG_CONFIG_HOME: join(this.home, '.config'),
      XDG_STATE_HOME: join(this.home, 'state'),
      XDG_DATA_HOME: join(this.home, 'data'),
      XDG_CACHE_HOME: join(this.home, 'cache'),
      XDG_RUNTIME_DIR: join(this.home, 'run'),
      TERM: 'dumb',
      DISABLE_AUTOUPDATER: '1',
      MCP_CONNECTION_NONBLOCKING: 'false',
      ENABLE_TOOL_SEARCH: 'false',
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
      GEMINI_CLI_TRUST_WORKSPACE: 'true',
      OPENCODE_DISABLE_AUTOUPDATE: '1',
    };
  }

  start(command, args, { stdin = 'ignore' } = {}) {
    const child = spawn(command, args, { cwd: this.project, env: this.env, stdio: [stdin, 'pipe', 'pipe'] });
    child.said = { out: '', err: '' };
    child.stdout.on('data', (part) => (child.said.out += part));
    child.stderr.on('data', (part) => (child.said.err += part));
    child.ended = once(child, 'exit').then(([code, signal]) => ({ code: code ?? signal, ...child.said }));
    return child;
  }

  /** Runs a command to its end, within two minutes. */
  async run(command, args, { code = 0, input } = {}) {
    const child = this.start(command, args, { stdin: input === undefined ? 'ignore' : 'pipe' });
    if (input !== undefined) child.stdin.end(input);
    const timer = setTimeout(() => child.kill('SIGKILL'), 120_000);
    const done = await child.ended;
    clearTimeout(timer);
    must(done.code === code, `${command} ${args.join(' ')}: exit ${done.code}\n${done.out}${done.err}`);
    return done.out;
  }

  async json(...args) {
    return JSON.parse(await this.run('mcpx', [...args, '--json']));
  }

  remove() {
    rmSync(this.home, { recursive: true, force: true });
  }
}

// What the README shows, to be run word for word.
const shown = [...readFileSync(join(here, '../../README.md'), 'utf8').matchAll(/^```shell\n(.*?)^```$/gms)]
  .flatMap(([, block]) => block.split('\n'))
  .filter((line) => line.startsWith('$ '))
  .map((line) => line.slice(2).replace(/\s+#.*$/, ''));
const ran = new Set();

/** Runs a line of the README as it stands there, but for the words that are given in place of others. */
async function readme(machine, line, { in: given = {}, ...options } = {}) {
  must(shown.includes(line), `the README does not show: ${line}`);
  ran.add(line);
  console.log(`$ ${line}`);
  const words = line.split(' ').map((word) => given[word] ?? word);
  const out = await machine.run(words[0], words.slice(1), options);
  process.stdout.write(out.replace(/^/gm, '  '));
  return out;
}

const order = (tool, args) => `CALL ${tool} ${Buffer.from(JSON.stringify(args)).toString('base64')} END`;

// The clients, each with the file that names its server, and how it is asked to do something.
function clients(machine, model) {
  const everything = ['node', join(modules, '@modelcontextprotocol/server-everything/dist/index.js'), 'stdio'];
  const files = { command: 'node', args: [join(machine.home, 'files/dist/index.js'), machine.project] };
  return {
    claude: {
      file: '.claude.json',
      text: JSON.stringify({ hasCompletedOnboarding: true, mcpServers: { memory: { type: 'stdio', command: 'node', args: [join(modules, '@modelcontextprotocol/server-memory/dist/index.js')], env: { MEMORY_FILE_PATH: join(machine.home, 'memory.jsonl') } } } }, null, 2),
      env: { ANTHROPIC_BASE_URL: model, ANTHROPIC_API_KEY: 'none' },
      ask: (prompt) => ['claude', ['-p', prompt, '--allowedTools', 'mcp__memory']],
      tool: (name) => `mcp__memory__${name}`,
    },
    gemini: {
      file: '.gemini/settings.json',
      text: `{\n  // a comment of the user\n  "security": { "auth": { "selectedType": "gemini-api-key" } },\n  "mcpServers": { "files": ${JSON.stringify(files)} }\n}\n`,
      env: { GOOGLE_GEMINI_BASE_URL: model, GEMINI_API_KEY: 'none' },
      ask: (prompt) => ['gemini', ['--approval-mode', 'yolo', '-p', prompt]],
      tool: (name) => `mcp_files_${name}`,
    },
    opencode: {
      file: '.config/opencode/opencode.json',
      text: `{
  "$schema": "https://opencode.ai/config.json",
  // where the model is
  "model": "story/model",
  "provider": { "story": { "npm": "@ai-sdk/openai-compatible", "options": { "baseURL": "${model}/v1", "apiKey": "none" }, "models": { "model": {} } } },
  "mcp": { "everything": { "type": "local", "command": ${JSON.stringify(everything)}, "enabled": true /* for now */ } },
}
`,
      env: {},
      ask: (prompt) => ['opencode', ['run', prompt]],
      tool: (name) => `everything_${name}`,
    },
  };
}

class Story {
  #cleanup = [];

  async run() {
    this.model = new Model();
    const model = await this.model.start();
    this.#cleanup.push(() => this.model.stop());
    this.ann = this.machine('ann', model);
    this.bob = this.machine('bob', model);
    for (const [title, chapter] of [
      ['a hub for the team, and three clients that work as before', () => this.covered()],
      ['a rule that reaches a client at work', () => this.steered()],
      ['a second machine, by token', () => this.enrolled()],
      ['an update that changes a tool: refused everywhere, then approved for all', () => this.rugPull()],
      ['a tool that nobody may call any more', () => this.revoked()],
      ['a hub that is killed, and misses nothing', () => this.killed()],
      ['a policy that is learnt from the record', () => this.learnt()],
      ['the page', () => this.seen()],
      ['the record, whole', () => this.counted()],
    ]) {
      console.log(`\n--- ${title}`);
      await chapter();
    }
    const missed = shown.filter((line) => !ran.has(line));
    must(missed.length === 0, `the README shows what the story does not run: ${missed.join('; ')}`);
  }

  machine(name, model) {
    const machine = new Machine(name);
    this.#cleanup.push(() => machine.remove());
    machine.update = (version) => {
      rmSync(join(machine.home, 'files'), { force: true });
      symlinkSync(join(modules, '@modelcontextprotocol', version), join(machine.home, 'files'));
    };
    mkdirSync(join(machine.home, '.config/mcpx'), { recursive: true });
    writeFileSync(join(machine.home, '.config/mcpx/mcpx.yaml'), 'audit: { args: redacted }\n');
    machine.update('server-filesystem-before');
    machine.clients = clients(machine, model);
    for (const client of Object.values(machine.clients)) {
      mkdirSync(dirname(join(machine.home, client.file)), { recursive: true });
      writeFileSync(join(machine.home, client.file), client.text);
      Object.assign(machine.env, client.env);
    }
    return machine;
  }

  /** Starts the hub of the team, on the machine of Ann. */
  async hub() {
    this.rules ??= join(this.ann.project, 'team.yaml');
    const line = 'mcpx hub -c team.yaml --watch';
    must(shown.includes(line), `the README does not show: ${line}`);
    ran.add(line);
    const words = [...line.split(' ').slice(1), '--listen', this.address ?? '127.0.0.1:0'];
    const child = this.ann.start('mcpx', words);
    await until('the hub listens', () => {
      this.address = /"address":"([^"]+)"/.exec(child.said.err)?.[1];
      return this.address !== undefined || child.said.err;
    });
    this.#cleanup.push(() => child.kill('SIGKILL'));
    return child;
  }

  rule(text) {
    writeFileSync(this.rules ?? (this.rules = join(this.ann.project, 'team.yaml')), `servers:\n  - name: files\n    policy: ${text}\n`);
  }

  /** Has a client call tools, one after the other, and returns what it says at the end. */
  prompt(machine, client, ...calls) {
    const c = machine.clients[client];
    const [command, args] = c.ask(calls.map(([tool, given]) => order(c.tool(tool), given)).join(' '));
    return machine.run(command, args);
  }

  /** The same, and once more for a client that asked the model before its servers had listed their tools. */
  async ask(machine, client, ...calls) {
    for (let tries = 5; ; tries--) {
      const said = await this.prompt(machine, client, ...calls);
      if (said.includes('RESULT') || tries === 0) return said;
    }
  }

  async covered() {
    this.rule('{ deny_tools: [move_file] }');
    this.process = await this.hub();
    const found = await readme(this.ann, 'mcpx clients');
    for (const name of ['memory', 'files', 'everything']) has(found, name, 'mcpx clients');
    const before = this.contents(this.ann);
    await this.ann.run('mcpx', ['clients', 'wrap', '--dry-run']);
    must(JSON.stringify(before) === JSON.stringify(this.contents(this.ann)), '--dry-run has changed a file');
    await readme(this.ann, 'mcpx clients wrap --yes');
    const after = this.contents(this.ann);
    for (const [name, text] of Object.entries(after)) has(text, 'wrap', name);
    has(after.gemini, '// a comment of the user', 'the file of Gemini');
    has(after.opencode, '/* for now */', 'the file of OpenCode');
    await this.ann.run('mcpx', ['clients', 'wrap', '--yes']);
    must(JSON.stringify(after) === JSON.stringify(this.contents(this.ann)), 'a second wrap has changed a file');

    has(await this.ask(this.ann, 'claude', ['create_entities', { entities: [{ name: 'x', entityType: 'y', observations: ['z'] }] }], ['read_graph', {}]), 'RESULT', 'Claude Code');
    has(await this.ask(this.ann, 'gemini', ['read_text_file', { path: join(this.ann.project, 'a.txt') }]), 'the text of a file', 'Gemini CLI');
    has(await this.ask(this.ann, 'opencode', ['echo', { message: 'hello' }]), 'Echo: hello', 'OpenCode');
    await this.agree(this.ann);
    const status = await readme(this.ann, 'mcpx hub status');
    for (const name of ['memory', 'files', 'everything']) has(status, name, 'mcpx hub status');
    has(await readme(this.ann, 'mcpx pins approve --hub files'), 'get_file_info', 'what is approved');
  }

  contents(machine) {
    return Object.fromEntries(Object.entries(machine.clients).map(([name, client]) => [name, readFileSync(join(machine.home, client.file), 'utf8')]));
  }

  /** One client reads a file, the rules change, and the same client may not read it again: it is told, and lists again. */
  async steered() {
    const read = ['read_text_file', { path: join(this.ann.project, 'a.txt') }];
    this.model.hold(1);
    const before = await this.calls(this.ann, 'read_text_file', 'allow');
    const asked = this.ask(this.ann, 'gemini', read, read);
    await until('the first call is recorded', async () => (await this.calls(this.ann, 'read_text_file', 'allow')) > before);
    const changes = await this.changes();
    this.rule('{ deny_tools: [move_file, read_text_file] }');
    await until('the wrapper takes the rule over', async () => (await this.changes()) > changes, 5_000);
    this.model.release();
    const said = await asked;
    must(said.split('the text of a file').length === 2, `not one of two calls has read the file: ${said}`);
    must(/read_text_file\\?" not found|deny_tools/.test(said), `the second call is not refused, by the client that has listed again or, before that, by us: ${said}`);
    const told = await this.events(this.ann, '--kind', 'lifecycle');
    must(told.some((event) => event.reason === 'client_told_to_list_again' && event.server === 'files'), 'the client was not told to list again');
    this.rule('{ deny_tools: [move_file] }');
  }

  async changes() {
    return (await this.events(this.ann, '--kind', 'lifecycle')).filter((event) => event.reason?.startsWith('policy_changed')).length;
  }

  async events(machine, ...filter) {
    const out = await machine.run('mcpx', ['audit', 'query', '--json', ...filter]);
    return out.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line));
  }

  async calls(machine, tool, decision) {
    const events = await this.events(machine, '--decision', decision);
    return events.filter((event) => event.method === 'tools/call' && event.target === tool).length;
  }

  async enrolled() {
    const out = await readme(this.ann, 'mcpx hub token create --name bob --expires 90d');
    const token = /mcpx_[A-Za-z0-9_-]+/.exec(out)?.[0] ?? fail(`no token in ${out}`);
    const { key } = (await this.ann.json('hub', 'status')).identity;
    await readme(this.bob, 'mcpx login https://hub.example.com --key ed25519:LHh…', {
      in: { 'https://hub.example.com': `http://${this.address}`, 'ed25519:LHh…': key },
      input: token + '\n',
    });
    await this.bob.run('mcpx', ['clients', 'wrap', '--yes']);
    has(await this.ask(this.bob, 'gemini', ['read_text_file', { path: join(this.bob.project, 'a.txt') }]), 'the text of a file', "Bob's Gemini CLI");
    await this.agree(this.bob);
  }

  async rugPull() {
    const info = ['get_file_info', { path: join(this.ann.project, 'a.txt') }];
    has(await this.ask(this.ann, 'gemini', info), 'size', 'before the update');
    this.ann.update('server-filesystem');
    has(await this.prompt(this.ann, 'gemini', info), 'NO TOOL', 'after the update');
    const drifted = (await this.events(this.ann, '--kind', 'integrity')).filter((event) => event.reason === 'tool_changed' && event.target === 'get_file_info');
    must(drifted.length > 0, 'the change is not recorded');
    await until('the hub tells that Ann sees something else than Bob', async () =>
      (await this.events(this.ann, '--kind', 'integrity')).some((event) => event.reason === 'tool_split_view' && event.target === 'get_file_info'));
    await this.ann.run('mcpx', ['doctor'], { code: 1 });
    const diff = await readme(this.ann, 'mcpx pins diff --hub files');
    has(diff, 'get_file_info', 'the difference');
    await readme(this.ann, 'mcpx pins approve --hub files');
    await until("Ann's client has the tool again", async () => (await this.prompt(this.ann, 'gemini', info)).includes('size') || 'still refused');
    this.bob.update('server-filesystem');
    const bobs = ['get_file_info', { path: join(this.bob.project, 'a.txt') }];
    await until("Bob's has it too, who has approved nothing", async () => (await this.prompt(this.bob, 'gemini', bobs)).includes('size') || 'still refused');
  }

  /** What has passed passes under what was learnt of it, and nothing else does. */
  async learnt() {
    await readme(this.ann, 'mcpx policy learn -o learnt.yaml');
    const learnt = readFileSync(join(this.ann.project, 'learnt.yaml'), 'utf8');
    must(!learnt.includes('INCOMPLETE'), `what was learnt is not complete:\n${learnt}`);
    for (const part of ['read_text_file', `within: ["${this.ann.project}"]`, 'create_entities', 'echo']) has(learnt, part, 'what was learnt');
    await this.ann.run('mcpx', ['check', 'learnt.yaml']);
    has(await readme(this.ann, 'mcpx policy test --hub local --since 30d learnt.yaml'), 'decisions:', 'the rehearsal');

    const changes = await this.changes();
    writeFileSync(this.rules, learnt); // for all, at once
    writeFileSync(join(this.ann.home, 'secret.txt'), 'nobody reads this\n');
    const read = (path) => ['read_text_file', { path }];
    has(await this.ask(this.ann, 'claude', ['create_entities', { entities: [{ name: 'x', entityType: 'y', observations: ['z'] }] }], ['read_graph', {}]), 'RESULT', 'Claude Code');
    has(await this.ask(this.ann, 'gemini', read(join(this.ann.project, 'a.txt'))), 'the text of a file', 'Gemini CLI');
    has(await this.ask(this.ann, 'opencode', ['echo', { message: 'hello' }]), 'Echo: hello', 'OpenCode');
    must((await this.changes()) > changes, 'no wrapper has taken over what was learnt');
    for (const path of [join(this.ann.home, 'secret.txt'), join(this.ann.project, '../secret.txt')]) {
      const said = await this.ask(this.ann, 'gemini', ['get_file_info', { path: join(this.ann.project, 'a.txt') }], read(path));
      has(said, 'within', 'what the client is told of a file outside');
      must(!said.includes('nobody reads this'), `a file outside is read: ${said}`);
    }
    has(await this.prompt(this.ann, 'gemini', ['move_file', { source: join(this.ann.project, 'a.txt'), destination: join(this.ann.project, 'c.txt') }]), 'NO TOOL', 'a tool that was never called');
    must((await this.calls(this.ann, 'read_text_file', 'deny')) >= 2, 'the attempts are not recorded as denied');
    must(existsSync(join(this.ann.project, 'a.txt')), 'the file was moved');
  }

  /** The team on a page. */
  async seen() {
    await this.agree(this.ann);
    const link = /https?:\S+/.exec(await readme(this.ann, 'mcpx dashboard'))?.[0] ?? fail('no link');
    const browser = await Browser.start(chromium);
    this.#cleanup.push(() => browser.stop());
    const page = await browser.page();
    await page.goto(link, { waitUntil: 'load' });
    const text = () => page.$eval('main', (e) => e.innerText);
    const overview = await text();
    for (const part of ['memory', 'files', 'everything', 'deny', 'read_text_file']) has(overview, part, 'the overview');
    await page.goto(new URL('/dashboard/fleet', page.origin));
    const fleet = await text();
    for (const part of ['bob', 'local', 'secure-filesystem-server']) has(fleet, part, 'the fleet');
    await page.goto(new URL('/dashboard/search?decision=deny&target=read_text_file', page.origin));
    has(await text(), 'within', 'the denials');
    await page.goto(new URL('/dashboard/pins/files', page.origin));
    has(await text(), 'get_file_info', 'the pins');
    faultless(page, 'the page');
    const again = await browser.page();
    await again.goto(link);
    must((await again.$$('input[name=token]')).length === 1, 'the link lets somebody in a second time');
    await browser.stop();
    console.log('the page shows the team, and the link lets nobody else in');
  }

  async revoked() {
    const write = ['write_file', { path: join(this.bob.project, 'b.txt'), content: 'x' }];
    await readme(this.ann, 'mcpx hub revoke files write_file');
    const others = await this.ask(this.bob, 'gemini', ['list_allowed_directories', {}]);
    has(others, this.bob.project, 'a tool that is not revoked');
    const said = await this.prompt(this.bob, 'gemini', ['list_allowed_directories', {}], write);
    has(said, 'NO TOOL mcp_files_write_file', 'a revoked tool');
    must(!existsSync(join(this.bob.project, 'b.txt')), 'a revoked tool has written');
    await this.ann.run('mcpx', ['hub', 'restore', 'files', 'write_file']);
    await until('it is back', async () => (await this.prompt(this.bob, 'gemini', write)).includes('RESULT') || 'still refused');
  }

  async killed() {
    const before = (await this.ann.json('hub', 'status')).fleet.events;
    this.process.kill('SIGKILL');
    await this.process.ended;
    has(await this.ask(this.ann, 'opencode', ['echo', { message: 'nobody listens' }]), 'Echo: nobody listens', 'without a hub');
    has(await this.ask(this.bob, 'claude', ['read_graph', {}]), 'RESULT', 'without a hub');
    this.process = await this.hub();
    await this.agree(this.ann);
    // Bob's wrapper has ended with events that the hub does not have: his next one brings them.
    has(await this.ask(this.bob, 'claude', ['read_graph', {}]), 'RESULT', 'with a hub');
    await this.agree(this.bob);
    must((await this.ann.json('hub', 'status')).fleet.events > before, 'nothing was added');
  }

  /** Waits until the hub has every event of a machine's log. */
  async agree(machine) {
    await until(`the hub has all events of ${machine.home}`, async () => {
      const local = (await machine.json('audit', 'verify')).events;
      const chains = (await this.ann.json('hub', 'status')).fleet.chains;
      const principal = machine === this.ann ? 'local' : 'bob';
      const stored = chains.filter((chain) => chain.principal === principal).reduce((sum, chain) => sum + chain.events, 0);
      return local === stored || { local, stored };
    });
  }

  async counted() {
    has(await readme(this.ann, 'mcpx audit verify'), 'intact', 'the record of Ann');
    await this.bob.run('mcpx', ['audit', 'verify']);
    await this.agree(this.ann);
    await this.agree(this.bob);
    const status = (await this.ann.json('hub', 'status')).fleet;
    const local = (await this.ann.json('audit', 'verify')).events + (await this.bob.json('audit', 'verify')).events;
    must(status.events === local, `the hub has ${status.events} events, the machines ${local}`);
    must(status.chains.every((chain) => !chain.problems), `a chain has problems: ${JSON.stringify(status.chains)}`);
    console.log(`the hub and the two machines have the same ${local} events`);
    await this.ann.run('mcpx', ['clients', 'unwrap', '--yes']);
    for (const [name, text] of Object.entries(this.contents(this.ann))) must(text === this.ann.clients[name].text || name === 'claude', `unwrap does not restore the file of ${name}:\n${text}`);
  }

  clean() {
    for (const undo of this.#cleanup.reverse()) undo();
  }
}

const story = new Story();
try {
  await story.run();
  console.log('\nthe story is told');
} catch (err) {
  console.error(`\nFAILED: ${err.message}`);
  process.exitCode = 1;
} finally {
  story.clean();
}
