/** The list of expressions found, each a button that shows it again. */

import { KEPT_MS } from './memory.js';

const ANNOUNCE_MS = 2_000;

const key = (expression) => `${expression.stretch}:${expression.face}:${expression.apex_ms}:${expression.codes}`;

/** Return what an expression is called, for people. */
export function nameExpression(expression, units) {
  const names = new Map(units.map(({ code, name }) => [code, name]));
  return expression.codes.map((code) => names.get(code) ?? `AU ${code}`).join(', ');
}

export class ExpressionList {
  /** @param onChoose called with the expression that was chosen. */
  constructor(units, onChoose) {
    this.units = units;
    this.onChoose = onChoose;
    this.list = document.getElementById('movements');
    this.nothing = document.getElementById('no-movements');
    this.announcement = document.getElementById('announcement');
    this.items = new Map();
    this.announcedMs = 0;
  }

  /** Return the expressions of the last minute. */
  get all() {
    return [...this.items.values()].map(({ expression }) => expression);
  }

  /** Take in the expressions of a snapshot, and drop those that can no longer be watched. */
  update(expressions, nowMs) {
    for (const expression of expressions) {
      if (!this.items.has(key(expression)) && nowMs - expression.apex_ms < KEPT_MS) this.#add(expression);
    }
    for (const [name, { expression, item, age }] of this.items) {
      const ago = nowMs - expression.apex_ms;
      if (ago > KEPT_MS - 1_000) {
        // The list ends with the oldest: what stands before it takes the focus.
        if (item.contains(document.activeElement)) item.previousElementSibling?.firstElementChild.focus();
        item.remove();
        this.items.delete(name);
      } else {
        const text = `${Math.max(Math.round(ago / 1000), 0)} s ago`;
        if (age.textContent !== text) age.textContent = text;
      }
    }
    this.nothing.hidden = this.items.size > 0;
  }

  /** Mark the expression that is watched again; none without one. */
  mark(chosen) {
    for (const { expression, item } of this.items.values()) {
      item.firstElementChild.setAttribute('aria-current', String(expression === chosen));
    }
  }

  #add(expression) {
    const item = document.getElementById('movement').content.firstElementChild.cloneNode(true);
    const button = item.firstElementChild;
    button.classList.toggle('micro', expression.micro);
    button.querySelector('.codes').textContent = `AU ${expression.codes.join(' + ')}`;
    button.querySelector('.names').textContent = nameExpression(expression, this.units);
    const peak = `peak ${expression.peak.toFixed(2)}`;
    button.querySelector('.numbers').textContent = `${expression.micro ? 'micro, ' : ''}${seconds(expression)} s, ${peak}`;
    button.addEventListener('click', () => this.onChoose(expression));
    this.items.set(key(expression), { expression, item, age: button.querySelector('.age') });
    this.list.prepend(item);
    this.#announce(expression);
  }

  #announce(expression) {
    // A screen reader reads each announcement to its end: not more than it can.
    const now = performance.now();
    if (now - this.announcedMs < ANNOUNCE_MS) return;
    this.announcedMs = now;
    this.announcement.textContent = `${expression.micro ? 'Micro movement' : 'Movement'}: ${nameExpression(expression, this.units)}`;
  }
}

const seconds = (expression) => ((expression.offset_ms - expression.onset_ms) / 1000).toFixed(2);
