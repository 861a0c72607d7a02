/** A server process with a small heap. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const SERVER = fileURLToPath(new URL('small-heap.mjs', import.meta.url));

export interface Measured {
  readonly heapBytes: number;
  readonly rows: Readonly<Record<string, number>>;
  readonly sessions: number;
}

export class SmallHeap {
  readonly #child: ChildProcess;
  #output = '';
  readonly closed: Promise<unknown>;
  #question = 0;
  port = 0;

  /** `store`: a path for SQLite, or the URL of a Redis; the memory store without it. */
  static async start(options: object, heapMb: number, store?: string): Promise<SmallHeap> {
    const started = new SmallHeap(options, heapMb, store);
    const [text] = (await Promise.race([
      once(started.#child.stdout as NodeJS.ReadableStream, 'data'),
      started.closed.then(() => []),
    ])) as [Buffer?];
    started.port = Number(text?.toString());
    return started;
  }

  private constructor(options: object, heapMb: number, store: string | undefined) {
    const execArgv = [`--max-old-space-size=${heapMb}`, '--expose-gc'];
    const args = [JSON.stringify(options), ...(store === undefined ? [] : [store])];
    this.#child = fork(SERVER, args, { execArgv, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    this.closed = once(this.#child, 'close');
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#output = (this.#output + text).slice(-4_000);
    });
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get output(): string {
    return this.#output;
  }

  /** What it holds after a collection. Never resolves where the process has ended. */
  measure(): Promise<Measured> {
    const question = ++this.#question;
    const answer = new Promise<Measured>((resolve) => {
      const heard = (message: Measured & { question: number }): void => {
        if (message.question !== question) return;
        this.#child.off('message', heard);
        resolve(message);
      };
      this.#child.on('message', heard);
    });
    if (this.alive) this.#child.send(question, () => {});
    return answer;
  }

  async end(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.closed;
  }
}

export const sumOf = (rows: Measured['rows']): number => Object.values(rows).reduce((all, one) => all + one, 0);
