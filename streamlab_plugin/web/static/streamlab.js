// Keep a page up to date: poll its document, put the values where they belong. Values are only ever set as text.

import { formats, lookUp, show } from "./formats.js";
import { Timeline, occurrenceChart } from "./timeline.js";

const main = document.querySelector("main");
const connection = document.querySelector("#connection");
const trouble = document.querySelector("#trouble");
const WORDS = { live: "live", paused: "paused", lost: "connection lost, retrying", still: "" };
const GIVE_UP_MS = 10_000;
const tags = new Map();

const setState = (state) => {
  if (connection.dataset.state === state && connection.textContent === WORDS[state]) return;
  connection.dataset.state = state;
  connection.textContent = WORDS[state];
};

/** What the server says is wrong, in its own sentence if it has one. */
async function troubleOf(answer) {
  const body = await answer.json().catch(() => ({}));
  return Object.assign(new Error(`status ${answer.status}`), { sentence: body.error });
}

const setTrouble = (sentence) => {
  trouble.hidden = !sentence;
  setText(trouble, sentence ?? "");
};

/** Fetch JSON; null if it has not changed since the last answer from the same address. */
async function fetchChanged(address) {
  const headers = tags.has(address) ? { "If-None-Match": tags.get(address) } : {};
  const answer = await fetch(address, { headers, cache: "no-store", signal: AbortSignal.timeout(GIVE_UP_MS) });
  if (answer.redirected) location.reload(); // signed out: the page leads to the login
  if (answer.status === 304) return null;
  if (!answer.ok) throw await troubleOf(answer);
  const tag = answer.headers.get("ETag");
  const document = await answer.json();
  if (tag) tags.set(address, tag);
  return document;
}

async function fetchJson(address) {
  const answer = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(GIVE_UP_MS) });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.json();
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function bindOne(element, item) {
  const value = lookUp(item, element.dataset.bind);
  setText(element, show(value, element.dataset.format));
  if ("tone" in element.dataset) element.dataset.tone = value ?? "";
  if (element.tagName === "TIME") element.dateTime = value == null ? "" : new Date(value * 1000).toISOString();
  if (element.dataset.base) {
    element.href = `${element.dataset.base}${encodeURIComponent(lookUp(item, element.dataset.key) ?? "")}/`;
  }
}

function bindRows(body, items) {
  const template = body.closest(".scroll").querySelector("template");
  while (body.rows.length > items.length) body.rows[body.rows.length - 1].remove();
  while (body.rows.length < items.length) body.append(template.content.cloneNode(true));
  items.forEach((item, at) => {
    for (const element of body.rows[at].querySelectorAll("[data-bind]")) bindOne(element, item);
  });
}

const isThere = (value) => (Array.isArray(value) ? value.length > 0 : Boolean(value));

function bind(document) {
  for (const element of main.querySelectorAll("[data-filled]")) element.hidden = !isThere(lookUp(document, element.dataset.filled));
  for (const element of main.querySelectorAll("[data-empty]")) element.hidden = isThere(lookUp(document, element.dataset.empty));
  for (const element of main.querySelectorAll("[data-bind]")) {
    if (element.closest("[data-rows]") === null && lookUp(document, element.dataset.bind) !== undefined) bindOne(element, document);
  }
  for (const body of main.querySelectorAll("[data-rows]")) bindRows(body, lookUp(document, body.dataset.rows) ?? []);
}

// The server writes UTC; people read their own time.
function localTimes() {
  for (const element of document.querySelectorAll("time[datetime]")) {
    const at = Date.parse(element.dateTime);
    if (!Number.isNaN(at)) setText(element, formats.time(at / 1000));
  }
}

/** Call `step` again and again, `every` ms after it has ended; rest while the page is not visible. */
function repeat(step, every) {
  let failures = 0;
  let timer = null;
  const turn = async () => {
    timer = null;
    if (document.hidden) return setState("paused");
    try {
      await step();
      failures = 0;
      setState("live");
      setTrouble(null);
    } catch (error) {
      failures += 1;
      setState("lost");
      setTrouble(error.sentence);
    }
    timer = setTimeout(turn, Math.min(every * 2 ** failures, 5000));
  };
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && timer === null) turn();
  });
  return turn();
}

async function start() {
  localTimes();
  const { poll, every, retry, run, reloadWhen } = main.dataset;
  if (retry) {
    const check = async () => {
      await fetchJson(retry);
      location.reload();
    };
    return repeat(check, 2000);
  }
  const timeline = main.dataset.timeline ? new Timeline(main, fetchJson) : null;
  const occurrences = occurrenceChart(main);
  if (!poll) {
    return timeline?.update(run, false).catch(() => setState("lost"));
  }
  let shown = null;
  return repeat(async () => {
    const document = await fetchChanged(poll);
    if (document !== null) {
      if (reloadWhen && isThere(lookUp(document, reloadWhen))) return location.reload();
      bind(document);
      if (document.timeline) occurrences(document.timeline);
      shown = document.run;
    }
    if (timeline && shown) await timeline.update(shown.run, shown.is_live);
  }, Number(every));
}

document.querySelector("form.filters")?.addEventListener("change", (event) => {
  if (event.target.tagName === "SELECT") event.target.form.requestSubmit();
});

start();
