// The live view while a hub is busy: it stays small, says how much it does not show, and holds nobody up.
import { readFileSync } from 'node:fs';
import { faultless } from './browser.mjs';
import { Chain, pause } from './hub.mjs';
import { enter, tabTo } from './walk.mjs';

const chains = 4;
const rate = 5000; // events per second, of all chains
const rows = 200; // that a page keeps at most
const MB = 1024 * 1024;

/** The private memory of a process, in bytes. */
function memory(process) {
  const status = readFileSync(`/proc/${process.pid}/status`, 'utf8');
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)[1]) * 1024;
}

/** Sends events for some seconds, at the given rate or slower where the hub needs longer; returns how many, and how long they took. */
async function load(hub, token, name, seconds) {
  const began = performance.now();
  let sent = 0;
  await Promise.all(Array.from({ length: chains }, async (_, n) => {
    const chain = new Chain(hub, token, { instance: `${name}${n}`, server: 'busy', client_info: { name: 'agent', version: '1.0' } });
    const each = Math.floor(rate / chains / 4); // four batches per second
    for (let batch = 1; batch <= seconds * 4; batch++) {
      for (let i = 0; i < each; i++) chain.add(new Date(), { method: 'tools/call', target: `tool_${i % 20}`, request_id: i, era: 'legacy', decision: 'allow', rule: 'default', kind: 'decision' });
      await chain.send();
      sent += each;
      const early = batch * 250 - (performance.now() - began);
      if (early > 0) await pause(early);
    }
  }));
  return { sent, seconds: (performance.now() - began) / 1000 };
}

/** How many events the hub has. */
const stored = async (hub) => Number(/events\s+([\d,]+)/.exec(await hub.run(['hub', 'status']))[1].replaceAll(',', ''));

/** What a page says of itself. */
const look = (page) => page.evaluate(() => ({
  rows: document.querySelectorAll('#live-rows tr').length,
  newest: Date.parse(document.querySelector('#live-rows time')?.dateTime),
  skipped: Number((document.querySelector('#live-skipped').textContent.match(/[\d,]+/) ?? ['0'])[0].replaceAll(',', '')),
  nodes: document.querySelectorAll('*').length,
  state: document.querySelector('#live-state').textContent,
}));

/** The heap of a page's script when all that can be thrown away is. */
async function heap(page) {
  const session = await page.createCDPSession();
  await session.send('HeapProfiler.collectGarbage');
  await session.detach();
  return (await page.metrics()).JSHeapUsedSize;
}

/** Counts what the page is told by the stream, and what it puts into its list. */
const counted = (page) => page.evaluateOnNewDocument(() => {
  const told = (globalThis.told = { rows: 0, missed: 0, put: 0 });
  const listen = EventSource.prototype.addEventListener;
  EventSource.prototype.addEventListener = function (name, heard) {
    listen.call(this, name, (e) => {
      if (name === 'tick') {
        const tick = JSON.parse(e.data);
        told.rows += tick.rows.length;
        told.missed += tick.missed;
      }
      heard(e);
    });
  };
  addEventListener('DOMContentLoaded', () => {
    new MutationObserver((all) => all.forEach((change) => (told.put += change.addedNodes.length))).observe(document.getElementById('live-rows'), { childList: true });
  });
});

/** Waits until a page has been told nothing, and has put nothing into its list, for a second. */
async function settled(page) {
  let was;
  for (let is = ''; is !== was; ) {
    was = is;
    await pause(1000);
    is = JSON.stringify(await page.evaluate(() => globalThis.told));
  }
}

async function opened(browser, hub) {
  const page = await browser.page();
  await counted(page);
  await enter(page, hub);
  await page.goto(new URL('/dashboard', page.origin), { waitUntil: 'load' });
  await page.waitForFunction(() => document.querySelector('#live-state .on'));
  return page;
}

