/**
 * Runs the scripts about the records of one kind for one view: it numbers the writes, keeps them in order and
 * names their keys.
 */
import { base64url, type RandomSource } from '../../base/system.ts';
import { storeAway } from '../../errors.ts';
import type { EventRetention } from '../../types.ts';
import type { Fence, Kind, WriteOutcome } from '../store.ts';
import type { Reply } from './client.ts';
import { overtaken } from './failures.ts';
import type { KindKeys, RecordKeys } from './keys.ts';
import type { Script } from './scripts.ts';
import { rawReply, type Server, type SlotKeys } from './server.ts';
import { APPEND } from './log-scripts.ts';
import { WRITER_LENGTH } from './record-scripts.ts';
import { AppendBatches } from './append-batches.ts';
import { RecordQueues } from '../shared/record-queues.ts';

/** How long a listed record is kept after it has expired and shows no more, while no instance is there to end it. */
const UNATTENDED_MS = 86_400_000;

/** Epoch and owner, as the head of a record stores them. */
export const fenceText = ({ epoch, owner }: { readonly epoch: number; readonly owner: string | null }): string =>
  `${epoch} ${owner ?? ''}`;

type Read<T> = (reply: Reply) => T;

export interface RecordWriterOptions {
  readonly server: Server;
  readonly keys: KindKeys;
  readonly kind: Kind;
  readonly random: RandomSource;
}

export class RecordWriter {
  readonly server: Server;
  readonly keys: KindKeys;
  readonly kind: Kind;
  /** How long a record is kept after its expiry, as a script argument. */
  readonly keptMs: string;
  /** Retention, as script arguments. */
  readonly kept: readonly [events: string, bytes: string, ms: string];
  readonly #queues = new RecordQueues();
  readonly #appends: AppendBatches;
  readonly #writer: string;
  #writes = 0;

  constructor({ server, keys, kind, random }: RecordWriterOptions) {
    this.server = server;
    this.keys = keys;
    this.kind = kind;
    this.keptMs = String(kind.keepMs + (kind.listed ? UNATTENDED_MS : 0));
    this.kept = keptArguments(kind.log);
    this.#appends = new AppendBatches(this);
    this.#writer = base64url(random((WRITER_LENGTH * 3) / 4));
  }

  /** The keys that expire together with the record. */
  lasting(keys: RecordKeys): SlotKeys {
    const [head, body, state, open] = keys;
    return this.kind.log !== false && this.kind.log.ttlMs === Infinity ? keys : [head, body, state, open];
  }

  /** Numbers the next write of this view at the moment it is sent: writes take effect in this order. */
  next(): string {
    return this.#writer + String((this.#writes += 1));
  }

  /** Runs a write that checks its fence. */
  fenced<T>(
    script: Script,
    id: string,
    keys: SlotKeys,
    fence: Fence,
    more: readonly string[],
    read: Read<T>,
  ): Promise<T> {
    const args = ['', fenceText(fence), this.keptMs, ...more];
    return this.step(id, () => {
      args[0] = this.next();
      return this.server.run(script, keys, args, read);
    });
  }

  append(id: string, fence: Fence, args: readonly string[], length: number): Promise<WriteOutcome> {
    return this.#appends.add(id, fence, args, length);
  }

  writeBatch(id: string, fence: Fence, args: readonly string[]): Promise<Reply> {
    const [head, , , open, known, log] = this.keys.record(id);
    return this.fenced(APPEND, id, [head, open, known, log], fence, args, rawReply);
  }

  /** Sends the appends that this turn has collected. */
  flush(): void {
    this.#appends.flushAll();
  }

  /** Work of one command. Writes about a record take effect in the order in which they were requested. */
  step<T>(id: string, work: () => Promise<T>): Promise<T> {
    this.#appends.flush(id);
    return this.#queues.step(id, work);
  }

  /** Work of several commands. */
  steps<T>(id: string, work: () => Promise<T>): Promise<T> {
    this.#appends.flush(id);
    return this.#queues.steps(id, work);
  }

  run(script: Script, keys: SlotKeys, args: readonly string[]): Promise<Reply> {
    return this.server.run(script, keys, args, rawReply);
  }

  /** The outcome that a fenced script answered. */
  readonly outcome = (reply: Reply): WriteOutcome => {
    if (reply === 'W') return 'written';
    if (reply === 'F') return 'fenced';
    throw this.refusal(reply);
  };

  /** The error for an answer that says that the script did nothing. */
  refusal(reply: unknown): Error {
    const { where } = this.server;
    return reply === 'L' ? overtaken(where) : storeAway(`${where} answered ${JSON.stringify(reply)}`);
  }
}

function keptArguments(retention: EventRetention | false): readonly [string, string, string] {
  if (retention === false) return ['', '', ''];
  const { events, bytes, ttlMs } = retention;
  return [scriptNumber(events), scriptNumber(bytes), scriptNumber(ttlMs)];
}

const scriptNumber = (n: number): string => (n === Infinity ? 'inf' : String(n));
