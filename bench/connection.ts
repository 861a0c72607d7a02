import { once } from 'node:events';
import { type Socket, connect } from 'node:net';

interface Answer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

interface Waiting {
  answered(text: string): void;
  failed(error: Error): void;
}

/**
 * One keep-alive connection that sends requests one after the other. Its CPU time is taken from the cores of the
 * servers, so bytes are prepared before, and an answer as long as the previous answer is not parsed.
 */
export class Connection {
  readonly #socket: Socket;
  #received = '';
  /** The length of the last answer. */
  #usual = 0;
  #waiting: Waiting | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.#received = this.#received === '' ? text : this.#received + text;
      const { length } = this.#received;
      if (length !== this.#usual && !isWhole(this.#received)) return;
      this.#usual = length;
      const waiting = this.#waiting;
      const answer = this.#received;
      this.#received = '';
      this.#waiting = undefined;
      waiting?.answered(answer);
    });
    socket.on('error', (error) => this.#waiting?.failed(error));
    socket.on('close', () => this.#waiting?.failed(new Error('the server closed a connection of the load client')));
  }

  static async open(port: number): Promise<Connection> {
    const socket = connect(port, '127.0.0.1');
    socket.setNoDelay(true);
    await once(socket, 'connect');
    return new Connection(socket);
  }

  /** The whole answer as text. */
  write(bytes: string, waiting: Waiting): void {
    if (this.#socket.destroyed) return waiting.failed(new Error('a connection of the load client was closed'));
    this.#waiting = waiting;
    this.#socket.write(bytes, 'latin1');
  }

  /** Rejects the waiting request. */
  abort(reason: Error): void {
    this.#socket.destroy(reason);
  }

  async send(bytes: string): Promise<Answer> {
    const text = await new Promise<string>((resolve, reject) => {
      this.write(bytes, { answered: resolve, failed: reject });
    });
    const end = text.indexOf('\r\n\r\n');
    return { status: Number(text.slice(9, 12)), head: text.slice(0, end), body: text.slice(end + 4) };
  }

  close(): void {
    this.#socket.destroy();
  }
}

function isWhole(text: string): boolean {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return false;
  const head = text.slice(0, end);
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  if (length !== undefined) return text.length === end + 4 + Number(length);
  return !/\r\ntransfer-encoding: chunked/i.test(head) || text.endsWith('\r\n0\r\n\r\n');
}
