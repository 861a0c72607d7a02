/** A client of `sojourn prove`: it does what the plan of its era says, one thing after the other. */
import { callsTool } from '../../base/protocol/methods.ts';
import { setTimeout as delay } from 'node:timers/promises';
import type { Done, Person } from './crowd.ts';
import type { ClientKind, ProveClient } from './clients.ts';
import { BROKEN } from './outcome.ts';
import type { Deed } from './plan.ts';
import { CALL_META } from './reporting.ts';

/** What may reach others is done so often at most. */
const APART_MS = 1_000;
/** A client that does not resume sends a call that may run twice again so often when its connection breaks. */
const TRIES = 4;
const AGAIN_MS = 500;

/** When what may reach others was done last, by name. All clients have one. */
export type LastTurns = Map<string, number>;

export class PlannedPerson implements Person {
  readonly kind: ClientKind;
  readonly name: string;
  /** How often it sent a call again. */
  sentAgain = 0;
  readonly #open: () => Promise<ProveClient>;
  readonly #deeds: readonly Deed[];
  readonly #turns: LastTurns;
  #client: ProveClient | undefined;
  #calls = 0;

  /** `number`: the first of each kind alone does what may reach others, so that it does so often enough to be judged. */
  constructor(
    kind: ClientKind,
    number: number,
    open: () => Promise<ProveClient>,
    deeds: readonly Deed[],
    turns: LastTurns,
  ) {
    this.kind = kind;
    this.name = `${kind.slice(0, 4)}${kind.includes('not') ? 'n' : ''}${number}`;
    this.#open = open;
    this.#deeds = deeds.filter(({ isOpenWorld }) => !isOpenWorld || number === 0);
    this.#turns = turns;
  }

  async connect(): Promise<void> {
    this.#client = await this.#open();
  }

  async act(n: number): Promise<Done> {
    const deed = this.#next(n);
    const begun = performance.now();
    const failed = await this.#ask(deed);
    const waitedMs = performance.now() - begun;
    return { tool: deed?.name ?? 'ping', waitedMs, ...(failed !== undefined && { failed }) };
  }

  #next(n: number): Deed | undefined {
    const now = performance.now();
    for (let at = 0; at < this.#deeds.length; at++) {
      const deed = this.#deeds[(n + at) % this.#deeds.length];
      if (deed?.isOpenWorld !== true) return deed;
      if (now - (this.#turns.get(deed.name) ?? -Infinity) < APART_MS) continue;
      this.#turns.set(deed.name, now);
      return deed;
    }
    return undefined;
  }

  /** Resolves with why it failed. */
  async #ask(deed: Deed | undefined): Promise<string | undefined> {
    if (deed === undefined) {
      await this.ping();
      return undefined;
    }
    const { method, params, headers, mayRunTwice } = deed;
    const _meta = { [CALL_META]: `${this.name}.${(this.#calls += 1)}` };
    for (let tries = 1; ; tries++)
      try {
        await this.#client?.request(
          method,
          { ...params, ...(callsTool(method) && { _meta }) },
          headers,
        );
        return undefined;
      } catch (error) {
        const failed = failureOf(error);
        const isBroken = failed !== undefined && BROKEN.test(failed);
        if (!isBroken || !mayRunTwice || this.kind === '2025, resumes' || tries === TRIES)
          return failed;
        this.sentAgain += 1;
        await delay(AGAIN_MS);
      }
  }

  ping(): Promise<void> | undefined {
    const client = this.#client;
    return client?.sessionId === undefined ? undefined : client.request('ping', {}).then(() => {});
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.close();
  }
}

/** Errors of JSON-RPC are answers, but for those of sojourn and of the clients themselves. */
function failureOf(error: unknown): string | undefined {
  const { message, name, code, data } = error as Error & {
    code?: unknown;
    data?: { reason?: string };
  };
  if (name === 'TimeoutError') return 'timed out';
  if (data?.reason !== undefined) return data.reason;
  const isAnswer =
    typeof code === 'number' && code < -30_000 && code !== -32_000 && code !== -32_001;
  return isAnswer ? undefined : message;
}
