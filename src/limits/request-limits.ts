/**
 * How many requests run at once, how many a user may send, and how often a tool may be called, on this instance:
 * `limits.requests`, `limits.perUser`, `limits.perTool`. A caller without a user counts by the address of its
 * connection.
 */
import { overToolLimit, overUserLimit, type SojournError, tooManyWithoutSession } from '../errors.ts';
import { type Admission, type AdmittedRequest, type RequestGate, shareKey } from '../http/request-gate.ts';
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
    const { requests, requestsPerMinute } = options.perUser;
    this.limitsSessions =
      Object.keys(options.perTool).length > 0 || requests < Infinity || requestsPerMinute < Infinity;
  }

  enter(request: AdmittedRequest): Admission | SojournError {
    const { perUser, perTool, requests } = this.#options;
    const listens = request.method === 'subscriptions/listen';
    if (!request.inSession && !listens && this.#running >= requests) return tooManyWithoutSession(requests);
    const user = this.#shareOf(this.#users, shareKey(request.user, request.address), perUser.requestsPerMinute);
    if (listens && user.subscriptions >= perUser.subscriptions)
      return overUserLimit('subscriptions', perUser.subscriptions);
    if (!listens && user.requests >= perUser.requests) return overUserLimit('requests', perUser.requests);
    const waitMs = this.#waitOf(user, perUser.requestsPerMinute);
    if (waitMs > 0) return overUserLimit('requestsPerMinute', perUser.requestsPerMinute, waitMs);
    const name = request.tool;
    const limits = name !== undefined && Object.hasOwn(perTool, name) ? perTool[name] : undefined;
    let tool: Share | undefined;
    if (name !== undefined && limits !== undefined) {
      tool = this.#shareOf(this.#tools, name, limits.requestsPerMinute);
      if (tool.requests >= limits.requests) return overToolLimit(name, 'requests', limits.requests);
      const toolWaitMs = this.#waitOf(tool, limits.requestsPerMinute);
      if (toolWaitMs > 0) return overToolLimit(name, 'requestsPerMinute', limits.requestsPerMinute, toolWaitMs);
      tool.requests += 1;
      tool.tokens -= 1;
    }
    user.tokens -= 1;
    if (listens) user.subscriptions += 1;
    else user.requests += 1;
    if (!request.inSession && !listens) this.#running += 1;
    return new Admitted(() => {
      if (tool !== undefined) tool.requests -= 1;
      if (listens) user.subscriptions -= 1;
      else user.requests -= 1;
      if (!request.inSession && !listens) this.#running -= 1;
    });
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

function forgetIdle(shares: Map<string, Share>): void {
  let toForget = shares.size / 2;
  for (const [key, { requests, subscriptions }] of shares) {
    if (toForget-- <= 0) return;
    if (requests === 0 && subscriptions === 0) shares.delete(key);
  }
}

class Admitted implements Admission {
  #leave: (() => void) | undefined;

  constructor(leave: () => void) {
    this.#leave = leave;
  }

  leave(): void {
    this.#leave?.();
    this.#leave = undefined;
  }
}
