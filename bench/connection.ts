import { once } from 'node:events';
import { type Socket, connect } from 'node:net';

interface Answer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

const answerMsMost = 20_000;

/**
 * One keep-alive connection, and so one worker: requests one after the other, written as bytes. It reads no more of an
 * answer than it must, which keeps the client cheap beside its servers.
 */
export class Connection {
  readonly #socket: Socket;
  #received = '';
  #waiting: { resolve(answer: Answer): void; reject(error: Error): void } | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.#received += text;
      this.#read();
    });
    socket.on('error', (error) => this.#waiting?.reject(error));
    socket.on('close', () => this.#waiting?.reject(new Error('the server closed a connection of the load client')));
  }

  static async open(port: number): Promise<Connection> {
    const socket = connect(port, '127.0.0.1');
    socket.setNoDelay(true);
    socket.setTimeout(answerMsMost, () => socket.destroy(new Error('no answer')));
    await once(socket, 'connect');
    return new Connection(socket);
  }

  async send(bytes: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(bytes, 'latin1');
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(): void {
    const end = this.#received.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = this.#received.slice(0, end);
    const body = bodyOf(head, this.#received, end + 4);
    if (body === undefined) return;
    const waiting = this.#waiting;
    this.#received = '';
    this.#waiting = undefined;
    waiting?.resolve({ status: Number(head.slice(9, 12)), head, body });
  }
}

/** `undefined`: not all of it is here. */
function bodyOf(head: string, received: string, from: number): string | undefined {
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  if (length !== undefined) {
    return received.length < from + Number(length) ? undefined : received.slice(from, from + Number(length));
  }
  if (!/\r\ntransfer-encoding: chunked/i.test(head)) return '';
  return received.endsWith('0\r\n\r\n') ? received.slice(from) : undefined;
}