/** A page is stopped and goes on by keyboard: nothing moves in between, and what came is there afterwards. */
async function pauses(page, hub, token) {
  const chain = new Chain(hub, token, { instance: 'pause', server: 'busy' });
  await tabTo(page, () => document.activeElement.id === 'live-pause');
  await page.keyboard.press('Space');
  await pause(600); // what was on its way
  const before = await look(page);
  for (let i = 0; i < 7; i++) chain.add(new Date(), { method: 'tools/call', target: 'while_paused', decision: 'deny', rule: 'policy.deny_tools[0]', kind: 'decision' });
  await chain.send();
  await page.waitForFunction(() => document.querySelector('#live-pause').textContent === 'Resume (7)', { timeout: 5000 });
  const during = await look(page);
  if (during.newest !== before.newest || during.rows !== before.rows) throw new Error('the list moves while it is paused');
  await page.keyboard.press('Space');
  await page.waitForFunction(() => [...document.querySelectorAll('#live-rows tr')].filter((row) => row.textContent.includes('while_paused')).length === 7, { timeout: 5000 });
}

export async function live(browser, hub) {
  const token = await hub.token('busy-laptop');
  await load(hub, token, 'warm', 3); // caches are filled, the store has grown
  const alone = await load(hub, token, 'alone', 5);
  const memoryBefore = memory(hub.process);

  const page = await opened(browser, hub);
  const hidden = await opened(browser, hub);
  const cover = await hidden.browserContext().newPage(); // in front of it
  await cover.bringToFront();
  await page.bringToFront();
  await settled(page); // the logins are in its list
  await page.evaluate(() => Object.assign(globalThis.told, { rows: 0, missed: 0, put: 0 }));
  const storedBefore = await stored(hub);
  const isHidden = await hidden.evaluate(() => document.hidden);

  let done = false;
  const run = load(hub, token, 'seen', 20).finally(() => (done = true));
  let heapEarly = 0;
  let oldest = 0;
  let nodes = 0;
  for (let second = 1; !done; second++) {
    await pause(1000);
    if (done) break;
    const asked = Date.now();
    const now = await look(page);
    oldest = Math.max(oldest, asked - now.newest);
    nodes = Math.max(nodes, now.nodes);
    if (now.rows > rows) throw new Error(`the page keeps ${now.rows} rows`);
    if (second > 2 && asked - now.newest > 3000) throw new Error(`the newest row is ${asked - now.newest} ms old (${now.state})`);
    if (second === 3) heapEarly = await heap(page);
  }
  const busy = await run;
  const arrived = (await stored(hub)) - storedBefore; // what was sent, and what the hub itself records
  if (arrived < busy.sent) throw new Error(`the hub has stored ${arrived} events of ${busy.sent}`);
  await page.waitForFunction((all) => told.rows + told.missed >= all, { timeout: 5000 }, arrived);
  await settled(page);
  const told = await page.evaluate(() => globalThis.told);
  const end = await look(page);
  if (told.rows + told.missed !== arrived) throw new Error(`the stream told of ${told.rows} and ${told.missed} events, of ${arrived}`);
  if (told.put + end.skipped !== arrived) throw new Error(`the page put ${told.put} rows and says that ${end.skipped} events are missing, of ${arrived}`);
  const heapEnd = await heap(page);
  if (heapEnd > 2 * heapEarly) throw new Error(`the heap of the page has grown from ${heapEarly} to ${heapEnd} bytes`);
  if (nodes > 20_000) throw new Error(`the page has ${nodes} elements`);
  const grown = memory(hub.process) - memoryBefore;
  if (grown > 64 * MB) throw new Error(`the hub has grown by ${(grown / MB).toFixed(0)} MB`);

  await hidden.bringToFront();
  await hidden.waitForFunction((least) => Date.parse(document.querySelector('#live-rows time')?.dateTime) >= least, { timeout: 5000 }, end.newest - 100);
  const behind = await look(hidden);
  if (behind.rows > rows) throw new Error(`the hidden page keeps ${behind.rows} rows`);
  await page.bringToFront();
  await pauses(page, hub, token);
  faultless(page, 'live');
  faultless(hidden, 'live, hidden');
  for (const each of [page, hidden]) await each.browserContext().close();
  const speed = ({ sent, seconds }) => (sent / seconds).toFixed(0);
  console.log(`live: ${speed(busy)} events/s with two pages open (${speed(alone)} without), one of them ${isHidden ? 'hidden' : 'behind'}; newest row at most ${oldest} ms old; heap ${(heapEarly / MB).toFixed(1)} to ${(heapEnd / MB).toFixed(1)} MB, ${nodes} elements; hub ${grown < 0 ? '-' : '+'}${Math.abs(grown / MB).toFixed(0)} MB`);
}
