/**
 * A connection for answers of megabytes, which are read into one buffer and counted or returned. Its CPU time is taken
 * from the cores of the server.
 */
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';

const READ_BYTES = 262_144;
/** The end of a chunked answer. */
const END = Buffer.from('\r\n0\r\n\r\n');

export class BigExchange {
  readonly #socket: Socket;
  readonly #buffer: Buffer;
  #bytes = 0;
  #length: number | undefined;
  #tail = Buffer.alloc(0);
  #text: string[] | undefined;
  #done: ((text: string) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;

  private constructor(port: number) {
    this.#buffer = Buffer.alloc(READ_BYTES);
    this.#socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer: this.#buffer,
        callback: (bytes) => {
          this.#read(this.#buffer.subarray(0, bytes));
          return true;
        },
      },
    });
    this.#socket.on('error', (error) => this.#failed?.(error));
    this.#socket.on('close', () => this.#failed?.(new Error('the server cut an answer off')));
  }

  static async open(port: number): Promise<BigExchange> {
    const exchange = new BigExchange(port);
    await once(exchange.#socket, 'connect');
    return exchange;
  }

  /** Resolves when the answer is complete: with its text if `kept`, else with its end. */
  send(request: Buffer, kept = false): Promise<string> {
    this.#bytes = 0;
    this.#length = undefined;
    this.#tail = Buffer.alloc(0);
    this.#text = kept ? [] : undefined;
    return new Promise((resolve, reject) => {
      this.#done = resolve;
      this.#failed = reject;
      this.#socket.write(request);
    });
  }

  #read(chunk: Buffer): void {
    if (this.#bytes === 0) this.#length = wholeLength(chunk);
    this.#bytes += chunk.length;
    this.#text?.push(chunk.toString('latin1'));
    const seen = chunk.length >= END.length ? chunk : Buffer.concat([this.#tail, chunk]);
    this.#tail = Buffer.from(seen.subarray(-END.length));
    if (this.#length === undefined ? this.#tail.equals(END) : this.#bytes >= this.#length) {
      const done = this.#done;
      this.#failed = undefined;
      done?.(this.#text?.join('') ?? seen.subarray(-200).toString('latin1'));
    }
  }

  close(): void {
    this.#failed = undefined;
    this.#socket.destroy();
  }
}

/** The length of head and body, where the head states it. */
function wholeLength(first: Buffer): number | undefined {
  const end = first.indexOf('\r\n\r\n');
  const length = /\r\ncontent-length: (\d+)/i.exec(first.toString('latin1', 0, end))?.[1];
  return length === undefined ? undefined : end + 4 + Number(length);
}
