/** What a report says, line by line: for the terminal and for docs/internals/reliability.md. */
import { INTRUSIONS, type Intrusion } from './clients/intruder.ts';
import { type Violation, VIOLATIONS } from './history.ts';
import { type Fault, FAULTS } from './nemesis.ts';
import type {
  AnyReport,
  CrowdedRow,
  FaultsReport,
  OthersReport,
  OutageReport,
  Quantiles,
  PatienceReport,
  PatienceRow,
  Report,
  RestartReport,
  ReturnReport,
  RollingReport,
  Seen,
  Used,
} from './report.ts';

/** Of the scenarios with a crowd of clients. */
type CrowdReport = Exclude<AnyReport, PatienceReport | OthersReport | ReturnReport | RestartReport>;

export type Row = readonly [what: string, value: string];

export interface Rows {
  readonly title: string;
  readonly rows: readonly Row[];
}

const count = (value: number): string => Math.round(value).toLocaleString('en-US');
const ms = (value: number): string => (Number.isFinite(value) ? `${count(value)} ms` : '–');
const times = ({ p50, p99, most }: Quantiles): string => `${ms(p50)} / ${ms(p99)} / ${ms(most)}`;

/** Violations that not every scenario looks for. */
const ONLY: Partial<Record<Violation, readonly Report['scenario'][]>> = {
  failed: ['rolling', 'outage'],
  noisy: ['outage'],
  letIn: ['faults'],
};

export function rowsOf(report: AnyReport): readonly Rows[] {
  if (report.scenario === 'patience') return patience(report);
  if (report.scenario === 'others') return others(report);
  if (report.scenario === 'return') return returns(report);
  if (report.scenario === 'restart') return restarts(report);
  const shown = Object.entries(VIOLATIONS) as Array<[Violation, string]>;
  const zero = shown
    .filter(([violation]) => ONLY[violation]?.includes(report.scenario) !== false)
    .map(([violation, what]): Row => [what, count(report.violations[violation])]);
  return [
    { title: 'What happened', rows: [...happened(report), ...size(report)] },
    { title: 'What must be 0', rows: zero },
    { title: 'How long clients waited (p50 / p99 / longest)', rows: waits(report) },
    { title: 'How calls ended', rows: Object.entries(report.endings).map(counted) },
    { title: 'What requests were refused with', rows: Object.entries(report.refusals).map(counted) },
    // Older results have none.
    { title: 'What else was seen', rows: Object.entries(report.notes ?? {}).map(counted) },
  ].filter(({ rows }) => rows.length > 0);
}

const counted = ([what, value]: [string, number]): Row => [what, count(value)];

function size({ clients, sessions, requests, calls, resumes }: Report): Row[] {
  return [
    ['clients at once', count(clients)],
    ['sessions', count(sessions)],
    ['HTTP requests answered', count(requests)],
    ['calls of tools', count(calls)],
    ['streams resumed', count(resumes)],
  ];
}

function restarts({ rows }: RestartReport): readonly Rows[] {
  return rows.map(({ title, calls, failed, timedOut, twice, lost, awayMs, waited }) => ({
    title,
    rows: [
      ['calls', count(calls)],
      ['failed / timed out / ran twice', `${failed} / ${timedOut} / ${twice}`],
      ['ended with the process that was killed', count(lost)],
      ['the store was away', ms(awayMs)],
      ['calls that were under way in that time (p50 / p99 / longest)', times(waited)],
    ],
  }));
}

/** Per outage: `failed / timed out / ran twice of all calls; p99 of those under way, beyond the outage`. */
function patience({ rows, crowded }: PatienceReport): readonly Rows[] {
  const groups = new Map<string, PatienceRow[]>();
  for (const row of rows) {
    const what = row.ms === undefined ? 'the primary killed, and a replica takes its place' : row.title;
    const title = `${row.instances === 1 ? 'One instance' : 'Three instances'}, ${what}`;
    groups.set(title, [...(groups.get(title) ?? []), row]);
  }
  const outages = [...groups].map(([title, of]) => ({
    title: title.replace(/the store frozen|the file locked by another process/, 'the store frozen, or the file locked'),
    rows: of.flatMap(({ ms: planned, awayMs, calls, failed, timedOut, lost, twice, waited }): Row[] => {
      const beyond = waited.p99 - awayMs;
      const outcome = `${failed} / ${timedOut} / ${twice} of ${count(calls)}; ${beyond < 0 ? '−' : '+'}${ms(Math.abs(beyond))}`;
      const what = 'failed / timed out / ran twice, of all; p99 beyond the outage';
      const told = lost === 0 ? '' : `; ${lost} told that they may have run`;
      if (planned !== undefined) return [[`${ms(planned)}: ${what}`, outcome + told]];
      return [
        ['until clients could find the replica', ms(awayMs)],
        [what, outcome],
      ];
    }),
  }));
  return crowded === undefined ? outages : [...outages, crowd(crowded)];
}

