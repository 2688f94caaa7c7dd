// SPDX-License-Identifier: Apache-2.0

// What the page knows of rooms, without any drawing. A Room takes messages in the order of their numbers, each once, and says
// when some are missing.

const KEEP = 400; // messages in memory, so in the page

export class Room {
  constructor(name) {
    Object.assign(this, { name, last: 0, first: 0, saved: 0, count: 0, you: "", more: false, unread: 0, asked: false, joined: false });
    this.messages = []; // ascending
    this.ahead = new Map(); // those behind a gap, by number
    this.members = new Map(); // by ID, as far as they are known
    this.next = ""; // where the list of members goes on
    this.pending = new Map(); // own messages that have not come back, by c
  }

  // take returns the messages that are to be shown now. gap() is called when there are some missing before m.
  take(m, gap) {
    if (m.n <= this.last) return []; // it is known
    if (this.last && m.n > this.last + 1) {
      this.ahead.set(m.n, m);
      gap();
      return [];
    }
    const now = [];
    for (let next = m; next; next = this.ahead.get(this.last + 1)) {
      this.ahead.delete(next.n);
      this.add(next);
      now.push(next);
    }
    return now;
  }

  // fill takes a page of history that begins behind what is there. Numbers that it leaves out do not exist.
  fill(list) {
    const now = [];
    for (const m of list) {
      if (m.n <= this.last) continue;
      this.add(m);
      now.push(m);
    }
    for (let m = this.ahead.get(this.last + 1); m; m = this.ahead.get(this.last + 1)) {
      this.ahead.delete(m.n);
      this.add(m);
      now.push(m);
    }
    return now;
  }

  add(m) {
    this.last = m.n;
    this.first ||= m.n;
    this.messages.push(m);
    this.pending.delete(m.c);
  }

  // trim forgets the oldest, and returns how many.
  trim() {
    const n = this.messages.length - KEEP;
    if (n < KEEP / 4) return 0;
    this.messages.splice(0, n);
    this.first = this.messages[0].n;
    this.more = true;
    return n;
  }

  // prepend takes an older page.
  prepend(list) {
    const older = list.filter((m) => m.n < this.first);
    this.messages.unshift(...older);
    if (older.length) this.first = older[0].n;
    return older;
  }

  // restart forgets all messages: too many were missed.
  restart() {
    this.messages = [];
    this.ahead.clear();
    this.last = this.first = 0;
  }
}
