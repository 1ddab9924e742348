// Draws a pack's state of charge over time: a thin line per module, a thick one for the pack, which
// has as much as its least charged module. Values come from the REST API; only the drawing rounds.
"use strict";
(() => {
  const card = document.getElementById("soc");
  if (!card || !window.uPlot) return;
  const ROWS_MAX = 1000;
  const PAGES_MAX = 4;
  const HEIGHT = 230;
  const STEPS = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800,
    604800, 2592000, 7776000, 31536000];
  const plots = card.querySelector(".plots");
  const legend = document.getElementById("soclegend");
  const modules = card.dataset.modules.split(" ").filter(Boolean);
  let drawn = null;
  let series = [];

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const hue = (at) => colour(`--plot-${(at % 5) + 1}`);

  const source = (address) => {
    const [iss, sub, device] = address.split("/");
    const query = device ? `&device=${encodeURIComponent(device)}` : "";
    return `/v1/streams/${iss}/${sub}/readings.json?order=desc&limit=${ROWS_MAX}${query}`;
  };

  const charges = async (address) => {
    const points = new Map();
    let path = source(address);
    for (let page = 0; page < PAGES_MAX && path; page += 1) {
      const answer = await fetch(path);
      if (!answer.ok) break;
      const found = await answer.json();
      for (const row of found.rows) {
        if (row.name !== "soc") continue;
        const time = Date.parse(row.time || row.committed) / 1000;
        const value = Number(row.value) * 100;
        if (Number.isFinite(time) && Number.isFinite(value)) points.set(time, value);
      }
      path = found.next ? `${source(address)}&after=${encodeURIComponent(found.next)}` : null;
    }
    return points;
  };

  // The pack at a moment: the least of what each module said last. From when all have spoken.
  const aggregate = (times, spoken) => {
    const last = spoken.map(() => null);
    return times.map((time) => {
      spoken.forEach((number, at) => { if (series[number].has(time)) last[at] = series[number].get(time); });
      return last.some((one) => one === null) ? null : Math.min(...last);
    });
  };

  const times = (_, ticks, __, ___, step) => ticks.map((tick) => {
    const text = new Date(tick * 1000).toISOString();
    if (step >= 86400 || text.slice(11, 16) === "00:00") return text.slice(5, 10);
    return text.slice(11, step < 60 ? 19 : 16);
  });

  const options = (spoken) => ({
    width: plots.clientWidth || 600, height: HEIGHT,
    tzDate: (tick) => uPlot.tzDate(new Date(tick * 1000), "Etc/UTC"),
    cursor: { y: false, points: { size: 6 }, drag: { x: true, y: false } },
    legend: { show: false },
    scales: { x: { time: true }, y: { range: (_, low, high) => {
      const room = Math.max(1, (high - low) * 0.12);
      return [Math.max(0, low - room), Math.min(100, high + room)];
    } } },
    axes: [
      { stroke: colour("--dim"), grid: { show: false }, ticks: { stroke: colour("--line"), size: 5 }, font: "12px system-ui", values: times, incrs: STEPS, space: 70, size: 34 },
      { stroke: colour("--dim"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui", values: (_, ticks) => ticks.map((tick) => `${tick} %`), size: 52 },
    ],
    series: [{},
      ...spoken.map((at) => ({ stroke: hue(at), width: 1.4, spanGaps: true, points: { show: false } })),
      { stroke: colour("--ink"), width: 2.6, spanGaps: true, points: { show: false } }],
    hooks: { setCursor: [(plot) => tell(spoken, plot.data, plot.cursor.idx)] },
  });

  const tell = (spoken, data, at) => {
    const index = at ?? data[0].length - 1;
    const before = (values) => {
      for (let place = index; place >= 0; place -= 1) if (values[place] != null) return values[place];
      return null;
    };
    const keys = spoken.map((number, row) => [modules[number].split("/").pop(), `key-${(number % 5) + 1}`, before(data[row + 1])]);
    keys.push(["pack", "key-pack", before(data[data.length - 1])]);
    legend.replaceChildren(...keys.map(([name, kind, value]) => {
      const key = document.createElement("span");
      key.className = `key ${kind}`;
      key.textContent = value === null ? name : `${name} ${value.toFixed(1)} %`;
      return key;
    }));
  };

  const draw = () => {
    if (drawn) drawn.destroy();
    drawn = null;
    plots.replaceChildren();
    const spoken = series.map((_, at) => at).filter((at) => series[at].size);
    card.hidden = !spoken.length;
    if (!spoken.length) return;
    const moments = [...new Set(spoken.flatMap((at) => [...series[at].keys()]))].sort((a, b) => a - b);
    const data = [moments, ...spoken.map((at) => moments.map((time) => series[at].get(time) ?? null)), aggregate(moments, spoken)];
    const canvas = document.createElement("div");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `State of charge of ${spoken.length} modules and of the pack; the tables have the figures`);
    plots.append(canvas);
    drawn = new uPlot(options(spoken), data, canvas);
    tell(spoken, data, null);
    card.dataset.drawn = String(spoken.length);
  };

  const load = async () => {
    series = await Promise.all(modules.map(charges));
    draw();
  };

  let resting = 0;
  new ResizeObserver(() => {
    clearTimeout(resting);
    resting = setTimeout(() => { if (drawn) drawn.setSize({ width: plots.clientWidth, height: HEIGHT }); }, 80);
  }).observe(plots);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  document.addEventListener("drystone:fresh", load);
  load();
})();
