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
import type { CallerRequest } from '../../http/exchange.ts';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';
import type { Call } from './call.ts';

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
  #runs: BoundedMap<RequestId, EarlierRun & { readonly method: string }> | undefined = undefined;

  get any(): boolean {
    return this.#runs !== undefined;
  }

  add({ id, method }: Pick<RpcRequest, 'id' | 'method'>, run: EarlierRun): void {
    (this.#runs ??= new BoundedMap(RUNS)).set(id, { ...run, method });
  }

  /** Remembers requests without a marker, on a logged stream, until the instance that relays them has the answer. */
  keep(calls: readonly Call[], { relayOrigin }: CallerRequest): void {
    if (relayOrigin === undefined) return;
    for (const { id, method, stream } of calls) {
      if (id === undefined || method === undefined || stream === undefined) continue;
      this.add({ id, method }, { stream: stream.key, reran: false });
      relayOrigin.onAcknowledged(() => this.forget(id, stream.key));
    }
  }

  of({ id, method }: RpcRequest): EarlierRun | undefined {
    const run = this.#runs?.get(id);
    return run?.method === method ? run : undefined;
  }

  /** A retry of this call may run. `stream`: only if it ran on this stream. */
  forget(id: RequestId, stream?: string): void {
    if (stream === undefined || this.#runs?.get(id)?.stream === stream) this.#runs?.delete(id);
    // Idle sessions are many, and hold nothing that they need not.
    if (this.#runs?.size === 0) this.#runs = undefined;
  }
}
