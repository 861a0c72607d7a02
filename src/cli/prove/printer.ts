/** What `sojourn prove` prints: what it will do, what it does, and what came of it. With `--json` the last alone. */
import { escapeButLineBreaks } from '../../base/shown.ts';
import { EXIT } from '../failure.ts';
import { json } from '../records/printing.ts';
import { type ClientKind, KINDS, lineFor, type Lines } from './clients.ts';
import type { Crowd } from './crowd.ts';
import { findingsOf, ranTwice, type Evidence } from './findings.ts';
import { countsOf } from './outcome.ts';
import type { PlannedPerson } from './person.ts';
import type { Plan } from './plan.ts';
import type { ProveContext, ProveRequest } from './request.ts';
import { inSeconds } from './story.ts';
import { formatTable } from './table.ts';

const STATUS_MS = 1_000;
const CLEAR_LINE = '\r\u001B[K';
/** Names in one line. */
const MOST_NAMES = 12;
const HEAD = [
  '',
  'calls',
  'failed',
  'hung',
  'sessions lost',
  'sent again',
  'longest wait',
  'p50, p99',
  'under faults',
];

export interface Ended extends Evidence {
  readonly megabytes: number;
  /** `undefined`: this system does not show it. */
  readonly processesLeft: number | undefined;
}

interface Intention {
  readonly plans: ReadonlyMap<ClientKind, Plan>;
  /** Why there are no clients of an era. */
  readonly unserved: readonly string[];
  readonly people: readonly PlannedPerson[];
  readonly lines: Lines;
}

