/** The last minute of snapshots, so that a movement can be watched again.
 *
 * Time goes on here where it leaps in the snapshots: a recording may begin again, or another camera.
 */

export const KEPT_MS = 60_000;
const LEAP_MS = 5_000;
const STEP_MS = 40;

export class Memory {
  constructor() {
    this.snapshots = [];
    this.leaps = []; // Times at which another stretch begins.
    this.stretch = 0;
    this.offsetMs = 0;
  }

  get newest() {
    return this.snapshots.at(-1);
  }

  /** Take in the next snapshot, and change its times to those that go on. */
  add(snapshot) {
    snapshot.time_ms += this.offsetMs;
    const step = this.newest ? snapshot.time_ms - this.newest.time_ms : 0;
    if (step < 0 || step > LEAP_MS) {
      this.offsetMs += STEP_MS - step;
      snapshot.time_ms += STEP_MS - step;
      this.leaps.push(snapshot.time_ms);
      this.stretch += 1;
    }
    for (const expression of snapshot.expressions) {
      expression.stretch = this.stretch;
      for (const name of ['onset_ms', 'apex_ms', 'offset_ms']) expression[name] += this.offsetMs;
    }
    this.snapshots.push(snapshot);
    const oldest = snapshot.time_ms - KEPT_MS;
    while (this.snapshots[0].time_ms < oldest) this.snapshots.shift();
    while (this.leaps[0] < oldest) this.leaps.shift();
  }

  /** Return the snapshots from one time to another, both in ms. */
  between(from, to) {
    return this.snapshots.slice(this.#after(from), this.#after(to + 1e-3));
  }

  /** Return the snapshot that was shown at a time, undefined before the first. */
  at(time) {
    return this.snapshots[this.#after(time + 1e-3) - 1];
  }

  /** Return the snapshot that many before (negative) or after another. */
  step(snapshot, count) {
    const last = this.snapshots.length - 1;
    const index = Math.max(this.#after(snapshot.time_ms + 1e-3) - 1, 0) + count;
    return this.snapshots[Math.min(Math.max(index, 0), last)];
  }

  /** Return the index of the first snapshot at or after a time. */
  #after(time) {
    let low = 0;
    let high = this.snapshots.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.snapshots[middle].time_ms < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