/** By client over all outages, and by outage over all clients: `failed / timed out / ran twice of all`. */
function others({ machine, rows }: OthersReport): readonly Rows[] {
  const sums = new Map<string, Record<'failed' | 'timedOut' | 'twice' | 'calls' | 'beyond', number>>();
  const add = (key: string, { failed, timedOut, twice, calls, waited }: Seen, awayMs: number): void => {
    const sum = sums.get(key) ?? { failed: 0, timedOut: 0, twice: 0, calls: 0, beyond: 0 };
    sums.set(key, {
      failed: sum.failed + failed,
      timedOut: sum.timedOut + timedOut,
      twice: sum.twice + twice,
      calls: sum.calls + calls,
      beyond: waited.count === 0 ? sum.beyond : Math.max(sum.beyond, waited.most - awayMs),
    });
  };
  const summed = (key: string): Row => {
    const { failed = 0, timedOut = 0, twice = 0, calls = 0, beyond = 0 } = sums.get(key) ?? {};
    return [key, `${failed} / ${timedOut} / ${twice} of ${count(calls)}; +${ms(beyond)}`];
  };
  const outages = rows.map((row) => [`${row.title} for ${ms(row.ms ?? NaN)}`, row] as const);
  for (const [key, row] of outages) add(key, row, row.awayMs);
  for (const { awayMs, byClient = {} } of rows)
    for (const [title, seen] of Object.entries(byClient)) add(title, seen, awayMs);
  const clients = [...new Set(rows.flatMap(({ byClient = {} }) => Object.keys(byClient)))];
  const what = 'failed / timed out / ran twice, of all; the longest beyond the outage';
  return [
    { title: 'Where', rows: [['machine', machine]] },
    { title: `All outages, by client: ${what}`, rows: clients.map(summed) },
    { title: `All clients, by outage: ${what}`, rows: outages.map(([key]) => summed(key)) },
  ];
}

function returns(report: ReturnReport): readonly Rows[] {
  const { machine, sessions, awayMs, delayMs, earlyMs = 0, asked, claimed, servingAfterMs, claimedAfterMs } = report;
  const { untilAnswered, untilClaimed } = report;
  const used = ({ cpuMs, queuedMs }: Used): string => `${ms(cpuMs)} / ${ms(queuedMs)}`;
  const claimedRows: Row[] = [
    ['until the first of them was', ms(servingAfterMs)],
    ['until the last of them was', ms(claimedAfterMs)],
  ];
  const rows: Row[] = [
    ['machine', machine],
    ['sessions of the instance', count(sessions)],
    ['the store away for', ms(awayMs)],
    ['to the store, one way', ms(delayMs)],
    ...(earlyMs > 0 ? [['asked before the store is back', `${count(earlyMs)} ms`] as const] : []),
    [`${count(asked.count)} sessions asked at once, to the answer (p50 / p99 / longest)`, times(asked)],
    ['sessions that had to be claimed again', count(claimed)],
    ...(claimed === 0 ? [] : claimedRows),
    ['instance until the last answer: processor time / waiting for a processor', used(untilAnswered)],
    ['instance until the last claim: processor time / waiting for a processor', used(untilClaimed)],
  ];
  return [{ title: 'From the return of the store', rows }];
}

const mib = (bytes: number): string => `${Math.round(bytes / 1024 / 1024)} MiB`;

function crowd({ requests, places, served, refused, failed, resident, held }: CrowdedRow): Rows {
  const { serving, first, second } = resident;
  const most = 'resident memory at most: that many served before / first round / second round';
  return {
    title: `Two rounds of ${count(requests)} requests of 4 KiB try to wait at one instance, where ${count(places)} may`,
    rows: [
      ['served when the store was back', count(served)],
      ['refused at once', count(refused)],
      ['failed in another way', count(failed)],
      ['held after a collection, every place taken: after each round', [held.first, held.second].map(mib).join(' / ')],
      [most, [serving, first, second].map(mib).join(' / ')],
    ],
  };
}

function happened(report: CrowdReport): Row[] {
  switch (report.scenario) {
    case 'faults':
      return faults(report);
    case 'outage':
      return outages(report);
    case 'rolling':
      return [['restarts of an instance', count(report.restarts)]];
  }
}

function faults(report: FaultsReport): Row[] {
  const done = (Object.entries(report.faults) as Array<[Fault, number]>).filter(([, value]) => value > 0);
  return [
    ['SIGKILLs', count(report.kills)],
    ['SIGSTOPs past the lease', count(report.stops)],
    ...done
      .filter(([fault]) => !/kill|freeze/i.test(fault))
      .map(([fault, value]): Row => [FAULTS[fault], count(value)]),
    ...(Object.entries(report.attempts) as Array<[Intrusion, number]>).map(([intrusion, value]): Row => {
      return [`attempts to get in with ${INTRUSIONS[intrusion]}`, count(value)];
    }),
    ['writes that a frozen owner tried when its session was taken', count(report.lateWrites)],
    ['of those refused', count(report.lateWritesRefused)],
  ];
}

function outages({ outages: all, awayMs, answeredMeanwhile, refusedMeanwhile, linesMeanwhile }: OutageReport): Row[] {
  return [
    ['outages', `${all.join(', ')}; ${ms(awayMs)} each`],
    ['calls answered during it, after every lease expired', count(answeredMeanwhile)],
    ['requests refused during it', count(refusedMeanwhile)],
    ['warnings and errors in the logs of all instances', count(linesMeanwhile)],
  ];
}

function waits(report: CrowdReport): Row[] {
  switch (report.scenario) {
    case 'faults':
      return [
        ['SIGKILL of the owner: to the next answer', times(report.afterKill.next)],
        ['SIGKILL of the owner: for the end or the second run of a relayed call', times(report.afterKill.inFlight)],
        ['SIGSTOP of the owner: to the next answer', times(report.afterFreeze.next)],
        ['SIGSTOP of the owner: for the end or the second run of a relayed call', times(report.afterFreeze.inFlight)],
      ];
    case 'outage':
      return [['from the return of the store to the first result of each client', times(report.recovery)]];
    case 'rolling':
      return [['from SIGTERM to the end of the process', times((report satisfies RollingReport).drain)]];
  }
}
