/** Intensities over the last half minute, a lane per unit, below the expressions found. */

import { toLength } from './face.js';

export const SPAN_MS = 30_000;
const GUTTER = 30;
const BAND = 52;
const BAR = 16;
const BARS = 3;
const AXIS = 17;
const NARROW = 400;
const GAP_MS = 400;
const NEAR_MS = 150;

export class Timeline {
  constructor(canvas, units, index, onMoment) {
    this.canvas = canvas;
    this.units = units;
    this.index = index;
    this.nowMs = 0;
    this.expressions = [];
    canvas.addEventListener('click', (event) => {
      const share = (event.offsetX - GUTTER) / (canvas.clientWidth - GUTTER);
      if (share < 0 || !this.nowMs) return;
      const time = this.nowMs - SPAN_MS * (1 - share);
      const hit = this.expressions.find((one) => time > one.onset_ms - NEAR_MS && time < one.offset_ms + NEAR_MS);
      onMoment(time, hit);
    });
  }

  /** Draw up to a time; `marked` is the span in ms that is watched again, `cursor` a time in it. */
  draw(memory, expressions, nowMs, marked, cursor) {
    this.nowMs = nowMs;
    this.expressions = expressions;
    const { canvas } = this;
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(`--${name}`);
    const context = canvas.getContext('2d');
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = `11px ${style.fontFamily}`;
    const x = (time) => GUTTER + (width - GUTTER) * (1 - (nowMs - time) / SPAN_MS);
    const lane = (height - BAND - AXIS) / this.units.length;

    if (marked) {
      context.fillStyle = colour('track');
      context.fillRect(x(marked[0]), 0, x(marked[1]) - x(marked[0]), height - AXIS);
    }
    this.#drawAxis(context, x, width, height, colour);
    const shown = memory.between(nowMs - SPAN_MS, nowMs).filter((one) => one.faces[this.index]?.left);
    this.units.forEach(({ code }, unit) => {
      const base = BAND + (unit + 1) * lane;
      context.fillStyle = colour('faint');
      context.textAlign = 'right';
      context.fillText(code, GUTTER - 8, base - lane / 2 + 4);
      context.fillStyle = colour('line');
      context.fillRect(GUTTER, base - 0.5, width - GUTTER, 0.5);
      this.#drawLane(context, shown, unit, x, base, lane - 1, colour);
    });
    context.save();
    context.beginPath();
    context.rect(GUTTER, 0, width - GUTTER, height);
    context.clip();
    context.fillStyle = colour('line');
    for (const leap of memory.leaps) context.fillRect(x(leap), 0, 1, height - AXIS);
    this.#drawExpressions(context, x, colour);
    if (cursor !== undefined) {
      context.fillStyle = colour('accent');
      context.fillRect(x(cursor) - 1, 0, 2, height - AXIS);
    }
    context.restore();
  }

  #drawAxis(context, x, width, height, colour) {
    context.fillStyle = colour('faint');
    const step = width < NARROW ? 10_000 : 5_000;
    for (let ago = 0; ago <= SPAN_MS; ago += step) {
      context.textAlign = ago === 0 ? 'right' : ago === SPAN_MS ? 'left' : 'center';
      context.fillText(ago ? `−${ago / 1000} s` : 'now', x(this.nowMs - ago), height - 3);
    }
  }

  #drawLane(context, shown, unit, x, base, height, colour) {
    // One path for the units at rest and one for the active, so that a lane costs two fills.
    const [resting, active] = [new Path2D(), new Path2D()];
    shown.forEach((snapshot, index) => {
      const face = snapshot.faces[this.index];
      const before = shown[index - 1]?.time_ms ?? snapshot.time_ms - 40;
      const from = x(Math.max(before, snapshot.time_ms - GAP_MS));
      const length = height * toLength(Math.max(face.left[unit], face.right[unit]));
      if (length < 0.5) return;
      (face.active[unit] ? active : resting).rect(from, base - length, x(snapshot.time_ms) - from + 0.3, length);
    });
    context.fillStyle = colour('resting');
    context.fill(resting);
    context.fillStyle = colour('accent');
    context.fill(active);
  }

  #drawExpressions(context, x, colour) {
    const ends = Array(BARS).fill(-Infinity);
    for (const expression of [...this.expressions].sort((one, other) => one.onset_ms - other.onset_ms)) {
      const [from, to] = [x(expression.onset_ms), x(expression.offset_ms)];
      const label = expression.codes.join('+');
      const free = ends.findIndex((end) => end <= from);
      const y = (free < 0 ? BARS - 1 : free) * BAR;
      context.fillStyle = colour(expression.micro ? 'micro' : 'longer');
      context.fillRect(from, y + BAR - 3, Math.max(to - from, 2), 3);
      if (free < 0) continue; // Its codes would be written over others; the list has them.
      ends[free] = Math.max(to, from + context.measureText(label).width) + 6;
      context.textAlign = 'left';
      context.fillText(label, from, y + BAR - 5);
    }
  }
}
