/** A run of a handler that runs once, and the ownership of its entry. */
import { OwnedRecord } from '../owned/owned-record.ts';
import type { OwnedRecords } from '../owned/owned-records.ts';
import type { CallEnd, OnceCall, OnceEntry } from './once-call.ts';
import type { Fence } from '../stores/store.ts';

export class OnceRun {
  /** What waits for the store does not keep the call. */
  readonly entry: OnceEntry;
  /** The stamp of the creation of its entry: no later entry with this id has it. */
  readonly stamp: number;
  readonly owned: OwnedRecord;
  readonly #abort = new AbortController();

  constructor({ entry }: OnceCall, kind: OwnedRecords, fence: Fence, stamp: number) {
    this.entry = entry;
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
