/**
 * The logs of the records that this process writes: the next entry of each, and when old entries are removed. A log
 * state belongs to one fence. It is folded from the stored entries once, and then it follows what is written.
 */
import { BoundedMap } from '../../base/bounded-map.ts';
import { after, repeated } from '../shared/after.ts';
import type { Deadlines } from '../shared/deadlines.ts';
import type { AppendRequest, Kind, MaybePromise, ReplayOutcome } from '../store.ts';
import type { EventRetention } from '../../types.ts';
import type { Backend, Entry } from './backend.ts';
import { cutOf, isStored, LogState, replayOf } from './log-state.ts';
import type { Writes } from './turn-writes.ts';

/** `trimmedAt`: when it was read or trimmed last. */
interface KnownLog {
  readonly id: string;
  fence: string;
  readonly state: LogState;
  trimmedAt: number;
}

/** A kind without events keeps no entry but those that say which marks there are. */
const MARKS_ALONE: EventRetention = { ttlMs: Infinity, events: 64, bytes: Infinity };
/** Logs that this process writes. */
const MOST = 20_000;

const EMPTY = new LogState();

/** What the parts of a kernel stand on: one kind of records on one backend. */
export interface KernelParts {
  readonly kind: Kind;
  readonly backend: Backend;
  readonly writes: Writes;
  /**
   * The backend is in this process and has no other kernel for this kind. So what is known is always true, and all logs
   * that are not empty are known: the store may drop entries.
   */
  readonly isAlone: boolean;
  /** How long a step waits for the earlier ones of its record. Absent: for ever. */
  readonly deadlines?: Deadlines | undefined;
}

export class RecordLogs {
  readonly #parts: KernelParts;
  readonly #retention: EventRetention;
  /** In the order of their last trims. */
  readonly #known: BoundedMap<string, KnownLog>;
  /** The last append of each log that is not answered yet. */
  readonly #underWay = new Map<string, Promise<boolean>>();

  constructor(parts: KernelParts) {
    this.#parts = parts;
    const { log } = parts.kind;
    this.#retention = log === false ? MARKS_ALONE : log;
    this.#known = new BoundedMap(parts.isAlone ? Infinity : MOST);
  }

