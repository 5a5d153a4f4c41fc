// The pictures of the README, of a made-up day of a team.
//
//   node pictures.mjs --mcpx PATH --chromium PATH --out FOLDER
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Browser, faultless } from './browser.mjs';
import { Hub, pause } from './hub.mjs';
import { config, day, fleet, review } from './team.mjs';
import { enter } from './walk.mjs';

const { values: given } = parseArgs({ options: { mcpx: { type: 'string' }, chromium: { type: 'string' }, out: { type: 'string' } } });
const gutter = 15; // that pages leave for the scroll bar, in pixels
const most = 250 * 1024; // of a picture, in bytes: a README is read over slow lines too

const pictures = [
  { name: 'overview', path: '/dashboard', height: 1120 },
  { name: 'overview-dark', path: '/dashboard', height: 1120, dark: true },
  { name: 'server', path: '/dashboard/servers/tickets', height: 1010 },
  { name: 'pins', path: '/dashboard/pins/tickets', height: 760 },
  { name: 'fleet', path: '/dashboard/fleet', height: 800 },
];

/** Takes a picture as sharp as its size allows. */
async function picture(browser, hub, goOn, { name, path, height, dark }) {
  for (const scale of [2, 1.5, 1.25, 1]) {
    const page = await browser.page({ width: 1280 + gutter, height, scale, dark });
    await enter(page, hub);
    await page.goto(new URL(path, page.origin), { waitUntil: 'load' });
    if (path === '/dashboard') {
      await page.waitForFunction(() => document.querySelector('#live-rows tr').textContent.includes('dashboard_login')); // our own, the last for now
      await goOn(24);
      await page.waitForFunction(() => [...document.querySelectorAll('#live-rows tr')].slice(0, 12).every((row) => !row.textContent.includes('lifecycle')));
      await pause(1500); // the rate of the last seconds
    }
    const file = join(given.out, `${name}.png`);
    await page.screenshot({ path: file, clip: { x: 0, y: 0, width: 1280, height } });
    faultless(page, name);
    await page.browserContext().close();
    const { size } = statSync(file);
    if (size <= most) return console.log(`${file}: ${(size / 1024).toFixed(0)} kB, ${scale} pixels for one`);
  }
  throw new Error(`${name}: more than ${most} bytes even at one pixel for one`);
}

mkdirSync(given.out, { recursive: true });
const hub = await new Hub(given.mcpx, config).start();
const browser = await Browser.start(given.chromium);
try {
  const { tokens, goOn } = await day(hub, { calls: 9000 });
  await review(hub, tokens);
  await fleet(hub, tokens);
  for (const each of pictures) await picture(browser, hub, goOn, each);
} catch (err) {
  console.error(`FAILED: ${err.stack}`);
  process.exitCode = 1;
} finally {
  await browser.stop();
  await hub.stop();
}
