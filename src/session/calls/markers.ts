/**
 * Calls run at most once on a store that several processes share. Before a call that must not run
 * twice is dispatched, a fenced marker is stored, in one write with the priming event where there
 * is one. The marker shows the next owner that the call may have run. Repeatable requests need no
 * marker: what `base/protocol/methods.ts` says may repeat, tools with `readOnlyHint` or
 * `idempotentHint`, and tools with `RUNS_ONCE`, whose ledger knows what became of the first run.
 * Both are read from passing `tools/list` answers and forgotten at `list_changed`. An unknown tool
 * is not repeatable.
 *
 * Markers also count the runs of a call (`MOST_RUNS`). The first run needs no number: the open stream, or the marker,
 * shows it. Before a call runs again on its stream, a marker with the number of that run is stored. A call that arrives
 * again and opens a new stream has the number of its earlier runs in the first event of that stream. Where streams are
 * not logged, the instance that relayed a call counts the owners that it has lost. It knows nothing of the runs at other
 * instances that an owner counted (`durable/live/`), so a marker of no stream has their number from then on.
 */
import type { AuthInfo, RequestId } from '@modelcontextprotocol/server';
import { orUndefined } from '../../base/or-undefined.ts';
import { digestText } from '../../base/digest.ts';
import { isObject, type RpcRequest, type RpcResponse } from '../../base/protocol/jsonrpc.ts';
import { requestOf } from '../../base/protocol/methods.ts';
import type { MaybePromise, Mark, WriteOutcome } from '../../stores/store.ts';
import type { AdmittedPost, Call } from './call.ts';
import type { SessionOwnership } from '../ownership/session-ownership.ts';
import { comparePostStreams } from '../streams/event-id.ts';
import { whileAway } from '../record/pause.ts';
import type { SessionHost } from '../record/session-host.ts';
import type { AttemptId } from '../inbound/inbound.ts';
import { attemptKey, isOfProxy, PastMarkers } from './attempts.ts';
import type { Stream } from '../streams/stream.ts';
import type { AppendExtra, WriteResult } from '../streams/event-log.ts';

/** In the `_meta` of a tool that runs once for each key (`durable/once/once.ts`). */
export const RUNS_ONCE_KEY = 'sojourn/once';
/** A longer request is not kept for a re-run: the next owner ends it instead. */
const KEPT_REQUEST_LENGTH = 65_536;
/** The stored form of a stream's request; `params` only if the request can run again. */
export interface MarkedRequest {
  readonly id: RequestId;
  readonly method: string;
  readonly params?: Readonly<Record<string, unknown>>;
  /** The rights of the caller (`rightsOf`); absent: an anonymous caller. */
  readonly rights?: string;
  /** Its `attemptKey` where a proxy or another instance named the attempt. */
  readonly attempt?: string;
  /** The request was too large to keep whole. */
  readonly cut?: true;
  /** How often it may have run before this stream was opened; absent: never. */
  readonly ran?: number;
}

export class Markers {
  readonly #host: SessionHost;
  readonly #ownership: SessionOwnership;
  #repeatableTools: Set<string> | undefined = undefined;
  /** The markers in the store: `attemptKey` → stream key. */
  #markers: Map<string, string> | undefined = undefined;
  /** Runs on streams that are not logged: `attemptKey` → the number of the last one. */
  #unlogged: Map<string, number> | undefined = undefined;
  readonly #kept: PastMarkers;

  constructor(host: SessionHost, ownership: SessionOwnership) {
    this.#host = host;
    this.#ownership = ownership;
    this.#kept = new PastMarkers(host.options.timeProvider);
  }

