/** A run of a handler that runs once, and the ownership of its entry. */
import { OwnedRecord } from '../owned/owned-record.ts';
import type { OwnedRecords } from '../owned/owned-records.ts';
import type { CallEnd, OnceCall, OnceEntry } from './once-call.ts';
import type { Fence } from '../stores/store.ts';

/** The store may be away for 15 s, also when the entry should be renewed. */
const LEAST_MS = 60_000;

export class OnceRun {
  /** What waits for the store does not keep the call. */
  readonly entry: OnceEntry;
  /** How long the entry lasts that is not renewed. */
  readonly lastsMs: number;
  /** The stamp of the creation of its entry: no later entry with this id has it. */
  readonly stamp: number;
  readonly owned: OwnedRecord;
  readonly #abort = new AbortController();

  constructor({ entry }: OnceCall, kind: OwnedRecords, fence: Fence, stamp: number) {
    this.entry = entry;
    this.lastsMs = Math.max(entry.keepMs, LEAST_MS);
    this.stamp = stamp;
    this.owned = new OwnedRecord(kind, entry.id, fence, () => this.abort('another instance runs it'), stamp);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** A call no longer waits for it. `last`: no other one does. A run that its caller timed out ends all the same. */
  left(end: CallEnd, last: boolean): void {
    if (end === 'timedOut' || (last && (end === 'cancelled' || this.entry.endsWithClient))) this.abort(end);
  }

  abort(reason: string): void {
    this.#abort.abort(new DOMException(`The run of once() was aborted: ${reason}`, 'AbortError'));
  }
}
