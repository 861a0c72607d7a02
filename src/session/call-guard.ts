/**
 * At most once, on a store that several processes may own sessions on: before a call that must not run twice is dispatched,
 * a marker is stored, fenced, in one write with the priming event where there is one. The next owner knows by it what may
 * have run. What is repeatable pays nothing: every method but `tools/call`, and tools that say `readOnlyHint` or
 * `idempotentHint`. The hints are learnt from `tools/list` answers that pass by and forgotten at `list_changed`; a tool
 * that nobody knows is not repeatable.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { isObject, type RpcRequest, type RpcResponse } from '../protocol/jsonrpc.ts';
import type { MaybePromise, Marker, SessionStore, WriteOutcome } from '../stores/store.ts';
import type { MessageContext } from './context.ts';
import type { RecordKeeper } from './record-keeper.ts';
import { rightsOf } from './rights.ts';
import type { Logger, TimeProvider } from '../types.ts';
import { comparePostStreams } from './event-id.ts';
import { type StoreWait, whileAway } from './pause.ts';
import type { SessionHost } from './session-host.ts';
import type { Stream } from './stream.ts';
import type { AppendExtra, WriteResult } from './stream-writer.ts';

/** A request larger than this is not kept for a re-run: its next owner ends it instead. */
const KEPT_REQUEST_LENGTH = 65_536;
/**
 * How long markers are kept of calls whose owner is lost, or whose relaying instance is: that one asks for such a call again
 * within two leases and the attempts of its call loop; longer than this it would have to be frozen, with a client that still waits.
 */
const LEFT_MS = 600_000;
const LEFT_LEASES = 10;

/** What is stored about the request of a stream; `params` only where it can be run again. */
export interface KeptRequest {
  readonly id: RequestId;
  readonly method: string;
  readonly params?: Readonly<Record<string, unknown>>;
  /** Of its caller (`rights.ts`); absent: an anonymous caller, or a build before this member. */
  readonly rights?: string;
  /** The request was too large to keep whole. */
  readonly cut?: true;
}

interface LeftMarker {
  readonly marker: Marker;
  readonly since: number;
}

/** What a guard needs of the instance. */
type GuardHost = Pick<SessionHost, 'store' | 'logger' | 'options'>;

/** What a guard needs of an exchange. */
interface Client {
  /** Another instance has it, which calls `fn` once it will not ask again. */
  readonly relayOrigin: { onAcknowledged(fn: () => void): void } | undefined;
  /** It left, or that instance is gone. */
  onClose(fn: () => void): void;
}

export class CallGuard {
  readonly #sessions: SessionStore;
  readonly #sessionId: string;
  readonly #record: RecordKeeper;
  readonly #logger: Logger;
  readonly #time: Required<TimeProvider>;
  readonly #leftMs: number;
  readonly #wait: StoreWait;
  #repeatableTools: Set<string> | undefined = undefined;
  /** The markers that stand in the store: what may have run, by its request, and its stream. */
  #markers: Map<string, string> | undefined = undefined;
  /** Those that no call here takes away, oldest first, and since when. */
  #left: LeftMarker[] | undefined = undefined;

  constructor({ store, logger, options }: GuardHost, sessionId: string, record: RecordKeeper) {
    this.#logger = logger;
    this.#sessions = store.sessions;
    this.#sessionId = sessionId;
    this.#record = record;
    this.#time = options.timeProvider;
    this.#wait = { time: options.timeProvider, waitMs: options.waitMs, stopped: () => record.left };
    this.#leftMs = Math.max(LEFT_MS, LEFT_LEASES * options.leaseMs);
  }