  /** The record was created, and its log is empty. */
  begin(id: string, fence: string, now: number): void {
    if (this.#parts.isAlone) this.delete(id);
    else this.#know(id, fence, new LogState(), now);
  }

  /** The owner has written the record, or released it. */
  keep(id: string, fence: string): void {
    const known = this.#known.get(id);
    if (known !== undefined) known.fence = fence;
  }

  delete(id: string): void {
    this.#known.delete(id);
  }

  /** Reads the log unless it is known, once the appends of this process that are under way are answered. */
  load(id: string, fence: string, now: number): MaybePromise<void> {
    if (this.#known.get(id)?.fence === fence) return undefined;
    return after(this.answered(id), () => this.#read(id, fence, now));
  }

  /** Resolves once the appends of this process that are under way are stored or refused: they are answered in order. */
  answered(id: string): MaybePromise<unknown> {
    return this.#underWay.get(id)?.catch(() => undefined);
  }

  #read(id: string, fence: string, now: number): MaybePromise<void> {
    return after(this.#parts.backend.log(this.#parts.kind, id, null), (entries) => {
      this.#know(id, fence, LogState.of(entries), now);
    });
  }

  /** The state for an owner that has just claimed the record: nothing of an earlier owner is stored any more. */
  claimed(id: string, fence: string, now: number): MaybePromise<LogState> {
    if (!this.#parts.isAlone) this.delete(id);
    else return this.#known.get(id)?.state ?? EMPTY;
    return after(this.#read(id, fence, now), () => this.#known.get(id)?.state ?? EMPTY);
  }

  /**
   * `undefined`: the log is not known. `false`: another writer was faster, and the log is not known any more. The next
   * append may follow at once: it has the next number, whatever becomes of this one. One whose answer was lost may be
   * stored: a caller that tries again finds it in the log.
   */
  append(request: AppendRequest, fence: string, now: number): MaybePromise<boolean | 'fenced' | undefined> {
    const { id, share } = request;
    const known = this.#known.get(id);
    if (known?.fence !== fence) return undefined;
    const { state } = known;
    const isLogged = this.#parts.kind.log !== false;
    const kept = isLogged ? request : marksOf(request);
    const entry = state.accept(kept, now);
    if (entry === undefined)
      return after(this.answered(id), () =>
        after(this.#parts.backend.log(this.#parts.kind, id, kept.stream), (stored) =>
          isStored(stored, kept, this.#retention, now) ? true : 'fenced',
        ),
      );
    const sent = this.#parts.writes.write({ kind: this.#parts.kind, id, fence, entries: [entry], cut: 0, share });
    state.take(entry);
    const trims = state.trimIsDue(this.#retention);
    if (!(sent instanceof Promise)) return this.#sent(known, sent, trims, now);
    this.#underWay.set(id, sent);
    const settle = (): void => void (this.#underWay.get(id) === sent && this.#underWay.delete(id));
    return sent.then(
      (done) => {
        settle();
        return this.#sent(known, done, trims, now);
      },
      (cause: unknown) => {
        settle();
        this.delete(id);
        throw cause;
      },
    );
  }

  replay(id: string, stream: string, from: number, now: number): MaybePromise<ReplayOutcome> {
    return after(this.#parts.backend.log(this.#parts.kind, id, stream), (entries) => {
      // A store that is alone may have dropped what says how long an open stream is.
      const state = this.#parts.isAlone ? this.#known.get(id)?.state : LogState.of(entries);
      return replayOf(entries, stream, state?.lengthOf(stream), from, this.#retention, now);
    });
  }

  /**
   * Removes events that are too old. A log is read once in the time that events are kept, so an event is removed before
   * it is twice that old. A log without events is forgotten.
   */
  trimOld(now: number): MaybePromise<unknown> {
    return repeated(() => {
      const { oldest } = this.#known;
      if (oldest === undefined || oldest.trimmedAt + this.#retention.ttlMs > now) return true;
      oldest.trimmedAt = now;
      this.#known.use(oldest.id);
      return after(this.#trim(oldest, now), (keepsNone) => {
        if (this.#parts.isAlone ? oldest.state.isEmpty : keepsNone) this.delete(oldest.id);
        return undefined;
      });
    });
  }

  /** Removes events that are too old, of a log that this process may not own. The fence is new, so the log is at rest. */
  trimAtRest(id: string, fence: string, now: number): MaybePromise<void> {
    return after(this.#read(id, fence, now), () => {
      const known = this.#known.get(id);
      return known && after(this.#trim(known, now), () => this.delete(id));
    });
  }

  /** Called only where this object is alone. */
  forget(id: string, stream: string): void {
    const known = this.#known.get(id);
    if (known === undefined || known.state.lengthOf(stream) !== undefined) return;
    const entries = this.#parts.backend.log(this.#parts.kind, id, null) as readonly Entry[];
    let cut = 0;
    for (const entry of entries) {
      if (entry.stream !== stream) break;
      cut = entry.no;
    }
    if (cut > 0) this.#attempt(this.#cut(known, cut, 0));
  }

  #know(id: string, fence: string, state: LogState, now: number): void {
    this.#known.set(id, { id, fence, state, trimmedAt: now });
  }

  /** A log is trimmed once the append is stored: then this process knows all of it. */
  #sent(known: KnownLog, done: boolean, trims: boolean, now: number): boolean {
    if (!done) this.delete(known.id);
    else if (trims) this.#attempt(this.#trim(known, now));
    return done;
  }

  /** A trim that fails is tried again when the next one is due. */
  #attempt(trimmed: MaybePromise<unknown>): void {
    if (trimmed instanceof Promise) trimmed.catch(() => undefined);
  }

  /** `true`: no event of the log is kept. */
  #trim(known: KnownLog, now: number): MaybePromise<boolean> {
    return after(this.#parts.backend.log(this.#parts.kind, known.id, null), (entries) => {
      const last = entries.at(-1)?.no ?? 0;
      // Another process writes under this fence too.
      if (last >= known.state.next) {
        this.delete(known.id);
        return true;
      }
      // A bounded store has dropped the entries before the first one. Complete streams among them are forgotten too.
      known.state.trimmed((entries[0]?.no ?? known.state.next) - 1);
      const cut = this.#parts.kind.log === false ? last : cutOf(entries, this.#retention, now);
      return after(cut === 0 ? undefined : this.#cut(known, cut, now), () => cut === last);
    });
  }

  #cut(known: KnownLog, cut: number, now: number): MaybePromise<void> {
    const { id, fence, state } = known;
    if (this.#known.get(id) !== known) return undefined;
    // A log that others read is never empty again: its last entry says which number is next.
    const isNeeded = state.trimmed(cut) || cut === state.next - 1;
    const entries = isNeeded && !this.#parts.isAlone ? [state.stateEntry(now)] : [];
    const sent = this.#parts.writes.write({ kind: this.#parts.kind, id, fence, entries, cut, share: undefined });
    const done = after(sent, (stored) => {
      if (!stored || (this.#parts.isAlone && state.isEmpty)) this.delete(id);
    });
    if (!(done instanceof Promise)) return done;
    return done.catch((cause: unknown) => {
      // The state says that it is stored.
      this.delete(id);
      throw cause;
    });
  }
}

const marksOf = ({ id, fence, mark, unmark }: AppendRequest): AppendRequest => ({
  id,
  fence,
  stream: null,
  mark,
  unmark,
});
