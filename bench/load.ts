/** The load client, in the process of the harness: raw sockets, and requests that are bytes before the load begins. */
import { connect, type Socket } from 'node:net';

/** What the client sends repeatedly. The id of each request is inserted between `before` and `after`. */
export interface Load {
  readonly port: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly before: string;
  readonly after: string;
}

/** The times from each request to the end of its answer, in ms. */
export type Times = readonly number[];

/** A session refuses a second request with a running id, so each connection has ids of its own. */
const BODIES = 64;
const BUFFER_BYTES = 65_536;
/** A server that answers nothing for so long is stuck. */
const SILENCE_MS = 20_000;

/** Whether the text of an answer is all of it. Throws unless its status is 200. */
function isWhole(text: string): boolean {
  const head = text.indexOf('\r\n\r\n');
  if (head < 0) return false;
  if (!text.startsWith('HTTP/1.1 200'))
    throw new Error(`a request was answered with ${text.slice(0, 500)}`);
  const [, length] = /content-length: *(\d+)/i.exec(text.slice(0, head)) ?? [];
  // An id is text of one byte for each character, and so are the answers of the works.
  return length === undefined
    ? text.endsWith('\r\n0\r\n\r\n')
    : text.length - head - 4 >= Number(length);
}

class Connection {
  readonly #requests: readonly Buffer[];
  readonly #socket: Socket;
  #next = 0;
  #got = '';
  #take: (text: string) => void = () => {};
  #fail: (error: Error) => void = () => {};

  constructor({ port, headers, before, after }: Load, firstId: number) {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const head = `POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n${lines.join('')}`;
    this.#requests = Array.from({ length: BODIES }, (_, n) => {
      const body = `${before}${firstId + n}${after}`;
      return Buffer.from(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    });
    const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
    const onread = {
      buffer,
      callback: (bytes: number): boolean => {
        this.#take(buffer.toString('latin1', 0, bytes));
        return true;
      },
    };
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true, onread });
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('close', () => this.#fail(new Error('the server closed a connection')));
    this.#socket.setTimeout(SILENCE_MS, () =>
      this.#fail(new Error(`no answer for ${SILENCE_MS} ms`)),
    );
  }

  /** Sends one request after the other as long as `goesOn` says so. Resolves with the last answer. */
  run(goesOn: () => boolean, times: number[]): Promise<void> {
    return new Promise((resolve, reject) => {
      let sentAt = 0;
      const send = (): void => {
        sentAt = performance.now();
        this.#socket.write(this.#requests[this.#next++ % BODIES] as Buffer);
      };
      this.#fail = reject;
      this.#take = (text) => {
        this.#got += text;
        try {
          if (!isWhole(this.#got)) return;
        } catch (error) {
          reject(error);
          return;
        }
        this.#got = '';
        times.push(performance.now() - sentAt);
        if (goesOn()) send();
        else resolve();
      };
      send();
    });
  }

  close(): void {
    this.#fail = () => {};
    this.#socket.destroy();
  }
}

/** Connections to one server, which stay open between the slices in which it is asked. */
export class LoadClient {
  readonly #connections: readonly Connection[];

  constructor(load: Load, connections: number) {
    this.#connections = Array.from(
      { length: connections },
      (_, n) => new Connection(load, 1 + n * BODIES),
    );
  }

  /** Asks for so long. Rejects where a request failed: its figures would say nothing. */
  async run(ms: number): Promise<Times> {
    const times: number[] = [];
    const end = performance.now() + ms;
    const goesOn = (): boolean => performance.now() < end;
    await Promise.all(this.#connections.map((connection) => connection.run(goesOn, times)));
    return times;
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }
}
