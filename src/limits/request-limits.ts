/**
 * How many requests run at once, how many a user may send, and how often a tool may be called, on this instance:
 * `limits.requests`, `limits.perUser`, `limits.perTool`. A caller without a user counts by the address of its
 * connection.
 */
import { overToolLimit, overUserLimit, SojournError, tooManyWithoutSession } from '../errors.ts';
import { shareKey } from '../http/body.ts';
import type { Caller, Held } from '../http/exchange.ts';
import { type RpcRequest, toolOf } from '../protocol/jsonrpc.ts';
import type { TimeProvider, ToolLimits, UserLimits } from '../types.ts';

const MINUTE_MS = 60_000;
/** Tokens are sums of fractions. */
const WHOLE_TOKEN = 1 - 1e-6;
/** Shares that are kept. Past it, shares of users who have nothing running are forgotten, the oldest first. */
const SHARES_KEPT = 10_000;

export type CountedRequest = Pick<Caller, 'user' | 'clientAddress' | 'relayOrigin'>;

/** What one user or one tool uses at present. */
interface Share {
  requests: number;
  subscriptions: number;
  /** Requests that may still be sent at once, at the time `at`. */
  tokens: number;
  at: number;
}

export interface RequestLimitsOptions {
  readonly time: Required<TimeProvider>;
  readonly requests: number;
  readonly perUser: Readonly<UserLimits>;
  readonly perTool: Readonly<Record<string, Readonly<ToolLimits>>>;
}

export class RequestLimits {
  readonly #options: RequestLimitsOptions;
  readonly #users = new Map<string, Share>();
  readonly #tools = new Map<string, Share>();
  /** Whether requests on sessions must ask too: a limit of users or tools is set. */
  readonly limitsSessions: boolean;
  /** What runs without a session. */
  readonly #running = { requests: 0 };

  constructor(options: RequestLimitsOptions) {
    this.#options = options;
    this.limitsSessions = Object.keys(options.perTool).length > 0 || limitsUsers(options.perUser, 'requests');
  }

  /** An error: the request is refused. */
  enter(caller: CountedRequest, method: string, inSession: boolean): Admission | SojournError {
    const { perUser, requests } = this.#options;
    const kind = method === 'subscriptions/listen' ? 'subscriptions' : 'requests';
    const running = inSession || kind === 'subscriptions' ? undefined : this.#running;
    if (running !== undefined && running.requests >= requests) return tooManyWithoutSession(requests);
    let user: Share | undefined;
    if (limitsUsers(perUser, kind)) {
      user = this.#shareOf(this.#users, shareKey(caller.user, caller.clientAddress), perUser.requestsPerMinute);
      if (user[kind] >= perUser[kind]) return overUserLimit(kind, perUser[kind]);
      const waitMs = this.#waitOf(user, perUser.requestsPerMinute);
      if (waitMs > 0) return overUserLimit('requestsPerMinute', perUser.requestsPerMinute, waitMs);
      use(user, kind);
    }
    if (running !== undefined) running.requests += 1;
    return new Admission(this, kind, user, running);
  }

