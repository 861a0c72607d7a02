/**
 * Who was refused in the last hour, and why. A caller is a row by what it says of itself, so clients choose the rows:
 * there are `ROWS` of them and `ROWS_PER_REASON` for one reason, each text is cut, and what has no row is counted as
 * `others`. A caller that was refused once makes room for the next, so that no flood hides one who tries again and
 * again.
 */
import type { Refusal, RefusedExchange } from '../../observe/notices.ts';
import { userName, keptText } from '../../base/shown.ts';
import type { TimeProvider } from '../../types.ts';
import type { RefusedCaller } from '../wire-pages.ts';

const ROWS = 256;
const ROWS_PER_REASON = 128;
/** Reasons are words of this library. */
const REASONS = 64;
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const MINUTES = 60;
const WHY_LENGTH = 300;

/** What one instance knows of a reason, as it sends it to others. */
export interface ReasonRows {
  readonly status: number;
  readonly reason: string;
  why: string;
  times: number;
  readonly firstAt: number;
  lastAt: number;
  /** The minute since 1970 of the last of `minutes`. */
  minute: number;
  readonly minutes: number[];
  others: number;
  readonly callers: readonly RefusedCaller[];
}

interface Row extends Omit<RefusedCaller, 'times' | 'lastAt' | 'why'> {
  why: string;
  times: number;
  lastAt: number;
}

interface Reason extends Omit<ReasonRows, 'callers'> {
  readonly rows: Map<string, Row>;
}

export class RefusalRows {
  readonly #time: Required<TimeProvider>;
  readonly #reasons = new Map<string, Reason>();
  #rows = 0;

  constructor(time: Required<TimeProvider>) {
    this.#time = time;
  }

  note(refusal: Refusal, exchange: RefusedExchange): void {
    const now = this.#time.now();
    const { status, reason } = refusal;
    const key = `${status} ${reason}`;
    let of = this.#reasons.get(key);
    if (of === undefined) {
      if (this.#reasons.size >= REASONS) return;
      const minutes = zeros();
      of = {
        status,
        reason,
        why: '',
        times: 0,
        firstAt: now,
        lastAt: now,
        minute: minuteOf(now),
        minutes,
        others: 0,
        rows: new Map(),
      };
      this.#reasons.set(key, of);
    }
    shift(of, now);
    of.why = cutText(refusal.why);
    of.times += 1;
    of.lastAt = now;
    of.minutes[MINUTES - 1] = (of.minutes[MINUTES - 1] ?? 0) + 1;
    this.#caller(of, callerOf(refusal, exchange), now);
  }

  /** Most first. */
  list(): ReasonRows[] {
    const now = this.#time.now();
    this.#forget(now);
    return [...this.#reasons.values()]
      .map(({ rows, ...of }) => {
        shift(of, now);
        const callers = [...rows.values()].toSorted((one, other) => other.times - one.times);
        // Only where a reason has several causes.
        const isOne = callers.every(({ why }) => why === of.why);
        return {
          ...of,
          minutes: [...of.minutes],
          callers: callers.map(({ why, ...row }) => (isOne ? row : { ...row, why })),
        };
      })
      .toSorted((one, other) => other.times - one.times);
  }

  /** How many there were in the last hour. */
  get count(): { readonly times: number; readonly reasons: readonly string[] } {
    const now = this.#time.now();
    let times = 0;
    const reasons: string[] = [];
    for (const [key, of] of this.#reasons) {
      shift(of, now);
      const inHour = of.minutes.reduce((sum, many) => sum + many, 0);
      times += inHour;
      if (inHour > 0) reasons.push(key);
    }
    return { times, reasons };
  }

  #caller(of: Reason, caller: Caller, now: number): void {
    const key = JSON.stringify(caller);
    const known = of.rows.get(key);
    if (known !== undefined) {
      known.times += 1;
      known.lastAt = now;
      known.why = of.why;
      return;
    }
    if (this.#rows >= ROWS || of.rows.size >= ROWS_PER_REASON) this.#forget(now);
    if (of.rows.size >= ROWS_PER_REASON) this.#dropOne(of);
    else if (this.#rows >= ROWS) this.#dropOne(this.#largest());
    if (this.#rows >= ROWS || of.rows.size >= ROWS_PER_REASON) {
      of.others += 1;
      return;
    }
    of.rows.set(key, { ...caller, why: of.why, times: 1, lastAt: now });
    this.#rows += 1;
  }

  /** The oldest that came once. */
  #dropOne(of: Reason): void {
    for (const [key, { times }] of of.rows) {
      if (times > 1) continue;
      of.rows.delete(key);
      of.others += 1;
      this.#rows -= 1;
      return;
    }
  }

  #largest(): Reason {
    const [first, ...rest] = this.#reasons.values();
    return rest.reduce((most, of) => (of.rows.size > most.rows.size ? of : most), first as Reason);
  }

  #forget(now: number): void {
    for (const [reason, of] of this.#reasons) {
      for (const [key, { lastAt }] of of.rows) {
        if (now - lastAt < HOUR_MS) continue;
        of.rows.delete(key);
        this.#rows -= 1;
      }
      if (now - of.lastAt >= HOUR_MS) this.#reasons.delete(reason);
    }
  }
}

