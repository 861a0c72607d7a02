/**
 * Answers and streams whose clients do not take what was written to them. Their pending bytes count in the memory
 * budget until the clients have taken them. Three rules cut a connection:
 *
 * - Its client takes nothing for `WRITE_TIMEOUT_MS`.
 * - More than `limits.streamBufferBytes` wait, besides what waited when the turn ended that first wrote so much: in
 *   that turn no client could have taken anything. Ten thousand notifications sent in one go arrive whole.
 * - Its user is past its share, or the budget is full: those that are pending the longest are cut, of that user or of
 *   any, until there is room. An event stream can be resumed, and its client lost nothing. Node frees their bytes when
 *   the turn is over. A user whose share they fill gets no long answer before, and its requests are refused.
 */
import type { MemoryUse } from '../base/budget.ts';
import { afterTurn, every } from '../base/system.ts';
import type { TimeProvider } from '../base/types.ts';

/** Fewer pending bytes are not counted: any number of clients has them for a moment. */
export const UNREAD_BYTES = 64 * 1024;
/** Longer than any pause of a client that still reads. */
export const WRITE_TIMEOUT_MS = 60_000;
const LOOK_MS = 1_000;

/** The error for a client whose connection cannot be closed otherwise. */
export const wasCut = (): Error =>
  new Error('The connection was cut: its reader is too slow, or its request failed');

/** An answer with pending bytes. */
export interface UnreadAnswer {
  readonly pendingBytes: number;
  /** Whose share the bytes count in. */
  readonly share: string;
  /** Bytes that its client has taken so far. `undefined`: a timeout of Node tells when it takes none. */
  readonly takenBytes?: number;
  /** Cuts the connection. */
  cut(): void;
}

type Why = 'stalled' | 'behind' | 'memory';

export interface UnreadOptions {
  readonly time: Required<TimeProvider>;
  readonly memory: MemoryUse;
  readonly streamBufferBytes: number;
  /** A connection is cut. */
  onCut(why: Why, pendingBytes: number): void;
}

interface WatchedResponse {
  /** The bytes that are charged. */
  bytes: number;
  takenBytes: number | undefined;
  /** When its client took something last: a time of the monotonic clock, in ms. */
  since: number;
  /** How many bytes may wait: any number in the turn that passes the limit. `undefined`: within the limit. */
  most: number | undefined;
}

export class UnreadAnswers {
  readonly #options: UnreadOptions;
  /** What has taken nothing for longest comes first. */
  readonly #watched = new Map<UnreadAnswer, WatchedResponse>();
  #stop: (() => void) | undefined = undefined;

  constructor(options: UnreadOptions) {
    this.#options = options;
  }

  /** Call it after each write. Watches what has more than `UNREAD_BYTES`, until `forget`. `true`: it was not watched. */
  note(answer: UnreadAnswer): boolean {
    if (answer.pendingBytes <= UNREAD_BYTES) return false;
    const { time, memory, streamBufferBytes } = this.#options;
    const isNew = !this.#watched.has(answer);
    const watched = this.#measure(answer);
    if (watched.bytes > streamBufferBytes && watched.most === undefined) {
      watched.most = Infinity;
      afterTurn(() => {
        if (watched.most === Infinity) watched.most = answer.pendingBytes + streamBufferBytes;
      });
    }
    this.#stop ??= every(time, LOOK_MS, () => this.#look());
    if (memory.budget.isOver(answer.share)) this.#cutLongest(answer.share);
    if (memory.budget.full) this.#cutLongest();
    return isNew && this.#watched.has(answer);
  }

  /** Asked before each write to a stream, and before a long answer. `true`: the connection is cut. */
  refuses(answer: UnreadAnswer, characters: number): boolean {
    const watched = this.#watched.get(answer);
    if (watched === undefined && characters <= UNREAD_BYTES) return false;
    if (this.#options.memory.budget.isSpent(answer.share)) {
      this.#cut(answer, 'memory');
      return true;
    }
    if (watched?.most === undefined) return false;
    const { pendingBytes } = answer;
    if (pendingBytes <= this.#options.streamBufferBytes) watched.most = undefined;
    if (watched.most === undefined || pendingBytes <= watched.most) return false;
    this.#cut(answer, 'behind');
    return true;
  }

  /** The answer is over, or its client has taken everything. */
  forget(answer: UnreadAnswer): void {
    const watched = this.#watched.get(answer);
    if (watched === undefined) return;
    this.#options.memory.give(watched.bytes, answer.share);
    this.#watched.delete(answer);
    if (this.#watched.size === 0) this.stop();
  }

  /** The client took nothing for `WRITE_TIMEOUT_MS`. */
  stalled(answer: UnreadAnswer): void {
    if (this.#watched.has(answer)) this.#cut(answer, 'stalled');
  }

  #measure(answer: UnreadAnswer): WatchedResponse {
    const { time, memory } = this.#options;
    const now = time.monotonic();
    const { pendingBytes, takenBytes, share } = answer;
    const watched = this.#watched.get(answer) ?? {
      bytes: 0,
      takenBytes,
      since: now,
      most: undefined,
    };
    memory.charge(pendingBytes - watched.bytes, share);
    if (pendingBytes < watched.bytes || takenBytes !== watched.takenBytes) {
      this.#watched.delete(answer);
      watched.since = now;
    }
    watched.bytes = pendingBytes;
    watched.takenBytes = takenBytes;
    this.#watched.set(answer, watched);
    return watched;
  }

  #look(): void {
    const { time } = this.#options;
    // `#measure` moves an answer whose client took something to the end of the map: this loop measures it twice.
    for (const answer of this.#watched.keys()) {
      const { bytes, takenBytes, since } = this.#measure(answer);
      if (bytes === 0) this.forget(answer);
      else if (takenBytes !== undefined && time.monotonic() - since >= WRITE_TIMEOUT_MS)
        this.stalled(answer);
    }
  }

  /** `user`: whose answers are cut until this user is within its share. Without it, until the budget has room. */
  #cutLongest(user?: string): void {
    const { budget } = this.#options.memory;
    for (const answer of this.#watched.keys()) {
      if (user === undefined ? !budget.full : !budget.isOver(user)) return;
      if (user === undefined || answer.share === user) this.#cut(answer, 'memory');
    }
  }

  #cut(answer: UnreadAnswer, why: Why): void {
    const { pendingBytes } = answer;
    this.forget(answer);
    this.#options.memory.budget.leaves(pendingBytes, answer.share);
    this.#options.onCut(why, pendingBytes);
    answer.cut();
  }

  stop(): void {
    this.#stop?.();
    this.#stop = undefined;
  }
}
