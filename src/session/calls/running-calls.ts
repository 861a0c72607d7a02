/**
 * The calls that a session runs: which ids are taken, how many calls count against the limit, and which streams answer
 * them. A request that was cancelled gives its id back at once, and its places when its handler has settled.
 *
 * Also the calls that ran on this copy of the session, have no marker that says so, and may arrive once more. Their
 * answers are in the log, so a retry gets the answer of that run:
 *
 *     another instance relays the call  → remembered until that instance has the whole answer
 *     a lost owner's call ran again     → remembered among the last `EARLIER_RUNS`
 *     a proxy may send it again         → remembered among the last `ANSWERED_RUNS` that have ended
 *
 * The next copy knows of no first run of such a call, and may run it too: up to `MOST_RUNS` in all.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import {
  alreadyInitialized,
  batchNotAllowed,
  requestIdInFlight,
  type SojournError,
  tooManyRequests,
} from '../../base/errors.ts';
import type { RpcRequest } from '../../base/protocol/jsonrpc.ts';
import { roleOf } from '../../base/protocol/methods.ts';
import { BoundedMap } from '../../base/bounded-map.ts';
import { SmallMap } from '../../base/small-map.ts';
import type { Mark } from '../../stores/store.ts';
import type { Call, CallEnd } from './call.ts';
import type { Subscriptions } from '../record/subscriptions.ts';
import { postStreamKey } from '../streams/event-id.ts';
import { Stream } from '../streams/stream.ts';
import type { AwaitedRequest, AwaitedRequests, SessionEventLog } from '../streams/event-log.ts';

/**
 * Four times as many as run at once by default (`limits.requestsPerSession`). A run whose relaying instance is lost is
 * never acknowledged, so entries can be left over. A retry of a call that was dropped from here runs it once more.
 */
const EARLIER_RUNS = 256;
/** A proxy repeats at once, and an idle session keeps them. A call that was dropped from here runs once more. */
const ANSWERED_RUNS = 16;

export class RunningCalls {
  readonly #calls = new SmallMap<RequestId, Call>();
  /** The logged streams: only those can be resumed. */
  #streams: SmallMap<string, Stream> | undefined = undefined;
  /** `attemptKey` → stream key. */
  #earlier: BoundedMap<string, string> | undefined = undefined;
  #answered: BoundedMap<string, string> | undefined = undefined;
  readonly #epoch: number;
  /** Number 0 is that of `HANDSHAKE_STREAM`: a session that was not opened here has no such stream. */
  #opened = 1;
  #counted = 0;
  #freed: Array<(ended: true) => void> | undefined = undefined;

  constructor(epoch: number) {
    this.#epoch = epoch;
  }

  get size(): number {
    return this.#calls.size;
  }

  /** A response of one is open. */
  get anyRead(): boolean {
    return this.#calls.values().some(({ stream }) => stream?.hasOpenSink === true);
  }

  /** Pings do not count against the limit. Cancelled requests whose handlers run do. */
  get counted(): number {
    return this.#counted;
  }

