/**
 * A program of `programs/` and the clients that it runs: commands as lines to its stdin, events as lines from its stdout
 * (`programs/README.md`). Here a call ends as its user sees it: answered, failed, or hung when the deadline passes.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { until } from '../kit/until.ts';

export type Era = '2025' | '2026';

export interface Event {
  readonly event: string;
  readonly client: string;
  readonly call?: string;
  readonly text?: string;
  readonly isError?: boolean;
  readonly error?: string;
  readonly method?: string;
  readonly version?: string;
}

/** `ok`, or what the user saw instead. */
export type Seen = string;

/** Longer than any wait of the server (`waitMs`) and any interval at which a client comes back. */
const DEADLINE_MS = 25_000;

export class OtherProgram {
  readonly events: Event[] = [];
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #closed: Promise<unknown>;
  #stderr = '';
  #named = 0;
  #ended = false;

  constructor(command: readonly string[]) {
    const [file = '', ...args] = command;
    this.#child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#closed = once(this.#child, 'close').then(() => (this.#ended = true));
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-4_000);
    });
    // A program that ended leaves its commands unread: the calls then fail by their deadline.
    this.#child.stdin.on('error', () => {});
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      if (line.startsWith('{')) this.events.push(JSON.parse(line) as Event);
    });
  }

  /** What the SDK wrote to stderr last. */
  get stderr(): string {
    return this.#stderr;
  }

  send(command: Record<string, unknown>): void {
    this.#child.stdin.write(`${JSON.stringify(command)}\n`);
  }

  name(prefix: string): string {
    return `${prefix}${(this.#named += 1)}`;
  }

  /** The first event for which `is` holds; undefined when the deadline passes or the program ends first. */
  async first(is: (event: Event) => boolean, timeoutMs = DEADLINE_MS): Promise<Event | undefined> {
    let found: Event | undefined;
    await until(() => (found = this.events.find(is)) !== undefined || this.#ended, { timeoutMs }).catch(() => {});
    return found;
  }

  async connect(url: string, era: Era): Promise<OtherClient> {
    const client = this.name('client ');
    this.send({ do: 'connect', client, url, era });
    const event = await this.first((each) => each.client === client && /connected|refused/.test(each.event));
    if (event?.event !== 'connected') throw new Error(event?.error ?? `hung: connecting ${this.#stderr}`);
    return new OtherClient(this, client);
  }

  async close(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
  }
}

export class OtherClient {
  readonly #program: OtherProgram;
  readonly name: string;

  constructor(program: OtherProgram, name: string) {
    this.#program = program;
    this.name = name;
  }

  /** Why the SDK gave this client up, or undefined while it lives. */
  get dead(): string | undefined {
    return this.#own.find(({ event }) => event === 'dead')?.error;
  }

  get #own(): Event[] {
    return this.#program.events.filter(({ client }) => client === this.name);
  }

  async call(tool: string, args: Record<string, unknown> = {}, expected?: string): Promise<Seen> {
    const call = this.#program.name('call ');
    this.#program.send({ do: 'call', client: this.name, call, tool, args });
    const event = await this.#program.first((each) => each.call === call);
    if (event === undefined) return 'hung';
    if (event.event === 'failed' || event.isError) return `failed: ${event.error ?? event.text}`;
    return expected === undefined || event.text === expected ? 'ok' : `answered ${event.text}`;
  }

  /** Resolves when `count` questions of the server have reached the user. */
  async asked(count = 1): Promise<boolean> {
    const asked = () => this.#own.filter(({ event }) => event === 'asked').length >= count;
    return until(asked, { timeoutMs: DEADLINE_MS }).catch(() => false);
  }

  answer(): void {
    this.#program.send({ do: 'answer', client: this.name });
  }

  /** Whether a notification of `method` arrives. */
  async notified(method: string, timeoutMs?: number): Promise<boolean> {
    const is = (each: Event) => each.client === this.name && each.method === method;
    return (await this.#program.first(is, timeoutMs)) !== undefined;
  }

  async close(): Promise<Seen> {
    this.#program.send({ do: 'close', client: this.name });
    const over = (each: Event) => each.client === this.name && /closed|dead/.test(each.event);
    const event = await this.#program.first(over);
    return event?.event === 'closed' ? 'ok' : (event?.error ?? 'hung');
  }
}
