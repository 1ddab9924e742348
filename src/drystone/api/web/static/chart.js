// Draws a device's readings with uPlot: one plot per measurement, from the REST API's list.
// Values come as exact text or integers; only the drawing rounds them.
"use strict";
(() => {
  const card = document.getElementById("charts");
  if (!card || !window.uPlot) return;
  const ROWS_MAX = 1000;
  const HEIGHT = 200;
  const STEPS = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800,
    604800, 2592000, 7776000, 31536000];
  const plots = card.querySelector(".plots");
  const note = document.getElementById("chartnote");
  const toggle = card.querySelector(".switch");
  let showing = "value";
  let drawn = [];
  let series = new Map();

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const digits = new Intl.NumberFormat("en", { maximumFractionDigits: 6 });
  const spell = (value) => digits.format(value).replaceAll(",", "\u202f").replace("-", "\u2212");

  const UNITS = { Cel: "\u00b0C", degC: "\u00b0C", m3: "m\u00b3", "%RH": "% RH", "%EL": "%", "/": "" };
  const written = (unit) => UNITS[unit] ?? unit ?? "";

  const collect = (rows) => {
    const found = new Map();
    for (const row of rows.toReversed()) {
      const value = typeof row.value === "boolean" ? Number(row.value) : Number(row.value);
      const time = Date.parse(row.time || row.committed) / 1000;
      if (!Number.isFinite(value) || !Number.isFinite(time)) continue;
      const unit = written(row.unit);
      const name = unit ? `${row.name}, ${unit}` : row.name;
      if (!found.has(name)) found.set(name, { unit, plain: row.name, points: [] });
      found.get(name).points.push([time, value]);
    }
    for (const one of found.values()) one.points.sort((a, b) => a[0] - b[0]);
    return found;
  };

  // Clock and calendar as the tables show them: UTC, 24 hours, a date at each midnight.
  const times = (_, ticks, __, ___, step) => ticks.map((tick, at) => {
    const text = new Date(tick * 1000).toISOString();
    if (step >= 86400 || text.slice(11, 16) === "00:00") return text.slice(5, 10);
    return at === 0 && step >= 3600 ? `${text.slice(11, 16)}` : text.slice(11, step < 60 ? 19 : 16);
  });

  const changes = (points) => points.slice(1).map((point, at) => [point[0], point[1] - points[at][1]]);

  const options = (one, hue, bars, width, gutter, tell) => ({
    width, height: HEIGHT,
    tzDate: (tick) => uPlot.tzDate(new Date(tick * 1000), "Etc/UTC"),
    cursor: { y: false, points: { size: 7 }, drag: { x: true, y: false } },
    legend: { show: false },
    scales: { x: { time: true }, y: { range: (_, low, high) => {
      if (bars) return [Math.min(0, low), Math.max(0, high) * 1.08 || 1];
      const room = (high - low || Math.abs(high) || 1) * 0.12;
      return [low - room, high + room];
    } } },
    axes: [
      { stroke: colour("--dim"), grid: { show: false }, ticks: { stroke: colour("--line"), size: 5 }, font: "12px system-ui", values: times, incrs: STEPS, space: 70, size: 34 },
      { stroke: colour("--dim"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui",
        values: (_, ticks) => ticks.map(spell),
        size: gutter },
    ],
    series: [{}, {
      stroke: hue, width: bars ? 1 : 1.8, fill: bars ? `${hue}b0` : `${hue}1c`,
      paths: bars ? uPlot.paths.bars({ size: [0.72, 48], radius: 0.18 }) : undefined,
      points: { show: !bars && one.points.length < 80, size: 5, fill: hue },
    }],
    hooks: { setCursor: [(plot) => tell(plot.cursor.idx)] },
  });

  const draw = () => {
    for (const plot of drawn) plot.destroy();
    drawn = [];
    plots.replaceChildren();
    let number = 0;
    const widest = [...series.values()].flatMap((one) => [one.points[0], one.points.at(-1)])
      .map((point) => spell(Math.round(point[1])).length);
    const gutter = 20 + 7 * Math.max(3, ...widest);
    for (const [name, one] of series) {
      const bars = showing === "change" && one.plain === card.dataset.register;
      const points = bars ? changes(one.points) : one.points;
      if (!points.length) continue;
      number += 1;
      const box = document.createElement("div");
      box.className = "plot";
      const head = document.createElement("h3");
      const reads = document.createElement("span");
      reads.className = "reads";
      head.append(bars ? `${name} since the reading before` : name, reads);
      const canvas = document.createElement("div");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${name}: ${points.length} points; the table below has the figures`);
      box.append(head, canvas);
      plots.append(box);
      const tell = (at) => {
        const index = at ?? points.length - 1;
        const when = new Date(points[index][0] * 1000).toISOString().slice(0, 16).replace("T", " ");
        reads.textContent = `${spell(points[index][1])} ${one.unit} · ${when}`;
      };
      const hue = colour(`--plot-${((number - 1) % 4) + 1}`);
      const data = [points.map((point) => point[0]), points.map((point) => point[1])];
      drawn.push(new uPlot(options(one, hue, bars, plots.clientWidth || 600, gutter, tell), data, canvas));
      tell(null);
    }
    card.dataset.drawn = String(number);
  };

  const load = async () => {
    const mark = card.dataset.source.includes("?") ? "&" : "?";
    const answer = await fetch(`${card.dataset.source}${mark}order=desc&limit=${ROWS_MAX}`);
    if (!answer.ok) return;
    const page = await answer.json();
    series = collect(page.rows);
    if (!series.size) { card.hidden = true; return; }
    card.hidden = false;
    const names = [...series.values()].map((one) => one.plain);
    toggle.hidden = !names.includes(card.dataset.register);
    note.textContent = page.next ? `The newest ${page.rows.length} measurements; the CSV has all.` : "";
    draw();
  };

  for (const button of toggle.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      showing = button.dataset.show;
      for (const other of toggle.querySelectorAll("button")) {
        other.setAttribute("aria-pressed", String(other === button));
      }
      draw();
    });
  }
  let resting = 0;
  new ResizeObserver(() => {
    clearTimeout(resting);
    resting = setTimeout(() => {
      for (const plot of drawn) plot.setSize({ width: plots.clientWidth, height: HEIGHT });
    }, 80);
  }).observe(plots);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  document.addEventListener("drystone:fresh", load);
  load();
})();
