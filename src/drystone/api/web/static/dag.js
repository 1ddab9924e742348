// Draws the DAG: a lane per gateway, a stone per vertex, what each stands on; above it the whole in
// small. Rows come from /v1/dag, changes from /v1/dag/live; what comes twice replaces what came before.
// A stone stands one column behind the last one it names, whatever clocks say.
"use strict";
(() => {
  const card = document.getElementById("dag");
  if (!card) return;
  const ROWS = 4096;
  const SCALE_MAX = 48;
  const SCALE_START = 26;
  const LINKS_DRAWN = 40000;
  const drawing = document.getElementById("dagdrawing");
  const overview = document.getElementById("dagoverview");
  const details = document.getElementById("dagdetails");
  const bubble = document.getElementById("dagtip");
  const buttons = Object.fromEntries(["out", "in", "all", "follow"].map((name) => [name, document.getElementById(`dag${name}`)]));
  const vertices = new Map();
  const ordered = [];
  const named = new Map();
  const byName = new Map();
  let lanes = [];
  let columns = 0;
  let cursor = null;
  let view = { left: 0, scale: SCALE_START };
  let follow = true;
  let chosen = null;
  let hovered = null;
  let paint = null;
  let small = null;
  let waiting = false;
  let width = 0;
  let gutter = 0;
  // A plain gateway draws the DAG and has no pages of vertices.
  const plain = "plain" in card.dataset;
  let laneHeight = 56;
  let laneTops = [];

  // --- what is known ---------------------------------------------------------------------------

  const laneOf = (iss, sub) => {
    const name = `${iss}/${sub}`;
    let lane = byName.get(name);
    if (!lane) {
      byName.set(name, lane = { name, sub, iss, index: 0, stones: [], cells: new Map(), depth: 1 });
      lanes.push(lane);
      lanes.sort((a, b) => (a.name < b.name ? -1 : 1));
      lanes.forEach((one, at) => { one.index = at; });
    }
    return lane;
  };

  const name = (number, change) => {
    const count = (named.get(number) || 0) + change;
    if (count) named.set(number, count); else named.delete(number);
  };

  const place = (stone) => {
    let column = -1;
    for (const below of [stone.parent, ...stone.links]) {
      const one = below === null ? null : vertices.get(below);
      if (one && one.column !== undefined) column = Math.max(column, one.column);
    }
    // What stands on nothing that is here stands where the last one came.
    const last = ordered[ordered.length - 1];
    stone.column = column >= 0 ? column + 1 : last ? last.column : 0;
    const { lane } = stone;
    stone.slot = lane.cells.get(stone.column) || 0;
    lane.cells.set(stone.column, stone.slot + 1);
    lane.depth = Math.max(lane.depth, Math.min(stone.slot + 1, 3));
    let at = lane.stones.length;
    while (at && lane.stones[at - 1].column > stone.column) at -= 1;
    lane.stones.splice(at, 0, stone);
    columns = Math.max(columns, stone.column + 1);
    ordered.push(stone);
  };

  const take = (page) => {
    const fresh = [];
    for (const row of page.rows) {
      const [number, author, epoch, seq, id, parent, links, dangling, claimed, records, length, height, witnesses, forked] = row;
      let stone = vertices.get(number);
      if (stone) {
        for (const below of stone.links) name(below, -1);
        if (stone.parent !== null) name(stone.parent, -1);
      } else {
        stone = { number, lane: laneOf(...page.authors[author]) };
        vertices.set(number, stone);
        fresh.push(stone);
      }
      Object.assign(stone, { epoch, seq, id, parent, links, dangling, claimed, records, length, height, witnesses, forked });
      for (const below of links) name(below, 1);
      if (parent !== null) name(parent, 1);
    }
    fresh.sort((a, b) => a.number - b.number).forEach(place);
    cursor = page.cursor;
    return fresh.length;
  };

  const tip = (stone) => !named.has(stone.number);
  const state = (stone) => (stone.forked ? "fork" : stone.height === null ? "waits" : "final");

  // --- where it stands -------------------------------------------------------------------------

  const measure = () => {
    width = drawing.parentElement.clientWidth;
    gutter = width > 620 ? 128 : 0;
    laneHeight = lanes.length > 16 ? 34 : lanes.length > 8 ? 44 : 58;
    if (!gutter) laneHeight = Math.max(laneHeight, 46);
    laneTops = [];
    let top = 4;
    for (const lane of lanes) {
      laneTops.push(top);
      top += laneHeight + (lane.depth - 1) * 22;
    }
    size(drawing, width, top + 6);
    size(overview, width, Math.min(96, Math.max(18, lanes.length * 7 + 8)));
  };

  const size = (canvas, wide, tall) => {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(wide * ratio);
    canvas.height = Math.round(tall * ratio);
    canvas.style.width = `${wide}px`;
    canvas.style.height = `${tall}px`;
    canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
  };

  const room = () => width - gutter - 14;
  const scaleMin = () => Math.min(SCALE_MAX, room() / Math.max(columns, 1));
  const x = (stone) => gutter + 7 + (stone.column - view.left + 0.5) * view.scale;
  const y = (stone) => laneTops[stone.lane.index] + (gutter ? laneHeight / 2 : laneHeight / 2 + 7) + Math.min(stone.slot, 2) * 22;

  const settle = () => {
    view.scale = Math.min(SCALE_MAX, Math.max(scaleMin(), view.scale));
    const shown = room() / view.scale;
    const last = Math.max(0, columns - shown);
    if (follow) view.left = last;
    view.left = Math.min(last, Math.max(0, view.left));
    buttons.follow.setAttribute("aria-pressed", String(follow));
  };

  const atEnd = () => view.left >= columns - room() / view.scale - 0.5;

  // --- drawing ---------------------------------------------------------------------------------

  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    const one = (label) => style.getPropertyValue(label).trim();
    paint = {
      ink: one("--ink"), dim: one("--dim"), line: one("--line"), soft: one("--soft"), card: one("--card"),
      final: one("--moss"), waits: one("--amber"), fork: one("--rust"), waitsSoft: one("--amber-soft"), forkSoft: one("--rust-soft"),
      font: "12px system-ui, sans-serif",
    };
  };

  const strokes = (context, stones) => {
    // Lines in the lanes: what the author itself sealed before.
    for (const kind of ["final", "waits", "fork"]) {
      context.beginPath();
      for (const stone of stones) {
        const below = stone.parent === null ? null : vertices.get(stone.parent);
        if (state(stone) !== kind) continue;
        if (below) { context.moveTo(x(below), y(below)); context.lineTo(x(stone), y(stone)); }
        else if (stone.seq || stone.epoch) { context.moveTo(x(stone) - Math.min(view.scale, 16), y(stone)); context.lineTo(x(stone), y(stone)); }
      }
      context.strokeStyle = paint[kind];
      context.globalAlpha = 0.55;
      context.lineWidth = view.scale > 6 ? 2 : 1;
      context.stroke();
    }
    context.globalAlpha = 1;
  };

  const curve = (context, from, to) => {
    const [x1, y1, x2, y2] = [x(from), y(from), x(to), y(to)];
    const bend = Math.min(Math.abs(x1 - x2) * 0.5, 60);
    context.moveTo(x1, y1);
    context.bezierCurveTo(x1 - bend, y1, x2 + bend, y2, x2, y2);
  };

  const links = (context, stones) => {
    let drawn = 0;
    context.beginPath();
    for (const stone of stones) {
      for (const number of stone.links) {
        const below = vertices.get(number);
        if (below && drawn < LINKS_DRAWN) { curve(context, stone, below); drawn += 1; }
      }
    }
    context.strokeStyle = paint.dim;
    // The more lines there are, the fainter each: few stay visible, thousands make no wall.
    context.globalAlpha = view.scale > 14 ? 0.5 : Math.min(0.42, Math.max(0.06, 160 / Math.max(drawn, 1)));
    context.lineWidth = 1;
    context.stroke();
    context.globalAlpha = 1;
    context.beginPath();
    context.setLineDash([2, 3]);
    for (const stone of stones) {
      if (!stone.dangling || view.scale < 8) continue;
      context.moveTo(x(stone), y(stone));
      context.lineTo(x(stone) - view.scale * 0.6, y(stone) - 15);
    }
    context.stroke();
    context.setLineDash([]);
  };

  const neighbours = (context, stone) => {
    context.lineWidth = 2;
    context.strokeStyle = paint.ink;
    context.beginPath();
    for (const number of [stone.parent, ...stone.links]) {
      const below = number === null ? null : vertices.get(number);
      if (below) curve(context, stone, below);
    }
    context.stroke();
    context.beginPath();
    context.setLineDash([4, 3]);
    for (const above of ordered) if (above.parent === stone.number || above.links.includes(stone.number)) curve(context, above, stone);
    context.stroke();
    context.setLineDash([]);
  };

  const box = (context, left, top, wide, tall, round) => {
    context.beginPath();
    context.roundRect(left, top, wide, tall, round);
  };

  const stoneShape = (context, stone) => {
    const wide = Math.max(1.5, Math.min(view.scale * 0.74, 30));
    const tall = view.scale > 9 ? Math.min(22, 12 + Math.log2(stone.records + 1) * 1.6) : Math.max(5, view.scale);
    const [left, top] = [x(stone) - wide / 2, y(stone) - tall / 2];
    const kind = state(stone);
    if (view.scale <= 6) {
      context.fillStyle = paint[kind];
      context.fillRect(left, top, wide, tall);
      return;
    }
    box(context, left, top, wide, tall, Math.min(5, wide / 3));
    context.fillStyle = kind === "final" ? paint.final : kind === "waits" ? paint.waitsSoft : paint.forkSoft;
    context.fill();
    if (kind !== "final") { context.strokeStyle = paint[kind]; context.lineWidth = 1.6; context.stroke(); }
    if (tip(stone)) {
      box(context, left - 3, top - 3, wide + 6, tall + 6, Math.min(8, wide / 2));
      context.strokeStyle = paint.ink;
      context.lineWidth = 1.2;
      context.stroke();
    }
    if (view.scale >= 22 && stone.witnesses) {
      context.fillStyle = kind === "final" ? paint.card : paint.ink;
      context.font = "600 10.5px system-ui, sans-serif";
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.fillText(String(stone.witnesses), x(stone), y(stone) + 0.5);
    } else if (kind === "fork" && view.scale >= 14) {
      context.beginPath();
      context.moveTo(x(stone) - 3.5, y(stone) - 3.5); context.lineTo(x(stone) + 3.5, y(stone) + 3.5);
      context.moveTo(x(stone) + 3.5, y(stone) - 3.5); context.lineTo(x(stone) - 3.5, y(stone) + 3.5);
      context.stroke();
    }
  };

  const ring = (context, stone, colour) => {
    context.beginPath();
    context.arc(x(stone), y(stone), Math.max(9, Math.min(view.scale * 0.62, 21)), 0, 7);
    context.strokeStyle = colour;
    context.lineWidth = 2.5;
    context.stroke();
  };

  const ground = (context) => {
    context.textBaseline = "middle";
    context.textAlign = "left";
    for (const lane of lanes) {
      const top = laneTops[lane.index];
      if (lane.index) {
        context.fillStyle = paint.line;
        context.fillRect(0, top - 0.5, width, 1);
      }
    }
  };

  const labels = (context) => {
    context.textAlign = "left";
    for (const lane of lanes) {
      const top = laneTops[lane.index];
      if (gutter) {
        context.fillStyle = paint.card;
        context.fillRect(0, top + 1, gutter - 4, laneHeight - 2);
        context.font = "600 13px system-ui, sans-serif";
        context.fillStyle = paint.ink;
        context.textBaseline = "middle";
        context.fillText(lane.sub, 0, top + laneHeight / 2 - (laneHeight > 40 ? 8 : 0), gutter - 12);
        if (laneHeight > 40) {
          context.font = paint.font;
          context.fillStyle = paint.dim;
          context.fillText(`${lane.iss}, ${lane.stones.length.toLocaleString("en")}`, 0, top + laneHeight / 2 + 9, gutter - 12);
        }
      } else {
        context.font = "600 11px system-ui, sans-serif";
        context.textBaseline = "top";
        const text = `${lane.sub}`;
        context.fillStyle = paint.card;
        context.fillRect(0, top + 2, context.measureText(text).width + 8, 14);
        context.fillStyle = paint.dim;
        context.fillText(text, 2, top + 3);
      }
    }
  };

  const draw = () => {
    waiting = false;
    if (!lanes.length) return;
    settle();
    const context = drawing.getContext("2d");
    context.clearRect(0, 0, width, drawing.height);
    const right = view.left + room() / view.scale;
    const inside = ordered.filter((one) => one.column >= view.left - 1 && one.column <= right + 1);
    const beyond = ordered.filter((one) => one.column >= view.left - 1 && one.column <= right + 400);
    ground(context);
    context.save();
    context.beginPath();
    context.rect(gutter, 0, width - gutter, drawing.height);
    context.clip();
    links(context, beyond);
    strokes(context, beyond);
    if (chosen) neighbours(context, chosen);
    inside.forEach((stone) => stoneShape(context, stone));
    if (hovered) ring(context, hovered, paint.dim);
    if (chosen) ring(context, chosen, paint.ink);
    context.restore();
    labels(context);
    drawOverview();
    card.dataset.drawn = String(ordered.length);
  };

  const drawOverview = () => {
    const context = overview.getContext("2d");
    const [wide, tall] = [width, overview.height / (window.devicePixelRatio || 1)];
    const step = (tall - 8) / lanes.length;
    const scale = (wide - 2) / Math.max(columns, 1);
    const key = `${wide} ${tall} ${ordered.length} ${cursor} ${paint.ink}`;
    if (!small || small.key !== key) {
      const canvas = document.createElement("canvas");
      size(canvas, wide, tall);
      const made = canvas.getContext("2d");
      for (const kind of ["final", "waits", "fork"]) {
        made.fillStyle = paint[kind];
        for (const stone of ordered) {
          if (state(stone) !== kind) continue;
          const least = kind === "fork" ? 3 : 1;
          made.fillRect(1 + stone.column * scale, 4 + stone.lane.index * step, Math.max(least, scale * 0.8), Math.max(1.5, step - 1.5));
        }
      }
      small = { key, canvas };
    }
    context.clearRect(0, 0, wide, tall);
    context.globalAlpha = 0.75;
    context.drawImage(small.canvas, 0, 0, wide, tall);
    context.globalAlpha = 1;
    const left = 1 + view.left * scale;
    const span = Math.max(6, (room() / view.scale) * scale);
    box(context, Math.min(left, wide - span - 1), 1, Math.min(span, wide - 2), tall - 2, 4);
    context.strokeStyle = paint.ink;
    context.lineWidth = 1.5;
    context.stroke();
  };

  const soon = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(draw);
  };

  // --- details ---------------------------------------------------------------------------------

  const moment = (ms) => (ms === null ? "no clock" : new Date(ms).toISOString().slice(0, 19).replace("T", " "));
  const counted = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
  const title = (stone) => `${stone.lane.sub} ${stone.epoch ? `${stone.epoch}.` : ""}${stone.seq}`;
  const open = plain ? "no block of it is known here" : "waits to be ordered: provisional";
  const order = (stone) => (stone.height === null ? open : `final in block ${stone.height.toLocaleString("en")}`);

  const visit = (stone) => { if (!plain) location.href = `/vertices/${stone.id}`; };

  const anchor = (stone) => {
    if (plain) return title(stone);
    const link = document.createElement("a");
    link.href = `/vertices/${stone.id}`;
    link.textContent = title(stone);
    return link;
  };

  const fact = (list, label, ...parts) => {
    const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
    dt.textContent = label;
    dd.append(...parts);
    list.append(dt, dd);
  };

  const tell = () => {
    if (!chosen) { details.replaceChildren(); return; }
    const list = document.createElement("dl");
    list.className = "facts";
    fact(list, "Vertex", anchor(chosen), ` of ${chosen.lane.iss}`);
    fact(list, "Order", order(chosen));
    fact(list, "Witnesses", `${counted(chosen.witnesses, "other gateway")} built on it`);
    if (chosen.forked) fact(list, "Fork", "another vertex stands at this place", ...(plain ? [] : [": ", Object.assign(document.createElement("a"), { href: "/forks", textContent: "forks" })]));
    fact(list, "Says", `${moment(chosen.claimed)}${chosen.claimed === null ? "" : " UTC, claimed"}`);
    fact(list, "Body", `${counted(chosen.records, "record")}, ${counted(chosen.length, "byte")}`);
    const below = [chosen.parent, ...chosen.links].map((number) => vertices.get(number)).filter(Boolean);
    const parts = below.flatMap((one, at) => (at ? [", ", anchor(one)] : [anchor(one)]));
    if (!parts.length) parts.push(chosen.parent === null && !chosen.seq && !chosen.epoch ? "nothing: the gateway's first" : "what is older than this drawing");
    if (chosen.dangling) parts.push(`, and ${counted(chosen.dangling, "vertex").replace("vertexs", "vertices")} not here`);
    fact(list, "Stands on", ...parts);
    details.replaceChildren(list);
    drawing.setAttribute("aria-label", `${title(chosen)}: ${order(chosen)}, ${counted(chosen.witnesses, "witness").replace("witnesss", "witnesses")}, ${counted(chosen.records, "record")}`);
  };

  const point = (stone, event) => {
    if (hovered !== stone) soon();
    hovered = stone;
    bubble.hidden = !stone;
    drawing.style.cursor = stone ? "pointer" : "grab";
    if (!stone) return;
    bubble.replaceChildren();
    for (const line of [title(stone), order(stone), `${counted(stone.records, "record")}, ${counted(stone.witnesses, "witness").replace("witnesss", "witnesses")}${tip(stone) ? ", tip" : ""}`, moment(stone.claimed)]) {
      const row = document.createElement("div");
      row.textContent = line;
      bubble.append(row);
    }
    const frame = drawing.parentElement.getBoundingClientRect();
    const left = Math.min(event.clientX - frame.left + 14, width - bubble.offsetWidth - 4);
    bubble.style.left = `${Math.max(0, left)}px`;
    bubble.style.top = `${y(stone) + 18}px`;
  };

  const choose = (stone, show) => {
    chosen = stone;
    if (stone && show) {
      const shown = room() / view.scale;
      if (stone.column < view.left + 1 || stone.column > view.left + shown - 2) {
        view.left = stone.column - shown / 2;
        follow = false;
      }
    }
    tell();
    soon();
  };

  const find = (event) => {
    const frame = drawing.getBoundingClientRect();
    const [left, top] = [event.clientX - frame.left, event.clientY - frame.top];
    if (left < gutter) return null;
    let best = null;
    let least = Math.max(14, view.scale);
    for (const lane of lanes) {
      if (top < laneTops[lane.index] - 4 || top > laneTops[lane.index] + laneHeight + lane.depth * 22) continue;
      for (const stone of lane.stones) {
        const away = Math.hypot(x(stone) - left, (y(stone) - top) * 0.8);
        if (away < least) { least = away; best = stone; }
      }
    }
    return best;
  };

  // --- moving ----------------------------------------------------------------------------------

  const zoom = (factor, at = room() / 2) => {
    const column = view.left + at / view.scale;
    const kept = follow;
    view.scale = Math.min(SCALE_MAX, Math.max(scaleMin(), view.scale * factor));
    view.left = column - at / view.scale;
    follow = kept;
    soon();
  };

  const move = (count) => {
    view.left += count;
    follow = false;
    settle();
    follow = atEnd();
    soon();
  };

  const whole = () => { view.scale = scaleMin(); view.left = 0; follow = true; soon(); };

  const step = (lane, by) => {
    const at = lane.stones.indexOf(chosen) + by;
    if (lane.stones[at]) choose(lane.stones[at], true);
  };

  const across = (by) => {
    let far = null;
    for (let index = chosen.lane.index + by; lanes[index]; index += by) {
      const { stones } = lanes[index];
      if (!stones.length) continue;
      const nearest = stones.reduce((a, b) => (Math.abs(b.column - chosen.column) < Math.abs(a.column - chosen.column) ? b : a));
      if (Math.abs(nearest.column - chosen.column) <= room() / view.scale) { choose(nearest, true); return; }
      far = far || nearest;
    }
    if (far) choose(far, true);
  };

  const press = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { key } = event;
    const moves = { ArrowLeft: () => step(chosen.lane, -1), ArrowRight: () => step(chosen.lane, 1), ArrowUp: () => across(-1), ArrowDown: () => across(1) };
    if (moves[key]) { if (chosen) moves[key](); else choose(ordered[ordered.length - 1], true); }
    else if (key === "Home" && ordered.length) choose(ordered[0], true);
    else if (key === "End" && ordered.length) { follow = true; choose(ordered[ordered.length - 1], false); }
    else if (key === "+" || key === "=") zoom(1.4);
    else if (key === "-") zoom(1 / 1.4);
    else if (key === "0") whole();
    else if (key === "Escape") { choose(null); point(null); }
    else if (key === "Enter" && chosen) visit(chosen);
    else return;
    event.preventDefault();
  };

  const pointers = new Map();
  let dragged = 0;
  const gap = () => { const [a, b] = [...pointers.values()]; return Math.abs(a.clientX - b.clientX) + Math.abs(a.clientY - b.clientY); };

  const drag = (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) { point(find(event), event); return; }
    if (pointers.size === 2) {
      const apart = gap();
      pointers.set(event.pointerId, event);
      if (apart > 10) zoom(gap() / apart);
      dragged += 9;
      return;
    }
    const by = before.clientX - event.clientX;
    dragged += Math.abs(by);
    pointers.set(event.pointerId, event);
    if (dragged > 4) { move(by / view.scale); point(null); }
  };

  const lift = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    if (dragged <= 4 && event.type === "pointerup") choose(find(event), false);
    if (!pointers.size) dragged = 0;
  };

  const jump = (event) => {
    if (event.type === "pointermove" && !(event.buttons & 1)) return;
    const frame = overview.getBoundingClientRect();
    view.left = ((event.clientX - frame.left) / frame.width) * columns - room() / view.scale / 2;
    follow = false;
    settle();
    follow = atEnd();
    soon();
  };

  drawing.addEventListener("pointerdown", (event) => { pointers.set(event.pointerId, event); drawing.setPointerCapture(event.pointerId); });
  drawing.addEventListener("pointermove", drag);
  drawing.addEventListener("pointerup", lift);
  drawing.addEventListener("pointercancel", lift);
  drawing.addEventListener("pointerleave", () => point(null));
  drawing.addEventListener("dblclick", (event) => { const stone = find(event); if (stone) visit(stone); });
  drawing.addEventListener("keydown", press);
  drawing.addEventListener("wheel", (event) => {
    if (event.ctrlKey) { event.preventDefault(); zoom(Math.exp(-event.deltaY / 200), event.offsetX - gutter); }
    else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) { event.preventDefault(); move((event.deltaX || event.deltaY) / view.scale); }
  }, { passive: false });
  overview.addEventListener("pointerdown", jump);
  overview.addEventListener("pointermove", jump);
  buttons.out.addEventListener("click", () => zoom(1 / 1.6));
  buttons.in.addEventListener("click", () => zoom(1.6));
  buttons.all.addEventListener("click", whole);
  buttons.follow.addEventListener("click", () => { follow = !follow; soon(); });

  // --- beginning -------------------------------------------------------------------------------

  const again = () => { colours(); measure(); small = null; soon(); };

  const listen = () => {
    let source = null;
    const join = () => {
      if (source || document.hidden) return;
      source = new EventSource(`/v1/dag/live?after=${encodeURIComponent(cursor)}`);
      source.addEventListener("dag", (event) => {
        const known = lanes.length;
        const depth = lanes.reduce((sum, lane) => sum + lane.depth, 0);
        take(JSON.parse(event.data));
        if (card.hidden) show();
        if (lanes.length !== known || lanes.reduce((sum, lane) => sum + lane.depth, 0) !== depth) measure();
        if (chosen) tell();
        describe();
        soon();
        document.dispatchEvent(new CustomEvent("drystone:look"));
      });
    };
    const rest = () => { if (source) { source.close(); source = null; } };
    document.addEventListener("visibilitychange", () => (document.hidden ? rest() : join()));
    window.addEventListener("pagehide", rest);
    window.addEventListener("pageshow", (event) => { if (event.persisted) join(); });
    join();
  };

  const describe = () => {
    if (chosen) return;
    drawing.setAttribute("aria-label", `The DAG: ${ordered.length} vertices of ${lanes.length} gateways`);
  };

  const begin = async () => {
    let more = true;
    while (more) {
      const answer = await fetch(`/v1/dag?limit=${ROWS}${cursor ? `&after=${encodeURIComponent(cursor)}` : ""}`, { headers: { Accept: "application/json" } });
      if (!answer.ok) return;
      const page = await answer.json();
      pages.push(page);
      cursor = page.cursor;
      more = page.more;
    }
    const began = performance.now();
    // By number, whatever changed last: a stone's column follows from what came before it.
    const authors = [];
    const rows = [];
    for (const page of pages) {
      const from = authors.length;
      authors.push(...page.authors);
      for (const row of page.rows) { row[1] += from; rows.push(row); }
    }
    take({ authors, rows, cursor });
    if (!ordered.length) return;
    show();
    card.dataset.drawMs = (performance.now() - began).toFixed(1);
    card.dataset.readyMs = performance.now().toFixed(1);
  };

  const show = () => {
    card.hidden = false;
    colours();
    measure();
    describe();
    draw();
    new ResizeObserver(() => { if (drawing.parentElement.clientWidth !== width) again(); }).observe(drawing.parentElement);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  };

  const pages = [];
  begin().then(() => { if (cursor !== null) listen(); }).catch(() => { /* The node is away; the tables stand. */ });
})();
