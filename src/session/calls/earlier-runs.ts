/**
 * Calls that ran on this copy of a session, have no marker, and may arrive once more. Their answers are in the log, so
 * a retry gets the answer of that run:
 *
 *     another instance relays the call  → remembered until that instance has the whole answer
 *     a lost owner's call ran again     → remembered until its client uses the request id again
 *
 * The next copy knows nothing of these runs: each owner of a session may run such a call once.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { BoundedMap } from '../../base/bounded-map.ts';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';

/**
 * Four times as many as run at once by default (`limits.requestsPerSession`). A run whose relaying instance is lost is
 * never acknowledged, so entries can be left over. A retry of a call that was dropped from here runs it once more.
 */
const RUNS = 256;

export interface EarlierRun {
  /** The key of its stream. */
  readonly stream: string;
  /** It ran again here, after its owner was lost. */
  readonly reran: boolean;
}

export class EarlierRuns {
  readonly #runs = new BoundedMap<RequestId, EarlierRun & { readonly method: string }>(RUNS);

  get size(): number {
    return this.#runs.size;
  }

  add({ id, method }: Pick<RpcRequest, 'id' | 'method'>, run: EarlierRun): void {
    this.#runs.set(id, { ...run, method });
  }

  of({ id, method }: RpcRequest): EarlierRun | undefined {
    const run = this.#runs.get(id);
    return run?.method === method ? run : undefined;
  }

  /** `stream`: only the run on this stream. */
  forget(id: RequestId, stream?: string): void {
    if (stream === undefined || this.#runs.get(id)?.stream === stream) this.#runs.delete(id);
  }
}
