/**
 * One connection on which bytes are written and responses are read, one after the other; opened anew when it was
 * closed.
 */
import { connect, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

const TIMEOUT_MS = 10_000;

export class RawConnection {
  readonly #port: number;
  #socket: Socket | undefined;
  #read = '';
  #wake: () => void = () => {};

  constructor(port: number) {
    this.#port = port;
    onTestFinished(() => void this.#socket?.destroy());
  }

  /** The status of the answer; `'hang'`, or `'closed'`: none came. A stream is left after its head. */
  async ask(bytes: Buffer): Promise<number | 'hang' | 'closed'> {
    const socket = (this.#socket ??= this.#open());
    this.#read = '';
    socket.write(bytes);
    const deadline = performance.now() + TIMEOUT_MS;
    for (;;) {
      const status = /^HTTP\/1\.1 (\d+)/.exec(this.#read)?.[1];
      if (status === '100') this.#read = this.#read.replace(/^.*?\r\n\r\n/s, '');
      else if (status !== undefined && this.#isWhole()) return Number(status);
      if (this.#socket !== socket) return status === undefined ? 'closed' : Number(status);
      if (performance.now() > deadline) return 'hang';
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, 1_000).unref();
      });
    }
  }

  #open(): Socket {
    const socket = connect(this.#port, '127.0.0.1');
    const closed = (): void => {
      if (this.#socket === socket) this.#socket = undefined;
      this.#wake();
    };
    socket.setEncoding('latin1').on('data', (text) => {
      if (this.#socket === socket) this.#read += String(text);
      this.#wake();
    });
    socket.on('close', closed).on('end', closed).on('error', closed);
    return socket;
  }

  #isWhole(): boolean {
    const [head, body] = splitHead(this.#read);
    if (body === undefined) return false;
    if (/^content-type: text\/event-stream/im.test(head) || /^connection: close/im.test(head)) {
      const socket = this.#socket;
      this.#socket = undefined;
      socket?.destroy();
      return true;
    }
    const length = /^content-length: (\d+)/im.exec(head)?.[1];
    if (length !== undefined) return body.length >= Number(length);
    return !/^transfer-encoding: chunked/im.test(head) || body.endsWith('0\r\n\r\n');
  }
}

function splitHead(text: string): [head: string, body: string | undefined] {
  const end = text.indexOf('\r\n\r\n');
  return end === -1 ? [text, undefined] : [text.slice(0, end), text.slice(end + 4)];
}