const zeros = (): number[] => Array.from({ length: MINUTES }, () => 0);

const minuteOf = (at: number): number => Math.floor(at / MINUTE_MS);

/** The last of `minutes` becomes the present one. */
function shift(of: Pick<Reason, 'minute' | 'minutes'>, now: number): void {
  const by = Math.min(MINUTES, minuteOf(now) - of.minute);
  if (by <= 0) return;
  of.minutes.splice(0, by);
  for (let n = 0; n < by; n++) of.minutes.push(0);
  of.minute = minuteOf(now);
}

const cutText = (text: string): string =>
  text.length <= WHY_LENGTH ? text : Buffer.from(text.slice(0, WHY_LENGTH)).toString();

type Caller = Pick<RefusedCaller, 'origin' | 'host' | 'client' | 'userName' | 'address'>;

/** The address only where the log has it: it is whose share is used up. */
function callerOf({ reason, user: sharer }: Refusal, exchange: RefusedExchange): Caller {
  const origin = exchange.header('origin');
  const host = exchange.header('host');
  const client = productOf(exchange.header('user-agent'));
  const { user } = exchange;
  const address = user === undefined ? sharer : undefined;
  return {
    ...(origin !== undefined && { origin: keptText(origin) }),
    // The same for most callers, and of no help where it was allowed.
    ...(reason === 'host' && host !== undefined && { host: keptText(host) }),
    ...(client !== undefined && { client: keptText(client) }),
    ...(user !== undefined && { userName: keptText(userName(user)) }),
    ...(address !== undefined && { address: keptText(address) }),
  };
}

/** `claude-code/2.0.9 (darwin)` → `claude-code/2.0.9`; of a browser the last product, which is its name. */
function productOf(agent: string | undefined): string | undefined {
  if (agent === undefined || agent === '') return undefined;
  const head = agent.slice(0, 256);
  if (!head.startsWith('Mozilla/')) return head.split(' ', 1)[0];
  return /(?:Firefox|Edg|OPR|Chrome)\/[\d.]{1,16}/.exec(head)?.[0] ?? /Safari/.exec(head)?.[0] ?? 'Mozilla';
}

/** The rows of several instances as those of the fleet. */
export function joinedReasons(all: readonly (readonly ReasonRows[])[]): ReasonRows[] {
  const byKey = new Map<string, ReasonRows[]>();
  for (const of of all.flat())
    byKey.set(`${of.status} ${of.reason}`, [...(byKey.get(`${of.status} ${of.reason}`) ?? []), of]);
  return [...byKey.values()].map(joinedReason).toSorted((one, other) => other.times - one.times);
}

function joinedReason(all: readonly ReasonRows[]): ReasonRows {
  const [last, ...rest] = all.toSorted((one, other) => other.lastAt - one.lastAt);
  if (last === undefined || rest.length === 0) return last as ReasonRows;
  const minute = Math.max(...all.map((of) => of.minute));
  const minutes = zeros();
  for (const of of all)
    of.minutes.forEach((many, n) => {
      const at = n - (minute - of.minute);
      if (at >= 0) minutes[at] = (minutes[at] ?? 0) + many;
    });
  const sum = (key: 'times' | 'others'): number => all.reduce((many, of) => many + of[key], 0);
  const callers = joinedCallers(all.flatMap((of) => of.callers));
  const firstAt = Math.min(...all.map((of) => of.firstAt));
  return { ...last, times: sum('times'), others: sum('others'), firstAt, minute, minutes, callers };
}

function joinedCallers(all: readonly RefusedCaller[]): RefusedCaller[] {
  const rows = new Map<string, RefusedCaller>();
  for (const caller of all) {
    const { times, lastAt, why: _, ...who } = caller;
    const key = JSON.stringify(Object.entries(who).toSorted());
    const known = rows.get(key);
    const newer = known !== undefined && known.lastAt > lastAt ? known : caller;
    rows.set(key, { ...newer, times: times + (known?.times ?? 0), lastAt: newer.lastAt });
  }
  return [...rows.values()].toSorted((one, other) => other.times - one.times).slice(0, ROWS);
}
