// Opens pages from disk in Chromium, uses them as a reader would, and says what is wrong with them.
//
//     node check.mjs CHROMIUM PAGE…
//
// Prints a line for each fault and exits with 1 if there is one.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import puppeteer from "puppeteer-core";

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const [chromium, ...paths] = process.argv.slice(2);
const faults = [];
const fault = (text) => faults.push(text);

// Everything that is drawn lies within its picture, marks within the axes, and what stands in a table within its card.
const outside = () => {
  const beyond = [];
  for (const card of document.querySelectorAll(".answer")) {
    const { right } = card.getBoundingClientRect();
    for (const cell of card.querySelectorAll("th, td")) {
      const text = document.createRange();
      text.selectNodeContents(cell);
      if (text.getBoundingClientRect().right > right) beyond.push(`${cell.textContent.trim()}: beyond its card`);
    }
  }
  for (const chart of document.querySelectorAll("svg.chart")) {
    if (!chart.getClientRects().length) continue;
    const axis = chart.querySelector(".axis");
    const frame = (axis || chart).getBoundingClientRect();
    const marks = [...chart.querySelectorAll(".m, .ln, .bar, .whisker, .place")];
    if (!marks.length) beyond.push(`${chart.getAttribute("aria-label")}: no marks`);
    for (const mark of marks) {
      if (!mark.getClientRects().length) continue;
      // A mark's own half lies beyond the place that it stands on.
      const room = mark.matches(".m, .place") ? 12 : 3;
      const box = mark.getBoundingClientRect();
      if (box.left < frame.left - room || box.right > frame.right + room
        || box.top < frame.top - room || box.bottom > frame.bottom + room) {
        beyond.push(`${chart.getAttribute("aria-label")}: ${mark.getAttribute("class")} beyond the axes`);
      }
    }
  }
  return beyond;
};

const seen = (page, selector) => page.$$eval(selector, (all) => all.filter((one) => one.getClientRects().length).length);

async function open(browser, path, { theme = "light", width = 1280, scripts = true, fragment = "" } = {}) {
  const page = await browser.newPage();
  page.on("console", (message) => {
    if (["error", "warn"].includes(message.type())) fault(`${path}: console: ${message.text()}`);
  });
  page.on("pageerror", (error) => fault(`${path}: error: ${error.message}`));
  page.on("request", (request) => {
    if (!/^(file|data|about):/.test(request.url())) fault(`${path}: asks the network for ${request.url()}`);
  });
  await page.setJavaScriptEnabled(scripts);
  await page.setViewport({ width, height: 900 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
  await page.goto(pathToFileURL(path).href + fragment);
  return page;
}

async function accessible(page, what) {
  // The page's policy forbids scripts from elsewhere, this one included.
  await page.addScriptTag({ path: axe }).catch(() => {});
  if (!(await page.evaluate(() => typeof axe === "object"))) return fault(`${what}: axe-core did not load`);
  const { violations } = await page.evaluate(() => axe.run(document, { iframes: false }));
  for (const { id, help, nodes } of violations) {
    fault(`${what}: ${id}: ${help}: ${nodes.length} of them, ${nodes[0].html.slice(0, 160)}: ${nodes[0].failureSummary ?? ""}`);
  }
}

async function inEveryLook(browser, path) {
  // Rules of accessibility take most of the time: once in each theme and at each width.
  const looks = [["light", 1280, true], ["dark", 1280, false], ["light", 390, false], ["dark", 390, true]];
  for (const [theme, width, ruled] of looks) {
    const page = await open(browser, path, { theme, width });
    for (const line of await page.evaluate(outside)) fault(`${path}, ${theme}, ${width}: ${line}`);
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (wider > 1) fault(`${path}, ${width}: ${wider} pixels wider than the window`);
    if (ruled) await accessible(page, `${path}, ${theme}, ${width}`);
    await page.close();
  }
}

async function used(browser, path) {
  const page = await open(browser, path);
  const box = await page.$("#filter input");
  const name = await box.evaluate((one) => one.value);
  const shown = `svg.chart [data-protocol="${CSS_escape(name)}"]`;
  const before = await seen(page, shown);
  await box.click();
  if (!before || (await seen(page, shown)) !== 0) fault(`${path}: the filter does not take ${name} away`);
  const link = page.url();
  if (!link.includes("off=")) fault(`${path}: the link does not keep the filter: ${link}`);
  const again = await open(browser, path, { fragment: new URL(link).hash });
  if ((await seen(again, shown)) !== 0) fault(`${path}: the link does not bring the filter back`);
  await again.close();
  await page.click("#filter-all");
  if ((await seen(page, shown)) !== before) fault(`${path}: the filter does not bring ${name} back`);

  const select = await page.$(".card select");
  const id = await select.evaluate((one) => one.closest(".card").id);
  const caption = () => page.$eval(`#${id} figure:not([hidden]) .chart`, (one) => one.outerHTML);
  const first = await caption();
  await select.evaluate((one) => {
    one.selectedIndex = 1;
    one.dispatchEvent(new Event("change", { bubbles: true }));
  });
  if ((await caption()) === first) fault(`${path}: choosing shows the same chart`);
  if ((await seen(page, `#${id} figure`)) !== 1) fault(`${path}: a card shows more than one chart`);

  const chart = await page.$(`#${id} figure:not([hidden]) .chart`);
  await chart.evaluate((one) => one.focus());
  await page.keyboard.press("ArrowRight");
  const told = await page.$eval("#tip", (tip) => (tip.hidden ? "" : tip.textContent));
  if (!told) fault(`${path}: arrow keys tell no value`);
  await page.close();
}

async function withoutScripts(browser, path) {
  const page = await open(browser, path, { scripts: false });
  const count = (selector) => page.$$(selector).then((found) => found.length);
  const size = async (selector) => (await Promise.all((await page.$$(selector)).map((one) => one.boundingBox()))).filter((box) => box).length;
  const cards = await count(".card[aria-labelledby]");
  if ((await size("figure[data-first] .chart")) !== cards) fault(`${path}: without scripts not every card has a chart`);
  if (!(await size("table"))) fault(`${path}: without scripts there are no tables`);
  if (await size("#filter")) fault(`${path}: without scripts there is a filter that does nothing`);
  await page.close();
}

async function printed(browser, path) {
  const page = await open(browser, path);
  const pdf = await page.pdf({ format: "A4" });
  if (pdf.length < 10_000) fault(`${path}: printing gives nothing`);
  await page.close();
}

function CSS_escape(text) {
  return text.replace(/["\\]/g, "\\$&");
}

const browser = await puppeteer.launch({ executablePath: chromium, args: ["--no-sandbox"] });
try {
  for (const path of paths) {
    await inEveryLook(browser, path);
    await used(browser, path);
    await withoutScripts(browser, path);
    await printed(browser, path);
  }
} finally {
  await browser.close();
}
faults.forEach((line) => console.log(line));
process.exit(faults.length ? 1 : 0);
