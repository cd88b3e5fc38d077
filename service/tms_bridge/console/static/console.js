// Progressive enhancement of the console: live rows, copy buttons, single keys. Every page works without it.
"use strict";
(() => {
  const policy = window.trustedTypes
    ? trustedTypes.createPolicy("console", { createHTML: (html) => html })
    : { createHTML: (html) => html };
  const byId = (id) => document.getElementById(id);
  const KEEP = 100, QUIET_MS = 30000, ANNOUNCE_MS = 10000;
  const body = document.body, list = byId("rows"), live = byId("live");
  const pause = byId("pause"), fresh = byId("fresh");
  let stream = null, paused = false, held = [], lastTick = Date.now(), lastWord = body.dataset.word, announced = 0;
  let lastId = body.dataset.from || "0";

  const parse = (html) => {
    const holder = document.createElement("template");
    holder.innerHTML = policy.createHTML(html);
    return holder.content;
  };

  // New rows wait while somebody reads or points at the list.
  const busy = () =>
    paused || !list || list.contains(document.activeElement) || list.matches(":hover") ||
    (String(document.getSelection()) && list.contains(document.getSelection().anchorNode));

  const place = (row) => {
    const there = byId(row.id);
    if (there) {
      const moved = row.dataset.top === "1" && list.firstElementChild !== there && !busy();
      const focused = there.contains(document.activeElement);
      there.replaceWith(row);
      if (moved) list.prepend(row);
      if (focused) row.querySelector("a").focus();
    } else if (busy()) {
      held = [...held.filter((other) => other.id !== row.id), row].slice(-KEEP);
    } else {
      row.classList.add("new");
      list.prepend(row);
    }
  };

  const showHeld = () => {
    for (const row of held) list.prepend(row);
    held = [];
    count();
    trim();
  };

  const count = () => {
    if (!fresh) return;
    fresh.hidden = held.length === 0;
    fresh.textContent = held.length === 1 ? "1 new call: show" : `${held.length} new calls: show`;
  };

  const trim = () => {
    while (list && list.children.length > KEEP) list.lastElementChild.remove();
  };

  const tick = (event) => {
    lastTick = Date.now();
    // Numbers fall where the bridge was started anew: nothing of the page is about these calls.
    if (Number(event.lastEventId) < Number(lastId)) location.reload();
    lastId = event.lastEventId;
    const now = new Date().toISOString();
    live.firstElementChild?.remove();
    live.textContent = `Live. Last update ${now.slice(11, 19)}. All times are UTC.`;
    byId("say").classList.remove("stale");
  };

  const say = (event) => {
    const said = JSON.parse(event.data);
    const section = byId("say");
    const links = () => [...section.querySelectorAll("a")];
    const focused = links().indexOf(document.activeElement);
    section.className = `say ${said.kind}`;
    section.replaceChildren(parse(said.html));
    if (focused >= 0) (links()[focused] || links()[0])?.focus();
    document.title = document.title.replace(/^[^:]+/, said.word);
    if (said.word !== lastWord && Date.now() - announced > ANNOUNCE_MS) {
      byId("announce").textContent = said.one;
      announced = Date.now();
    }
    lastWord = said.word;
  };

  const rows = (event) => {
    if (!list) return;
    const holder = document.createElement("table");
    holder.innerHTML = policy.createHTML(`<tbody>${event.data}</tbody>`);
    for (const row of [...holder.tBodies[0].rows]) place(row);
    count();
    trim();
  };

  const part = (event) => {
    const content = parse(event.data);
    for (const element of [...content.children]) byId(element.id)?.replaceWith(element);
  };

  const more = (event) => {
    const note = byId("more");
    if (note) { note.textContent = event.data; note.hidden = !event.data; }
  };

  const open = () => {
    if (stream || !body.dataset.stream || document.hidden) return;
    stream = new EventSource(`${body.dataset.stream}&from=${lastId}`);
    const on = (name, act) => stream.addEventListener(name, (event) => { tick(event); act(event); });
    on("say", say); on("rows", rows); on("part", part); on("more", more); on("quiet", () => {});
    stream.addEventListener("bye", (event) => { close(); live.textContent = event.data; });
  };

  const close = () => { stream?.close(); stream = null; };

  if (body.dataset.stream && live.dataset.live !== "no") {
    open();
    document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
    setInterval(() => {
      if (!document.hidden && Date.now() - lastTick > QUIET_MS) {
        const since = new Date(lastTick).toISOString().slice(11, 19);
        live.textContent = `Not live since ${since}, trying again. All times are UTC.`;
        byId("say").classList.add("stale");
        // A browser tries again by itself after a broken connection, and not after a refusal.
        if (stream?.readyState === EventSource.CLOSED) { close(); open(); }
      }
    }, 5000);
  }

  if (pause) {
    pause.hidden = false;
    pause.addEventListener("click", () => {
      paused = !paused;
      pause.setAttribute("aria-pressed", String(paused));
      if (!paused) showHeld();
    });
  }
  fresh?.addEventListener("click", showHeld);

  for (const button of document.querySelectorAll("[data-copies]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = button.parentElement.querySelector("[data-copy]").textContent;
      await navigator.clipboard.writeText(text);
      byId("announce").textContent = "Copied.";
    });
  }

  // Single keys: off in fields, with a modifier, or by the switch on /keys. None changes anything.
  const GO = { o: "/", c: "/calls", b: "/outbox", q: "/quarantine", t: "/topology", p: "/plots" };
  let gone = 0;
  const step = (by) => {
    const links = [...(list?.querySelectorAll("td:first-child a") || [])];
    const at = links.indexOf(document.activeElement);
    links[Math.max(0, Math.min(links.length - 1, at + by))]?.focus();
  };
  const ACTS = {
    "/": () => document.querySelector(".filters select, .filters input")?.focus(),
    j: () => step(1), k: () => step(-1), p: () => pause?.click(), ".": () => fresh?.click(),
    "?": () => { location.href = "/keys"; },
  };
  document.addEventListener("keydown", (event) => {
    if (body.dataset.keys === "off" || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.closest("input, select, textarea")) return;
    if (event.key === "g") { gone = Date.now(); return; }
    const page = Date.now() - gone < 1500 && GO[event.key];
    gone = 0;
    if (page) { location.href = page; return; }
    const act = ACTS[event.key];
    if (act) { event.preventDefault(); act(); }
  });
})();
