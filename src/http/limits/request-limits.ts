/**
 * How many requests run at once, how many a user may send, and how often a tool may be called, on this instance:
 * `limits.sessionlessRequests`, `limits.subscriptions`, `limits.perUser`, `limits.perTool`. A caller without a user counts by
 * its address.
 */
import {
  overToolLimit,
  overToolShare,
  overUserLimit,
  overUserShare,
  SojournError,
  tooManyWithoutSession,
} from '../../base/errors.ts';
import type { Held } from '../body.ts';
import type { CallerRequest } from '../caller-request.ts';
import { type RpcRequest, toolOf } from '../../base/protocol/jsonrpc.ts';
import { roleOf } from '../../base/protocol/methods.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import type { TimeProvider } from '../../base/types.ts';
import { BoundedMap } from '../../base/bounded-map.ts';
import { Budget, shareKey } from '../../base/budget.ts';
import { TokenBucket } from './rates.ts';

/**
 * Users whose requests in a minute are counted. Past these the user that asked longest ago begins
 * anew.
 */
const USERS_KEPT = 10_000;

type CountedRequest = Pick<CallerRequest, 'userKey' | 'clientAddress' | 'relayOrigin'>;

/** What all users together use of one tool. */
interface SharedTool {
  readonly name: string;
  readonly calls: Budget;
  readonly requestsPerMinute: number;
  /** `undefined`: no limit. */
  readonly rate: TokenBucket | undefined;
}

/** Those that have a limit, by name. */
type Tools = ReadonlyMap<string, SharedTool>;

export class RequestLimits {
  readonly #perUser: ResolvedOptions['perUser'];
  /** Whether requests on sessions must ask too: a limit of users or tools is set. */
  readonly limitsSessions: boolean;
  /** What runs without a session. */
  readonly #running: Budget;
  readonly #listens: Budget;
  /** Running requests of both eras, where a user has a limit of them. */
  readonly #ofUsers: Budget | undefined;
  readonly #rates = new BoundedMap<string, TokenBucket>(USERS_KEPT);
  readonly #time: Required<TimeProvider>;
  readonly #tools = new Map<string, SharedTool>();

  constructor({ timeProvider: time, limits, perUser, perTool }: ResolvedOptions) {
    this.#perUser = perUser;
    this.#time = time;
    if (perUser.requests < Infinity) this.#ofUsers = new Budget(Infinity, 1);
    this.#running = new Budget(limits.sessionlessRequests, limits.userShare);
    this.#listens = new Budget(limits.subscriptions, limits.userShare);
    for (const [name, { requests, requestsPerMinute }] of Object.entries(perTool)) {
      const calls = new Budget(requests, limits.userShare);
      const rate =
        requestsPerMinute < Infinity ? new TokenBucket(requestsPerMinute, time) : undefined;
      this.#tools.set(name, { name, calls, requestsPerMinute, rate });
    }
    this.limitsSessions =
      this.#tools.size > 0 || Math.min(perUser.requests, perUser.requestsPerMinute) < Infinity;
  }

