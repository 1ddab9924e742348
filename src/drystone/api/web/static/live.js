// Keeps a page up to date: on news from the ledger it fetches the page again and swaps the parts
// marked `data-live`. The server renders everything; without this script the page says the same.
"use strict";
(() => {
  const PAUSE_MS = 1000;
  const parts = () => document.querySelectorAll("[data-live]");
  const lamp = document.getElementById("live");
  let waiting = false;
  let busy = false;

  const age = (moment) => {
    const seconds = Math.round((Date.now() - Date.parse(moment)) / 1000);
    if (!Number.isFinite(seconds) || seconds < 0 || seconds >= 86400) return null;
    if (seconds < 60) return seconds < 5 ? "just now" : `${seconds} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    return `${Math.floor(seconds / 3600)} h ago`;
  };

  const tellAges = () => {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const text = age(time.dateTime);
      time.title = text ? `${time.dateTime} (${text})` : time.dateTime;
    }
  };

  const keys = (part) => new Set([...part.querySelectorAll("[data-key]")].map((row) => row.dataset.key));

  const refresh = async () => {
    if (busy) { waiting = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of parts()) {
        const next = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
        if (!next || next.innerHTML === part.innerHTML) continue;
        const known = keys(part);
        for (const row of next.querySelectorAll("tr[data-key]")) {
          if (known.size && !known.has(row.dataset.key)) row.classList.add("fresh");
        }
        part.replaceWith(document.adoptNode(next));
      }
      tellAges();
      document.dispatchEvent(new CustomEvent("drystone:fresh"));
    } catch {
      // The node is away; the event stream notices too and comes back by itself.
    } finally {
      setTimeout(() => {
        busy = false;
        if (waiting) { waiting = false; refresh(); }
      }, PAUSE_MS);
    }
  };

  const show = (on) => {
    if (!lamp) return;
    lamp.hidden = false;
    lamp.textContent = on ? "live" : "waiting for the node";
    lamp.classList.toggle("off", !on);
  };

  tellAges();
  if (!parts().length || !window.EventSource) return;
  let source = null;
  const listen = () => {
    if (source || document.hidden) return;
    source = new EventSource("/v1/events");
    source.onopen = () => show(true);
    source.onerror = () => show(false);
    source.addEventListener("block", refresh);
  };
  // Another script knows of news that no block tells: a gateway that is cut off still seals.
  document.addEventListener("drystone:look", refresh);
  const rest = () => { if (source) { source.close(); source = null; } };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { rest(); } else { listen(); refresh(); }
  });
  // A page kept in the browser's history must not hold a connection open.
  window.addEventListener("pagehide", rest);
  window.addEventListener("pageshow", (event) => { if (event.persisted) { listen(); refresh(); } });
  listen();
})();
