// A run over time: fetched whole once, then only its newest points, and shown in four charts.

import { createChart } from "./charts.js";
import { formats, show } from "./formats.js";

const PROTOCOLS = ["websocket", "mqtt", "http", "other"];
const FIELDS = ["throughput_rps", "error_rate", "p50_ms", "p95_ms", "p99_ms"];
// Newest points are fetched again: a late batch may still add to them.
const AGAIN = 5;

const short = (value) => (value >= 10000 ? `${formats.rate(value / 1000)}k` : String(+value.toPrecision(6)));

/** Put the points of `tail` in place of those of `known` from the same time on, and keep the last `most`. */
export function joined(known, tail, most) {
  const cut = known.starts.findIndex((start) => start >= tail.starts[0]);
  const kept = cut < 0 ? known.starts.length : cut;
  const join = (before, after) => {
    const old = before?.slice(0, kept) ?? Array(kept).fill(null);
    return [...old, ...(after ?? Array(tail.starts.length).fill(null))].slice(-most);
  };
  const curves = {};
  for (const name of new Set([...Object.keys(known.curves), ...Object.keys(tail.curves)])) {
    curves[name] = {};
    for (const field of FIELDS) curves[name][field] = join(known.curves[name]?.[field], tail.curves[name]?.[field]);
  }
  return { ...tail, starts: join(known.starts, tail.starts), users: join(known.users, tail.users), curves };
}

export class Timeline {
  constructor(main, fetchJson) {
    this.address = main.dataset.timeline;
    this.liveLast = Number(main.dataset.liveLast ?? 0);
    this.fetchJson = fetchJson;
    this.run = null;
    this.known = null;
    this.charts = {};
    for (const figure of main.querySelectorAll("[data-chart]")) {
      this.charts[figure.dataset.chart] = createChart(figure);
    }
    this.chooser = main.querySelector("#latency-of");
    this.chooser?.addEventListener("change", () => this.draw());
  }

  /** Fetch what is new of `run` and draw it. */
  async update(run, isLive) {
    const isOther = this.run !== run || this.wasLive !== isLive;
    if (!isOther && !isLive) return;
    const isWhole = isOther || !this.known?.starts.length || (this.known.starts.length >= 600 && !this.liveLast);
    const address = this.address.replace("{run}", encodeURIComponent(run));
    const tail = await this.fetchJson(`${address}?${this.query(isWhole, isLive)}`);
    this.run = run;
    this.wasLive = isLive;
    if (isWhole || !tail.starts.length || tail.period_s !== this.known.period_s) this.known = isWhole ? tail : this.known;
    else this.known = joined(this.known, tail, isLive && this.liveLast ? this.liveLast : 600);
    this.draw();
  }

  query(isWhole, isLive) {
    if (isWhole) return isLive && this.liveLast ? `period=1&last=${this.liveLast}` : "";
    const { starts, period_s: period } = this.known;
    return `period=${period}&since=${Math.max(0, starts.at(-1) - AGAIN * period)}`;
  }

  draw() {
    if (!this.known) return;
    const { starts, period_s, curves, users } = this.known;
    const protocols = PROTOCOLS.filter((name) => curves[name]);
    this.offer(protocols);
    const of = curves[this.chooser?.value ?? "all"] ?? curves.all;
    const base = { starts, period_s };
    const by = (field) => protocols.map((name) => ({ label: name, values: curves[name][field] }));
    const percentile = (name) => ({ label: name, values: of?.[`${name}_ms`] ?? [] });
    this.charts.throughput({ ...base, series: by("throughput_rps"), format: (v) => `${formats.rate(v)} req/s`, axis: short, least: 1 });
    this.charts.errors({ ...base, series: by("error_rate"), format: formats.percent, axis: (v) => `${short(v * 100)} %`, least: 0.01, largest: true });
    this.charts.latency({ ...base, series: ["p50", "p95", "p99"].map(percentile), format: formats.ms, axis: (v) => `${short(v)} ms`, least: 1, largest: true });
    this.charts.users({ ...base, series: [{ label: "users", values: users }], format: (v) => show(v, "count"), axis: short, least: 4 });
  }

  offer(protocols) {
    if (!this.chooser) return;
    const offered = new Set([...this.chooser.options].map((option) => option.value));
    for (const name of protocols) {
      if (offered.has(name)) continue;
      const option = document.createElement("option");
      option.value = option.textContent = name;
      this.chooser.append(option);
    }
  }
}

/** Draw how often an anomaly occurred. */
export function occurrenceChart(main) {
  const figure = main.querySelector('[data-chart="occurrences"]');
  if (!figure) return () => {};
  const draw = createChart(figure);
  return ({ starts, counts, period_s }) =>
    draw({ starts, period_s, series: [{ label: "occurrences", values: counts }], format: formats.count, axis: short, least: 4, bars: true });
}
