/**
 * When the runs and the steps of a task were, for those who look at it. Its steps record has them: a run is a line of
 * one field, a step has its times before its result. Numbers are in base 36; each takes at most 64 bytes.
 *
 *     r          <run> <attempt> <round> <begin> <end, or -> <owner>
 *     s<name>    <run> <begin> <ms> <JSON>
 */

/** One run of its handler. A run that was cut has no end. */
export interface RunTimes {
  /** 1, and 1 more with each run. */
  readonly run: number;
  readonly attempt: number;
  readonly round: number;
  /** ms since 1970, by the clock of the owner. */
  readonly begin: number;
  readonly end?: number;
  readonly owner: string;
}

export interface StepTimes {
  readonly run: number;
  readonly begin: number;
  readonly ms: number;
}

export const RUNS_FIELD = 'r';
/** A task may have as many attempts. */
const MOST_RUNS = 100;
const OWNER_LENGTH = 22;
const RUN = /^([\da-z]+) ([\da-z]+) ([\da-z]+) ([\da-z]+) ([\da-z]+|-) (\S+)$/;
const STEP = /^([\da-z]+) ([\da-z]+) ([\da-z]+) /;

const short = (value: number): string => Math.max(0, Math.round(value)).toString(36);
const long = (text = ''): number => Number.parseInt(text, 36);

/** The latest 100. */
export const runsText = (runs: readonly RunTimes[]): string => runs.slice(-MOST_RUNS).map(lineOf).join('\n');

const lineOf = ({ run, attempt, round, begin, end, owner }: RunTimes): string =>
  [...[run, attempt, round, begin].map(short), end === undefined ? '-' : short(end), owner.slice(0, OWNER_LENGTH)].join(
    ' ',
  );

export function readRuns(text = ''): RunTimes[] {
  return text.split('\n').flatMap((line) => {
    const [, run, attempt, round, begin, end, owner] = RUN.exec(line) ?? [];
    if (owner === undefined) return [];
    const times = { run: long(run), attempt: long(attempt), round: long(round), begin: long(begin), owner };
    return [{ ...times, ...(end !== '-' && { end: long(end) }) }];
  });
}

export const stepText = ({ run, begin, ms }: StepTimes, json: string): string =>
  `${short(run)} ${short(begin)} ${short(ms)} ${json}`;

export const jsonOfStep = (text: string): string => text.replace(STEP, '');

export function timesOfStep(text: string): StepTimes | undefined {
  const [all, run, begin, ms] = STEP.exec(text) ?? [];
  return all === undefined ? undefined : { run: long(run), begin: long(begin), ms: long(ms) };
}
