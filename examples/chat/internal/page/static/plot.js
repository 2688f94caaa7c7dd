// SPDX-License-Identifier: Apache-2.0

// The last minute as a small picture: messages a second as bars, latency as a line.
const SECONDS = 60;

export class Plot {
  constructor(canvas, rate, delay) {
    Object.assign(this, { canvas, rate, delay, counts: [0], delays: [[]] });
    setInterval(() => this.tick(), 1000);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  message(n = 1) { this.counts[this.counts.length - 1] += n; }

  latency(ms) { this.delays[this.delays.length - 1].push(ms); }

  tick() {
    this.rate.textContent = this.counts.at(-1);
    const newest = this.delays.findLast((d) => d.length);
    if (newest) {
      const ms = middle(newest);
      this.delay.textContent = `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
    }
    this.counts.push(0);
    this.delays.push([]);
    if (this.counts.length > SECONDS) this.counts.shift();
    if (this.delays.length > SECONDS) this.delays.shift();
    if (!document.hidden) this.draw();
  }

  draw() {
    const { canvas } = this, scale = devicePixelRatio, w = canvas.clientWidth, h = canvas.clientHeight;
    if (!w) return;
    canvas.width = w * scale;
    canvas.height = h * scale;
    const g = canvas.getContext("2d"), color = getComputedStyle(this.rate.parentElement.querySelector(".key")).backgroundColor;
    const other = getComputedStyle(this.delay.parentElement.querySelector(".key")).backgroundColor;
    const ink = getComputedStyle(canvas).color;
    g.scale(scale, scale);
    g.globalAlpha = 0.15;
    g.fillStyle = ink;
    for (const y of [0.5, h / 2, h - 1]) g.fillRect(0, Math.floor(y), w, 1);
    g.globalAlpha = 0.8;
    g.fillStyle = color;
    const step = w / SECONDS, top = Math.max(4, ...this.counts);
    this.counts.forEach((n, i) => {
      const high = (n / top) * (h - 6), x = w - (this.counts.length - i) * step;
      if (n) g.fillRect(x, h - high, Math.max(step - 1, 1), high);
    });
    this.line(g, other, w, h, step);
  }

  line(g, color, w, h, step) {
    const points = this.delays.map((d, i) => [w - (this.delays.length - i - 0.5) * step, d.length ? middle(d) : null]).filter((p) => p[1] !== null);
    const top = Math.max(5, ...points.map((p) => p[1])) * 1.15;
    g.globalAlpha = 1;
    g.strokeStyle = g.fillStyle = color;
    g.lineWidth = 1.75;
    g.lineJoin = "round";
    g.beginPath();
    for (const [x, ms] of points) g.lineTo(x, h - 3 - (ms / top) * (h - 8));
    g.stroke();
    if (points.length) {
      const [x, ms] = points.at(-1);
      g.beginPath();
      g.arc(x, h - 3 - (ms / top) * (h - 8), 2.5, 0, 7);
      g.fill();
    }
  }
}

function middle(list) { return list.toSorted((a, b) => a - b)[list.length >> 1]; }
