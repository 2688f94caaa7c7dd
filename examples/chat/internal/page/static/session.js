// SPDX-License-Identifier: Apache-2.0

// A session with the gate over WebSocket, that outlives its connections: docs/format/gate.md.
import { hmac } from "./proof.js";

const AUTH = 1, RESUME = 2, DATA = 3, PING = 4, BYE = 5, WELCOME = 6, RESUMED = 7, LOOSE = 8, PONG = 9, REFUSED = 10, KICKED = 11;
const PROOF = new TextEncoder().encode("skybus gate resume 1");
const COMES_AGAIN = new Set([4, 6, 9, 13, 14, 15, 17, 18]); // codes of REFUSED and KICKED
const BEGINS_ANEW = new Set([7, 8, 10, 11, 16]);
const SILENCE = 6000, BEAT = 2000; // ms

const encoder = new TextEncoder(), decoder = new TextDecoder();

// A Session calls onbegin for each new session, onpacket(text) for each packet, onstate(state, why) with
// "connecting", "open", "away" or "ended", and onbeat(ms) for each answered ping. era counts its sessions, resumes how often one went on.
export class Session {
  constructor(url, user) {
    Object.assign(this, { url, user, id: null, tries: 0, socket: null, state: "connecting", ended: false, resumes: 0, era: 0 });
    this.onbegin = this.onpacket = this.onstate = this.onbeat = () => {};
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.hurry(); });
    setInterval(() => this.beat(), BEAT);
    this.connect();
  }

  // send queues a packet. It arrives, unless the session ends before: then onbegin is called. false: there is no session yet.
  send(text) {
    if (!this.id) return false;
    const packet = kind(DATA, encoder.encode(text));
    this.sent++;
    this.kept.push({ n: this.sent, packet });
    if (this.state === "open") this.socket.send(packet);
    return true;
  }

  // bye ends the session.
  bye() {
    if (this.state === "open") this.socket.send(Uint8Array.of(BYE));
    this.end();
  }

  // drop cuts the connection, as a bad network would.
  drop() { this.socket?.close(); }

  connect() {
    if (this.ended) return;
    clearTimeout(this.timer);
    this.timer = 0;
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.heard = performance.now();
    socket.onopen = () => this.hello(socket);
    socket.onmessage = (m) => { if (socket === this.socket) this.take(new Uint8Array(m.data)); };
    socket.onclose = () => { if (socket === this.socket) this.lost(); };
  }

  async hello(socket) {
    if (!this.id) {
      const head = new Uint8Array(4);
      head.set([AUTH, 1]);
      socket.send(concat(head, encoder.encode(this.user())));
      return;
    }
    this.id.epoch++;
    const head = new DataView(new ArrayBuffer(28));
    head.setUint8(0, RESUME);
    head.setUint8(1, 1);
    head.setUint32(4, this.id.home);
    head.setBigUint64(8, this.id.id);
    head.setUint32(16, this.id.epoch);
    head.setBigUint64(20, BigInt(this.received));
    const bytes = new Uint8Array(head.buffer);
    const proof = await hmac(this.id.key, concat(PROOF, bytes));
    if (socket === this.socket && socket.readyState === WebSocket.OPEN) socket.send(concat(bytes, proof));
  }

  take(p) {
    this.heard = performance.now();
    const view = new DataView(p.buffer, p.byteOffset, p.length);
    switch (p[0]) {
      case DATA:
        this.received++;
        this.onpacket(decoder.decode(p.subarray(1)));
        break;
      case LOOSE:
        this.onpacket(decoder.decode(p.subarray(1)));
        break;
      case WELCOME:
        this.id = { home: view.getUint32(4), id: view.getBigUint64(8), epoch: view.getUint32(16), key: p.slice(20, 52) };
        this.received = this.sent = 0;
        this.kept = [];
        this.era++;
        this.open();
        this.onbegin();
        break;
      case RESUMED:
        if (view.getUint32(4) !== this.id.epoch) return this.drop();
        this.forget(view.getBigUint64(8));
        this.resumes++;
        this.open();
        for (const k of this.kept) this.socket.send(k.packet);
        break;
      case PONG:
        this.onbeat(performance.now() - view.getFloat64(1));
        this.forget(view.getBigUint64(9));
        break;
      case REFUSED:
      case KICKED:
        this.refused(view.getUint16(2), decoder.decode(p.subarray(4)));
    }
  }

  open() {
    this.tries = 0;
    this.set("open");
  }

  forget(accepted) { this.kept = this.kept.filter((k) => BigInt(k.n) > accepted); }

  refused(code, why) {
    if (BEGINS_ANEW.has(code)) this.id = null;
    else if (!COMES_AGAIN.has(code)) this.end(why);
    this.drop();
  }

  end(why) {
    this.ended = true;
    this.drop();
    this.set("ended", why);
  }

  lost() {
    this.socket = null;
    if (this.ended) return;
    this.set(this.id ? "away" : "connecting");
    const pause = Math.min(200 * 1.7 ** this.tries++, 5000) * (0.6 + 0.8 * Math.random());
    this.timer = setTimeout(() => this.connect(), pause);
  }

  // hurry connects at once where it would wait.
  hurry() { if (this.timer) this.connect(); }

  beat() {
    if (this.socket && performance.now() - this.heard > SILENCE) {
      const dead = this.socket;
      this.lost(); // a close of what is dead may take minutes
      dead.close();
    } else if (this.state === "open") {
      const v = new DataView(new ArrayBuffer(9));
      v.setUint8(0, PING);
      v.setFloat64(1, performance.now());
      this.socket.send(v.buffer);
    }
  }

  set(state, why) {
    this.state = state;
    this.onstate(state, why);
  }
}

function kind(k, bytes) { return concat(Uint8Array.of(k), bytes); }

function concat(a, b) {
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}
