/** One face: its pictures and the bars of its units. */

import { Timeline } from './timeline.js';

const SIDE = 128;
const HELD_MS = 1_000;
const ARIA_MS = 1_000;
const INVISIBLE = 1e-4;

/** Intensity to length of a bar: most intensities are small, and a square root shows them. */
export const toLength = (intensity) => Math.sqrt(Math.min(Math.max(intensity, 0), 1));

const clone = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);

/** Circle points that are given as shares of the picture. */
function drawLandmarks(context, landmarks) {
  context.strokeStyle = 'rgb(120, 230, 140)';
  for (const [column, row] of landmarks) {
    context.beginPath();
    context.arc(SIDE * column, SIDE * row, 2, 0, 2 * Math.PI);
    context.stroke();
  }
}

class UnitRow {
  constructor({ code, name }) {
    this.element = clone('unit');
    this.element.querySelector('.code').textContent = code;
    this.element.querySelector('.name').textContent = name;
    this.confidence = this.element.querySelector('.confidence');
    this.bars = ['left', 'right'].map((side) => {
      const bar = this.element.querySelector(`.${side}`);
      bar.setAttribute('aria-label', `AU ${code} ${name}, ${side}`);
      return { side, bar, fill: bar.querySelector('.fill'), peak: bar.querySelector('.peak'), limit: bar.querySelector('.limit') };
    });
  }

  /** Show intensities and their highest of late, `[left, right]` each. */
  show(intensities, peaks, active, confidence, threshold, spoken) {
    this.element.classList.toggle('active', active);
    this.confidence.textContent = active ? `${Math.round(100 * confidence)} %` : '';
    this.bars.forEach(({ side, bar, fill, peak, limit }, index) => {
      fill.style.transform = `scaleX(${toLength(intensities[index])})`;
      peak.hidden = peaks[index] < INVISIBLE;
      peak.style[side] = `calc(${100 * toLength(peaks[index])}% - 2px)`;
      limit.hidden = threshold === undefined;
      if (threshold !== undefined) limit.style[side] = `${100 * toLength(threshold)}%`;
      if (!spoken) return;
      bar.setAttribute('aria-valuenow', intensities[index].toFixed(3));
      bar.setAttribute('aria-valuetext', `${intensities[index].toFixed(3)}${active ? ', active' : ''}`);
    });
  }
}

export class FaceCard {
  /**
   * @param units code and name of each.
   * @param index which of the faces in a snapshot it shows.
   * @param onMoment called with a time in ms that was clicked on the timeline.
   */
  constructor(units, index, onMoment) {
    this.index = index;
    this.element = clone('face');
    this.element.setAttribute('aria-label', `Face ${index + 1}`);
    this.events = this.element.querySelector('.events canvas').getContext('2d');
    this.reconstruction = this.element.querySelector('.reconstruction canvas').getContext('2d');
    this.region = this.element.querySelector('.region');
    this.rows = units.map((unit) => new UnitRow(unit));
    this.element.querySelector('tbody').append(...this.rows.map((row) => row.element));
    this.timeline = new Timeline(this.element.querySelector('.timeline canvas'), units, index, onMoment);
    this.spokenMs = 0;
  }

  /** Show the face as it was in a snapshot, whose pictures are already decoded. */
  show(snapshot, pictures, memory, thresholds) {
    const face = snapshot.faces[this.index];
    this.events.drawImage(pictures, 0, this.index * SIDE, SIDE, SIDE, 0, 0, SIDE, SIDE);
    this.reconstruction.drawImage(pictures, SIDE, this.index * SIDE, SIDE, SIDE, 0, 0, SIDE, SIDE);
    drawLandmarks(this.events, face.landmarks ?? []);
    const turned = face.roll_deg ? `, turned by ${face.roll_deg.toFixed(0)}°` : '';
    this.region.textContent = face.region
      ? `${face.region[2]} × ${face.region[3]} at ${face.region[0]}, ${face.region[1]}${turned}`
      : 'whole sensor';
    if (!face.left) return;
    const now = performance.now();
    const spoken = now - this.spokenMs > ARIA_MS;
    if (spoken) this.spokenMs = now;
    const recent = memory
      .between(snapshot.time_ms - HELD_MS, snapshot.time_ms)
      .map((one) => one.faces[this.index])
      .filter((one) => one?.id === face.id && one.left);
    this.rows.forEach((row, unit) => {
      const peaks = ['left', 'right'].map((side) => Math.max(0, ...recent.map((one) => one[side][unit])));
      row.show([face.left[unit], face.right[unit]], peaks, face.active[unit], face.confidence[unit], thresholds?.[unit], spoken);
    });
  }
}
