/** A run of a handler that runs once, and the ownership of its entry. */
import { OwnedRecord } from '../owned/owned-record.ts';
import type { Fence, Records } from '../stores/store.ts';
import type { LocalRun } from './local-entry.ts';
import type { CallEnd, OnceCall } from '../session/calls/once-calls.ts';

export class OnceRun implements LocalRun {
  readonly id: string;
  readonly tool: string;
  readonly args: string;
  readonly share: string;
  readonly keepMs: number;
  /** The stamp of the creation of its entry: no later entry with this id has it. */
  readonly stamp: number;
  readonly owned: OwnedRecord;
  readonly #endsWithClient: boolean;
  readonly #abort = new AbortController();

  constructor(
    { id, tool, args, share, keepMs, endsWithClient }: OnceCall,
    records: () => Records,
    fence: Fence,
    stamp: number,
  ) {
    this.id = id;
    this.tool = tool;
    this.args = args;
    this.share = share;
    this.keepMs = keepMs;
    this.stamp = stamp;
    this.owned = new OwnedRecord(records, id, fence, (stored) => stored.stamp === stamp);
    this.#endsWithClient = endsWithClient;
  }

  get fence(): Fence {
    return this.owned.fence;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** A run that its caller timed out ends, also where others wait. */
  left(end: CallEnd, last: boolean): void {
    if (end === 'timedOut' || (last && (end === 'cancelled' || this.#endsWithClient))) this.abort(end);
  }

  abort(reason: string): void {
    this.#abort.abort(new DOMException(`The run of once() was aborted: ${reason}`, 'AbortError'));
  }
}