  /** An error: the request is refused. */
  enter(caller: CountedRequest, method: string, inSession: boolean): Admission | SojournError {
    const user = shareKey(caller.userKey, caller.clientAddress);
    const kind = roleOf(method) === 'listen' ? 'subscriptions' : 'requests';
    const counted = kind === 'subscriptions' ? this.#listens : this.#ofUsers;
    const places = kind === 'subscriptions' ? this.#listens : inSession ? undefined : this.#running;
    const isFull = places !== undefined && places.used >= places.size;
    // The SDK refuses a stream too many.
    if (isFull && kind === 'requests') return tooManyWithoutSession(places.size);
    if (counted !== undefined && counted.heldBy(user) >= this.#perUser[kind])
      return overUserLimit(kind, this.#perUser[kind]);
    if (!isFull && places?.isOver(user, 1) === true)
      return overUserShare(kind === 'requests' ? 'sessionlessRequests' : kind, places.size);
    const rate = this.#rateOf(user);
    const tooSoon = this.#take(rate);
    if (tooSoon !== undefined) return tooSoon;
    const taken = places === undefined ? [] : [places];
    if (counted !== undefined && counted !== places) taken.push(counted);
    return new Admission(this.#tools, user, rate, taken);
  }

  /** For a request that this instance sends while a counted one of the same user waits for it. */
  within({ userKey: user, clientAddress }: CountedRequest): Admission {
    return new Admission(this.#tools, shareKey(user, clientAddress), undefined, [], true);
  }

  /** Admits requests of a session, all or none of them. `allowed`: the caller may know that their tools exist. */
  enterAll(
    caller: CountedRequest,
    requests: readonly RpcRequest[],
    allowed: readonly RpcRequest[],
  ): Admission[] | SojournError {
    const admissions: Admission[] = [];
    for (const request of requests) {
      const admission = this.enter(caller, request.method, true);
      const refusal =
        admission instanceof SojournError
          ? admission
          : admission.enterTool(allowed.includes(request) ? toolOf(request) : undefined);
      if (refusal !== undefined) {
        for (const admitted of admissions) admitted.withdraw();
        return refusal;
      }
      admissions.push(admission as Admission);
    }
    return admissions;
  }

  /**
   * Counts a GET, a DELETE or an `initialize` in the requests of its user in a minute. An error: it is refused. The
   * instance that has the client counts a relayed request.
   */
  count({ userKey: user, clientAddress, relayOrigin }: CountedRequest): SojournError | undefined {
    return relayOrigin === undefined
      ? this.#take(this.#rateOf(shareKey(user, clientAddress)))
      : undefined;
  }

  /** `undefined`: no limit. */
  #rateOf(user: string): TokenBucket | undefined {
    const { requestsPerMinute } = this.#perUser;
    if (requestsPerMinute === Infinity) return undefined;
    let bucket = this.#rates.use(user);
    if (bucket === undefined)
      this.#rates.set(user, (bucket = new TokenBucket(requestsPerMinute, this.#time)));
    return bucket;
  }

  #take(rate: TokenBucket | undefined): SojournError | undefined {
    const waitMs = rate?.take() ?? 0;
    return waitMs > 0
      ? overUserLimit('requestsPerMinute', this.#perUser.requestsPerMinute, waitMs)
      : undefined;
  }
}

/** The places of a request. */
export class Admission implements Held {
  readonly #tools: Tools;
  /** Whose share the places count in. */
  readonly #user: string;
  readonly #rate: TokenBucket | undefined;
  #places: readonly Budget[];
  readonly #isCounted: boolean;
  /** The tool in which it has a place. */
  #tool: SharedTool | undefined = undefined;
  #hasLeft = false;

  constructor(
    tools: Tools,
    user: string,
    rate: TokenBucket | undefined,
    places: readonly Budget[],
    isCounted = false,
  ) {
    this.#tools = tools;
    this.#user = user;
    this.#rate = rate;
    this.#places = places;
    this.#isCounted = isCounted;
    for (const place of places) place.charge(1, user);
  }

  /**
   * Takes a place of the called tool as well. Call it when `authorize` and the scopes have allowed the call. An error:
   * the call is refused, costs its user nothing, and has left.
   */
  enterTool(name: string | undefined): SojournError | undefined {
    const tool = name === undefined ? undefined : this.#tools.get(name);
    const refusal = tool && this.#toolRefusal(tool);
    if (refusal !== undefined) this.withdraw();
    if (this.#hasLeft) return refusal;
    tool?.calls.charge(1, this.#user);
    this.#tool = tool;
    return undefined;
  }

  #toolRefusal({ name, calls, rate, requestsPerMinute }: SharedTool): SojournError | undefined {
    if (calls.used >= calls.size) return overToolLimit(name, 'requests', calls.size);
    if (calls.isOver(this.#user, 1)) return overToolShare(name, calls.size);
    const waitMs = this.#isCounted ? 0 : (rate?.take() ?? 0);
    return waitMs > 0
      ? overToolLimit(name, 'requestsPerMinute', requestsPerMinute, waitMs)
      : undefined;
  }

  /** The request is refused, and costs its user nothing. */
  withdraw(): void {
    if (this.#hasLeft) return;
    this.#rate?.giveBack();
    if (!this.#isCounted) this.#tool?.rate?.giveBack();
    this.release();
  }

  /** The request is answered, and its handler runs on as a task: only the place of its tool stays taken. */
  leaveRequest(): void {
    for (const place of this.#places) place.charge(-1, this.#user);
    this.#places = [];
  }

  /** Another request calls the tool, and this one waits for that. */
  leaveTool(): void {
    this.#tool?.calls.charge(-1, this.#user);
    this.#tool = undefined;
  }

  /** The request has ended, and its handler has settled. Later calls do nothing. */
  release(): void {
    this.#hasLeft = true;
    this.leaveRequest();
    this.leaveTool();
  }
}
