/**
 * Open GET streams as clients have them: raw sockets that read into one buffer. Ten thousand of them in this process
 * take little of the machine from the server. Data is examined and not kept.
 */
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';

/** A loopback address has some 28,000 ports to connect from. */
const STREAMS_EACH = 20_000;
const READ_BYTES = 65_536;
const TOGETHER = 64;

export class GetStreams {
  readonly #sockets: Socket[] = [];
  readonly #buffer = Buffer.alloc(READ_BYTES);
  #wanted = '';
  #arrived: number[] = [];
  #whole: (() => void) | undefined;
  #closed: Error | undefined;
  #failed: ((error: Error) => void) | undefined;

  get count(): number {
    return this.#sockets.length;
  }

  /** One stream in each of the sessions. */
  async open(port: number, sessionIds: readonly string[]): Promise<void> {
    for (let from = 0; from < sessionIds.length; from += TOGETHER) {
      await Promise.all(sessionIds.slice(from, from + TOGETHER).map((id, n) => this.#open(port, id, from + n)));
    }
  }

  async #open(port: number, sessionId: string, number: number): Promise<void> {
    let begun: (() => void) | undefined;
    const first = new Promise<void>((resolve) => (begun = resolve));
    const localAddress = `127.0.0.${String(2 + Math.floor(number / STREAMS_EACH))}`;
    const socket = connect({
      port,
      host: '127.0.0.1',
      localAddress,
      onread: {
        buffer: this.#buffer,
        callback: (bytes) => {
          begun?.();
          begun = undefined;
          this.#read(bytes);
          return true;
        },
      },
    });
    await once(socket, 'connect');
    this.#sockets.push(socket);
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the server closed a GET stream')));
    socket.write(
      `GET /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\nmcp-session-id: ${sessionId}\r\n` +
        'mcp-protocol-version: 2025-11-25\r\n\r\n',
    );
    await first;
  }

  #read(bytes: number): void {
    if (this.#wanted === '' || !this.#buffer.toString('latin1', 0, bytes).includes(this.#wanted)) return;
    this.#arrived.push(Number(process.hrtime.bigint()));
    if (this.#arrived.length === this.#sockets.length) this.#whole?.();
  }

  /** When each stream had a message with this text: ns of the clock that all processes of the machine share. */
  async all(text: string, meanwhile: () => Promise<void>): Promise<number[]> {
    if (this.#closed !== undefined) throw this.#closed;
    this.#wanted = text;
    this.#arrived = [];
    const whole = new Promise<void>((resolve, reject) => {
      this.#whole = resolve;
      this.#failed = reject;
    });
    await Promise.all([whole, meanwhile()]);
    this.#wanted = '';
    return this.#arrived;
  }

  close(): void {
    for (const socket of this.#sockets) socket.removeAllListeners('close').destroy();
  }

  #fail(error: Error): void {
    this.#closed = error;
    this.#failed?.(error);
  }
}
