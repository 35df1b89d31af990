// Small live charts as inline SVG: a few lines or bars over time, redrawn once a second.
// Texts are set as text only, so that a name from a test can never become markup.

import { clock, day } from "./formats.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 216;
const MARGIN = { top: 8, right: 10, bottom: 22, left: 52 };
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];

const node = (name, attributes = {}, text = null) => {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  return made;
};

// The next of 1, 2, 2.5, 5 × 10ⁿ above a value.
const roundUp = (value) => {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((step) => step >= value * 0.9999);
};

const valueTicks = (most, wanted = 4) => {
  const step = roundUp(most / wanted);
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, at) => at * step);
};

const timeTicks = (begin, end, width) => {
  const wanted = Math.max(2, Math.floor(width / 85));
  const step = STEPS_S.find((one) => (end - begin) / one <= wanted) ?? STEPS_S.at(-1);
  // Full hours are full local hours.
  const shift = new Date(begin * 1000).getTimezoneOffset() * 60;
  const ticks = [];
  for (let at = Math.ceil((begin - shift) / step) * step + shift; at <= end; at += step) ticks.push(at);
  return { ticks, step };
};

// Points closer than three pixels blur into a band: join neighbours, by mean or by the largest.
const thinned = (data, most) => {
  const by = Math.ceil(data.starts.length / most);
  if (by < 2 || data.bars) return data;
  const groups = (values) => Array.from({ length: Math.ceil(values.length / by) }, (_, at) => values.slice(at * by, at * by + by));
  const join = (values) => {
    const known = values.filter((value) => value !== null);
    if (!known.length) return null;
    return data.largest ? Math.max(...known) : known.reduce((sum, value) => sum + value, 0) / known.length;
  };
  return {
    ...data,
    period_s: data.period_s * by,
    starts: groups(data.starts).map((group) => group[0]),
    series: data.series.map((one) => ({ ...one, values: groups(one.values).map(join) })),
  };
};

/**
 * Make a chart inside `figure` (needs a `.plot`); returns a function that draws.
 *
 * It takes {starts, period_s, series: [{label, values}], format, axis, least, largest, bars}: `starts` are epoch
 * seconds, `format` and `axis` turn a value into text, `least` is the smallest upper end of the axis; where there
 * is no room for every point, neighbours are joined by their mean, or by their `largest` value.
 */
