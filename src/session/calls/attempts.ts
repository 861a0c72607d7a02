/**
 * What makes two arrivals of a request one call: an id of what passed it on.
 *
 *     a proxy that may send a request twice   → the field that the option `attemptHeader` names, equal in all its tries
 *     another instance that relayed it        → an id which that instance made
 *
 * An id of a proxy is the stronger one: the proxy knows nothing of an answer that was lost, so the marker of such a call
 * outlives the call (`PastMarkers`). Ids and arguments of clients name no attempt: clients that continue a session after
 * their own restart begin with the first id again, and some send one id with every request. They are in the key
 * nevertheless, so that a proxy which passes on one id of a client with several requests mixes no answers up.
 */
import { digestText } from '../../base/digest.ts';
import type { CallerRequest } from '../../http/caller-request.ts';
import type { RpcRequest } from '../../base/protocol/jsonrpc.ts';
import type { Mark } from '../../stores/store.ts';
import type { TimeProvider } from '../../base/types.ts';
import type { AttemptId } from '../inbound/inbound.ts';

/** `$request_id` of nginx has 32 characters, a UUID 36, `unique-id` of HAProxy some 50. */
const ATTEMPT_ID = /^[\x21-\x7e]{8,128}$/;
const PROXY_PREFIX = 'proxy:';

/** `header`: the option `attemptHeader`. Fields that cannot be an id count as absent: the request is tried once. */
export function attemptIdOf(
  caller: CallerRequest,
  header: string | undefined,
): AttemptId | undefined {
  const id = header === undefined ? undefined : caller.header(header);
  return id !== undefined && ATTEMPT_ID.test(id) ? { id, ofProxy: true } : undefined;
}

/** The same for each arrival of one call. Without an id: for each arrival of an equal request. */
export function attemptKey(
  { id, method, params }: Pick<RpcRequest, 'id' | 'method' | 'params'>,
  attemptId?: AttemptId,
): string {
  if (attemptId === undefined) return digestText(JSON.stringify([id, method, params]));
  const digest = digestText(JSON.stringify([attemptId.id, id, method, params]));
  return attemptId.ofProxy ? PROXY_PREFIX + digest : digest;
}

export const isOfProxy = (key: string | undefined): boolean =>
  key?.startsWith(PROXY_PREFIX) === true;

/** Longer than the recipes let a proxy try again, counted from the end of the call. */
const KEPT_MS = 120_000;
/** Some 100 bytes each in the store, and 200 in memory. As many calls as run at once by default. */
const MOST_KEPT = 64;

/** The markers of calls that have ended and that a proxy may send again, oldest first. */
export class PastMarkers {
  readonly #time: Required<TimeProvider>;
  readonly #kept: Array<{ readonly mark: Mark; readonly at: number }> = [];

  constructor(time: Required<TimeProvider>) {
    this.#time = time;
  }

  add(mark: Mark): void {
    this.#kept.push({ mark, at: this.#time.monotonic() });
  }

  /**
   * The marker that the next write of a call removes. A call writes twice and keeps one marker, so that their number
   * falls back after a burst.
   */
  takeSurplus(): Mark | undefined {
    const [oldest] = this.#kept;
    if (oldest === undefined) return undefined;
    const isOld = this.#time.monotonic() - oldest.at > KEPT_MS;
    if (!isOld && this.#kept.length < MOST_KEPT) return undefined;
    this.#kept.shift();
    return oldest.mark;
  }
}
