/**
 * How many requests run at once, how many a user may send, and how often a tool may be called, on this instance:
 * `limits.requests`, `limits.perUser`, `limits.perTool`. A caller without a user counts by the address of its
 * connection.
 */
import { overToolLimit, overUserLimit, SojournError, tooManyWithoutSession } from '../errors.ts';
import {
  type Admission,
  type AdmittedRequest,
  type CountedRequest,
  type RequestGate,
  shareKey,
} from '../http/request-gate.ts';
import type { TimeProvider, ToolLimits, UserLimits } from '../types.ts';

const MINUTE_MS = 60_000;
/** Tokens are sums of fractions. */
const WHOLE_TOKEN = 1 - 1e-6;
/** Shares that are kept. Past it, shares of users who have nothing running are forgotten, the oldest first. */
const SHARES_KEPT = 10_000;

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

export class RequestLimits implements RequestGate {
  readonly #options: RequestLimitsOptions;
  readonly #users = new Map<string, Share>();
  readonly #tools = new Map<string, Share>();
  readonly limitsSessions: boolean;
  #running = 0;

  constructor(options: RequestLimitsOptions) {
    this.#options = options;
    this.limitsSessions = Object.keys(options.perTool).length > 0 || limitsUsers(options.perUser, 'requests');
  }

  enter(request: AdmittedRequest): Admission | SojournError {
    const { perUser, requests } = this.#options;
    const kind = request.method === 'subscriptions/listen' ? 'subscriptions' : 'requests';
    const withoutSession = !request.inSession && kind === 'requests';
    if (withoutSession && this.#running >= requests) return tooManyWithoutSession(requests);
    let user: Share | undefined;
    if (limitsUsers(perUser, kind)) {
      user = this.#shareOf(this.#users, shareKey(request.user, request.address), perUser.requestsPerMinute);
      if (user[kind] >= perUser[kind]) return overUserLimit(kind, perUser[kind]);
      const waitMs = this.#waitOf(user, perUser.requestsPerMinute);
      if (waitMs > 0) return overUserLimit('requestsPerMinute', perUser.requestsPerMinute, waitMs);
    }
    if (user !== undefined) use(user, kind);
    if (withoutSession) this.#running += 1;
    const leave = (isUsed: boolean): void => {
      if (user !== undefined) user[kind] -= 1;
      if (user !== undefined && !isUsed) user.tokens += 1;
      if (withoutSession) this.#running -= 1;
    };
    return new Admitted((name) => this.#toolOf(name), leave);
  }

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
  #toolOf(name: string | undefined): Share | SojournError | undefined {
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

class Admitted implements Admission {
  readonly #toolOf: (name: string | undefined) => Share | SojournError | undefined;
  #leave: ((isUsed: boolean) => void) | undefined;
  #tool: Share | undefined = undefined;

  constructor(
    toolOf: (name: string | undefined) => Share | SojournError | undefined,
    leave: (isUsed: boolean) => void,
  ) {
    this.#toolOf = toolOf;
    this.#leave = leave;
  }

  enterTool(name: string | undefined): SojournError | undefined {
    const tool = this.#toolOf(name);
    if (tool instanceof SojournError) {
      this.#end(false);
      return tool;
    }
    if (tool !== undefined) use(tool, 'requests');
    this.#tool = tool;
    return undefined;
  }

  leave(): void {
    this.#end(true);
  }

  #end(isUsed: boolean): void {
    this.#leave?.(isUsed);
    if (this.#leave !== undefined && this.#tool !== undefined) this.#tool.requests -= 1;
    this.#leave = undefined;
  }
}