export function createChart(figure) {
  const plot = figure.querySelector(".plot");
  const legend = figure.appendChild(document.createElement("ul"));
  legend.className = "legend";
  const tip = plot.appendChild(document.createElement("div"));
  tip.className = "tip";
  tip.hidden = true;
  let svg = null;
  let data = null; // what is drawn: the given points, or as many as there is room for
  let given = null;
  let pointerX = null;

  const scales = () => {
    const width = Math.max(plot.clientWidth, 200);
    const begin = data.starts[0];
    const end = Math.max(data.starts.at(-1) + (data.bars ? data.period_s : 0), begin + 1);
    const known = data.series.flatMap((one) => one.values).filter((value) => value !== null);
    const ticks = valueTicks(Math.max(data.least ?? 1, ...known));
    const inner = width - MARGIN.left - MARGIN.right;
    return {
      width, begin, end, ticks, inner,
      x: (at) => MARGIN.left + ((at - begin) / (end - begin)) * inner,
      y: (value) => HEIGHT - MARGIN.bottom - (value / ticks.at(-1)) * (HEIGHT - MARGIN.top - MARGIN.bottom),
      isEmpty: known.length === 0,
    };
  };

  const drawAxes = (scale) => {
    for (const value of scale.ticks) {
      const y = scale.y(value);
      svg.append(
        node("line", { class: "grid", x1: MARGIN.left, x2: scale.width - MARGIN.right, y1: y, y2: y }),
        node("text", { class: "label", x: MARGIN.left - 6, y: y + 4, "text-anchor": "end" }, data.axis(value)),
      );
    }
    const { ticks, step } = timeTicks(scale.begin, scale.end, scale.inner);
    for (const at of ticks) {
      const text = step >= 86400 ? day(at).slice(5) : clock(at, step < 60);
      const x = Math.min(Math.max(scale.x(at), MARGIN.left + 4), scale.width - 26);
      svg.append(
        node("line", { class: "grid", x1: scale.x(at), x2: scale.x(at), y1: HEIGHT - MARGIN.bottom, y2: HEIGHT - MARGIN.bottom + 4 }),
        node("text", { class: "label", x, y: HEIGHT - 5, "text-anchor": "middle" }, text),
      );
    }
  };

  const drawLine = (scale, values, tone) => {
    let path = "";
    values.forEach((value, at) => {
      if (value === null) return;
      const begins = at === 0 || values[at - 1] === null;
      const alone = begins && (at === values.length - 1 || values[at + 1] === null);
      const place = `${scale.x(data.starts[at]).toFixed(1)} ${scale.y(value).toFixed(1)}`;
      if (alone) svg.append(node("path", { class: `curve dot tone-${tone}`, d: `M${place}h.01` }));
      else path += `${begins ? "M" : "L"}${place}`;
    });
    if (path) svg.append(node("path", { class: `curve tone-${tone} dash-${tone}`, d: path }));
  };

  const drawBars = (scale, values) => {
    const width = Math.max(1, (data.period_s / (scale.end - scale.begin)) * scale.inner - 1);
    values.forEach((value, at) => {
      if (!value) return;
      const y = scale.y(value);
      svg.append(node("rect", { class: "bar", x: scale.x(data.starts[at]), y, width, height: scale.y(0) - y }));
    });
  };

  const drawLegend = () => {
    const wanted = data.bars || data.series.length < 2 ? [] : data.series.map((one) => one.label);
    if (legend.dataset.shown === wanted.join("\n")) return;
    legend.dataset.shown = wanted.join("\n");
    legend.replaceChildren(
      ...wanted.map((label, at) => {
        const item = document.createElement("li");
        const sample = node("svg", { "aria-hidden": "true" });
        sample.append(node("line", { x1: 0, x2: 26, y1: 4, y2: 4, class: `tone-${at + 1} dash-${at + 1}` }));
        const name = document.createElement("span");
        name.textContent = label;
        item.append(sample, name);
        return item;
      }),
    );
  };

  const drawTip = (scale) => {
    tip.hidden = pointerX === null || scale.isEmpty;
    if (tip.hidden) return;
    const at = scale.begin + ((pointerX - MARGIN.left) / scale.inner) * (scale.end - scale.begin);
    const offset = data.bars ? 0.5 : 0;
    const raw = Math.round((at - scale.begin) / data.period_s - offset);
    const index = Math.min(data.starts.length - 1, Math.max(0, raw));
    const x = scale.x(data.starts[index] + offset * data.period_s);
    svg.append(node("line", { class: "cursor", x1: x, x2: x, y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom }));
    const head = document.createElement("b");
    const joined = data.period_s > given.period_s ? ` (${data.largest ? "largest" : "mean"} of ${data.period_s} s)` : "";
    head.textContent = clock(data.starts[index]) + joined;
    const lines = data.series.map((one) => {
      const line = document.createElement("div");
      const value = one.values[index];
      line.textContent = `${one.label}: ${value === null || value === undefined ? "–" : data.format(value)}`;
      return line;
    });
    tip.replaceChildren(head, ...lines);
    // Beside the cursor, on the side where there is room.
    const left = x + 12 + tip.offsetWidth > scale.width ? x - 12 - tip.offsetWidth : x + 12;
    tip.style.left = `${Math.max(0, left)}px`;
  };

  const describe = () => {
    const title = figure.querySelector("h3")?.textContent ?? "Chart";
    const newest = data.series.map((one) => {
      const value = one.values.findLast((known) => known !== null);
      return `${one.label} ${value === undefined ? "no data" : data.format(value)}`;
    });
    return `${title}, newest values: ${newest.join(", ")}`;
  };

  const draw = () => {
    if (given === null || plot.clientWidth === 0) return;
    data = thinned(given, Math.max(40, plot.clientWidth / 3));
    const fresh = node("svg", { role: "img", height: HEIGHT });
    if (svg === null) plot.prepend(fresh);
    else svg.replaceWith(fresh);
    svg = fresh;
    const scale = data.starts.length ? scales() : { isEmpty: true, width: Math.max(plot.clientWidth, 200) };
    svg.setAttribute("viewBox", `0 0 ${scale.width} ${HEIGHT}`);
    svg.setAttribute("aria-label", describe());
    if (data.starts.length) drawAxes(scale);
    if (scale.isEmpty) {
      svg.append(node("text", { class: "none", x: scale.width / 2, y: HEIGHT / 2, "text-anchor": "middle" }, "No data yet"));
    } else if (data.bars) {
      drawBars(scale, data.series[0].values);
    } else {
      data.series.forEach((one, at) => drawLine(scale, one.values, at + 1));
    }
    drawLegend();
    drawTip(scale);
  };

  plot.addEventListener("pointermove", (event) => {
    pointerX = event.clientX - plot.getBoundingClientRect().left;
    draw();
  });
  plot.addEventListener("pointerleave", () => {
    pointerX = null;
    draw();
  });
  new ResizeObserver(draw).observe(plot);

  return (next) => {
    given = next;
    draw();
  };
}
