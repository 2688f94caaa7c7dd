// SPDX-License-Identifier: Apache-2.0

// What is on the screen. All text goes in as text, never as HTML.
import { words, pick } from "./words.js";

export const $ = (id) => document.getElementById(id);

const FACES = 10, TOGETHER = 5 * 60_000; // ms between two messages of one author that stand together

function make(tag, name, text) {
  const n = document.createElement(tag);
  if (name) n.className = name;
  if (text !== undefined) n.textContent = text;
  return n;
}

function face(name) {
  let sum = 0;
  for (const c of name) sum = (sum * 31 + c.codePointAt(0)) % 9973;
  const n = make("span", `face h${sum % FACES}`, [...name][0]?.toUpperCase() ?? "?");
  n.setAttribute("aria-hidden", "true");
  return n;
}

export class View {
  constructor() {
    Object.assign(this, { nick: "", waiting: new Map(), own: [], fresh: 0, following: true, lang: pick(), last: null, lone: "-" });
    for (const on of ["onroom", "onleave", "onsay", "onname", "onolder", "onmembers", "onlanguage"]) this[on] = () => {};
    this.wire();
    this.state("connecting", 0);
    this.translate();
  }

  wire() {
    $("say").onsubmit = (e) => { e.preventDefault(); this.submit(); };
    $("text").onkeydown = (e) => {
      if (e.key === "Enter" && !e.shiftKey && !e.isComposing) { e.preventDefault(); this.submit(); }
    };
    $("join").onsubmit = (e) => {
      e.preventDefault();
      this.onroom($("join-room").value.trim());
      $("join-room").value = "";
      this.pane();
      $("text").focus();
    };
    $("leave").onclick = () => this.onleave();
    $("older").onclick = () => this.onolder();
    $("more-members").onclick = () => this.onmembers();
    $("newer").onclick = () => this.bottom();
    $("nick").onclick = () => this.askName();
    $("lang").onclick = () => {
      this.lang = this.lang === "en" ? "zh" : "en";
      localStorage.setItem("lang", this.lang);
      this.translate();
      this.onlanguage();
    };
    $("name-form").onsubmit = (e) => {
      const name = $("name").value.trim();
      if (!name) e.preventDefault();
      else this.onname(name);
    };
    $("name-dialog").addEventListener("cancel", (e) => { if (!this.nick) e.preventDefault(); });
    $("name-dialog").addEventListener("close", () => $("text").focus());
    $("log").onscroll = () => {
      const log = $("log");
      this.following = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
      if (this.following) this.seen();
    };
    for (const [button, pane] of [["show-rooms", "rooms-pane"], ["show-members", "members-pane"]]) {
      $(button).onclick = () => this.pane($(pane).classList.contains("open") ? "" : pane);
    }
    $("shade").onclick = () => this.pane();
    addEventListener("keydown", (e) => {
      if (e.key === "Escape") this.pane();
      if (e.altKey && (e.key === "ArrowUp" || e.key === "ArrowDown")) this.step(e.key === "ArrowUp" ? -1 : 1, e);
    });
    new ResizeObserver(() => { if (this.following) this.bottom(); }).observe($("log"));
  }

  submit() {
    const text = $("text").value.trim();
    if (!text) return;
    $("text").value = "";
    this.why("");
    this.onsay(text);
    this.bottom();
  }

  // step goes to the next joined room.
  step(by, e) {
    const all = [...$("joined").querySelectorAll("button")], at = all.findIndex((b) => b.ariaCurrent === "true");
    if (all.length < 2) return;
    e.preventDefault();
    this.onroom(all[(at + by + all.length) % all.length].dataset.room);
  }

  // pane opens one of the side panes on a small screen, and closes the others.
  pane(open = "") {
    for (const [button, pane] of [["show-rooms", "rooms-pane"], ["show-members", "members-pane"]]) {
      $(pane).classList.toggle("open", pane === open);
      $(button).setAttribute("aria-expanded", pane === open);
    }
    if (open) $(open).querySelector("button, input, [tabindex]")?.focus({ preventScroll: true });
  }

