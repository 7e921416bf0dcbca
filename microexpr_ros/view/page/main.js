/** The live page: snapshots come in, go into memory, and are shown live or again. */

import { Connection } from './connection.js';
import { FaceCard } from './face.js';
import { showFaceState, showHealth, showNotices, showState } from './health.js';
import { Memory } from './memory.js';
import { ExpressionList, nameExpression } from './expressions.js';

const AROUND_MS = 1_000;
const SLOW = 0.25;
const SILENT_MS = 1_500;
const TIMELINE_MS = 80;

const element = (id) => document.getElementById(id);
const units = await (await fetch('/units.json')).json();

const memory = new Memory();
const cards = [];
const expressions = new ExpressionList(units, (expression) => watchAgain(expression.apex_ms, expression));
let shown; // The snapshot on the screen.
let replay; // { from, to, time, expression } of what is watched again.
let paused = false;
let slow = false;
let heardMs = 0;
let drawnTimelineMs = 0;

async function show(snapshot) {
  const pictures = await createImageBitmap(snapshot.jpeg);
  while (cards.length < snapshot.faces.length) {
    cards.push(new FaceCard(units, cards.length, watchAgain));
    element('faces').append(cards.at(-1).element);
  }
  const limits = snapshot.nodes.au_classifier?.thresholds;
  const thresholds = limits?.split(' ').map(Number);
  cards.forEach((card, index) => {
    card.element.hidden = index > 0 && index >= snapshot.faces.length;
    if (index < snapshot.faces.length) card.show(snapshot, pictures, memory, thresholds);
  });
  pictures.close();
  shown = snapshot;
}

function drawTimelines() {
  const now = performance.now();
  if (now - drawnTimelineMs < TIMELINE_MS || !memory.newest) return;
  drawnTimelineMs = now;
  const marked = replay && [replay.from, replay.to];
  const cursor = replay || paused ? shown?.time_ms : undefined;
  const right = paused && shown && !replay ? Math.max(shown.time_ms, pausedMs) : memory.newest.time_ms;
  for (const card of cards) card.timeline.draw(memory, expressions.all, right, marked, cursor);
}

async function onSnapshot(snapshot) {
  heardMs = performance.now();
  memory.add(snapshot);
  expressions.update(snapshot.expressions, snapshot.time_ms);
  if (document.hidden) return;
  showHealth(snapshot, memory.between(snapshot.time_ms - 1_000, snapshot.time_ms));
  showNotices(snapshot.nodes);
  showFaceState(snapshot);
  if (!paused && !replay) await show(snapshot);
  drawTimelines();
}

// Watching again.

function watchAgain(time, expression) {
  if (!memory.newest) return;
  const to = Math.min(time + AROUND_MS, Math.max(memory.newest.time_ms, time));
  replay = { from: time - AROUND_MS, to, time: time - AROUND_MS, frameMs: undefined, expression };
  expressions.mark(expression);
  element('replay').hidden = false;
  element('replay-words').textContent = expression
    ? `Again: ${nameExpression(expression, units)}`
    : 'Again: two seconds around that moment';
  requestAnimationFrame(playAgain);
}

async function playAgain(frameMs) {
  if (!replay) return;
  const running = replay;
  // What comes after the apex of an expression just found is still on its way.
  const to = Math.min(running.from + 2 * AROUND_MS, memory.newest.time_ms);
  if (!paused) running.time += (slow ? SLOW : 1) * (frameMs - (running.frameMs ?? frameMs));
  running.frameMs = frameMs;
  if (running.time > to) running.time = running.from;
  const snapshot = memory.at(running.time) ?? memory.snapshots[0];
  if (snapshot !== shown) await show(snapshot);
  drawTimelines();
  if (replay === running) requestAnimationFrame(playAgain);
}

function goLive() {
  replay = undefined;
  expressions.mark(undefined);
  // A button that disappears must not take the focus with it.
  if (element('replay').contains(document.activeElement)) element('pause').focus();
  element('replay').hidden = true;
  setPaused(false);
}

function setSlow(value) {
  slow = value;
  element('slow').setAttribute('aria-pressed', String(slow));
}

// Pausing.

let pausedMs = 0;

function setPaused(value) {
  paused = value;
  pausedMs = memory.newest?.time_ms ?? 0;
  element('pause').setAttribute('aria-pressed', String(paused));
}

async function step(count) {
  const next = shown && memory.step(shown, count);
  if (!next || next === shown) return;
  if (replay) replay.time = next.time_ms;
  await show(next);
  drawTimelines();
}

// The controls.

element('pause').addEventListener('click', () => setPaused(!paused));
element('slow').addEventListener('click', () => setSlow(!slow));
element('live').addEventListener('click', goLive);
document.addEventListener('keydown', (event) => {
  if (event.target.matches('input') || event.ctrlKey || event.altKey || event.metaKey) return;
  const actions = {
    p: () => setPaused(!paused),
    s: () => setSlow(!slow),
    Escape: goLive,
    ...(paused && { ArrowLeft: () => step(-1), ArrowRight: () => step(1) }),
  };
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
element('token-form').addEventListener('submit', (event) => {
  event.preventDefault();
  connection.useToken(element('token').value);
});

// The connection.

let connected = false;

function onChange(state) {
  connected = state === 'open';
  element('token-form').hidden = state !== 'token';
  if (state === 'token') {
    showState('This page needs a token', 'care');
    element('token').focus();
  } else {
    sayWaiting();
  }
}

function sayWaiting() {
  showState(`Waiting for the pipeline${connected ? '' : ', which is not reached'}`, 'care');
}

setInterval(() => {
  if (connected && performance.now() - heardMs > SILENT_MS) sayWaiting();
}, 500);

const connection = new Connection(onSnapshot, onChange);
connection.open();
