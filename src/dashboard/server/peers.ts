/**
 * What the dashboards of two instances say to each other, as signed messages through the mailboxes of the store:
 *
 *     watch    the sender has a page open: report to it for 10 s. Sent again every 4 s while the page is open. `all`: a
 *              page begins to list sessions
 *     report   twice a second, to an instance that watches (`report.ts`); `rows`, if it wants them: those of all live
 *              sessions once, and those that change
 *     left     to those that watch it: the endpoint closes, and its lease goes without another cause
 *     ask      a question that a page has once, with a number
 *     answer   to the question of that number
 *
 * An instance that hears nothing more stops by itself. An instance without a dashboard ignores these messages, and an
 * older build logs that it cannot read them: it is asked `TRIES` times.
 */
import type { HearsDashboards } from '../../cluster/instance.ts';
import { isObject } from '../../protocol/jsonrpc.ts';
import { within } from '../../base/system.ts';
import type { ChangedRow } from '../wire-pages.ts';
import type { KnownName } from './known-instances.ts';
import type { DashboardParts } from './parts-of-endpoint.ts';
import { isReport, nothingGot, type Report, type Reports } from './report.ts';
import type { ChangedRows } from './changed-rows.ts';

const REPORT_MS = 500;
const WATCH_MS = 10_000;
const AGAIN_MS = 4_000;
/** An instance that has not reported by then has no dashboard. It is asked again after `REST_MS`. */
const TRIES = 3;
const REST_MS = 120_000;
/** A busy instance. Its part of an answer is then missing. */
const ANSWER_MS = 1_500;
/** Pages of other instances that are open at once: more than a deployment has people. */
const WATCHERS = 64;
const QUESTIONS = 128;
/** Rows of live sessions in one report, some 230 bytes each, where fewer have changed. */
const ROWS_AT_ONCE = 500;

/** What a page asks once. */
export type Question = 'refusals' | 'clients' | 'timeline' | 'payloads' | 'drain' | 'tasks';

const QUESTION_NAMES: ReadonlySet<unknown> = new Set<Question>([
  'refusals',
  'clients',
  'timeline',
  'payloads',
  'drain',
  'tasks',
]);

/** Answers questions of pages. */
export interface Answers {
  /** `of`: the id of a session, for `timeline` and `payloads`. For `drain`: who orders it. For `tasks`: '' or an id. */
  answer(question: Question, of: string): unknown;
}

/** Learns what other instances are called: one of them may die, and then another one has the page. */
interface LearnsNames {
  learn(known: unknown): void;
}

/** What a page learns of other instances. */
export interface HearsReports {
  reported(from: string, report: Report): void;
  rowsChanged(rows: readonly ChangedRow[]): void;
  left(from: string): void;
}

interface Watcher {
  until: number;
  wantsRows: boolean;
  readonly got: ReturnType<typeof nothingGot>;
  rows: number;
  /** Live sessions whose rows it has not got yet. */
  rest: Iterator<ChangedRow> | undefined;
}

interface Asked {
  at: number;
  times: number;
}

type Said = Readonly<Record<string, unknown>>;

export class Peers implements HearsDashboards {
  readonly #parts: DashboardParts;
  readonly #reports: Reports;
  readonly #changed: ChangedRows;
  readonly #answers: Answers;
  readonly #names: LearnsNames;
  /** Instances with a page that watches this one. */
  readonly #watchers = new Map<string, Watcher>();
  readonly #asked = new Map<string, Asked>();
  readonly #questions = new Map<number, (answer: unknown) => void>();
  #reader: HearsReports | undefined;
  #wantsRows = false;
  #wantsAll = false;
  #questionsAsked = 0;
  #timer: unknown;

  constructor(parts: DashboardParts, reports: Reports, changed: ChangedRows, answers: Answers, names: LearnsNames) {
    this.#parts = parts;
    this.#reports = reports;
    this.#changed = changed;
    this.#answers = answers;
    this.#names = names;
  }

  /** Whether another instance watches this one. */
  get isWatched(): boolean {
    return this.#watchers.size > 0;
  }

  /** A page is open. `undefined`: none is. */
  read(reader: HearsReports | undefined): void {
    this.#reader = reader;
    if (reader === undefined) this.#asked.clear();
  }

  /** A page begins to list sessions. What it scans in the store is the calls and streams of none of them. */
  wantAll(): void {
    this.#wantsAll = true;
  }

