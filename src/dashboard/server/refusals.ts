/**
 * Who was refused, and why. A caller is a row by what it says of itself, so clients choose the rows: each reason has
 * `CALLERS` of them, each text is cut, and the caller that was refused least makes room for the next, so that no flood
 * hides a client that tries again and again.
 */
import type { Refusal, RefusedExchange } from '../../base/observe/notices.ts';
import { cut, escapeControls, keptText, userName } from '../../base/shown.ts';
import { Recent } from './recent.ts';

const HALF_MS = 1_800_000;
const CALLERS = 32;
const WHY_LENGTH = 160;

/** What a caller says of itself: cut, and never more than text. */
export interface RefusedCaller {
  readonly origin?: string;
  readonly host?: string;
  readonly client?: string;
  readonly user?: string;
  readonly times: number;
}

interface Reason {
  readonly status: number;
  /** The word that the log and the metrics have, one of this library. */
  readonly reason: string;
  readonly lastAt: number;
  /** What the last caller read. */
  readonly why: string;
  readonly callers: Map<string, RefusedCaller>;
}

/** Requests that were refused for one reason, in the last 30 to 60 minutes. */
export type RefusalFigures = ReturnType<Refusals['list']>[number];

export class Refusals {
  readonly #reasons = new Map<string, Reason>();
  readonly #count: Recent;

  constructor(now: () => number) {
    this.#count = new Recent(HALF_MS, now);
  }

  /** `at`: ms since 1970. */
  note({ status, reason, why, share }: Refusal, exchange: RefusedExchange, at: number): void {
    const key = `${status} ${reason}`;
    const callers = this.#reasons.get(key)?.callers ?? new Map<string, RefusedCaller>();
    // Copied, so that the text of a client is not kept with it.
    const shown = Buffer.from(escapeControls(cut(why, WHY_LENGTH))).toString();
    this.#reasons.set(key, { status, reason, lastAt: at, why: shown, callers });
    this.#count.add(key);
    noteCaller(callers, callerOf(reason, share, exchange));
  }

  /** Most first, with at most `callers` of each. */
  list(callers: number) {
    const counts = this.#count.list();
    for (const key of this.#reasons.keys())
      if (!counts.some(({ name }) => name === key)) this.#reasons.delete(key);
    return counts.flatMap(({ name, calls: times }) => {
      const reason = this.#reasons.get(name);
      if (reason === undefined) return [];
      const most = [...reason.callers.values()]
        .toSorted((one, other) => other.times - one.times)
        .slice(0, callers);
      return { ...reason, times, callers: most };
    });
  }
}

function noteCaller(callers: Reason['callers'], who: Omit<RefusedCaller, 'times'>): void {
  const key = JSON.stringify(who);
  const times = callers.get(key)?.times ?? 0;
  if (times === 0 && callers.size >= CALLERS) {
    const [least] = [...callers].reduce((one, other) =>
      other[1].times < one[1].times ? other : one,
    );
    callers.delete(least);
  }
  callers.set(key, { ...who, times: times + 1 });
}

/** `share`: whose share is used up, a user or an address. */
function callerOf(
  reason: string,
  share: string | undefined,
  exchange: RefusedExchange,
): Omit<RefusedCaller, 'times'> {
  const user = exchange.userKey === undefined ? share : userName(exchange.userKey);
  const given = {
    origin: exchange.header('origin'),
    // The same for most callers, and of no help where it was allowed.
    host: reason === 'host' ? exchange.authority : undefined,
    client: productOf(exchange.header('user-agent')?.slice(0, 256)),
    user,
  };
  const said = Object.entries(given).filter((pair): pair is [string, string] => Boolean(pair[1]));
  return Object.fromEntries(said.map(([name, text]) => [name, keptText(text)]));
}

/** `claude-code/2.0.9 (darwin)` → `claude-code/2.0.9`; of a browser the last product, which is its name. */
function productOf(agent = ''): string | undefined {
  if (!agent.startsWith('Mozilla/')) return agent.split(' ', 1)[0];
  return (
    /(?:Firefox|Edg|OPR|Chrome)\/[\d.]{1,16}/.exec(agent)?.[0] ??
    /Safari/.exec(agent)?.[0] ??
    'Mozilla'
  );
}