  get words() { return words[this.lang]; }

  translate() {
    const w = this.words;
    document.documentElement.lang = this.lang;
    for (const n of document.querySelectorAll("[data-t]")) n.textContent = w[n.dataset.t];
    for (const n of document.querySelectorAll("[data-label]")) {
      n.setAttribute("aria-label", w[n.dataset.label]);
      if (n.matches("button")) n.title = w[n.dataset.label];
    }
    for (const n of document.querySelectorAll("[data-hint]")) n.placeholder = w[n.dataset.hint];
    $("lang").textContent = w.tongue;
    this.state(...this.now);
  }

  state(state, resumes, why) {
    this.now = [state, resumes, why];
    const w = this.words;
    $("state").dataset.state = state;
    $("state-text").textContent = state === "open" && resumes ? `${w.open} · ${w.resumed}${resumes > 1 ? ` ×${resumes}` : ""}` : w[state];
    if (state === "ended") this.why([why, w.again].filter(Boolean).join(" — "));
  }

  name(name) {
    this.nick = name;
    localStorage.setItem("name", name);
    $("nick-text").textContent = name;
    $("nick").firstElementChild.replaceWith(face(name));
  }

  askName() {
    $("name").value = this.nick || `${this.words.guest}-${1000 + Math.floor(Math.random() * 9000)}`;
    $("name-dialog").showModal();
    $("name").select();
  }

  why(text) {
    $("why").textContent = text;
    $("why").hidden = !text;
  }

  // show draws a room from the beginning.
  show(room, rooms) {
    $("room-name").textContent = `# ${room.name}`;
    document.title = `${room.name} · Skybus`;
    this.list(rooms, room);
    this.count(room, room);
    this.members(room, room);
    $("lines").replaceChildren();
    this.own = [];
    this.last = null;
    this.waiting.clear();
    this.add(room, room.messages);
    for (const m of room.pending.values()) this.pending(room, m);
    this.bottom();
    this.pane();
  }

  list(rooms, current) {
    $("joined").replaceChildren(...[...rooms.values()].map((r) => this.entry(r.name, r === current, r.unread, "badge")));
  }

  entry(name, current, count, kind) {
    const li = make("li"), b = make("button");
    b.dataset.room = name;
    if (current) b.ariaCurrent = "true";
    b.append(make("span", "hash", "#"), make("span", "name", name));
    if (count) b.append(make("span", kind, count > 999 && kind === "badge" ? "999+" : count));
    b.onclick = () => {
      this.onroom(name);
      $("text").focus();
    };
    li.append(b);
    return li;
  }

  directory(list, rooms) {
    const others = list.filter((r) => !rooms.has(r.room)).slice(0, 20);
    $("others-title").hidden = !others.length;
    $("others").replaceChildren(...others.map((r) => this.entry(r.room, false, r.count, "count")));
  }

  count(room, current) {
    if (room !== current) return;
    $("room-count").textContent = room.count ? this.words.count(room.count) : "";
    $("members-count").textContent = room.count || "";
  }

  members(room, current) {
    if (room !== current) return;
    const all = [...room.members.values()].sort((a, b) => a.name.localeCompare(b.name) || (a.id < b.id ? -1 : 1));
    $("members").replaceChildren(...all.map((m) => {
      const li = make("li");
      li.dataset.away = !!m.away;
      li.append(face(m.name), make("span", "name", m.id === room.you ? `${m.name} (${this.words.you})` : m.name));
      return li;
    }));
    $("more-members").hidden = !room.next;
  }

