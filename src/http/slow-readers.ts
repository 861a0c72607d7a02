/**
 * Responses whose client does not take what was written to it. Their pending bytes count in the memory budget until the
 * client has taken them. A user past its share loses the response that is pending the longest, and while the budget is
 * full so does any user: an event stream can be resumed, and its client lost nothing.
 */
import type { ServerResponse } from 'node:http';
import type { MemoryUse } from '../base/budget.ts';
import { every } from '../base/system.ts';
import type { TimeProvider } from '../types.ts';

/** Fewer pending bytes are not counted: any number of clients has them for a moment. */
export const WATCHED_BYTES = 64 * 1024;
const LOOK_MS = 1_000;

/** A response with pending bytes. */
export interface SlowReader {
  readonly pendingBytes: number;
  /** Whose share the bytes count in. */
  readonly share: string;
  /** Bytes that its client has taken so far. `undefined`: a timeout of Node tells when it takes none. */
  readonly takenBytes?: number;
  /** Cuts the connection. */
  cut(): void;
}

export interface SlowReadersOptions {
  readonly time: Required<TimeProvider>;
  readonly memory: MemoryUse;
  readonly writeTimeoutMs: number;
  /** A connection is cut. */
  onCut(why: 'stalled' | 'memory', pendingBytes: number): void;
}

interface Watched {
  readonly bytes: number;
  readonly takenBytes: number | undefined;
  /** When its client took something last: a time of the monotonic clock, in ms. */
  readonly since: number;
}

export class SlowReaders {
  readonly #options: SlowReadersOptions;
  /** The bytes that are charged, and since when. What has taken nothing for longest comes first. */
  readonly #watched = new Map<SlowReader, Watched>();
  #stop: (() => void) | undefined = undefined;

  constructor(options: SlowReadersOptions) {
    this.#options = options;
  }

  get writeTimeoutMs(): number {
    return this.#options.writeTimeoutMs;
  }

  /**
   * Call it after a write that leaves more than `WATCHED_BYTES` pending. Watches until `over`. `true`: it was not
   * watched before.
   */
  note(reader: SlowReader): boolean {
    const { time, memory } = this.#options;
    const isNew = !this.#watched.has(reader);
    this.#measure(reader);
    this.#stop ??= every(time, LOOK_MS, () => this.#look());
    if (memory.isOver(reader.share)) this.#cutLongest(reader.share);
    if (memory.full) this.#cutLongest();
    return isNew && this.#watched.has(reader);
  }

  /** The response is over, or its client has taken everything. */
  forget(reader: SlowReader): void {
    const watched = this.#watched.get(reader);
    if (watched === undefined) return;
    this.#options.memory.give(watched.bytes, reader.share);
    this.#watched.delete(reader);
    if (this.#watched.size === 0) this.stop();
  }

  /** The client took nothing for `writeTimeoutMs`. */
  stalled(reader: SlowReader): void {
    if (this.#watched.has(reader)) this.#cut(reader, 'stalled');
  }

  /** Returns for how long the client has taken nothing. */
  #measure(reader: SlowReader): number {
    const { time, memory } = this.#options;
    const before = this.#watched.get(reader);
    const { pendingBytes: bytes, takenBytes, share } = reader;
    const now = time.monotonic();
    memory.charge(bytes - (before?.bytes ?? 0), share);
    const hasTaken = before !== undefined && (bytes < before.bytes || takenBytes !== before.takenBytes);
    if (hasTaken) this.#watched.delete(reader);
    const since = hasTaken ? now : (before?.since ?? now);
    this.#watched.set(reader, { bytes, takenBytes, since });
    return now - since;
  }

  #look(): void {
    // A reader with progress comes once more, and is the same then.
    for (const reader of this.#watched.keys()) {
      const silentMs = this.#measure(reader);
      if (reader.pendingBytes === 0) this.forget(reader);
      else if (reader.takenBytes !== undefined && silentMs >= this.#options.writeTimeoutMs) this.stalled(reader);
    }
  }

  /** `user`: whose responses are cut until this user is within its share. Without it, until the budget has room. */
  #cutLongest(user?: string): void {
    const { memory } = this.#options;
    for (const reader of this.#watched.keys()) {
      if (user === undefined ? !memory.full : !memory.isOver(user)) return;
      if (user === undefined || reader.share === user) this.#cut(reader, 'memory');
    }
  }

  #cut(reader: SlowReader, why: 'stalled' | 'memory'): void {
    const { pendingBytes } = reader;
    this.forget(reader);
    this.#options.onCut(why, pendingBytes);
    reader.cut();
  }

  stop(): void {
    this.#stop?.();
    this.#stop = undefined;
  }
}

/** A response whose client does not take its bytes at once. */
export class SlowResponse implements SlowReader {
  readonly #res: ServerResponse;
  readonly #readers: SlowReaders;
  readonly share: string;

  constructor(res: ServerResponse, readers: SlowReaders, share: string) {
    this.#res = res;
    this.#readers = readers;
    this.share = share;
    const over = (): void => this.over();
    res.on('drain', over).on('finish', over).on('close', over);
    res.on('timeout', () => readers.stalled(this));
  }

  /** The client has taken everything, or the connection closed. */
  over(): void {
    this.#readers.forget(this);
    // Streams are silent for any time.
    this.#res.setTimeout(0);
  }

  note(): void {
    // Node restarts this timeout whenever the client takes some bytes.
    if (this.#readers.note(this)) this.#res.setTimeout(this.#readers.writeTimeoutMs);
  }

  get pendingBytes(): number {
    return this.#res.writableLength;
  }

  cut(): void {
    // A response that waits for its turn has no connection to destroy.
    (this.#res.socket ?? this.#res.req.socket).destroy();
  }
}