  /** Asks the instances that are due to be asked. `others`: those with a lease. `known`: what they learn by it. */
  watch(others: readonly string[], wantsRows: boolean, known: readonly KnownName[]): void {
    const now = this.#now;
    const all = wantsRows && this.#wantsAll;
    const isNew = all || wantsRows !== this.#wantsRows;
    this.#wantsRows = wantsRows;
    this.#wantsAll = false;
    for (const id of this.#asked.keys()) if (!others.includes(id)) this.#asked.delete(id);
    for (const id of others) {
      const asked = this.#asked.get(id) ?? { at: -Infinity, times: 0 };
      const pauseMs = asked.times >= TRIES ? REST_MS : AGAIN_MS;
      if (now - asked.at < pauseMs && !isNew) continue;
      this.#asked.set(id, { at: now, times: asked.times + 1 });
      this.#say(id, { t: 'watch', rows: wantsRows, known, ...(all && { all }) });
    }
  }

  /** The answers of those that have answered in time. */
  async ask(others: readonly string[], question: Question, of = ''): Promise<readonly (readonly [string, unknown])[]> {
    const answers = others
      // The others have no dashboard, or an older one.
      .filter((id) => (this.#asked.get(id)?.times ?? 0) < TRIES)
      .map(async (id) => [id, await this.#askOne(id, question, of)] as const);
    return (await Promise.all(answers)).filter(([, answer]) => answer !== undefined);
  }

  heard(from: string, said: Said): void {
    switch (said['t']) {
      case 'watch':
        this.#watched(from, said['rows'] === true, said['all'] === true);
        return this.#names.learn(said['known']);
      case 'report':
        return this.#reported(from, said);
      case 'left':
        return this.#asked.has(from) ? this.#reader?.left(from) : undefined;
      case 'ask':
        return this.#asks(from, said);
      case 'answer':
        return this.#questions.get(said['n'] as number)?.(said['answer']);
      default:
        return undefined;
    }
  }

  stop(): void {
    this.#parts.options.timeProvider.clearTimeout(this.#timer);
    for (const [id, watcher] of this.#watchers) {
      // Its drain may have been shorter than the time between two reports.
      this.#report(id, watcher);
      this.#say(id, { t: 'left' });
    }
    this.#watchers.clear();
    for (const answer of this.#questions.values()) answer(undefined);
  }

  get #now(): number {
    return this.#parts.options.timeProvider.monotonic();
  }

  #askOne(to: string, question: Question, of: string): Promise<unknown> {
    if (this.#questions.size >= QUESTIONS) return Promise.resolve(undefined);
    const n = ++this.#questionsAsked;
    const answered = new Promise<unknown>((resolve) => this.#questions.set(n, resolve));
    this.#say(to, { t: 'ask', n, question, of });
    return within(this.#parts.options.timeProvider, ANSWER_MS, answered, () => undefined).finally(() =>
      this.#questions.delete(n),
    );
  }

  #asks(from: string, { n, question, of }: Said): void {
    if (typeof n !== 'number' || typeof of !== 'string') return;
    if (!QUESTION_NAMES.has(question)) return;
    this.#say(from, { t: 'answer', n, answer: this.#answers.answer(question as Question, of) });
  }

  #watched(from: string, wantsRows: boolean, wantsAll: boolean): void {
    const until = this.#now + WATCH_MS;
    const known = this.#watchers.get(from);
    if (known === undefined && this.#watchers.size >= WATCHERS) return;
    // What changed before is in the scan of the page.
    const watcher = known ?? { until, wantsRows, got: nothingGot(), rows: this.#changed.now, rest: undefined };
    if (wantsRows && !watcher.wantsRows) watcher.rows = this.#changed.now;
    if (wantsAll) watcher.rest = this.#changed.all();
    watcher.until = until;
    watcher.wantsRows = wantsRows;
    this.#watchers.set(from, watcher);
    this.#changed.use();
    if (known === undefined && this.#timer === undefined) this.#tick();
  }

  #tick(): void {
    this.#timer = undefined;
    const now = this.#now;
    for (const [id, watcher] of this.#watchers) {
      if (now >= watcher.until) this.#watchers.delete(id);
      else this.#report(id, watcher);
    }
    if (this.#watchers.size > 0)
      this.#timer = this.#parts.options.timeProvider.setTimeout(() => this.#tick(), REPORT_MS);
    else if (this.#reader === undefined) this.#rest();
  }

  #rest(): void {
    this.#reports.stop();
    this.#changed.rest();
  }

  #report(id: string, watcher: Watcher): void {
    const report = this.#reports.report(watcher.got);
    const rows = watcher.wantsRows ? this.#rowsFor(watcher) : [];
    this.#say(id, { t: 'report', report, ...(rows.length > 0 && { rows }) });
  }

  #rowsFor(watcher: Watcher): readonly ChangedRow[] {
    const changed = this.#changed.since(watcher.rows);
    watcher.rows = changed.now;
    const rows = [...changed.rows];
    while (watcher.rest !== undefined && rows.length < ROWS_AT_ONCE) {
      const next = watcher.rest.next();
      if (next.done === true) watcher.rest = undefined;
      else rows.push(next.value);
    }
    return rows;
  }

  #reported(from: string, { report, rows }: Said): void {
    const reader = this.#reader;
    if (reader === undefined || !isReport(report)) return;
    const asked = this.#asked.get(from);
    // It is no instance that has a lease, as far as this one knows.
    if (asked === undefined) return;
    asked.times = 0;
    reader.reported(from, report);
    if (Array.isArray(rows)) reader.rowsChanged(rows.filter(isObject) as unknown as ChangedRow[]);
  }

  #say(to: string, said: Said): void {
    this.#parts.instance.tellDashboard(to, said).catch((err: unknown) => {
      this.#parts.options.logger.debug({ err, instance: to }, 'A message to another dashboard could not be sent');
    });
  }
}