  /** Why these requests may not run. `TOO_MANY_REQUESTS`: they fit when others have ended. `limit`: of requests. */
  refusal(
    record: { readonly subscriptions: Pick<Subscriptions, 'refusal'> },
    requests: readonly RpcRequest[],
    limit: number,
  ): SojournError | undefined {
    let counted = 0;
    for (const { id, method } of requests) {
      if (roleOf(method) === 'handshake') return alreadyInitialized();
      if (this.#calls.get(id) !== undefined) return requestIdInFlight(id);
      if (roleOf(method) !== 'ping') counted += 1;
    }
    if (requests.some(subscribes)) {
      // The record has a URI once its server has answered.
      const all = [...requests, ...this.#calls.values().flatMap(({ sent }) => sent ?? [])].filter(
        subscribes,
      );
      const uris = all.flatMap(({ params }) =>
        typeof params?.['uri'] === 'string' ? params['uri'] : [],
      );
      const full = record.subscriptions.refusal(new Set(uris));
      if (full !== undefined) return full;
    }
    // It would wait for ever, and so would every later request of the session.
    if (counted > limit)
      return batchNotAllowed(
        `a batch of ${counted} requests; ${limit} may run at once (limits.requestsPerSession)`,
      );
    return counted > 0 && this.#counted + counted > limit ? tooManyRequests(limit) : undefined;
  }

  /** Resolves when a request has ended. */
  freed(): Promise<true> {
    return new Promise((resolve) => (this.#freed ??= []).push(resolve));
  }

  values(): Call[] {
    return this.#calls.values();
  }

  get(id: RequestId): Call | undefined {
    return this.#calls.get(id);
  }

  add(id: RequestId, call: Call): void {
    this.#calls.set(id, call);
    if (roleOf(call.method) !== 'ping') this.#counted += 1;
  }

  /** The answer of a request is here, or will never come. */
  end(call: Call, how: CallEnd): void {
    if (call.id !== undefined) this.#calls.delete(call.id);
    call.endAs(how);
    call.around?.over();
    if (call.isDone) this.#free(call);
    else call.holds({ release: () => this.#free(call) });
  }

  #free({ method }: Call): void {
    if (roleOf(method) !== 'ping') this.#counted -= 1;
    if (this.#freed !== undefined) this.#resolveFreed();
  }

  #resolveFreed(): void {
    const freed = this.#freed;
    this.#freed = undefined;
    for (const resolve of freed ?? []) resolve(true);
  }

  /** Ends and returns all of them: their session leaves. */
  takeAll(): Call[] {
    const all = this.#calls.values();
    for (const call of all) this.end(call, 'left');
    this.#resolveFreed();
    return all;
  }

  // ——— calls that ran here ———

  get anyEarlier(): boolean {
    return this.#earlier !== undefined;
  }

  /** The stream on which this attempt ran. */
  earlier(key: string): string | undefined {
    return this.#earlier?.get(key) ?? this.#answered?.get(key);
  }

  /** It has ended, has no marker, and a proxy may send it again. */
  answered(key: string, stream: string): void {
    (this.#answered ??= new BoundedMap(ANSWERED_RUNS)).set(key, stream);
  }

  remember(key: string, stream: string): void {
    (this.#earlier ??= new BoundedMap(EARLIER_RUNS)).set(key, stream);
  }

  /** A retry of this call may run. `stream`: only if it ran on this stream. */
  forget(key: string, stream?: string): void {
    if (stream === undefined || this.#earlier?.get(key) === stream) this.#earlier?.delete(key);
    if (stream === undefined) this.#answered?.delete(key);
    // Idle sessions are many, and hold nothing that they need not.
    if (this.#earlier?.size === 0) this.#earlier = undefined;
  }

  // ——— the streams that answer them ———

  /** The stream of a POST, still without a sink. `key`, `next`: of a stream that an earlier owner began. */
  openStream(
    requests: AwaitedRequests,
    log: SessionEventLog | undefined,
    { key = postStreamKey(this.#epoch, this.#opened++), next = 0 } = {},
  ): Stream {
    const stream = new Stream(key, log, next, requests);
    if (log !== undefined) (this.#streams ??= new SmallMap()).set(key, stream);
    return stream;
  }

  stream(key: string): Stream | undefined {
    return this.#streams?.get(key);
  }

  /** The log holds the whole stream, and answers for it from here on. */
  forgetStream(key: string): void {
    this.#streams?.delete(key);
    // An idle session keeps no empty map.
    if (this.#streams?.size === 0) this.#streams = undefined;
  }

  /** Ends the sinks that can resume at another instance. */
  endToResumeElsewhere(): void {
    for (const stream of this.#streams?.values() ?? []) stream.endToResumeElsewhere();
  }

  /** Resolves when every message so far is stored, answers included. */
  async flushed(): Promise<void> {
    for (const stream of this.#streams?.values() ?? []) await stream.flushed();
  }

  /**
   * A request of the stream ends. `json`: its answer; `undefined`: its client cancelled it. The last answer completes
   * the stream. `unmark`: the marker that goes with it.
   */
  reply(stream: Stream, json: string | undefined, unmark?: Mark): void {
    stream.answer(json, unmark);
    if (!stream.isComplete) return;
    // Until its end is stored, the log shows a resuming client an incomplete stream.
    if (stream.flushing) stream.whenFlushed(() => this.forgetStream(stream.key));
    else this.forgetStream(stream.key);
  }
}

const subscribes = ({ method }: AwaitedRequest): boolean => roleOf(method) === 'subscribe';
