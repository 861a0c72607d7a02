/** Thirty official clients, and what they see: ten of SDK 1, ten of SDK 2 with sessions, ten that ask for 2026-07-28. */
import { setTimeout as pause } from 'node:timers/promises';
import {
  type ConnectOptions,
  openV1,
  openV2,
  type OfficialClient,
} from '../../test/kit/official-client.ts';

const EACH = 10;
const KINDS = {
  v1: (url: string, options: ConnectOptions) => openV1(url, options),
  v2: (url: string, options: ConnectOptions) => openV2(url, options),
  modern: (url: string, options: ConnectOptions) => openV2(url, options, 'http', 'auto'),
} as const;
type Kind = keyof typeof KINDS;

/** What a user does in a row, with a pause between. */
const TOOLS = ['echo', 'count', 'echo', 'ask', 'count', 'slow', 'echo', 'count'] as const;
type Tool = (typeof TOOLS)[number];
const SLOW_MS = 5_000;
const HUNG_MS = 30_000;
/** A session that answers no ping for so long is lost. */
const LOST_MS = 15_000;
/** A side whose clients cannot connect for so long is broken. */
const CONNECT_MS = 60_000;
/** The SDKs' own. */
const RECONNECTION = {
  initialReconnectionDelay: 1_000,
  maxReconnectionDelay: 30_000,
  reconnectionDelayGrowFactor: 1.5,
  maxRetries: 2,
};

export interface Called {
  /** When it ended. */
  readonly phase: string;
  readonly kind: Kind;
  readonly tool: Tool;
  /** Without what its tool takes. */
  readonly waitedMs: number;
  /** `undefined`: the right answer. */
  readonly failed?: string;
}

export class Crowd {
  /** What befalls the side now. */
  phase = 'calm';
  readonly called: Called[] = [];
  sessionsLost = 0;
  /** A counter that began again. */
  countersLost = 0;
  readonly #url: string;
  #isOver = false;
  #lives: Promise<unknown> = Promise.resolve();

  constructor(url: string) {
    this.#url = url;
  }

  /** Resolves when each client has connected; they call from then on. */
  async open(): Promise<void> {
    const people = (Object.keys(KINDS) as Kind[]).flatMap((kind) =>
      Array.from({ length: EACH }, (_, n) => new Person(this, kind, `${kind}${n}`)),
    );
    await Promise.all(people.map((person) => person.connect(this.#url)));
    this.#lives = Promise.all(people.map((person, n) => this.#live(person, n)));
  }

  /** Resolves when each call has ended. */
  async close(): Promise<void> {
    this.#isOver = true;
    await this.#lives;
  }

  async #live(person: Person, start: number): Promise<void> {
    for (let n = start; !this.#isOver; n++) {
      const tool = TOOLS[n % TOOLS.length] as Tool;
      const begun = performance.now();
      const failed = await person.call(tool);
      const waitedMs = performance.now() - begun - (tool === 'slow' ? SLOW_MS : 0);
      const { phase } = this;
      this.called.push({ phase, kind: person.kind, tool, waitedMs, ...(failed && { failed }) });
      if (failed && !(await person.hasSession())) {
        this.sessionsLost += 1;
        await person.connect(this.#url);
      }
      await pause(100 + ((n * 37) % 200));
    }
    await person.close();
  }
}

class Person {
  readonly kind: Kind;
  readonly #crowd: Crowd;
  readonly #name: string;
  #client: OfficialClient | undefined;
  #calls = 0;
  #count = 0;
  #handle: string | undefined;

  constructor(crowd: Crowd, kind: Kind, name: string) {
    this.#crowd = crowd;
    this.kind = kind;
    this.#name = name;
  }

  /** Tries until it has connected. */
  async connect(url: string): Promise<void> {
    await this.close();
    const options: ConnectOptions = {
      elicit: () => ({ action: 'accept', content: { colour: this.#name } }),
      reconnection: RECONNECTION,
      timeout: HUNG_MS,
    };
    const end = performance.now() + CONNECT_MS;
    while (this.#client === undefined)
      try {
        this.#client = await KINDS[this.kind](url, options);
      } catch (error) {
        if (performance.now() > end) throw error;
        await pause(200);
      }
  }

  /** Resolves with why it failed. */
  async call(tool: Tool): Promise<string | undefined> {
    const nonce = `${this.#name}.${(this.#calls += 1)}`;
    try {
      const args = { nonce, ...(this.#handle !== undefined && { handle: this.#handle }) };
      const said = await this.#client?.say(tool, args, { timeout: HUNG_MS });
      if (tool === 'count') return this.#counted(said ?? '');
      return said === (tool === 'ask' ? this.#name : nonce) ? undefined : `wrong: ${said}`;
    } catch (error) {
      const { message, data } = error as Error & { data?: { reason?: string } };
      return data?.reason ?? /(?<=<title>)[^<]*/.exec(message)?.[0] ?? message;
    }
  }

  #counted(said: string): string | undefined {
    if (said === '') return undefined; // This side keeps nothing for clients without a session.
    const [count, handle] = said.split(' ');
    const isKept = Number(count) > 0;
    if (!isKept || Number(count) <= this.#count) this.#crowd.countersLost += 1;
    this.#count = isKept ? Number(count) : 0;
    this.#handle = isKept ? handle : undefined;
    return isKept ? undefined : `wrong: ${said.slice(0, 20)}`;
  }

  async hasSession(): Promise<boolean> {
    if (this.#client?.sessionId === undefined) return true;
    const end = performance.now() + LOST_MS;
    while (performance.now() < end) {
      const failed = await this.#client.client.ping({ timeout: LOST_MS }).then(
        () => undefined,
        (error: unknown) => String(error),
      );
      if (failed === undefined) return true;
      if (/\b40[04]\b|session|not connected/i.test(failed)) return false;
      await pause(200);
    }
    return false;
  }

  async close(): Promise<void> {
    await this.#client?.close();
    this.#client = undefined;
  }
}
