// The dashboard in a real browser: every page in light and dark, wide and narrow, with and without script, by keyboard; what
// hostile servers and agents say on it; and how it keeps up with a hub that is busy.
//
//   node check.mjs --mcpx PATH --chromium PATH [--pictures FOLDER] [--seed N] [--only pages,hostile,live]
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Browser, faultless } from './browser.mjs';
import { Hub } from './hub.mjs';
import { hostilePages } from './check_hostile.mjs';
import { live } from './check_live.mjs';
import { approveByKeyboard, enter, pages } from './walk.mjs';
import { config, day } from './team.mjs';

const { values: given } = parseArgs({
  options: { mcpx: { type: 'string' }, chromium: { type: 'string' }, pictures: { type: 'string' }, seed: { type: 'string', default: String(Date.now() % 1e6) }, only: { type: 'string' } },
});
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What a page lacks for people who do not see or point (WCAG 2.2 AA, as axe finds it). */
async function accessible(page, where) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  const told = found.violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 2).map((n) => n.html).join(' ')}`);
  if (told.length) throw new Error(`${where}: ${told.join('\n')}`);
}

async function looks(browser, hub) {
  let count = 0;
  for (const dark of [false, true]) {
    for (const width of [1400, 360]) {
      const page = await browser.page({ width, dark });
      await enter(page, hub);
      for (const [name, path] of await pages(page)) {
        const where = `${name}, ${dark ? 'dark' : 'light'}, ${width} wide`;
        const answer = await page.goto(new URL(path, page.origin), { waitUntil: 'load' });
        if (answer.status() !== 200) throw new Error(`${where}: status ${answer.status()}`);
        await accessible(page, where);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        if (wide > 0) throw new Error(`${where}: the page is ${wide} pixels wider than the window`);
        if (given.pictures) await page.screenshot({ path: join(given.pictures, `${name}-${dark ? 'dark' : 'light'}-${width}.png`), fullPage: true });
        faultless(page, where);
        count++;
      }
      await page.browserContext().close();
    }
  }
  console.log(`${count} pages in light and dark, wide and narrow: nothing that axe finds, nothing in the console, no other host asked`);
}

/** All but the live view works without the script: the same links, tables and forms are there. */
async function withoutScript(browser, hub) {
  const page = await browser.page({ script: false });
  await enter(page, hub);
  const all = await pages(page);
  for (const [name, path] of all) {
    const answer = await page.goto(new URL(path, page.origin));
    if (answer.status() !== 200) throw new Error(`${name} without script: status ${answer.status()}`);
    const { h1, main } = await page.$eval('main', (e) => ({ h1: document.querySelectorAll('h1').length, main: e.innerText.trim().length }));
    if (h1 !== 1 || main < 40) throw new Error(`${name} without script: ${h1} headings, ${main} characters`);
  }
  faultless(page, 'without script');
  await page.browserContext().close();
  console.log(`${all.length} pages without the script`);
}

const hub = await new Hub(given.mcpx, config).start();
const browser = await Browser.start(given.chromium);
try {
  if (given.pictures) mkdirSync(given.pictures, { recursive: true });
  const wants = (what) => !given.only || given.only.split(',').includes(what);
  await day(hub, { calls: 1500 });
  if (wants('pages')) {
    await approveByKeyboard(browser, hub);
    await looks(browser, hub);
    await withoutScript(browser, hub);
  }
  if (wants('hostile')) await hostilePages(browser, hub, Number(given.seed));
  if (wants('live')) await live(browser, hub);
} catch (err) {
  console.error(`FAILED (seed ${given.seed}): ${err.stack}`);
  process.exitCode = 1;
} finally {
  await browser.stop();
  await hub.stop();
}
