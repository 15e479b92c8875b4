// Pages about runs in a browser: axe-core finds nothing serious, nothing is wider than the screen, the keys lead through
// the charts, and nothing is loaded. docs/REPORTS.md has the commands.
//
//     node tests/python/check_reports.mjs MODULES CHROMIUM PAGE... [--pictures FOLDER]
//
// MODULES is a folder in which `npm install playwright-core axe-core` was run.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, executablePath, ...rest] = process.argv.slice(2);
const at = rest.indexOf("--pictures");
const pages = at < 0 ? rest : rest.slice(0, at);
const pictures = at < 0 ? null : rest[at + 1];
const require = createRequire(resolve(modules, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath, args: flags });
let failed = false;
const check = (isFine, what) => {
  failed ||= !isFine;
  console.log(`${isFine ? "ok  " : "FAIL"} ${what}`);
};
for (const [index, path] of pages.entries()) {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [380, 1280]) {
      const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
      const asked = [];
      const wrong = [];
      page.on("request", (request) => asked.push(request.url()));
      page.on("pageerror", (error) => wrong.push(error.message));
      page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
      await page.goto(pathToFileURL(resolve(path)).href);
      const where = `${path} ${width} ${colorScheme}`;
      check(asked.length === 1 && wrong.length === 0, `${where}: loads nothing else ${wrong}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      check(wide <= 0, `${where}: fits the screen (${wide} pixels over)`);
      // What is folded is checked, too.
      await page.evaluate(() => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => window.axe.run());
      const grave = violations.filter((one) => ["serious", "critical"].includes(one.impact));
      check(grave.length === 0, `${where}: axe-core, ${violations.length} findings, ${grave.length} serious or critical`);
      for (const one of violations) console.log(`     ${one.impact} ${one.id}: ${one.nodes.length} times, ${one.nodes[0].html.slice(0, 160)}`);
      await page.evaluate(() => document.querySelectorAll("details").forEach((one) => { one.open = false; }));
      const charts = await page.locator(".chart").count();
      for (let chart = 0; chart < charts; chart += 1) {
        const one = page.locator(".chart").nth(chart);
        const read = () => one.locator(".readout").textContent();
        await one.locator(".pt[tabindex='0']").focus();
        const first = await read();
        const points = await one.locator(".series").first().locator(".pt").count();
        await page.keyboard.press(points > 1 ? "ArrowRight" : "ArrowDown");
        const second = await read();
        const several = (await one.locator(".pt").count()) > 1;
        check((!several || first !== second) && (await one.locator(".pt[tabindex='0']").count()) === 1,
          `${where}: keys: ${first} -> ${second}`);
      }
      if (pictures && width === (colorScheme === "light" ? 1280 : 380)) {
        await page.evaluate(() => { document.activeElement.blur(); window.scrollTo(0, 0); });
        const height = Math.min(1700, await page.evaluate(() => document.documentElement.scrollHeight));
        const path = resolve(pictures, `report-${index + 1}-${colorScheme}-${width}.png`);
        await page.screenshot({ path, fullPage: true, clip: { x: 0, y: 0, width, height } });
      }
      await page.close();
    }
  }
}
await browser.close();
process.exit(failed ? 1 : 0);