  /** Whether a request may run again when its first outcome is unknown. */
  repeatable({ method, params }: Pick<RpcRequest, 'method' | 'params'>): boolean {
    const { repeats, names } = requestOf(method);
    if (repeats !== 'asListed' || names === undefined) return repeats === 'always';
    const name = params?.[names.member];
    return typeof name === 'string' && (this.#repeatableTools?.has(name) ?? false);
  }

  learn(answer: Pick<RpcResponse, 'result'>): void {
    const tools = answer.result?.['tools'];
    if (!Array.isArray(tools)) return;
    const known = (this.#repeatableTools ??= new Set());
    for (const tool of tools as unknown[]) {
      if (!isObject(tool) || typeof tool['name'] !== 'string') continue;
      if (mayRepeat(tool)) known.add(tool['name']);
      else known.delete(tool['name']);
    }
  }

  forget(): void {
    this.#repeatableTools = undefined;
  }

  /** The stream of a request that may have run, here or on an earlier owner. `key`: its `attemptKey`. */
  marked(key: string): string | undefined {
    return this.#markers?.get(key);
  }

  /**
   * Takes over the markers of earlier owners, in any order. Those of calls that a crash interrupted stay until the
   * session ends, because a relaying instance or a proxy may send such a call again. `open`: the streams that have no
   * end. Of the others a call has ended, and a proxy named it.
   */
  adopt(markers: readonly Mark[], open: ReadonlySet<string>): void {
    // If a request was sent twice, the later call counts.
    for (const marker of markers.filter(isUnlogged)) this.#add(marker);
    const ofStreams = markers.filter((marker) => !isUnlogged(marker));
    for (const marker of ofStreams.toSorted((a, b) => comparePostStreams(a.stream, b.stream))) {
      this.#add(marker);
      if (isOfProxy(marker.name) && !open.has(marker.stream)) this.#kept.add(marker);
    }
  }

  /** How often requests may have begun that arrive again, as far as an owner counted it without a stream. */
  ranBefore(requests: readonly RpcRequest[], attemptId: AttemptId | undefined): number {
    const counted = this.#unlogged;
    if (counted === undefined) return 0;
    const runs = requests.map((request) => counted.get(attemptKey(request, attemptId)) ?? 0);
    return Math.max(0, ...runs);
  }

  #drop({ name, stream }: Mark): void {
    const key = keyOfMark(name);
    if (this.#markers?.get(key) === stream) this.#markers.delete(key);
  }

  /** A marker of a call that ended, which no proxy sends again any more. */
  #takeSurplus(): Mark | undefined {
    const surplus = this.#kept.takeSurplus();
    if (surplus !== undefined) this.#drop(surplus);
    return surplus;
  }

  /** Before a call runs again. `stream`: absent where it is not logged. `run`: the number of that run. */
  async countRun(key: string, run: number, stream = UNLOGGED): Promise<WriteOutcome> {
    const mark = runMark(key, stream, run);
    this.#add(mark);
    return this.#mark(mark, run > FIRST_COUNTED ? runMark(key, stream, run - 1) : undefined);
  }

  #add(marker: Mark): void {
    const key = keyOfMark(marker.name);
    if (!isUnlogged(marker)) return void (this.#markers ??= new Map()).set(key, marker.stream);
    const counted = (this.#unlogged ??= new Map<string, number>());
    counted.set(key, Math.max(runOf(marker.name), counted.get(key) ?? 0));
  }

  /** What to store with the first event of a logged stream, which has one request. */
  firstEvent({ stream, calls: [call], attempt }: AdmittedPost): AppendExtra {
    if (call === undefined) return {};
    const mark = this.#markOf(call, stream);
    const note = (): string => keptText(call, attempt - 1);
    return mark === undefined ? { note } : { note, mark, unmark: this.#takeSurplus() };
  }

  /** `undefined`: the request may run twice. */
  #markOf(call: Call, stream: Stream): Mark | undefined {
    const request = call.sent;
    if (request === undefined || this.repeatable(request)) return undefined;
    const mark = { name: call.attemptKey ?? attemptKey(request), stream: stream.key };
    call.marker = { mark, origin: undefined };
    this.#add(mark);
    return mark;
  }

  /** Stores the markers of a POST whose stream is not logged. */
  markAll({ stream, calls, attempt }: AdmittedPost): MaybePromise<WriteResult> {
    const marks = calls.flatMap(
      (call) => this.#markOf(call, stream) ?? this.#nextRun(call, attempt),
    );
    return marks.length === 0 ? 'written' : this.#markAll(marks, stream);
  }

  /** The run of a call that an earlier owner has counted: the next owner must know of this one, too. */
  #nextRun({ attemptKey: key = '' }: Call, run: number): Mark[] {
    if (this.#unlogged?.has(key) !== true) return [];
    const mark = runMark(key, UNLOGGED, run);
    this.#add(mark);
    return [mark];
  }

  async #markAll(marks: readonly Mark[], stream: Stream): Promise<WriteResult> {
    const { timeProvider: time, maxWaitMs } = this.#host.options;
    const wait = { time, maxWaitMs, stopped: () => this.#ownership.left };
    try {
      for (const mark of marks) {
        let tries = 0;
        const outcome = await whileAway(wait, () => {
          if (tries++ > 0) stream.noteDelay();
          return this.#mark(mark, this.#takeSurplus());
        });
        if (outcome === 'fenced') return 'fenced';
      }
      return 'written';
    } catch (err) {
      this.#host.logger.error(
        { err, sessionId: this.#ownership.sessionId },
        'The marker of a call could not be stored',
      );
      return 'failed';
    }
  }

  async #mark(mark: Mark, unmark?: Mark): Promise<WriteOutcome> {
    const { sessionId: id, fence } = this.#ownership;
    const outcome = await this.#host.store.sessions.append({
      id,
      fence,
      stream: null,
      mark,
      unmark,
    });
    return outcome === 'fenced' && (await this.#ownership.claimedSince(fence.epoch))
      ? this.#mark(mark, unmark)
      : outcome;
  }