  /** Admits requests of a session, all or none of them. */
  enterAll(caller: CountedRequest, requests: readonly RpcRequest[]): Admission[] | SojournError {
    const admissions: Admission[] = [];
    for (const request of requests) {
      const admission = this.enter(caller, request.method, true);
      const refusal = admission instanceof SojournError ? admission : admission.enterTool(toolOf(request));
      if (refusal !== undefined) {
        for (const admitted of admissions) admitted.release();
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
  count({ user, clientAddress, relayOrigin }: CountedRequest): SojournError | undefined {
    const { requestsPerMinute } = this.#options.perUser;
    if (requestsPerMinute === Infinity || relayOrigin !== undefined) return undefined;
    const share = this.#shareOf(this.#users, shareKey(user, clientAddress), requestsPerMinute);
    const waitMs = this.#waitOf(share, requestsPerMinute);
    if (waitMs > 0) return overUserLimit('requestsPerMinute', requestsPerMinute, waitMs);
    share.tokens -= 1;
    return undefined;
  }

  /** `undefined`: the request calls no tool that has a limit. */
  shareOfTool(name: string | undefined): Share | SojournError | undefined {
    const { perTool } = this.#options;
    const limits = name !== undefined && Object.hasOwn(perTool, name) ? perTool[name] : undefined;
    if (name === undefined || limits === undefined) return undefined;
    const tool = this.#shareOf(this.#tools, name, limits.requestsPerMinute);
    if (tool.requests >= limits.requests) return overToolLimit(name, 'requests', limits.requests);
    const waitMs = this.#waitOf(tool, limits.requestsPerMinute);
    return waitMs > 0 ? overToolLimit(name, 'requestsPerMinute', limits.requestsPerMinute, waitMs) : tool;
  }

  #shareOf(shares: Map<string, Share>, key: string, perMinute: number): Share {
    const now = this.#options.time.monotonic();
    let share = shares.get(key);
    if (share === undefined) {
      if (shares.size >= SHARES_KEPT) forgetIdle(shares);
      shares.set(key, (share = { requests: 0, subscriptions: 0, tokens: perMinute, at: now }));
    } else if (perMinute < Infinity) {
      share.tokens = Math.min(perMinute, share.tokens + ((now - share.at) / MINUTE_MS) * perMinute);
    }
    share.at = now;
    return share;
  }

  /** ms until the next request may come. */
  #waitOf({ tokens }: Share, perMinute: number): number {
    return tokens >= WHOLE_TOKEN ? 0 : ((1 - tokens) / perMinute) * MINUTE_MS;
  }
}

/** Where no limit applies, no share is looked up. */
function limitsUsers(perUser: Readonly<UserLimits>, kind: 'requests' | 'subscriptions'): boolean {
  return perUser[kind] < Infinity || perUser.requestsPerMinute < Infinity;
}

function use(share: Share, kind: 'requests' | 'subscriptions'): void {
  share[kind] += 1;
  share.tokens -= 1;
}

function forgetIdle(shares: Map<string, Share>): void {
  let toForget = shares.size / 2;
  for (const [key, { requests, subscriptions }] of shares) {
    if (toForget-- <= 0) return;
    if (requests === 0 && subscriptions === 0) shares.delete(key);
  }
}

/** The places of a request. */
export class Admission implements Held {
  readonly #limits: RequestLimits;
  readonly #kind: 'requests' | 'subscriptions';
  readonly #user: Share | undefined;
  readonly #running: { requests: number } | undefined;
  #tool: Share | undefined = undefined;
  #hasLeft = false;

  constructor(
    limits: RequestLimits,
    kind: 'requests' | 'subscriptions',
    user: Share | undefined,
    running: { requests: number } | undefined,
  ) {
    this.#limits = limits;
    this.#kind = kind;
    this.#user = user;
    this.#running = running;
  }

  /**
   * Takes a place of the called tool as well. Call it when `authorize` and the scopes have allowed the call. An error:
   * the call is refused, costs its user nothing, and has left.
   */
  enterTool(name: string | undefined): SojournError | undefined {
    const tool = this.#limits.shareOfTool(name);
    if (tool instanceof SojournError) {
      if (!this.#hasLeft && this.#user !== undefined) this.#user.tokens += 1;
      this.release();
      return tool;
    }
    if (tool !== undefined) use(tool, 'requests');
    this.#tool = tool;
    return undefined;
  }

  /** The request has ended, and its handler has settled. Later calls do nothing. */
  release(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    if (this.#user !== undefined) this.#user[this.#kind] -= 1;
    if (this.#running !== undefined) this.#running.requests -= 1;
    if (this.#tool !== undefined) this.#tool.requests -= 1;
  }
}
