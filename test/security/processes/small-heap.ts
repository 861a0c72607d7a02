/** A server process with a heap of 512 MB. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const SERVER = fileURLToPath(new URL('small-heap.mjs', import.meta.url));
/** A process of this size lives with the attacks by itself; with 256 MB, some need a proxy before it (SECURITY.md). */
const HEAP_MB = 512;

export interface Measured {
  readonly heapBytes: number;
  readonly rows: Readonly<Record<string, number>>;
  readonly sessions: number;
}

export class SmallHeap {
  readonly #child: ChildProcess;
  /** The last of what it printed as errors. */
  output = '';
  readonly closed: Promise<unknown>;
  #question = 0;
  port = 0;

  /** `store`: a path for SQLite, or the URL of a Redis or PostgreSQL; the memory store without it. */
  static async start(options: object = {}, store?: string): Promise<SmallHeap> {
    const execArgv = [`--max-old-space-size=${HEAP_MB}`, '--expose-gc'];
    const args = [JSON.stringify(options), ...(store === undefined ? [] : [store])];
    const child = fork(SERVER, args, { execArgv, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    const started = new SmallHeap(child);
    const printed = once(child.stdout as NodeJS.ReadableStream, 'data') as Promise<[Buffer]>;
    const [text] = await Promise.race([printed, started.closed.then(() => [])]);
    started.port = Number(text?.toString());
    return started;
  }

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.closed = once(child, 'close');
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.output = (this.output + text).slice(-4_000);
    });
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** What it holds after a collection. Never resolves where the process has ended. */
  measure(): Promise<Measured> {
    return this.ask('measure');
  }

  /** `rows`: what is charged, without a collection. The others tell the process of `limits/rows.test.ts` what to do. */
  ask(what: 'measure' | 'rows' | 'stall' | 'idle'): Promise<Measured> {
    const question = ++this.#question;
    const answer = new Promise<Measured>((resolve) => {
      const heard = (message: Measured & { question: number }): void => {
        if (message.question !== question) return;
        this.#child.off('message', heard);
        resolve(message);
      };
      this.#child.on('message', heard);
    });
    if (this.alive) this.#child.send({ question, what }, () => {});
    return answer;
  }

  async end(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.closed;
  }
}

export const sumOf = (rows: Measured['rows']): number =>
  Object.values(rows).reduce((all, one) => all + one, 0);
