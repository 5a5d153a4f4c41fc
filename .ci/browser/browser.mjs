// Chromium, and what no page of ours may do in it.
import puppeteer from 'puppeteer-core';

export class Browser {
  static async start(chromium) {
    const args = ['--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--force-color-profile=srgb', '--disable-dev-shm-usage'];
    return new Browser(await puppeteer.launch({ executablePath: chromium, headless: true, args }));
  }

  constructor(chromium) {
    this.chromium = chromium;
  }

  /** A page of somebody new, whose faults are collected. */
  async page({ width = 1280, height = 900, scale = 1, dark = false, script = true } = {}) {
    const context = await this.chromium.createBrowserContext();
    const page = await context.newPage();
    await page.setViewport({ width, height, deviceScaleFactor: scale });
    await page.emulateMediaFeatures([
      { name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' },
      { name: 'prefers-reduced-motion', value: 'reduce' },
    ]);
    await page.setJavaScriptEnabled(script);
    page.faults = [];
    const fault = (what) => page.faults.push(what);
    page.on('dialog', (dialog) => {
      fault(`a dialog opens: ${dialog.message()}`);
      dialog.dismiss();
    });
    page.on('pageerror', (err) => fault(`the script fails: ${err.message}`));
    page.on('console', (message) => ['error', 'warn'].includes(message.type()) && fault(`the console says: ${message.text()}`));
    page.on('request', (request) => {
      const url = new URL(request.url());
      page.origin ??= url.origin;
      if (url.origin !== page.origin && url.protocol !== 'about:') fault(`another host is asked: ${url}`);
    });
    page.on('popup', () => fault('a window opens'));
    return page;
  }

  stop() {
    return this.chromium.close();
  }
}

/** Throws if a page has done what it may not. */
export function faultless(page, where) {
  if (page.faults.length) throw new Error(`${where}: ${[...new Set(page.faults)].slice(0, 5).join('; ')}`);
}
