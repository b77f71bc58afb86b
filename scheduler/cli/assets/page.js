"use strict";
(() => {
  const STATES = ["running", "stopped", "unmanaged"];
  const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const MINUTE = 60, HOUR = 3600, DAY = 86400;
  const BAR = { top: 7, bottom: 23, middle: 15 };
  const SVG = "http://www.w3.org/2000/svg";

  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const timelines = data.timelines.map(unpack);
  const clusters = data.clusters.map(([name, zone, number]) => ({ name, zone, timeline: timelines[number] }));
  const root = document.documentElement;
  const grid = byId("grid"), tip = byId("tip");
  const groups = [...document.querySelectorAll(".zone")].map((node) => ({
    node, zone: node.dataset.zone, rows: [...node.querySelectorAll("[data-cluster]")],
  }));
  const rows = groups.flatMap((group) => group.rows);
  const chosen = { zone: "own", scale: "fit", view: "time", theme: "system" };
  let perSecond = 0; // in pixels
  let cursor = null; // where the keyboard is: { row, at, cell }

  /* Time. A zone is a list of [from when on, seconds ahead of UTC]. */

  const UTC = [[-Infinity, 0]];
  let readerOffsets = null;

  function offsetsOf(zone) {
    if (chosen.zone === "own") return data.zones[zone];
    return chosen.zone === "utc" ? UTC : (readerOffsets ??= findReaderOffsets());
  }

  function zoneShown(zone) {
    if (chosen.zone === "own") return zone;
    return chosen.zone === "utc" ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone;
  }

  /** Look every six days, and where the offset differs search for the second of the change. */
  function findReaderOffsets() {
    const ahead = (at) => -new Date(at * 1000).getTimezoneOffset() * MINUTE;
    const known = Object.values(data.zones).flat().map(([at]) => at).concat(data.start - DAY, data.end + DAY);
    const [first, last] = [Math.min(...known), Math.max(...known)];
    const found = [[first, ahead(first)]];
    for (let low = first; low < last; low += 6 * DAY) {
      let [before, after] = [low, low + 6 * DAY];
      if (ahead(before) === ahead(after)) continue;
      while (after - before > 1) {
        const middle = Math.floor((before + after) / 2);
        if (ahead(middle) === ahead(low)) before = middle; else after = middle;
      }
      found.push([after, ahead(after)]);
    }
    return found;
  }

  function offsetAt(offsets, at) {
    let found = offsets[0][1];
    for (const [start, ahead] of offsets) if (start <= at) found = ahead;
    return found;
  }

  /** The first instant at which the clocks show a local time or a later one. */
  function firstAt(offsets, local) {
    for (let i = 0; i < offsets.length; i++) {
      const at = Math.max(i ? offsets[i][0] : -Infinity, local - offsets[i][1]);
      if (i + 1 === offsets.length || at < offsets[i + 1][0]) return at;
    }
    return data.end;
  }

  /** The local dates of the page: from and until when, and how long each is; the first begins with the page. */
  function daysOf(offsets) {
    const found = [];
    let local = Math.floor((data.start + offsetAt(offsets, data.start)) / DAY) * DAY;
    for (let at = data.start; at < data.end; local += DAY, at = firstAt(offsets, local)) {
      const end = firstAt(offsets, local + DAY);
      found.push({ at, local, end, length: end - firstAt(offsets, local) });
    }
    return found;
  }

  /** The instants in the page at which clocks show a multiple of some hours; a repeated time is there twice. */
  function hoursOf(offsets, step) {
    const found = [];
    offsets.forEach(([start, ahead], i) => {
      const begin = Math.max(start, data.start), end = Math.min(offsets[i + 1]?.[0] ?? Infinity, data.end);
      for (let local = Math.ceil((begin + ahead) / step) * step; local - ahead < end; local += step) {
        found.push({ at: local - ahead, local });
      }
    });
    return found;
  }

  const two = (number) => String(number).padStart(2, "0");

  function dayText(local) {
    const day = new Date(local * 1000);
    return `${WEEKDAYS[day.getUTCDay()]} ${day.getUTCDate()} ${MONTHS[day.getUTCMonth()]} ${day.getUTCFullYear()}`;
  }

  function clockText(local) {
    const time = new Date(local * 1000), seconds = local % MINUTE ? `:${two(time.getUTCSeconds())}` : "";
    return `${two(time.getUTCHours())}:${two(time.getUTCMinutes())}${seconds}`;
  }

  function momentText(at, offsets) {
    const ahead = offsetAt(offsets, at), minutes = Math.abs(ahead) / MINUTE;
    const offset = `${ahead < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(Math.floor(minutes % 60))}`;
    return `${dayText(at + ahead)} ${clockText(at + ahead)} ${offset}`;
  }

  function durationText(seconds) {
    const hours = Math.floor(seconds / HOUR), minutes = Math.round((seconds % HOUR) / MINUTE);
    const parts = [hours && `${hours.toLocaleString("en")} h`, minutes && `${minutes} min`];
    return parts.filter(Boolean).join(" ") || "under a minute";
  }

  /* Data */

  /** Give each piece its end, and the transitions around it: the neighbouring pieces may be of the same state. */
  function unpack({ since, until, pieces: packed, excluded }) {
    const pieces = [];
    for (let i = 0; i < packed.length; i += 4) {
      const [start, state, reason, rule] = packed.slice(i, i + 4);
      const end = packed[i + 4] ?? data.end;
      pieces.push({ start, end, state, reason: data.texts[reason], rule: data.texts[rule], since, until });
    }
    for (let i = 1; i < pieces.length; i++) {
      const before = pieces[i - 1];
      pieces[i].since = pieces[i].state === before.state ? before.since : pieces[i].start;
    }
    for (let i = pieces.length - 2; i >= 0; i--) {
      const after = pieces[i + 1];
      pieces[i].until = pieces[i].state === after.state ? after.until : pieces[i].end;
    }
    return { pieces, excluded: excluded.map(([start, end, label]) => ({ start, end, label: data.texts[label] })) };
  }

  const clusterOf = (row) => clusters[row.dataset.cluster];
  const isOverride = (piece) => piece.rule.includes("override");

  function pieceAt(pieces, at) {
    let low = 0, high = pieces.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (pieces[middle].start <= at) low = middle; else high = middle - 1;
    }
    return low;
  }

  /** What is said of a piece, as terms and texts. */
  function describe(cluster, piece) {
    const offsets = offsetsOf(cluster.zone);
    const edge = (at) => (at === null ? "no change in sight" : momentText(at, offsets));
    const facts = [["Since", edge(piece.since)], ["Until", edge(piece.until)]];
    if (piece.since !== null && piece.until !== null) facts.push(["Lasts", durationText(piece.until - piece.since)]);
    facts.push(["Reason", piece.reason], ["Rule", piece.rule]);
    const own = [];
    if (piece.start > data.start && piece.start !== piece.since) own.push(`from ${momentText(piece.start, offsets)}`);
    if (piece.end < data.end && piece.end !== piece.until) own.push(`until ${momentText(piece.end, offsets)}`);
    if (own.length) facts.push(["For this reason", own.join(" ")]);
    const dates = cluster.timeline.excluded.filter((date) => date.start < piece.end && date.end > piece.start);
    if (dates.length) {
      const named = dates.slice(0, 3).map((date) => date.label).join(", ");
      const more = dates.length > 3 ? `, ${dates.length - 3} more` : "";
      facts.push([dates.length === 1 ? "Excluded date" : "Excluded dates", named + more]);
    }
    facts.push(["Times in", zoneShown(cluster.zone)]);
    return facts;
  }

  /* Drawing */

  function make(name, className, text) {
    const node = document.createElement(name);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  }

  function shape(className, d) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", className);
    path.setAttribute("d", d);
    return path;
  }

  const x = (at) => Math.round((at - data.start) * perSecond * 10) / 10;
  const box = (start, end, top, bottom) => `M${start} ${top}H${Math.max(end, start + 1)}V${bottom}H${start}Z`;
  const isShown = (at) => at !== null && at >= data.start && at < data.end;
  const weekday = (local) => new Date(local * 1000).getUTCDay();

  function drawRow(row) {
    const { pieces, excluded } = clusterOf(row).timeline;
    const d = { excluded: "", running: "", stopped: "", unmanaged: "", override: "" };
    for (const date of excluded) {
      d.excluded += box(x(Math.max(date.start, data.start)), x(Math.min(date.end, data.end)), 0, 30);
    }
    for (const piece of pieces) {
      const [start, end] = [x(piece.start), x(piece.end)];
      if (piece.state === 0) d.running += box(start, end, BAR.top, BAR.bottom);
      else if (piece.state === 1) d.stopped += box(start, end, BAR.middle - 1, BAR.middle + 1);
      else d.unmanaged += box(start + 0.5, end - 0.5, BAR.top + 0.5, BAR.bottom - 0.5);
      if (isOverride(piece)) d.override += `M${start + 1} 25V29H${Math.max(end - 1, start + 2)}V25`;
    }
    const drawn = Object.entries(d).filter(([, path]) => path).map(([kind, path]) => shape(kind, path));
    row.querySelector("svg").replaceChildren(...drawn);
  }

  function label(className, at, text) {
    const node = make("span", className, text);
    node.style.left = `${x(at)}px`;
    return node;
  }

  function marker(className, d, at) {
    const node = document.createElementNS(SVG, "svg");
    node.append(shape(className, d));
    node.style.left = `${x(at)}px`;
    return node;
  }

  const isTurn = (day) => day.length !== DAY;
  const hoursText = (day) => (isTurn(day) ? `, ${day.length / HOUR} h` : "");
  const dayClass = (name, day) => (isTurn(day) ? `${name} turn` : name);
  const roomOf = (day) => (Math.min(day.end, data.end) - day.at) * perSecond;

  /** Label days and hours as densely as there is room: days and hours, weeks and days, or weeks and initials. */
  function ticksOf(offsets, days) {
    const width = DAY * perSecond;
    if (width >= 150) return hourTicks(offsets, days);
    const weeks = weekTicks(days);
    if (width < 13) return weeks;
    return weeks.concat(width < 58 ? initialTicks(days) : dayTicks(days, width));
  }

  function hourTicks(offsets, days) {
    const step = [1, 2, 3, 6].find((hours) => hours * HOUR * perSecond >= 44 || hours === 6) * HOUR;
    const hours = hoursOf(offsets, step).filter(({ at }) => x(data.end) - x(at) > 38);
    return [
      ...days.filter((day) => roomOf(day) > 110)
        .map((day) => label(dayClass("major", day), day.at, dayText(day.local) + hoursText(day))),
      ...hours.map(({ at, local }) => label("minor", at, clockText(local))),
    ];
  }

  function weekTicks(days) {
    const found = [];
    let free = x(data.end) - 84;
    for (const day of days.filter((day, i) => i === 0 || weekday(day.local) === 1).reverse()) {
      if (x(day.at) > free) continue;
      found.push(label("major", day.at, dayText(day.local).slice(4)));
      free = x(day.at) - 84;
    }
    return found;
  }

  function dayTicks(days, width) {
    return days.filter((day) => roomOf(day) > 50).map((day) => {
      const name = WEEKDAYS[weekday(day.local)];
      const date = isTurn(day) && width < 90 ? "" : ` ${new Date(day.local * 1000).getUTCDate()}`;
      return label(dayClass("minor", day), day.at, name + date + hoursText(day));
    });
  }

  function initialTicks(days) {
    const middle = (day) => (day.at + Math.min(day.end, data.end)) / 2;
    return days.filter((day) => roomOf(day) > 11)
      .map((day) => label(dayClass("minor middle", day), middle(day), WEEKDAYS[weekday(day.local)][0]));
  }

  function drawGroup(group) {
    const offsets = offsetsOf(group.zone), days = daysOf(offsets);
    const own = data.zones[group.zone];
    const changes = own.slice(1).map(([at]) => at).filter(isShown);
    const now = Date.now() / 1000;
    const markers = changes.map((at) => marker("diamond", "M5 0l4 4-4 4-4-4z", at));
    const weekends = days.filter((day) => [0, 6].includes(weekday(day.local)));
    const lines = [
      shape("weekend", weekends.map((day) => box(x(day.at), x(Math.min(day.end, data.end)), 0, 9999)).join("")),
      shape("days", days.map((day) => `M${Math.round(x(day.at)) + 0.5} 0V9999`).join("")),
      shape("change", changes.map((at) => `M${x(at)} 0V9999`).join("")),
    ];
    if (isShown(data.plan) && Math.abs(data.plan - now) >= HOUR) {
      lines.push(shape("planned", `M${x(data.plan)} 0V9999`));
      markers.push(marker("flag planned", "M0 2H10V8H0Z", data.plan));
    }
    if (isShown(now)) {
      lines.push(shape("now", `M${x(now)} 0V9999`));
      markers.push(marker("flag now", "M0 2H10L5 8Z", now));
    }
    group.node.querySelector(".backdrop svg").replaceChildren(...lines);
    group.node.querySelector(".ticks").replaceChildren(...ticksOf(offsets, days), ...markers);
    group.node.querySelector(".shown").textContent = chosen.zone === "own" ? "own time" : `in ${zoneShown(group.zone)}`;
  }

  /** Set how wide a second is, and draw everything; what is at the left edge stays there. */
  function layout(printed) {
    hideTip();
    const kept = perSecond ? window.scrollX / perSecond : 0;
    const view = printed ?? root.clientWidth;
    root.style.setProperty("--view", `${view}px`);
    const style = getComputedStyle(grid);
    const isNarrow = window.matchMedia("(max-width: 720px)").matches && !printed;
    const edges = parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
    const room = view - edges - (isNarrow ? 0 : grid.querySelector(".label").offsetWidth);
    const all = data.end - data.start;
    const wished = chosen.scale === "fit" || printed ? all : Math.min(all, chosen.scale * DAY);
    perSecond = Math.floor(room) / wished;
    root.style.setProperty("--track", `${Math.round(all * perSecond)}px`);
    groups.forEach(drawGroup);
    rows.forEach(drawRow);
    if (cursor) moveTo(cursor.row, cursor.at, false);
    window.scrollTo(kept * perSecond, window.scrollY);
  }

  /* Details */

  function showTip(cluster, piece, left, top) {
    const sample = document.createElementNS(SVG, "svg");
    sample.setAttribute("width", "20");
    sample.setAttribute("height", "20");
    sample.setAttribute("aria-hidden", "true");
    sample.append(shape(STATES[piece.state], piece.state === 1 ? box(0, 20, 9, 11) : box(0.5, 19.5, 2.5, 17.5)));
    const title = make("h3");
    title.append(sample, `${cluster.name}: ${STATES[piece.state]}`);
    const list = make("dl");
    for (const [term, text] of describe(cluster, piece)) list.append(make("dt", "", term), make("dd", "", text));
    tip.replaceChildren(title, list);
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    const below = top + 20 + height < window.innerHeight;
    tip.style.left = `${Math.max(8, Math.min(left + 14, root.clientWidth - width - 8))}px`;
    tip.style.top = `${Math.max(8, below ? top + 20 : top - height - 14)}px`;
  }

  const under = make("div", "under");

  function hideTip() {
    tip.hidden = true;
    under.remove();
  }

  function place(node, piece) {
    node.style.left = `${x(piece.start)}px`;
    node.style.width = `${Math.max(3, x(piece.end) - x(piece.start))}px`;
  }

  /** What the pointer is over, null if that is not a row's time. */
  function pointedAt(event) {
    const track = event.target.closest?.(".track"), row = track?.closest("[data-cluster]");
    if (!row) return null;
    const at = data.start + (event.clientX - track.getBoundingClientRect().left) / perSecond;
    const { pieces } = clusterOf(row).timeline;
    return { row, track, at, piece: pieces[pieceAt(pieces, at)] };
  }

  grid.addEventListener("pointermove", (event) => {
    const found = event.pointerType === "touch" ? null : pointedAt(event);
    if (!found) return;
    if (under.parentNode !== found.track) found.track.append(under);
    place(under, found.piece);
    showTip(clusterOf(found.row), found.piece, event.clientX, event.clientY);
  });
  grid.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && hideTip());
  grid.addEventListener("click", (event) => {
    const found = pointedAt(event);
    if (found) moveTo(found.row, found.at, true);
  });
  window.addEventListener("scroll", () => {
    if (!tip.hidden && document.activeElement !== cursor?.cell) hideTip();
  }, { passive: true });

  /* The keyboard: one stop for Tab; the arrow keys move a cell, made anew each time so that it is read out. */

  function moveTo(row, at, isFocused) {
    const cluster = clusterOf(row), { pieces } = cluster.timeline;
    const piece = pieces[pieceAt(pieces, at)];
    const cell = make("div", "cell");
    cell.tabIndex = 0;
    cell.setAttribute("role", "gridcell");
    const facts = describe(cluster, piece).map(([term, text]) => `${term}: ${text}`).join(". ");
    cell.setAttribute("aria-label", `${cluster.name}: ${STATES[piece.state]}. ${facts}`);
    place(cell, piece);
    const hadFocus = cursor && document.activeElement === cursor.cell;
    const old = cursor?.cell;
    cursor = { row, at, cell };
    row.querySelector(".track").append(cell);
    if (isFocused || hadFocus) cell.focus({ preventScroll: true });
    old?.remove();
    if (isFocused) {
      cell.scrollIntoView({ block: "nearest", inline: "nearest" });
      showTipOfCell();
    }
  }

  function showTipOfCell() {
    const { row, at, cell } = cursor, { pieces } = clusterOf(row).timeline;
    const area = cell.getBoundingClientRect();
    const left = Math.max(area.left, 0) + Math.min(area.width, root.clientWidth - Math.max(area.left, 0)) / 2;
    under.remove();
    showTip(clusterOf(row), pieces[pieceAt(pieces, at)], left - 14, area.bottom - 12);
  }

  grid.addEventListener("focusin", (event) => event.target === cursor?.cell && showTipOfCell());
  grid.addEventListener("focusout", hideTip);
  document.addEventListener("keydown", (event) => event.key === "Escape" && hideTip());
  grid.addEventListener("keydown", (event) => {
    if (event.target !== cursor?.cell || event.altKey || event.metaKey) return;
    const shown = rows.filter((row) => !row.hidden), { pieces } = clusterOf(cursor.row).timeline;
    const number = pieceAt(pieces, cursor.at), line = shown.indexOf(cursor.row);
    const toPiece = (to) => [cursor.row, pieces[Math.max(0, Math.min(pieces.length - 1, to))].start];
    const toLine = (to) => [shown[Math.max(0, Math.min(shown.length - 1, to))], cursor.at];
    const moves = {
      ArrowLeft: () => toPiece(number - 1), ArrowRight: () => toPiece(number + 1),
      ArrowUp: () => toLine(line - 1), ArrowDown: () => toLine(line + 1),
      PageUp: () => toLine(line - 10), PageDown: () => toLine(line + 10),
      Home: () => (event.ctrlKey ? toLine(0) : toPiece(0)),
      End: () => (event.ctrlKey ? toLine(shown.length) : toPiece(pieces.length)),
      n: () => [cursor.row, Date.now() / 1000],
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    moveTo(...move(), true);
  });

  /* Tables: the same times as text, made when they are opened. */

  function fillTable(details) {
    const cluster = clusters[details.dataset.cluster], offsets = offsetsOf(cluster.zone);
    const table = make("table"), head = table.createTHead().insertRow(), body = table.createTBody();
    for (const text of ["From", "Until", "State", "Reason", "Rule"]) {
      const cell = make("th", "", text);
      cell.scope = "col";
      head.append(cell);
    }
    for (const piece of cluster.timeline.pieces) {
      const line = body.insertRow();
      const isEarlier = piece.start === data.start && piece.since !== data.start;
      const isLater = piece.end === data.end && piece.until !== data.end;
      line.append(make("td", "when", `${isEarlier ? "before " : ""}${momentText(piece.start, offsets)}`));
      line.append(make("td", "when", `${isLater ? "after " : ""}${momentText(piece.end, offsets)}`));
      for (const text of [STATES[piece.state], piece.reason, piece.rule]) line.append(make("td", "", text));
    }
    details.querySelector("table")?.remove();
    details.append(table);
  }

  function fillTables() {
    const tables = byId("tables");
    if (!tables.childElementCount) {
      for (const row of rows) {
        const details = make("details"), summary = make("summary"), cluster = clusterOf(row);
        details.dataset.cluster = row.dataset.cluster;
        details.dataset.name = cluster.name;
        const figures = ["on", "off"].map((name) => `${row.querySelector(`.${name}`).textContent} h ${name}`);
        figures.push(`${row.querySelector(".saved").textContent} saved`);
        summary.append(make("b", "", cluster.name), `${figures.join(", ")}; ${cluster.zone}`);
        details.append(summary);
        details.addEventListener("toggle", () => details.open && fillTable(details));
        tables.append(details);
      }
      filter();
    }
    tables.querySelectorAll("details[open]").forEach(fillTable);
  }

  /* Choices */

  function filter() {
    const wanted = byId("filter").value.trim().toLowerCase();
    const fits = (name) => name.toLowerCase().includes(wanted);
    for (const row of rows) row.hidden = !fits(clusterOf(row).name);
    for (const group of groups) group.node.hidden = group.rows.every((row) => row.hidden);
    for (const details of document.querySelectorAll("details[data-name]")) details.hidden = !fits(details.dataset.name);
    const shown = rows.filter((row) => !row.hidden);
    if (shown.length && (!cursor || cursor.row.hidden)) moveTo(shown[0], cursor?.at ?? Date.now() / 1000, false);
    say(shown.length);
  }

  function say(number) {
    const zone = chosen.zone === "own" ? "each cluster's own zone" : zoneShown("");
    const some = number === rows.length ? "" : `${number} of `;
    const all = rows.length === 1 ? "1 cluster" : `${rows.length} clusters`;
    byId("status").textContent = `${some}${all}, times in ${zone}.`;
  }

  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  function paint() {
    root.dataset.theme = chosen.theme === "system" ? (prefersDark.matches ? "dark" : "light") : chosen.theme;
  }
  prefersDark.addEventListener("change", paint);

  const form = byId("controls");
  form.addEventListener("submit", (event) => event.preventDefault());
  byId("filter").addEventListener("input", filter);
  const effects = {
    zone: () => { layout(); fillTablesIfShown(); say(rows.filter((row) => !row.hidden).length); },
    scale: () => layout(),
    view: () => {
      grid.hidden = chosen.view !== "time";
      byId("tables").hidden = chosen.view === "time";
      fillTablesIfShown();
      if (!grid.hidden) layout();
    },
    theme: paint,
  };
  function fillTablesIfShown() {
    if (chosen.view === "table") fillTables();
  }
  form.addEventListener("change", ({ target }) => {
    if (!(target.name in chosen)) return;
    chosen[target.name] = target.value;
    effects[target.name]();
  });

  window.addEventListener("beforeprint", () => {
    root.dataset.theme = "light";
    layout(1040);
  });
  window.addEventListener("afterprint", () => {
    paint();
    layout();
  });
  let width = root.clientWidth;
  window.addEventListener("resize", () => {
    if (width === root.clientWidth) return;
    width = root.clientWidth;
    if (!grid.hidden) layout();
  });
  setInterval(() => document.hidden || grid.hidden || groups.forEach(drawGroup), MINUTE * 1000);

  paint();
  root.classList.toggle("has-money", Boolean(document.querySelector(".money")));
  const days = (data.end - data.start) / DAY;
  chosen.scale = root.clientWidth / days >= 14 ? "fit" : "7";
  form.querySelector(`[name="scale"][value="${chosen.scale}"]`).checked = true;
  layout();
  filter();
  const now = Date.now() / 1000;
  if (isShown(now)) window.scrollTo(Math.max(0, x(now) - root.clientWidth / 4), 0);
})();