  /**
   * If another instance relayed these calls, it sends them again when it does not know how they ended. So their markers
   * stay until it has acknowledged the answer.
   */
  keep({ calls, caller: { relayOrigin } }: AdmittedPost): void {
    if (relayOrigin === undefined) return;
    for (const call of calls) {
      if (call.marker === undefined || isOfProxy(call.attemptKey)) continue;
      call.marker.origin = relayOrigin;
      relayOrigin.onAcknowledged(() => {
        if (call.isOver) void this.#unmarkAcknowledged(call);
      });
    }
  }

  /** The marker that the last event of the call's stream removes. */
  removedBy(call: Call): Mark | undefined {
    return isOfProxy(call.attemptKey) && call.marker !== undefined
      ? this.#takeSurplus()
      : call.removedMark;
  }

  /** A call has ended. */
  ended(call: Call): void {
    if (call.marker !== undefined && isOfProxy(call.attemptKey)) this.#kept.add(call.marker.mark);
    else this.unmark(call);
  }

  /**
   * A call has ended, or did not run. On a logged stream only its last append removes the marker:
   * without the marker, the next owner would run the call of a stream that the log holds open.
   * Otherwise a separate write removes it.
   */
  unmark(call: Call): void {
    const mark = call.removedMark;
    if (mark === undefined) return;
    if (call.stream?.logged === false) this.#remove(mark);
    else this.#markers?.delete(mark.name);
  }

  /** For a call whose marker stayed when it was answered. */
  async #unmarkAcknowledged({ marker, stream }: Call): Promise<void> {
    await stream?.flushed();
    if (marker !== undefined && (stream?.isStored === true || stream?.logged === false))
      this.#remove(marker.mark);
  }

  #remove(marker: Mark): void {
    this.#drop(marker);
    // The next owner would run the call of an open stream without a marker, beside the retry of its client.
    if (this.#ownership.left) return;
    // If this write fails, the marker names a call that has ended. The next owner finds no open stream for it.
    const { sessionId: id, fence } = this.#ownership;
    const removed = async (): Promise<WriteOutcome> =>
      this.#host.store.sessions.append({ id, fence, stream: null, unmark: marker });
    removed().catch(() => {});
  }
}

