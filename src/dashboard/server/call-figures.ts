/** What runs at an instance now, and why calls of its tools failed lately. Both are bounded, whatever clients send. */
import { KnownNames, OTHER } from '../../base/observe/known-names.ts';
import type { EmittedNotice, Notices, RunningCall } from '../../base/observe/notices.ts';
import type { StepNotice } from '../../base/observe/step-notices.ts';
import { callsTool, roleOf } from '../../base/protocol/methods.ts';
import { sessionHash, shown, userName } from '../../base/shown.ts';
import type { TimeProvider } from '../../base/types.ts';
import { Recent } from './recent.ts';

const HALF_MS = 1_800_000;
/** Pairs of a tool and a class of error. Further ones are one row. */
const MOST_FAILURES = 64;

export type RunNow = ReturnType<CallFigures['runs']>[number];
export type FailureFigures = ReturnType<CallFigures['failures']>[number];

export class CallFigures {
  readonly #notices: Notices;
  readonly #time: Required<TimeProvider>;
  readonly #count: Recent;
  readonly #names = new KnownNames(MOST_FAILURES);
  readonly #lastAt = new Map<string, number>();

  constructor(notices: Notices, time: Required<TimeProvider>) {
    this.#notices = notices;
    this.#time = time;
    this.#count = new Recent(HALF_MS, () => time.monotonic());
  }

  /** The calls that run, oldest first, at most `most`. */
  runs(most: number) {
    const now = this.#time.now() - this.#time.monotonic();
    const shownRuns = [];
    for (const run of this.#notices.running) {
      if (shownRuns.length >= most) break;
      if (!run.isElsewhere && roleOf(run.method) !== 'ping') shownRuns.push(runOf(run, now));
    }
    return shownRuns;
  }

  /** How many of the calls that are open here run at another instance. */
  get elsewhere(): number {
    return [...this.#notices.running].filter(({ isElsewhere }) => isElsewhere).length;
  }

  note(notice: EmittedNotice): void {
    if (notice.kind === 'callEnded') this.#ended(notice);
    else if (notice.kind === 'callLost') this.#lost(notice);
    else if (notice.kind === 'onceAnswered' && notice.how === 'unknown')
      this.#add(notice.tool, IN_DOUBT);
  }

  /** Most first. `tool`: `_OTHER` for a name that its server does not have. */
  failures() {
    const counts = this.#count.list();
    for (const key of this.#lastAt.keys())
      if (!counts.some(({ name }) => name === key)) this.#lastAt.delete(key);
    return counts.map(({ name, calls: times }) => {
      const [tool = '', why = ''] = name.split('\n');
      return { tool, why, times, lastAt: this.#lastAt.get(name) ?? 0 };
    });
  }

  #ended({ target, outcome, threw, reason, error }: StepNotice<'callEnded'>): void {
    const failed = outcome === 'tool_error' || outcome === 'error' || outcome === 'timed_out';
    if (!failed || target === undefined) return;
    this.#add(target, threw ?? reason ?? (error === undefined ? outcome : String(error)));
  }

  /** The figures of the instance that ran it may be lost with it. */
  #lost({ runsAgain, method, target = OTHER }: StepNotice<'callLost'>): void {
    if (!runsAgain && (method === undefined || callsTool(method))) this.#add(target, 'owner_lost');
  }

  #add(tool: string, why: string): void {
    const key = this.#names.withRoom(`${this.#notices.tools.of(tool)}\n${shown(why)}`);
    this.#count.add(key);
    this.#lastAt.set(key, this.#time.now());
  }
}

/** Its outcome is not known: `sojourn once show` tells more. */
const IN_DOUBT = 'once() key in doubt';

const runOf = (run: RunningCall, base: number) => ({
  since: Math.round(base + run.began),
  user: run.userKey && shown(userName(run.userKey)),
  client: run.client?.name,
  session: run.sessionId && sessionHash(run.sessionId),
  method: shown(run.method ?? ''),
  tool: run.target,
  /** Its client has an answer or left, and its handler runs on. */
  runsOn: run.isOver || undefined,
});
