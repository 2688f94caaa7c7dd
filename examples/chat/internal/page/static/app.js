// SPDX-License-Identifier: Apache-2.0

// The page: what the gate says goes into rooms, what the user does goes to the gate.
import { Session } from "./session.js";
import { Room } from "./rooms.js";
import { Plot } from "./plot.js";
import { View, $ } from "./view.js";

const MOST_MISSED = 1000; // messages: beyond, the page begins with the newest

const rooms = new Map();
const lone = Math.random().toString(36).slice(2, 10); // distinguishes this page's messages from all others
let said = 0, current = null, session = null;

const view = new View();
view.lone = `${lone}-`;
const plot = new Plot($("plot"), $("rate"), $("delay"));

const ask = (request) => session.send(JSON.stringify(request));

function begin(name) {
  view.name(name);
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  session = new Session(`${scheme}://${location.host}/gate`, () => JSON.stringify({ name: view.nick }));
  window.chat = { session, rooms }; // for tests, and for the curious
  session.onstate = (state, why) => view.state(state, session.resumes, why);
  session.onbeat = (ms) => plot.latency(ms);
  session.onpacket = (text) => hear(JSON.parse(text));
  session.onbegin = () => {
    ask({ t: "rooms" });
    for (const room of rooms.values()) {
      room.asked = room.joined = false;
      join(room);
    }
  };
  enter(decodeURIComponent(location.hash.slice(1)) || "lobby");
  setInterval(() => { if (!document.hidden) ask({ t: "rooms" }); }, 5000);
}

// enter shows a room, and joins it if need be.
function enter(name) {
  let room = rooms.get(name);
  if (!room) {
    room = new Room(name);
    rooms.set(name, room);
    join(room);
  }
  current = room;
  room.unread = 0;
  view.why("");
  view.show(room, rooms);
  if (location.hash.slice(1) !== encodeURIComponent(name)) history.replaceState(null, "", `#${encodeURIComponent(name)}`);
}

// join may be repeated: it asks for what was missed, too.
function join(room) { ask({ t: "join", room: room.name, name: view.nick, have: room.last }); }

function leave(room) {
  ask({ t: "leave", room: room.name });
  rooms.delete(room.name);
  enter(rooms.keys().next().value ?? "lobby");
}

function say(room, text) {
  const m = { c: `${lone}-${++said}`, text, name: view.nick, at: Date.now(), sent: performance.now() };
  room.pending.set(m.c, m);
  view.pending(room, m);
  // Before the room is joined, and all is known that was said there, it waits: again says it.
  const sent = room.joined && !room.asked && ask({ t: "say", room: room.name, c: m.c, text });
  m.era = sent ? session.era : 0;
}

function hear(e) {
  const room = rooms.get(e.room);
  if (e.t === "rooms") return view.directory(e.rooms ?? [], rooms);
  if (room) hears[e.t]?.(room, e);
}

const hears = {
  joined(room, e) {
    const fresh = !room.joined || room.you !== e.you;
    Object.assign(room, { you: e.you, saved: e.saved ?? 0, count: e.count ?? 0, joined: true });
    const list = e.messages ?? [];
    const missed = list.length && room.last ? list[0].n - room.last - 1 : 0;
    if (missed > MOST_MISSED) {
      room.restart();
      if (room === current) view.show(room, rooms);
    }
    if (missed <= 0 || !room.last) {
      room.more = room.last ? room.more : !!e.more;
      put(room, room.fill(list));
      again(room);
    } else {
      since(room);
    }
    if (fresh) ask({ t: "members", room: room.name, limit: 100 });
    view.count(room, current);
    view.ends(room, current);
  },
  msg(room, e) { put(room, room.take(e, () => since(room))); },
  history(room, e) {
    const list = e.messages ?? [];
    if (room.asked) {
      room.asked = false;
      put(room, room.fill(list));
      if (e.more) since(room);
      else again(room);
      return;
    }
    room.more = !!e.more;
    view.older(room, room.prepend(list), current);
  },
  saved(room, e) {
    room.saved = Math.max(room.saved, e.saved);
    view.saved(room, current);
  },
  presence(room, e) {
    room.count = e.count;
    for (const m of e.in ?? []) room.members.set(m.id, m);
    for (const id of e.out ?? []) room.members.delete(id);
    if (!e.more && !room.next && room.members.size !== e.count) ask({ t: "members", room: room.name, limit: 100 });
    view.count(room, current);
    view.members(room, current);
  },
  members(room, e) {
    if (!room.paging) room.members.clear();
    room.paging = false;
    for (const m of e.members ?? []) room.members.set(m.id, m);
    room.next = e.next ?? "";
    room.count = e.count ?? 0;
    view.count(room, current);
    view.members(room, current);
  },
  error(room, e) {
    const m = room.pending.get(e.about);
    if (m) {
      room.pending.delete(e.about);
      view.failed(m);
    }
    if (room === current) view.why(e.why);
  },
};

// since asks for what follows the last message that is there.
function since(room) {
  if (room.asked) return;
  room.asked = true;
  ask({ t: "history", room: room.name, after: String(room.last), limit: 100 });
}

// put shows messages.
function put(room, list) {
  if (!list.length) return;
  plot.message(list.length);
  for (const m of list) {
    const own = view.take(m.c);
    if (own?.sent) plot.latency(performance.now() - own.sent);
  }
  if (room === current) view.add(room, list);
  else room.unread += list.length;
  if (room.trim() && room === current) view.trim(room);
  if (room !== current) view.list(rooms, current);
}

// again says what the session before may not have brought to the room. What it had brought is known by now.
function again(room) {
  for (const m of room.pending.values()) {
    if (m.era === session.era) continue;
    m.era = session.era;
    ask({ t: "say", room: room.name, c: m.c, text: m.text });
  }
}

view.onroom = enter;
view.onleave = () => leave(current);
view.onsay = (text) => say(current, text);
view.onname = (name) => {
  if (!session) return begin(name);
  view.name(name);
  ask({ t: "nick", name });
};
view.onolder = () => ask({ t: "history", room: current.name, before: current.first, limit: 50 });
view.onmembers = () => {
  current.paging = true;
  ask({ t: "members", room: current.name, after: current.next, limit: 100 });
};
view.onlanguage = () => { if (current) view.show(current, rooms); };
addEventListener("hashchange", () => enter(decodeURIComponent(location.hash.slice(1)) || "lobby"));
addEventListener("pagehide", () => session?.bye());
addEventListener("pageshow", (e) => { if (e.persisted) location.reload(); });

const known = localStorage.getItem("name");
if (known) begin(known);
else view.askName();
