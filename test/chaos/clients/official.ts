/**
 * The official clients of both lines as users of them have them, and of 2026-07-28: a call ends with what the user sees.
 * Which bytes go over the wire is for the clients of `test/simulation` to check.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { systemTime, within } from '../../../src/base/system.ts';
import {
  type Connect,
  type OfficialClient as Connected,
  openV1,
  openV2,
} from '../../kit/official-client.ts';
import { endingOf } from '../../simulation/client-call.ts';
import { notFound } from '../../simulation/client-world.ts';
import type { Living, Pace } from '../../simulation/life.ts';
import type { Call, Ending, SessionStory } from '../../simulation/ledger.ts';
import type { Random } from '../../simulation/random.ts';
import type { LiveWorld } from '../live-world.ts';

/** `fetch` of the world decides where a request goes. */
const URL = 'http://127.0.0.1/mcp';
/** As persistent as a client can be told to be; the server says how long to wait. */
const reconnection = {
  initialReconnectionDelay: 60,
  maxReconnectionDelay: 500,
  reconnectionDelayGrowFactor: 1.2,
  maxRetries: 10_000,
};

export const OFFICIAL: Readonly<Record<'v1' | 'v2' | 'modern', Connect>> = {
  v1: (url, options) => openV1(url, options),
  v2: (url, options) => openV2(url, options),
  modern: (url, options) => openV2(url, options, 'http', 'auto'),
};

export interface OfficialOptions {
  readonly world: LiveWorld;
  readonly name: string;
  readonly random: Random;
  readonly connect: Connect;
  /** The tools that must work in calm weather. */
  readonly proofs: readonly string[];
  /** What it does instead of what the raw clients do. */
  readonly actions: Partial<Pace['actions']>;
  /** A call may fail: its connection may break before the client has anything to come back with. */
  readonly mayFail: boolean;
}

/** A person, or a model, thinks this long at most. */
const ANSWER_MS = 40;
/** Some SDKs never notice that a stream is gone for good: then, where a call may fail, the user does not wait long. */
const TIMEOUT_MS = { mayFail: 10_000, mustSucceed: 60_000 };
/** For the calls of a session that was deleted to end. */
const LEAVE_MS = 3_000;

export class OfficialClient implements Living {
  readonly name: string;
  readonly proofs: readonly string[];
  readonly actions: Partial<Pace['actions']>;
  readonly pending = new Set<Promise<unknown>>();
  story: SessionStory | undefined;
  readonly #options: OfficialOptions;
  #sessions = 0;
  #calls = 0;
  #client: Connected | undefined;

  constructor(options: OfficialOptions) {
    this.#options = options;
    this.name = options.name;
    this.proofs = options.proofs;
    this.actions = options.actions;
  }

  get gone(): boolean {
    return this.#client === undefined;
  }

  get #prefix(): string {
    return `${this.name}.${this.#sessions}:`;
  }

  /** Tries until it is connected. */
  async open(): Promise<void> {
    const { world, random, connect } = this.#options;
    this.#sessions += 1;
    const elicit = async ({ message }: Readonly<Record<string, unknown>>): Promise<object> => {
      await pause(random.between(0, ANSWER_MS));
      return { action: 'accept', content: { answer: message } };
    };
    const headers = { 'x-user': this.name };
    while (this.#client === undefined && !world.closed) {
      try {
        this.#client = await connect(URL, { elicit, headers, reconnection, fetch: world.fetch });
      } catch {
        await pause(50);
      }
    }
    const id = this.#client?.sessionId;
    if (id === undefined) return;
    const version = this.#client?.protocolVersion() ?? '';
    const at = {
      activeAt: world.now,
      deleteSentAt: undefined,
      deletedAt: undefined,
      notFoundAt: undefined,
    };
    this.story = { id, version, ...at, client: this.name, readers: 0, prefix: this.#prefix };
    world.ledger.sessions.set(id, this.story);
  }

  call(tool: string, { ms = 0 }: { readonly ms?: number } = {}): Promise<Call> {
    const { world } = this.#options;
    const call: Call = {
      client: this.name,
      session: this.story?.id ?? '',
      method: 'tools/call',
      tool,
      nonce: `${this.#prefix}${(this.#calls += 1)}`,
      id: 0,
      sentAt: world.now,
      attemptAt: world.now,
      ms,
      arrivedAt: undefined,
      held: false,
      acceptedAt: undefined,
      ending: undefined,
    };
    world.ledger.calls.push(call);
    const calling = this.#call(call, tool);
    this.pending.add(calling);
    void calling.finally(() => this.pending.delete(calling));
    return calling;
  }

  async #call(call: Call, tool: string): Promise<Call> {
    const { world, mayFail } = this.#options;
    const { story } = this;
    const { nonce, ms } = call;
    const timeout = mayFail ? TIMEOUT_MS.mayFail : TIMEOUT_MS.mustSucceed;
    const ending = await (this.#client as Connected)
      .callTool(tool, { nonce, ms }, { timeout })
      .then(
        (result) => endingOf({ result: { ...result } }, world.now),
        (error: unknown) => endingOfError(error, world.now),
      );
    if (world.closed) return call;
    const text = ending.kind === 'threw' ? ending.text : '';
    if (
      story !== undefined &&
      (ending.kind === 'not-found' || /\b404\b|session not found/i.test(text))
    )
      notFound(world, story);
    const left = ending.kind === 'threw' && (mayFail || story !== this.story);
    call.ending = left ? { kind: 'left', at: ending.at } : ending;
    return call;
  }

  async delete(): Promise<void> {
    const { world } = this.#options;
    const { story } = this;
    const client = this.#client;
    if (story === undefined || client === undefined) return;
    story.deleteSentAt = world.now;
    this.story = undefined;
    this.#client = undefined;
    try {
      await client.terminate();
      story.deletedAt = world.now;
    } catch {
      // Its instance is away.
    }
    await within(systemTime, LEAVE_MS, Promise.all(this.pending), () => undefined);
    await client.close();
  }

  async close(): Promise<void> {
    await this.#client?.close();
  }
}

/** An error of the server says what became of the call; anything else is the client's. */
function endingOfError(error: unknown, at: number): Ending {
  const { message, data } = error as {
    message?: string;
    data?: { reason?: string; mayHaveRun?: unknown };
  };
  if (typeof data?.reason !== 'string') return { kind: 'threw', at, text: String(error) };
  return endingOf({ error: { message: message ?? '', data } }, at);
}
