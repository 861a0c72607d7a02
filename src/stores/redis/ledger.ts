/** The sessions of one deployment as one view writes them: each write has a number, and its keys. */
import { base64url, type RandomSource } from '../../options/system.ts';
import { storeAway } from '../../errors.ts';
import type { EventRetention } from '../../types.ts';
import type { Fence, WriteOutcome } from '../store.ts';
import type { Reply } from './client.ts';
import { overtaken } from './failures.ts';
import type { Keys, SessionKeys } from './keys.ts';
import type { Script } from './scripts.ts';
import { asItIs, type Server, type Slot } from './server.ts';
import { WRITER_LENGTH } from './session-scripts.ts';
import { Appends } from './appends.ts';
import { Turns } from './turns.ts';

/** How long a session is kept beyond its expiry and its tombstone: as long as nobody is there to end it. */
const LEFT_MS = 86_400_000;

/** Epoch and owner as they stand in the head of a session. */
export const fenceText = ({ epoch, owner }: { readonly epoch: number; readonly owner: string | null }): string =>
  `${epoch} ${owner ?? ''}`;

type Read<T> = (reply: Reply) => T;

export interface LedgerOptions {
  readonly server: Server;
  readonly keys: Keys;
  readonly tombstoneMs: number;
  readonly retention: EventRetention | false;
  readonly random: RandomSource;
}

export class Ledger {
  readonly server: Server;
  readonly keys: Keys;
  readonly tombstoneMs: number;
  /** Beyond its expiry, as scripts take it. */
  readonly keptMs: string;
  readonly retention: EventRetention | false;
  /** How scripts take what is kept of the log. */
  readonly kept: readonly [events: string, bytes: string, ms: string];
  readonly #turns = new Turns();
  readonly #appends: Appends;
  readonly #writer: string;
  #writes = 0;

  constructor({ server, keys, tombstoneMs, retention, random }: LedgerOptions) {
    this.server = server;
    this.keys = keys;
    this.tombstoneMs = tombstoneMs;
    this.keptMs = String(tombstoneMs + LEFT_MS);
    this.retention = retention;
    this.kept = keptArguments(retention);
    this.#appends = new Appends(this);
    this.#writer = base64url(random((WRITER_LENGTH * 3) / 4));
  }

  /** The keys that go with the session's expiry. */
  lasting(keys: SessionKeys): Slot {
    const [head, body, state, open] = keys;
    return this.retention !== false && this.retention.ttlMs === Infinity ? keys : [head, body, state, open];
  }

  /** Names the next write of this view, when it is sent: they take effect in this order. */
  next(): string {
    return this.#writer + String((this.#writes += 1));
  }

  /** A write that its fence guards. */
  fenced<T>(script: Script, id: string, keys: Slot, fence: Fence, more: readonly string[], read: Read<T>): Promise<T> {
    const args = ['', fenceText(fence), this.keptMs, ...more];
    return this.step(id, () => {
      args[0] = this.next();
      return this.server.run(script, keys, args, read);
    });
  }

  append(id: string, fence: Fence, args: readonly string[], length: number): Promise<WriteOutcome> {
    return this.#appends.add(id, fence, args, length);
  }

  /** What is asked for in this turn goes now. */
  flush(): void {
    this.#appends.flushAll();
  }

  /** Writes of a session take effect in the order in which they were asked for. */
  step<T>(id: string, work: () => Promise<T>): Promise<T> {
    this.#appends.flush(id);
    return this.#turns.step(id, work);
  }

  /** What takes more than one. */
  steps<T>(id: string, work: () => Promise<T>): Promise<T> {
    this.#appends.flush(id);
    return this.#turns.steps(id, work);
  }

  run(script: Script, keys: Slot, args: readonly string[]): Promise<Reply> {
    return this.server.run(script, keys, args, asItIs);
  }

  /** What such a script answered. */
  readonly outcome = (reply: Reply): WriteOutcome => {
    if (reply === 'W' || reply === 'E') return 'written';
    if (reply === 'F') return 'fenced';
    throw this.refusal(reply);
  };

  /** An answer that says that nothing was done, and gives no outcome. */
  refusal(reply: unknown): Error {
    const { where } = this.server;
    return reply === 'L' ? overtaken(where) : storeAway(`${where} answered ${JSON.stringify(reply)}`);
  }

  /** By its lease. Whoever is dead stays dead, so that may be asked before it is acted on. */
  async isDead(owner: string): Promise<boolean> {
    const lease = this.keys.lease(owner);
    return (await this.server.send(lease, ['EXISTS', lease])) === 0;
  }
}

function keptArguments(retention: EventRetention | false): readonly [string, string, string] {
  if (retention === false) return ['', '', ''];
  const { events, bytes, ttlMs } = retention;
  return [scriptNumber(events), scriptNumber(bytes), scriptNumber(ttlMs)];
}

const scriptNumber = (n: number): string => (n === Infinity ? 'inf' : String(n));
