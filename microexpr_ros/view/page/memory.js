/** The last minute of snapshots, so that a movement can be watched again. */

export const KEPT_MS = 60_000;
const LEAP_MS = 5_000;

export class Memory {
  constructor() {
    this.snapshots = [];
  }

  get newest() {
    return this.snapshots.at(-1);
  }

  /** Take in the next snapshot; return whether a new recording begins with it. */
  add(snapshot) {
    const step = snapshot.time_ms - (this.newest?.time_ms ?? snapshot.time_ms);
    const begins = step < 0 || step > LEAP_MS;
    if (begins) this.snapshots = [];
    this.snapshots.push(snapshot);
    const oldest = snapshot.time_ms - KEPT_MS;
    while (this.snapshots[0].time_ms < oldest) this.snapshots.shift();
    return begins;
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
