/** The list of movements found, each a button that shows it again. */

import { KEPT_MS } from './memory.js';

const ANNOUNCE_MS = 2_000;

const key = (movement) => `${movement.face}:${movement.apex_ms}:${movement.codes}`;

/** Return what a movement is called, for people. */
export function nameMovement(movement, units) {
  const names = new Map(units.map(({ code, name }) => [code, name]));
  return movement.codes.map((code) => names.get(code) ?? `AU ${code}`).join(', ');
}

export class MovementList {
  /** @param onChoose called with the movement that was chosen. */
  constructor(units, onChoose) {
    this.units = units;
    this.onChoose = onChoose;
    this.list = document.getElementById('movements');
    this.nothing = document.getElementById('no-movements');
    this.announcement = document.getElementById('announcement');
    this.items = new Map();
    this.announcedMs = 0;
  }

  /** Return the movements of the last minute. */
  get all() {
    return [...this.items.values()].map(({ movement }) => movement);
  }

  /** Take in the movements of a snapshot, and drop those that can no longer be watched. */
  update(movements, nowMs) {
    for (const movement of movements) {
      if (!this.items.has(key(movement)) && nowMs - movement.apex_ms < KEPT_MS) this.#add(movement);
    }
    for (const [name, { movement, item, numbers }] of this.items) {
      const ago = nowMs - movement.apex_ms;
      if (ago > KEPT_MS - 1_000) {
        item.remove();
        this.items.delete(name);
      } else {
        const text = `${movement.micro ? 'micro, ' : ''}${seconds(movement)} s, peak ${movement.peak.toFixed(2)}, ${Math.round(ago / 1000)} s ago`;
        if (numbers.textContent !== text) numbers.textContent = text;
      }
    }
    this.nothing.hidden = this.items.size > 0;
  }

  clear() {
    for (const { item } of this.items.values()) item.remove();
    this.items.clear();
  }

  /** Mark the movement that is watched again; none without one. */
  mark(chosen) {
    for (const { movement, item } of this.items.values()) {
      item.firstElementChild.setAttribute('aria-current', String(movement === chosen));
    }
  }

  #add(movement) {
    const item = document.getElementById('movement').content.firstElementChild.cloneNode(true);
    const button = item.firstElementChild;
    button.classList.toggle('micro', movement.micro);
    button.querySelector('.codes').textContent = `AU ${movement.codes.join(' + ')}`;
    button.querySelector('.names').textContent = nameMovement(movement, this.units);
    button.addEventListener('click', () => this.onChoose(movement));
    this.items.set(key(movement), { movement, item, numbers: button.querySelector('.numbers') });
    this.list.prepend(item);
    this.#announce(movement);
  }

  #announce(movement) {
    // A screen reader reads each announcement to its end: not more than it can.
    const now = performance.now();
    if (now - this.announcedMs < ANNOUNCE_MS) return;
    this.announcedMs = now;
    this.announcement.textContent = `${movement.micro ? 'Micro movement' : 'Movement'}: ${nameMovement(movement, this.units)}`;
  }
}

const seconds = (movement) => ((movement.offset_ms - movement.onset_ms) / 1000).toFixed(2);