/**
 * Whether a tool of `tools/list` says that its calls may run twice. Those of a tool that runs once for each key find
 * out themselves what became of the first run.
 */
export function mayRepeat(tool: unknown): boolean {
  return isRunOnce(tool) || isHarmless(tool);
}

/** Whether a tool has `_meta: RUNS_ONCE`. */
export function isRunOnce(tool: unknown): boolean {
  return isObject(tool) && isObject(tool['_meta']) && tool['_meta'][RUNS_ONCE_KEY] === true;
}

/** Whether a tool says that a second run does no harm. */
export function isHarmless(tool: unknown): boolean {
  const hints = isObject(tool) && isObject(tool['annotations']) ? tool['annotations'] : {};
  return hints['readOnlyHint'] === true || hints['idempotentHint'] === true;
}

/** `1` and `"1"` are two requests. */
export function requestKey(id: RequestId): string {
  return JSON.stringify(id);
}

/** In the name of a marker, between the `attemptKey` of its request and the number of the run. */
const RUN = '.';
/** The number of the first run that is stored. */
const FIRST_COUNTED = 2;
/** The stream of a marker that counts runs on streams that are not logged. */
const UNLOGGED = '-';

const isUnlogged = ({ stream }: Mark): boolean => stream === UNLOGGED;

const keyOfMark = (name: string): string => name.split(RUN)[0] ?? name;

const runOf = (name: string): number => Number(name.split(RUN)[1] ?? 0);

const runMark = (key: string, stream: string, run: number): Mark => ({
  name: `${key}${RUN}${run}`,
  stream,
});

/** Whether it is a marker of a call that must not run twice, and no number of a run. */
export function saysMayHaveRun({ name }: Mark): boolean {
  return !name.includes(RUN);
}

/** How often the call of an open stream may have begun. `markers`: all of its session. */
export function begunOn(
  stream: string,
  request: MarkedRequest | undefined,
  markers: readonly Mark[],
): number {
  const counted = markers.filter((one) => one.stream === stream).map(({ name }) => runOf(name));
  return Math.max(1 + (request?.ran ?? 0), ...counted);
}

/** A `MarkedRequest`: the request as it was sent, also where its caller may not use what it names. */
function keptText({ sent, authInfo, attemptKey: attempt }: Call, before: number): string {
  const { id, method, params } = sent ?? {};
  const ran = before > 0 ? before : undefined;
  // The text has no member that is `undefined`.
  const whole = JSON.stringify({ id, method, params, rights: rightsOf(authInfo), attempt, ran });
  return whole.length <= KEPT_REQUEST_LENGTH
    ? whole
    : JSON.stringify({ id, method, attempt, cut: true });
}

/**
 * The rights of a caller as a digest, which a store may keep beside a recorded request: the next owner runs a lost call
 * again only for a caller with equal rights. The digest does not depend on the token, so a refreshed token with the
 * same scopes has equal rights. `undefined`: an anonymous caller.
 */
export function rightsOf(authInfo: AuthInfo | undefined): string | undefined {
  if (authInfo === undefined) return undefined;
  const scopes = [...new Set(authInfo.scopes)].toSorted();
  return digestText(JSON.stringify([authInfo.clientId, scopes]));
}

/** `undefined`: no request was kept, or an unknown version kept it. */
export function readKept(requests: string | null): MarkedRequest | undefined {
  const value: unknown =
    requests === null ? undefined : orUndefined(() => JSON.parse(requests) as unknown);
  if (!isObject(value) || typeof value['method'] !== 'string') return undefined;
  const { id } = value;
  return typeof id === 'string' || typeof id === 'number'
    ? (value as unknown as MarkedRequest)
    : undefined;
}