  /** Whether a request may be run again when nobody knows whether it ran. */
  repeatable({ method, params }: Pick<RpcRequest, 'method' | 'params'>): boolean {
    if (method !== 'tools/call') return true;
    const name = params?.['name'];
    return typeof name === 'string' && (this.#repeatableTools?.has(name) ?? false);
  }

  learn(answer: RpcResponse): void {
    const tools = answer.result?.['tools'];
    if (!Array.isArray(tools)) return;
    const known = (this.#repeatableTools ??= new Set());
    for (const tool of tools as unknown[]) {
      if (!isObject(tool) || typeof tool['name'] !== 'string') continue;
      const hints = isObject(tool['annotations']) ? tool['annotations'] : {};
      if (hints['readOnlyHint'] === true || hints['idempotentHint'] === true) known.add(tool['name']);
      else known.delete(tool['name']);
    }
  }

  forget(): void {
    this.#repeatableTools = undefined;
  }

  /** The stream of a request that may have run, here or at an earlier owner. */
  marked(id: RequestId): string | undefined {
    return this.#markers?.get(requestKey(id));
  }

  /** What earlier owners left, in any order. They stay for a while: a relaying instance may still ask for such a call. */
  adopt(markers: readonly Marker[]): void {
    // Of an id that was used twice the later call counts.
    for (const marker of markers.toSorted((a, b) => comparePostStreams(a.stream, b.stream))) {
      this.#add(marker);
      this.#leave(marker);
    }
  }

  #leave(marker: Marker): void {
    (this.#left ??= []).push({ marker, since: this.#time.monotonic() });
  }

  /** Nobody asks for these any more. */
  #dropLeft(left: LeftMarker[]): void {
    const until = this.#time.monotonic() - this.#leftMs;
    const kept = left.findIndex(({ since }) => since > until);
    for (const { marker } of left.splice(0, kept === -1 ? left.length : kept)) this.#remove(marker);
    if (left.length === 0) this.#left = undefined;
  }

  #add({ request, stream }: Marker): void {
    (this.#markers ??= new Map()).set(request, stream);
  }

  /** Stores what must be stored before the requests of one POST are dispatched. */
  before(
    stream: Stream,
    requests: readonly RpcRequest[],
    contexts: readonly MessageContext[],
  ): MaybePromise<WriteResult> {
    if (this.#left !== undefined) this.#dropLeft(this.#left);
    const marks: Marker[] = [];
    for (const [n, request] of requests.entries()) {
      const context = contexts[n];
      if (context === undefined || this.repeatable(request)) continue;
      context.marked = true;
      const mark = { request: requestKey(request.id), stream: stream.key };
      marks.push(mark);
      this.#add(mark);
    }
    const [mark] = marks;
    if (stream.logged) {
      const [request] = requests;
      return stream.prime({
        ...(request !== undefined && { requests: () => keep(request, contexts[0]) }),
        ...(mark !== undefined && { mark }),
      });
    }
    return mark === undefined ? 'written' : this.#markAll(marks, stream);
  }

  /** What must be stored with the first event of a stream whose requests may all run twice; `undefined`: one may not. */
  early(requests: readonly RpcRequest[], contexts: readonly MessageContext[]): AppendExtra | undefined {
    const [first] = requests;
    if (first === undefined || !requests.every((request) => this.repeatable(request))) return undefined;
    return { requests: () => keep(first, contexts[0]) };
  }

  async #markAll(marks: readonly Marker[], stream: Pick<Stream, 'noteDelay'>): Promise<WriteResult> {
    try {
      for (const mark of marks) {
        let tries = 0;
        const outcome = await whileAway(this.#wait, () => {
          if (tries++ > 0) stream.noteDelay();
          return this.#mark(mark);
        });
        if (outcome === 'fenced') return 'fenced';
      }
      return 'written';
    } catch (err) {
      this.#logger.error({ err, sessionId: this.#sessionId }, 'The marker of a call could not be stored');
      return 'failed';
    }
  }

  async #mark(mark: Marker): Promise<WriteOutcome> {
    const { fence } = this.#record;
    const outcome = await this.#sessions.mark(this.#sessionId, fence, mark);
    return outcome === 'fenced' && (await this.#record.claimedSince(fence.epoch)) ? this.#mark(mark) : outcome;
  }

  /**
   * Another instance may have the client of these calls: should it be unsure how they ended, it asks for them again, so their
   * markers stay until it is not.
   */
  keep(contexts: readonly MessageContext[], client: Client): void {
    if (client.relayOrigin === undefined) return;
    const marked = contexts.filter((context) => context.marked);
    if (marked.length === 0) return;
    for (const context of marked) context.untold = true;
    client.onClose(() => {
      for (const context of marked) context.abandoned = true;
    });
    client.relayOrigin.onAcknowledged(() => {
      for (const context of marked) {
        context.untold = false;
        if (context.answered) void this.#unmarkTold(context);
      }
    });
  }

  /**
   * A call has ended. A logged stream takes the marker away with its last append, and nothing else may: without its marker
   * the next owner would run the call of a stream that the log holds open. Elsewhere it is a write of its own.
   */
  unmark({ marked, untold, abandoned, id, stream }: MessageContext): void {
    if (!marked || id === undefined) return;
    if (untold) {
      if (abandoned && stream !== undefined) this.#leave({ request: requestKey(id), stream: stream.key });
    } else if (stream?.everLogged === false) this.#clear(id);
    else this.#markers?.delete(requestKey(id));
  }

  /** Its marker stayed when it was answered. */
  async #unmarkTold({ id, stream }: MessageContext): Promise<void> {
    await stream?.flushed();
    if (id !== undefined && stream?.settled === true) this.#clear(id);
  }

  #clear(id: RequestId): void {
    const request = requestKey(id);
    const stream = this.#markers?.get(request);
    if (stream !== undefined) this.#remove({ request, stream });
  }

  #remove(marker: Marker): void {
    if (this.#markers?.get(marker.request) === marker.stream) this.#markers.delete(marker.request);
    // One that stays names a call that has ended: the next owner finds nothing to end, and keeps it for a while.
    void (async (): Promise<WriteOutcome> =>
      this.#sessions.mark(this.#sessionId, this.#record.fence, marker, true))().catch(() => {});
  }
}

/** `1` and `"1"` are two requests. */
export function requestKey(id: RequestId): string {
  return JSON.stringify(id);
}

function keep({ id, method, params }: RpcRequest, context: MessageContext | undefined): string {
  const rights = rightsOf(context?.authInfo);
  const whole = JSON.stringify({
    id,
    method,
    ...(params && { params }),
    ...(rights !== undefined && { rights }),
  } satisfies KeptRequest);
  return whole.length <= KEPT_REQUEST_LENGTH ? whole : JSON.stringify({ id, method, cut: true } satisfies KeptRequest);
}

/** `undefined`: nothing was kept, or by a version that is not understood. */
export function readKept(requests: string | null): KeptRequest | undefined {
  if (requests === null) return undefined;
  try {
    const value: unknown = JSON.parse(requests);
    if (!isObject(value) || typeof value['method'] !== 'string') return undefined;
    const { id } = value;
    return typeof id === 'string' || typeof id === 'number' ? (value as unknown as KeptRequest) : undefined;
  } catch {
    return undefined;
  }
}
