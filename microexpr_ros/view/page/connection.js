/** The WebSocket to the server: opened again whenever it is lost. */

const SOCKET_PATH = '/snapshots';
const WRONG_TOKEN = 4401;
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 4000;

/** Return the values of a snapshot, with its pictures as `jpeg`; snapshots.py has the format. */
export function readSnapshot(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const values = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  values.jpeg = new Blob([new Uint8Array(buffer, 4 + length)], { type: 'image/jpeg' });
  return values;
}

export class Connection {
  /**
   * @param onSnapshot called with each snapshot; returns a promise that ends when it is drawn.
   * @param onChange called with `open`, `lost` or `token`: a token is needed, or another one.
   */
  constructor(onSnapshot, onChange) {
    this.onSnapshot = onSnapshot;
    this.onChange = onChange;
    this.delayMs = FIRST_DELAY_MS;
    // Behind the # it is sent to no server, and not kept in the address.
    this.token = new URLSearchParams(location.hash.slice(1)).get('token') ?? sessionStorage.getItem('token') ?? '';
    if (location.hash.startsWith('#token=')) history.replaceState(null, '', location.pathname);
  }

  open() {
    const address = new URL(SOCKET_PATH, location.href);
    address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(address);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      // A server without a token takes this for a word that something was drawn.
      socket.send(this.token);
      this.onChange('open');
    };
    socket.onmessage = async ({ data }) => {
      this.delayMs = FIRST_DELAY_MS;
      sessionStorage.setItem('token', this.token);
      try {
        await this.onSnapshot(readSnapshot(data));
      } finally {
        // The server sends the next only to those who have drawn.
        if (socket.readyState === WebSocket.OPEN) socket.send('drawn');
      }
    };
    socket.onclose = ({ code }) => {
      if (code === WRONG_TOKEN) {
        this.onChange('token');
        return;
      }
      this.onChange('lost');
      setTimeout(() => this.open(), this.delayMs);
      this.delayMs = Math.min(2 * this.delayMs, LONGEST_DELAY_MS);
    };
  }

  /** Try again with another token. */
  useToken(token) {
    this.token = token;
    this.open();
  }
}