  // add puts messages at the end, before those that are still on their way.
  add(room, list) {
    const nodes = document.createDocumentFragment();
    for (const m of list) {
      const n = this.line(room, m, this.last);
      this.last = m;
      if (this.mine(room, m)) this.own.push({ n: m.n, node: n });
      nodes.append(n);
    }
    const first = this.waiting.values().next().value;
    $("lines").insertBefore(nodes, first?.isConnected ? first : null);
    this.saved(room, room);
    this.ends(room, room);
    if (this.following) this.bottom();
    else if (list.length) {
      this.fresh += list.length;
      $("newer").textContent = this.words.newer(this.fresh);
      $("newer").hidden = false;
    }
  }

  // ends shows whether there is more above, or nothing at all.
  ends(room, current) {
    if (room !== current) return;
    $("older").hidden = !room.more;
    $("empty").hidden = room.messages.length > 0 || room.pending.size > 0 || !room.joined;
  }

  mine(room, m) { return m.from === room.you || m.c?.startsWith(this.lone); }

  line(room, m, before) {
    const n = make("li", "msg");
    const mine = this.mine(room, m);
    n.classList.toggle("mine", mine);
    n.classList.toggle("more", !!before && before.from === m.from && before.name === m.name && m.at - before.at < TOGETHER);
    if (m.n) n.dataset.n = m.n;
    const who = make("span", "who");
    const at = new Date(m.at), time = make("time", "", at.toLocaleTimeString(this.lang, { hour: "2-digit", minute: "2-digit" }));
    time.dateTime = at.toISOString();
    who.append(make("b", "", m.name), time);
    n.append(face(m.name), who, make("span", "body", m.text));
    if (mine) {
      n.append(make("span", "tick"));
      this.tick(n, m.n ? (m.n <= room.saved ? "saved" : "accepted") : "sending");
    }
    return n;
  }

  tick(node, state) {
    const t = node.lastElementChild;
    t.dataset.state = state;
    t.textContent = this.words[state];
  }

  // pending shows a message that has not come back yet.
  pending(room, m) {
    const n = this.line(room, { ...m, from: room.you }, this.last);
    m.node = n;
    this.waiting.set(m.c, n);
    this.carried ??= new Map();
    this.carried.set(m.c, m);
    $("lines").append(n);
    $("empty").hidden = true;
  }

  // take removes what pending has shown: the message has come. It returns the message as it was said.
  take(c) {
    const m = this.carried?.get(c);
    if (!m) return null;
    this.carried.delete(c);
    this.waiting.get(c)?.remove();
    this.waiting.delete(c);
    return m;
  }

  failed(m) {
    this.waiting.delete(m.c);
    this.carried.delete(m.c);
    this.tick(m.node, "failed");
  }

  // saved shows what is on disk. Only the newest of them says so; the others need no word any more.
  saved(room, current) {
    if (room !== current) return;
    const newest = this.own.findLastIndex((o) => o.n <= room.saved);
    this.own.slice(0, newest + 1).forEach((o, i) => {
      this.tick(o.node, "saved");
      o.node.classList.toggle("settled", i < newest);
    });
    if (newest > 0) this.own.splice(0, newest);
    if (this.following) this.bottom();
  }

  // older puts a page before all others, and leaves what is being read where it is.
  older(room, list, current) {
    if (room !== current) return;
    const log = $("log"), from = log.scrollHeight - log.scrollTop;
    let before = null;
    $("lines").prepend(...list.map((m) => {
      const n = this.line(room, m, before);
      n.classList.add("settled");
      before = m;
      return n;
    }));
    $("older").hidden = !room.more;
    log.scrollTop = log.scrollHeight - from;
  }

  trim(room) {
    const lines = $("lines");
    while (lines.firstElementChild && Number(lines.firstElementChild.dataset.n) < room.first) lines.firstElementChild.remove();
    $("older").hidden = !room.more;
  }

  bottom() {
    this.following = true;
    $("log").scrollTop = $("log").scrollHeight;
    this.seen();
  }

  seen() {
    this.fresh = 0;
    $("newer").hidden = true;
  }
}
