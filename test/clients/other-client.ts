/**
 * A program of `programs/` and the clients that it runs: commands as lines to its stdin, events as lines from its
 * stdout (`programs/README.md`). Here a call ends as its user sees it: answered, failed, or hung when the deadline
 * passes.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

export type Era = '2025' | '2026';

interface Event {
  readonly event: string;
  readonly client: string;
  readonly call?: string;
  readonly text?: string;
  readonly length?: number;
  readonly isError?: boolean;
  readonly error?: string;
  readonly method?: string;
  readonly version?: string;
}

/** `ok`, or what the user saw instead: `failed: …`, `hung`, `dead: …`, `refused: …`, `no push`. */
export type Seen = string;

/** Longer than any wait of the server (`maxWaitMs`) and any interval at which a client comes back. */
const DEADLINE_MS = 25_000;

export class OtherProgram {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #closed: Promise<unknown>;
  readonly #clients = new Map<string, OtherClient>();
  #stderr = '';
  #named = 0;

  constructor(command: readonly string[]) {
    const [file = '', ...args] = command;
    this.#child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#closed = once(this.#child, 'close');
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-4_000);
    });
    // A program that ended leaves its commands unread: the calls then fail by their deadline.
    this.#child.stdin.on('error', () => {});
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      if (!line.startsWith('{')) return;
      const event = JSON.parse(line) as Event;
      this.#clients.get(event.client)?.receive(event);
    });
  }

  send(command: Record<string, unknown>): void {
    this.#child.stdin.write(`${JSON.stringify(command)}\n`);
  }

  name(prefix: string): string {
    return `${prefix}${(this.#named += 1)}`;
  }

  async connect(url: string, era: Era, timeoutMs = DEADLINE_MS): Promise<OtherClient> {
    const client = new OtherClient(this, this.name('client '));
    this.#clients.set(client.name, client);
    this.send({ do: 'connect', client: client.name, url, era });
    const event = await client.first(({ event }) => event === 'connected' || event === 'refused', {
      timeoutMs,
    });
    if (event?.event !== 'connected')
      throw new Error(event?.error ?? `hung: connecting ${this.#stderr}`);
    return client;
  }

  async close(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
  }
}

type Waiting = (event: Event) => void;

export class OtherClient {
  readonly name: string;
  readonly #program: OtherProgram;
  readonly #events: Event[] = [];
  readonly #waiting = new Set<Waiting>();

  constructor(program: OtherProgram, name: string) {
    this.#program = program;
    this.name = name;
  }

  receive(event: Event): void {
    this.#events.push(event);
    for (const waiting of this.#waiting) waiting(event);
  }

  /** Why the SDK gave this client up, or undefined while it lives. */
  get dead(): string | undefined {
    return this.#events.find(({ event }) => event === 'dead')?.error;
  }

  /**
   * The first event, after the first `from` of them, for which `is` holds; undefined when the deadline passes first.
   */
  first(
    is: (event: Event) => boolean,
    { timeoutMs = DEADLINE_MS, from = 0 } = {},
  ): Promise<Event | undefined> {
    const found = this.#events.slice(from).find(is);
    if (found !== undefined) return Promise.resolve(found);
    return new Promise((resolve) => {
      const end = (event?: Event): void => {
        clearTimeout(timer);
        this.#waiting.delete(waiting);
        resolve(event);
      };
      const timer = setTimeout(end, timeoutMs);
      const waiting = (event: Event): void => (is(event) ? end(event) : undefined);
      this.#waiting.add(waiting);
    });
  }

  /** `answered` or `failed`; undefined when the deadline passes first. */
  outcome(tool: string, args: object, timeoutMs = DEADLINE_MS): Promise<Event | undefined> {
    const call = this.#program.name('call ');
    this.#program.send({ do: 'call', client: this.name, call, tool, args });
    return this.first((each) => each.call === call, { timeoutMs });
  }

  /** Without `expected` any result is ok. */
  async call(
    tool: string,
    args: object = {},
    expected?: string | number,
    timeoutMs?: number,
  ): Promise<Seen> {
    const event = await this.outcome(tool, args, timeoutMs);
    if (event === undefined) return this.dead === undefined ? 'hung' : `dead: ${this.dead}`;
    if (event.event === 'failed' || event.isError) return `failed: ${event.error ?? event.text}`;
    const right =
      typeof expected === 'number' ? event.length === expected : event.text === expected;
    return expected === undefined || right ? 'ok' : `failed: answered ${event.text}`;
  }

  /** Resolves when a question of the server has reached the user. */
  async asked(): Promise<boolean> {
    return (await this.first(({ event }) => event === 'asked')) !== undefined;
  }

  answer(): void {
    this.#program.send({ do: 'answer', client: this.name });
  }

  /** Runs `act` and says whether a notification of `method` arrives from then on. */
  async notifies(
    method: string,
    act: () => Promise<Seen>,
    timeoutMs?: number,
  ): Promise<readonly [Seen, boolean]> {
    const from = this.#events.length;
    const acted = await act();
    const event = await this.first((each) => each.method === method, {
      from,
      ...(timeoutMs !== undefined && { timeoutMs }),
    });
    return [acted, event !== undefined];
  }

  async close(): Promise<Seen> {
    this.#program.send({ do: 'close', client: this.name });
    const event = await this.first(({ event }) => event === 'closed' || event === 'dead');
    return event?.event === 'closed' ? 'ok' : `dead: ${event?.error ?? 'hung'}`;
  }
}
