/** The top of the page: state in words, latency, events, losses, clock, notices of nodes. */

const CLOCKS = {
  NONE: 'not tied to frames',
  SOFTWARE: 'software',
  TRIGGER: 'triggers',
  SHARED_CLOCK: 'one device',
};
const STATES = {
  OK: ['Reading the face', 'good'],
  NO_FACE: ['No face is found', 'care'],
  TOO_FEW_EVENTS: ['Nothing moves, or the light is dim', 'good'],
  HEAD_MOVING: ['The head moves: units may come from it', 'care'],
  WARMING_UP: ['A face was found: warming up', 'care'],
  STALE: ['No events come from the camera', 'care'],
};
const LOSSES = [
  ['event_camera', 'lost', 'by the camera'],
  ['synchronizer', 'lost_packets', 'packets'],
  ['synchronizer', 'late_events', 'late events'],
  ['au_classifier', 'missed_slices', 'missed slices'],
];

const element = (id) => document.getElementById(id);
const put = (id, text) => {
  if (element(id).textContent !== text) element(id).textContent = text;
};

/** Say in words what state the pipeline is in. */
export function showState(words, tone) {
  put('state-words', words);
  element('state').dataset.tone = tone;
}

/** Say in words what a snapshot says about its faces. */
export function showFaceState(snapshot) {
  const status = snapshot.faces[0]?.status;
  const [words, tone] = status ? STATES[status] : snapshot.faces[0]?.id ? ['A face was found', 'good'] : STATES.NO_FACE;
  const count = snapshot.faces.length;
  showState(count > 1 ? `${count} faces. ${words}` : words, tone);
}

/** Show the numbers; `recent` are the snapshots of the last second. */
export function showHealth(snapshot, recent) {
  const latencies = recent.map((one) => one.faces[0]?.latency_ms).filter(Boolean);
  latencies.sort((one, other) => one - other);
  const median = latencies[latencies.length >> 1];
  put('latency', median ? `${median.toFixed(1)} ms` : '–');
  const events = recent.flatMap((one) => one.faces).reduce((sum, face) => sum + face.events, 0);
  put('events', `${Math.round(events / 1000)} k/s`);
  const losses = LOSSES.map(([node, name, words]) => [Number(snapshot.nodes[node]?.[name] ?? 0), words]);
  const lost = losses.filter(([count]) => count > 0).map(([count, words]) => `${count} ${words}`);
  put('losses', lost.join(', ') || 'nothing');
  const error = snapshot.clock_error_ms;
  const spread = error === null ? ', stamps mean nothing' : snapshot.clock === 'NONE' ? '' : ` ± ${error.toFixed(2)} ms`;
  put('clock', CLOCKS[snapshot.clock] + spread);
}

/** Show what nodes warn of. */
export function showNotices(nodes) {
  const lines = Object.entries(nodes)
    .filter(([, node]) => node.level > 0)
    .map(([name, node]) => `${name}: ${node.message}`);
  // The list is inside of what is read out: with a role of its own, it would be no list.
  const list = element('notices').firstElementChild;
  if (list.dataset.lines === lines.join('\n')) return;
  list.dataset.lines = lines.join('\n');
  list.replaceChildren(
    ...lines.map((line) => Object.assign(document.createElement('li'), { textContent: line })),
  );
}