export class Printer {
  readonly #request: ProveRequest;
  readonly #context: ProveContext;
  readonly #begun = performance.now();
  #status = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(request: ProveRequest, context: ProveContext) {
    this.#request = request;
    this.#context = context;
  }

  #line(text: string): void {
    if (this.#request.json) return;
    const clear = this.#status === '' ? '' : CLEAR_LINE;
    this.#context.out(`${clear}${escapeButLineBreaks(text)}\n${this.#status}`);
  }

  begin(file: string | undefined): void {
    const { name, seconds } = this.#request;
    const store = file === undefined ? 'the store that you named' : `SQLite, ${file}`;
    this.#line(`Two instances of ${name} for ${seconds} s, on ${store}.`);
    this.#line('Its handlers run with this environment: they can reach all that you can.\n');
  }

  plan({ plans, unserved, people, lines }: Intention): void {
    const deeds = [...plans.values()].flatMap((plan) => plan.deeds);
    const left = new Map([...plans.values()].flatMap((plan) => [...plan.left]));
    const called = (isOpenWorld: boolean): string =>
      names(deeds.filter((deed) => deed.isOpenWorld === isOpenWorld).map((deed) => deed.name));
    const kinds = KINDS.filter((kind) => plans.has(kind)).map((kind) => {
      const number = people.filter((person) => person.kind === kind).length;
      return `${number} of ${kind} (${lineFor(kind, lines) === undefined ? "sojourn's own" : 'the official SDK'})`;
    });
    const reasons = [...new Set([...left.values()].map(({ why }) => why))].map((why) => {
      const of = [...left].filter(([, one]) => one.why === why);
      return [`${names(of.map(([tool]) => tool))}: ${why}`, of[0]?.[1].call ?? ''] as const;
    });
    const rows = [
      ['clients', kinds.join(', ')],
      ...unserved.map((why) => ['no clients of', why]),
      ['calls', called(false)],
      ['once a second', called(true)],
      ...reasons.flatMap(([text, call]) => [
        ['leaves alone', text],
        ['', `${call} calls one of them`],
      ]),
    ];
    for (const [title = '', text = ''] of rows)
      if (text !== '') this.#line(`  ${title.padEnd(15)}${text}`);
    this.#line('');
  }

  /** On a terminal: a line with what happens now. */
  watch(crowd: Crowd<PlannedPerson>): void {
    if (!this.#context.isTerminal || this.#request.json) return;
    let before = 0;
    this.#timer = setInterval(() => {
      const { length } = crowd.called;
      const failed = crowd.called.filter((one) => one.failed !== undefined).length;
      this.#status = `${this.#now()}  ${crowd.phase}: ${length - before} calls/s, ${failed} failed`;
      before = length;
      this.#context.out(`${CLEAR_LINE}${this.#status}`);
    }, STATUS_MS);
  }

  tell(text: string): void {
    this.#line(`${this.#now()}  ${text}`);
  }

  #now(): string {
    return `${Math.round((performance.now() - this.#begun) / 1_000)} s`.padStart(6);
  }

  close(): void {
    clearInterval(this.#timer);
    if (this.#status !== '') this.#context.out(CLEAR_LINE);
    this.#status = '';
  }

  /** Returns the exit code. */
  outcome(crowd: Crowd<PlannedPerson>, people: readonly PlannedPerson[], ended: Ended): number {
    this.close();
    const { megabytes, processesLeft } = ended;
    const kinds = KINDS.filter((kind) => people.some((one) => one.kind === kind)).map((kind) => ({
      kind,
      ...countsOf(
        crowd.called.filter((one) => one.kind === kind),
        ended.hinted,
      ),
      sessionsLost: crowd.sessionsLost.get(kind) ?? 0,
      sentAgain: people.reduce((sum, one) => sum + (one.kind === kind ? one.sentAgain : 0), 0),
    }));
    const [found, twice] = [findingsOf(ended), ranTwice(ended)];
    const { name, seconds } = this.#request;
    const lost = kinds.reduce((sum, one) => sum + one.failed + one.hung + one.sessionsLost, 0);
    const report = {
      server: name,
      seconds,
      clients: kinds,
      twice,
      found,
      megabytes,
      processesLeft,
    };
    const isFine = lost + twice + found.length + (processesLeft ?? 0) === 0;
    if (this.#request.json) this.#context.out(json({ ...report, isFine }));
    else this.#printOutcome(report, isFine);
    return isFine ? EXIT.ok : EXIT.failed;
  }

  #printOutcome(report: PrintedReport, isFine: boolean): void {
    const { server, clients, twice, found, megabytes, processesLeft } = report;
    const rows = clients.map((one) => [
      one.kind,
      ...[one.calls, one.failed, one.hung, one.sessionsLost, one.sentAgain].map(String),
      inSeconds(one.longestWaitMs),
      ...[one.calm, one.faults].map(({ p50, p99 }) => `${p50}, ${p99} ms`),
    ]);
    this.#line('');
    for (const row of formatTable([HEAD, ...rows]).split('\n')) this.#line(row);
    this.#line('');
    this.#line(`  runs of one call that happened twice, of tools without hints: ${twice}`);
    if (processesLeft !== undefined)
      this.#line(
        `  memory of both instances: ${megabytes} MB; processes that they left: ${processesLeft}`,
      );
    const reasons = clients.flatMap((one) =>
      Object.entries(one.reasons).map(([why, n]) => `${n} × ${one.kind}: ${why}`),
    );
    for (const [title, list] of [
      ['Failed', reasons],
      [`Found in ${server}`, found.map(({ text }) => text)],
    ] as const) {
      if (list.length > 0) this.#line(`\n${title}`);
      for (const text of list) this.#line(`  ${text}`);
    }
    this.#line(isFine ? '\nNothing was lost, hung or ran twice.' : '');
  }
}

interface PrintedReport {
  readonly server: string;
  readonly clients: readonly ({
    readonly kind: ClientKind;
    readonly sessionsLost: number;
    readonly sentAgain: number;
  } & ReturnType<typeof countsOf>)[];
  readonly twice: number;
  readonly found: ReturnType<typeof findingsOf>;
  readonly megabytes: number;
  readonly processesLeft: number | undefined;
}

function names(of: readonly string[]): string {
  const all = [...new Set(of)];
  const more = all.length > MOST_NAMES ? ` and ${all.length - MOST_NAMES} more` : '';
  return `${all.slice(0, MOST_NAMES).join(', ')}${more}`;
}
