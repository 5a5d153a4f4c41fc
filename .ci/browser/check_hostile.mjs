// Nothing that a server, an agent or a wrapper says becomes more than text on a page: the same is said once with harmless words
// and once with hostile ones, and the second time no page has an element, an attribute or a class that it had not the first time.
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { faultless } from './browser.mjs';
import { hostile, known } from './hostile.mjs';
import { Chain, until } from './hub.mjs';
import { enter } from './walk.mjs';

const server = join(dirname(fileURLToPath(import.meta.url)), 'server.mjs');
const chance = 200; // texts made of parts, after those that are known

/** Harmless texts of each kind that a page shows differently: short, long, of lines, with a character that cannot be seen. */
const harmless = ['read_file', 'a longer text of some words', 'x'.repeat(900), 'two\nlines', 'zero\u200bwidth', 'e\u0301\u0301\u0301\u0301\u0301', '.', '~x', '{"a":[1]}'];

/** Says everything that can be said to a hub with the texts, and returns what each event on the way said. */
async function say(hub, token, name, texts) {
  const said = [];
  const now = Date.now();
  const chain = new Chain(hub, token, { instance: name });
  const text = (i) => texts[i % texts.length];
  texts.forEach((t, i) => {
    const others = Object.fromEntries(['server', 'client', 'method', 'rule', 'session', 'host', 'user', 'era', 'instance'].map((member, n) => [member, text(i + n + 1)]));
    const documents = { args: { [t]: { [text(i + 1)]: [t, 1, null] } }, client_info: { name: t, version: text(i + 2), [t]: t }, server_info: { name: text(i + 3), version: t }, request_id: t };
    const at = () => new Date(now - 600_000 + said.length * 10);
    const add = (event) => {
      chain.add(at(), event);
      said.push({ path: `/dashboard/events/${name}/${chain.name}/${chain.seq}`, text: t });
    };
    add({ ...others, ...documents, method: 'tools/call', target: t, decision: i % 2 ? 'allow' : 'deny', reason: t, kind: 'decision' });
    add({ ...others, server: 'known', target: t, method: 'tools/call', decision: 'allow', reason: `shadow: ${t}`, kind: 'decision' });
    add({ ...others, server: 'known', target: text(i + 5), method: 'tools/call', outcome: t, reason: t, latency_ms: 3, kind: 'outcome' });
    add({ ...others, ...documents, kind: t || 'x', decision: text(i + 4), outcome: text(i + 6), reason: t, trace_id: t, prev_time: t, [`${t}x`]: t });
  });
  await chain.send();

  const broken = new Chain(hub, token, { instance: name });
  broken.add(new Date(now), { kind: 'lifecycle', reason: texts[0] });
  broken.break();
  for (const t of texts.slice(0, 20)) broken.add(new Date(now), { kind: t || 'x', reason: t, target: t });
  await broken.send();

  for (const [i, t] of texts.slice(0, 40).entries()) {
    const short = t.slice(0, 200);
    await hub.post('/v1/heartbeat', token, {
      instance: `${i}${short}`.slice(0, 80), server: 'known', version: short, host: short, user: short, pid: i, started: new Date(now).toISOString(),
      client_info: { name: t, version: t }, server_info: { name: t, version: t }, problems: [t], pending: i, ended: i % 2 === 1,
    });
  }
  return said;
}

/** A server that says the texts, is approved, and says others then. */
export async function serve(hub, name, texts) {
  const file = join(hub.home, `${name}.json`);
  const session = (rest) => {
    const text = (i) => rest[i % rest.length];
    const names = [...new Set(texts.map((t) => t.slice(0, 120)))].filter((t) => t !== '');
    writeFileSync(file, JSON.stringify({
      info: { name: text(0), version: text(1), title: text(2) },
      instructions: rest.join('\n'),
      tools: names.map((tool, i) => ({ name: tool, title: text(i), description: text(i + 1), inputSchema: { type: 'object', description: text(i + 2), properties: { [text(i + 3) || 'p']: { type: 'string', description: text(i + 4), enum: [text(i), text(i + 5)] } } } })),
      prompts: names.slice(0, 10).map((prompt, i) => ({ name: prompt, description: text(i) })),
    }));
    return hub.session(name, [process.execPath, server, file], [['tools/list', {}], ['prompts/list', {}], ['tools/call', { name: names[0], arguments: { [text(0)]: text(1) } }]], { client: text(0) });
  };
  await session(texts);
  await until(() => hub.run(['pins', 'approve', '--hub', name, '--all']));
  await session([...texts.slice(3), ...texts.slice(0, 3)]);
  await until(async () => {
    if (!(await hub.run(['pins', 'diff', '--hub', name], { code: null })).includes('changed')) throw new Error(`the hub has not heard of the changes of ${name}`);
  });
}

/** What is looked at on every page. It runs in the browser. */
function inspect() {
  const unseen = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}\p{Variation_Selector}\p{Noncharacter_Code_Point}\u2800\u3164\u115f\u1160\u00a0\u2000-\u200a\u3000]/u;
  const bad = [];
  const codes = (text) => JSON.stringify(text.slice(0, 80)).replace(/[^ -~]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
  const walker = document.createTreeWalker(document, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_COMMENT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node.nodeType === Node.COMMENT_NODE) bad.push(`a comment: ${codes(node.data)}`);
    const block = node.parentElement?.closest('.block, .hits');
    const text = block ? node.data.replace(/[\n\t]/g, '') : node.data.replace(/^[\n\t ]+|[\n\t ]+$/g, '');
    if (unseen.test(text)) bad.push(`a character that cannot be seen in ${node.parentElement?.localName}: ${codes(text)}`);
  }
  const shapes = new Set();
  for (const e of document.querySelectorAll('*')) {
    shapes.add(`${e.namespaceURI === 'http://www.w3.org/1999/xhtml' ? '' : 'svg:'}${e.localName} ${e.getAttributeNames().sort().join(' ')}`);
    for (const { name, value } of e.attributes) {
      if (unseen.test(value)) bad.push(`a character that cannot be seen in ${e.localName} ${name}: ${codes(value)}`);
      if (['class', 'method', 'type', 'target', 'rel', 'name', 'role', 'http-equiv', 'for', 'autocomplete'].includes(name)) for (const word of value.split(' ')) shapes.add(`${e.localName} ${name}=${word}`);
      if (['href', 'src', 'action', 'formaction', 'xlink:href'].includes(name) && !/^(\/dashboard|#|\?|$)/.test(value)) shapes.add(`${e.localName} ${name}=${value}`);
    }
  }
  return {
    bad: bad.slice(0, 5),
    shapes: [...shapes],
    text: document.querySelector('main')?.textContent ?? '',
    links: [...document.querySelectorAll('a[href]')].map((a) => a.getAttribute('href')),
    frames: window.frames.length,
  };
}

/** A page that tells of whatever a text does. */
async function watched(browser) {
  const page = await browser.page();
  await page.evaluateOnNewDocument(() => {
    globalThis.hacked = () => console.error('a text was run');
    addEventListener('securitypolicyviolation', (e) => console.error(`a text tried ${e.violatedDirective}: ${e.blockedURI} ${e.sample}`));
  });
  return page;
}

async function visit(page, path) {
  const address = new URL(path, page.origin).href;
  if (new URL(address).origin !== page.origin) throw new Error(`a link leads away: ${path}`);
  const answer = await page.goto(address, { waitUntil: 'load' });
  const status = answer.status();
  if (![200, 400, 404].includes(status)) throw new Error(`${path}: status ${status}`);
  if (status !== 200) page.faults = page.faults.filter((fault) => !/Failed to load resource: .* status of 40[04]/.test(fault));
  const found = await page.evaluate(inspect).catch((err) => Promise.reject(new Error(`${path}: ${err.message}`)));
  if (page.url() !== address) throw new Error(`${path}: the page has gone to ${page.url()}`);
  if (found.frames) throw new Error(`${path}: there are frames`);
  if (found.bad.length) throw new Error(`${path}: ${found.bad.join('; ')}`);
  faultless(page, path);
  return { ...found, status };
}

const kinds = [
  ['server', /^\/dashboard\/servers\/[^/?]+(\?|$)/, 15],
  ['tool', /^\/dashboard\/servers\/[^/]+\/tools/, 15],
  ['pins', /^\/dashboard\/pins\/[^/]+/, 20],
  ['event', /^\/dashboard\/events\//, 8],
  ['search', /^\/dashboard\/search\?/, 20],
  ['first', /^\/dashboard(\/(fleet|chains|pins|search))?(\?.*)?$/, 20],
];

/** Goes where the links lead, to some pages of each kind, and to addresses that somebody else may give a person. */
async function crawl(page, given) {
  const shapes = new Map();
  const left = new Map(kinds.map(([kind, , most]) => [kind, most]));
  const seen = new Set();
  const queue = [];
  const offer = (href, free) => {
    if (seen.has(href) || href === '') return;
    const kind = kinds.find(([, form]) => form.test(href))?.[0];
    if (!free && !(left.get(kind) > 0)) return;
    seen.add(href);
    left.set(kind, left.get(kind) - 1);
    queue.push(href);
  };
  ['/dashboard', '/dashboard/fleet', '/dashboard/chains', '/dashboard/pins', '/dashboard/search'].forEach((href) => offer(href, true));
  given.forEach((href) => offer(href, true));
  let pages = 0;
  for (let href = queue.shift(); href !== undefined; href = queue.shift(), pages++) {
    const found = await visit(page, href);
    for (const shape of found.shapes) if (!shapes.has(shape)) shapes.set(shape, href);
    for (const link of found.links) if (!link.startsWith('#')) offer(link.split('#')[0], false);
  }
  return { shapes, pages };
}

/** An address for each text, with the text in one of the places where an address has one. */
function addresses(texts) {
  const fields = ['server', 'target', 'principal', 'client', 'method', 'rule', 'host', 'trace', 'decision', 'outcome', 'kind', 'since', 'until', 'before', 'limit'];
  const places = [...fields.map((field) => `/dashboard/search?${field}=TEXT`), '/dashboard/servers/TEXT', '/dashboard/pins/TEXT?approved=TEXT', '/dashboard/events/TEXT/TEXT/1', '/dashboard/TEXT', '/dashboard?span=TEXT', '/dashboard/servers/known/tools?tool=TEXT'];
  return texts.map((t, i) => places[i % places.length].replaceAll('TEXT', encodeURIComponent(t.slice(0, 700)))).filter((path) => !/\/\.{0,2}(\/|\?|$)/.test(path));
}

/** A text is on its page as it was said; what cannot be seen is there by its number. */
function shown(text, on) {
  const bare = on.replace(/\s+/g, '');
  for (const part of text.split(/([^\p{L}\p{N}\p{P}\p{S} ])/u)) {
    const code = `U+${(part.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
    const there = bare.includes(part.replace(/\s+/g, '')) || (/^[^\p{L}\p{N}\p{P}\p{S} ]$/u.test(part) && bare.includes(code));
    if (!there) return part;
  }
  return null;
}

/** Rows that come while the page is open are made by the script: they are held to the same. */
async function liveRows(page, hub, token, name, texts) {
  await page.goto(new URL('/dashboard', page.origin), { waitUntil: 'load' });
  await page.waitForFunction(() => document.querySelector('#live-state .on'));
  const chain = new Chain(hub, token, { instance: name });
  const shapes = new Map();
  for (let i = 0; i < texts.length; i += 30) {
    const part = texts.slice(i, i + 30);
    for (const t of part) chain.add(new Date(), { server: t, client: t, method: 'tools/call', target: t, decision: 'deny', rule: t, reason: t, kind: 'decision' });
    const last = `/dashboard/events/${name}/${chain.name}/${chain.seq}`;
    await chain.send();
    await page.waitForSelector(`#live-rows tr[data-key="${last}"]`, { timeout: 5000 });
    const found = await page.evaluate(inspect);
    if (found.bad.length) throw new Error(`the live view: ${found.bad.join('; ')}`);
    found.shapes.forEach((shape) => shapes.set(shape, 'the live view'));
    for (const t of part) {
      const missing = t.length < 80 && shown(t, found.text);
      if (missing) throw new Error(`the live view does not show ${JSON.stringify(missing)} of ${JSON.stringify(t)}`);
    }
  }
  faultless(page, 'the live view');
  return shapes;
}

/** Whoever sends a person to the login page does not decide where it leads to. */
async function login(browser, hub, texts) {
  const places = ['https://evil.example/', '//evil.example/', '/\\evil.example', '/\t/evil.example', '/dashboard//evil.example', '/dashboard/../../evil', '/dashboard@evil.example', ...texts.filter((t) => /evil|hacked|Set-Cookie/.test(t)).slice(0, 8)];
  const secret = await hub.token('page-admin', '--admin');
  const page = await watched(browser);
  for (const [i, place] of places.entries()) {
    const link = new URL(await hub.link());
    page.origin = link.origin;
    await page.goto('about:blank'); // a live view without its session would be refused, and say so
    await page.deleteCookie(...(await page.cookies(`${link.origin}/dashboard`)));
    link.searchParams.set('next', place);
    if (i % 4) {
      await page.goto(link.href, { waitUntil: 'load' });
    } else {
      await page.goto(`${link.origin}/dashboard/login?next=${encodeURIComponent(place)}`, { waitUntil: 'load' });
      await page.type('#token', secret);
      await Promise.all([page.waitForNavigation(), page.click('button[type=submit]')]);
    }
    const at = new URL(page.url());
    if (at.origin !== link.origin || !/^\/dashboard(\/|$)/.test(at.pathname) || at.pathname.includes('login')) throw new Error(`next=${place} leads to ${at}`);
  }
  page.faults = page.faults.filter((fault) => !/Failed to load resource: .* status of 404/.test(fault));
  faultless(page, 'login');
  await page.browserContext().close();
  return places.length;
}

/** A definition with a hostile name is approved by its button, and nothing else is. */
async function approveOne(page, name) {
  const path = `/dashboard/pins/${name}`;
  await visit(page, path);
  const waiting = () => page.$$eval('article > .head > form', (all) => all.map((f) => `${f.elements.kind.value} ${f.elements.namedItem('name').value}`));
  const before = await waiting();
  const at = before.findIndex((text) => /\\u\{/.test(text) && /</.test(text));
  const chosen = at < 0 ? 0 : at;
  const buttons = await page.$$('article > .head > form button');
  await Promise.all([page.waitForNavigation(), buttons[chosen].click()]);
  const found = await page.evaluate(inspect);
  if (found.bad.length) throw new Error(`after approving: ${found.bad.join('; ')}`);
  const after = await waiting();
  if (JSON.stringify(after) !== JSON.stringify(before.filter((_, i) => i !== chosen))) throw new Error(`approving ${before[chosen]} left ${after.length} of ${before.length}: ${found.text.trim().slice(0, 300)}`);
  faultless(page, 'approve');
}

export async function hostilePages(browser, hub, seed) {
  const texts = [];
  for (const text of hostile(seed)) if (texts.push(text) === known + chance) break;
  const words = Array.from({ length: texts.length - harmless.length }, (_, i) => `word_${i}`); // so many that a page must leave some out
  const all = { harmless: [...harmless, ...words], hostile: texts };
  const seen = {};
  let events = 0;
  let count = 0;
  const page = await watched(browser);
  await enter(page, hub);
  for (const [name, texts] of Object.entries(all)) {
    const token = await hub.token(name);
    const said = await say(hub, token, name, texts);
    await serve(hub, `${name}-server`, texts.slice(0, 60));
    const { shapes, pages } = await crawl(page, addresses(name === 'hostile' ? texts : texts.slice(0, 42)));
    count += pages;
    for (const { path, text } of said.filter((_, i) => (name === 'hostile' ? i % 11 === 0 : i < 4 * harmless.length))) {
      const found = await visit(page, path);
      found.shapes.forEach((shape) => shapes.set(shape, path));
      const missing = shown(text, found.text);
      if (missing !== null) throw new Error(`${path} does not show ${JSON.stringify(missing)} of ${JSON.stringify(text)}`);
      events++;
    }
    for (const [shape, where] of await liveRows(page, hub, token, name, texts)) shapes.set(shape, where);
    await approveOne(page, `${name}-server`);
    for (const path of ['/dashboard/pins', '/dashboard/pins/harmless-server', `/dashboard/pins/${name}-server`, '/dashboard']) {
      (await visit(page, path)).shapes.forEach((shape) => shapes.set(shape, path));
    }
    seen[name] = shapes;
  }
  const more = [...seen.hostile].filter(([shape]) => !seen.harmless.has(shape));
  if (more.length) throw new Error(`only with hostile texts there is: ${more.slice(0, 10).map(([shape, where]) => `${shape} (${where})`).join('; ')}`);
  await page.browserContext().close();
  const places = await login(browser, hub, texts);
  console.log(`${texts.length} hostile texts (seed ${seed}) on ${count} pages, ${events} pages of events, in rows that come live and in ${places} ways to the login: text, and nothing but text`);
}
