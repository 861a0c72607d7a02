/**
 * Kills writers in the middle of their work, again and again, and the server with them where there is one. After each
 * round every acknowledged step of a session is stored, and at most one further step (requested and stored, not yet
 * acknowledged), complete. Ended sessions stay ended.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import {
  isEnded,
  type Ownership,
  type OpenStore,
  type SessionRecord,
  type Store,
  type StoreOptions,
} from '../../src/stores/store.ts';
import type { TestServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';

export interface CrashPlan {
  readonly kind: 'sqlite' | 'redis' | 'postgres' | 'nats';
  /** The path or URL that the writers open. */
  readonly target: string;
  readonly store: (target: string) => Store;
  readonly options: StoreOptions;
  /** Kills of writers. */
  readonly kills: number;
  /** The server is killed before the writers, once in this many rounds. */
  readonly server?: { readonly process: TestServer; readonly every: number };
  /** SQLite: one of the writers copies the log into the file at the same time. */
  readonly copies?: boolean;
  /** A killed writer is dead at once; otherwise its lease expires. */
  readonly buries?: boolean;
  /** The count equals the listing; otherwise a kill may leave the count behind until the next sweep. */
  readonly countsAtOnce?: boolean;
}

interface Steps {
  readonly LAST_STEP: number;
  expectedAfter(step: number): Stored;
  openOptions(dist: string): Promise<Partial<StoreOptions>>;
}
interface Stored {
  readonly state: Record<string, string>;
  readonly activeAt: number;
  readonly get: number[];
  readonly calls: number[];
  readonly markers: string[];
}
interface Job {
  readonly sessions: ReadonlyArray<Ownership & { readonly id: string; readonly step: number }>;
  readonly log: string;
}
interface Writer {
  readonly process: ChildProcess;
  readonly gone: Promise<unknown>;
  readonly errors: string[];
  readonly log: string;
}

const WRITERS = 2;
const WIDTH = 8;
/** The most steps that a writer has done when it is killed; the number is the next one of an evenly spread sequence. */
const MOST_STEPS = 160;
const GOLDEN = (Math.sqrt(5) - 1) / 2;
/** And the longest delay after that. */
const LONGEST_MS = 10;
const PATIENCE = { timeoutMs: 60_000 };

const WRITER = join(import.meta.dirname, 'processes/writer.mjs');
const DIST = resolve(import.meta.dirname, '../../dist');
const { LAST_STEP, expectedAfter, openOptions } = (await import(
  join(import.meta.dirname, 'processes/steps.mjs')
)) as Steps;

/** For a test's time limit. */
export const crashesTimeout = (kills: number): number => 30_000 + kills * 4_000;

/**
 * The number of kills. `SOJOURN_KILLS=200 npx vitest run test/stores/STORE-crash.test.ts` kills more often and prints
 * what it found.
 */
export const killsOf = (usual: number): number => Number(process.env['SOJOURN_KILLS'] ?? usual);

function startWriter(job: Job): Writer {
  const child = spawn(process.execPath, [WRITER, JSON.stringify(job)], { stdio: ['ignore', 'ignore', 'pipe'] });
  const errors: string[] = [];
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk.toString()));
  return { process: child, gone: once(child, 'close'), errors, log: job.log };
}

/** Session and step, as they were acknowledged. */
function readAcknowledged(log: string): Array<[id: string, step: number]> {
  if (!existsSync(log)) return [];
  // A line that the kill cut off was not acknowledged.
  const lines = readFileSync(log, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => [line.slice(0, line.indexOf(' ')), Number(line.slice(line.indexOf(' ')))]);
}

/** What the store holds of a session. Claims the session, because a claim returns its markers. */
async function stored(view: OpenStore, record: SessionRecord): Promise<Stored> {
  const stepsOf = async (stream: string): Promise<number[]> => {
    const outcome = await view.events.replay(record.id, stream, -1);
    if (!outcome.found) return [];
    const texts = outcome.events.map(({ data }) => data).filter((data) => data !== '');
    return texts.map((data) => (JSON.parse(data) as { step: number }).step);
  };
  const calls: number[] = [];
  for (let step = 4; step < LAST_STEP; step += 4) calls.push(...(await stepsOf(`p${step}`)));
  const get = await stepsOf('g');
  const claim = await view.sessions.claim(record.id, record, 'checker');
  if (!claim.claimed) throw new Error(`${record.id} was not claimed: its owner lives`);
  const markers = claim.markers.map(({ request }) => request);
  const { state, activeAt } = record;
  return { state, activeAt, get, calls, markers };
}

/** The sessions from round to round, and the assertions about them. */
class Lives {
  /** Session → the last acknowledged step. */
  readonly #living = new Map<string, number>();
  readonly #ended = new Set<string>();
  steps = 0;

  get ended(): number {
    return this.#ended.size;
  }

  async goOn(view: OpenStore): Promise<Job['sessions']> {
    const living = [];
    for (const [id, step] of this.#living) {
      const record = await view.sessions.read(id);
      if (record !== undefined && !isEnded(record)) living.push({ id, step, epoch: record.epoch, owner: record.owner });
    }
    return living;
  }

  async check(view: OpenStore, logs: readonly string[]): Promise<{ listed: number }> {
    for (const [id, step] of logs.flatMap(readAcknowledged)) {
      this.steps += step - (this.#living.get(id) ?? 0);
      this.#living.set(id, step);
    }
    const listed = new Set((await view.sessions.list(100_000)).records.map(({ id }) => id));
    for (const [id, step] of this.#living) await this.#checkOne(view, id, step, listed);
    // A session may have been created whose acknowledgement was lost.
    for (const id of listed) if (!this.#living.has(id)) this.#living.set(id, 0);
    for (const id of this.#ended) {
      expect(isEnded((await view.sessions.read(id)) as SessionRecord), id).toBe(true);
      expect(listed.has(id), id).toBe(false);
    }
    return { listed: listed.size };
  }

  async #checkOne(view: OpenStore, id: string, step: number, listed: ReadonlySet<string>): Promise<void> {
    const record = await view.sessions.read(id);
    expect(record, id).toBeDefined();
    if (record === undefined) return;
    if (isEnded(record)) {
      expect(step, id).toBeGreaterThanOrEqual(LAST_STEP - 1);
      this.#ended.add(id);
      this.#living.delete(id);
      return;
    }
    expect(step, `${id} was acknowledged as ended`).toBeLessThan(LAST_STEP);
    expect(listed.has(id), id).toBe(true);
    const found = await stored(view, record);
    const both = [expectedAfter(step), expectedAfter(step + 1)];
    if (step + 1 === LAST_STEP) both.pop();
    expect(both, `${id} after step ${step}`).toContainEqual(found);
    // The next owner continues after a step that was stored but not acknowledged.
    const reached = both.findIndex((one) => JSON.stringify(one) === JSON.stringify(found));
    this.#living.set(id, step + Math.max(0, reached));
  }
}

/** Resolves in the middle of the writer's work, or when the writer has failed. */
async function inTheMiddle({ process, log }: Writer, nth: number): Promise<void> {
  const steps = Math.floor(((nth * GOLDEN) % 1) * MOST_STEPS);
  await until(() => process.exitCode !== null || readAcknowledged(log).length >= steps, PATIENCE);
  await sleep(Math.random() * LONGEST_MS);
}

async function kill({ process, gone, errors }: Writer): Promise<void> {
  process.kill('SIGKILL');
  await gone;
  expect(errors.join('')).toBe('');
}

export async function killWriters({
  kind,
  target,
  store,
  kills,
  server,
  copies,
  buries,
  ...plan
}: CrashPlan): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-crash-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const options: StoreOptions = { ...plan.options, ...(await openOptions(DIST)), leaseMs: buries ? 600_000 : 50 };
  const lives = new Lives();
  let [killed, serverKills] = [0, 0];
  for (let round = 0; killed < kills; round++) {
    const before = await store(target).open(options);
    const living = await lives.goOn(before);
    await before.close();
    const killsServer = server !== undefined && round % server.every === server.every - 1;
    const writers = Array.from({ length: WRITERS }, (_, w) => {
      const sessions = living.filter((_session, n) => n % WRITERS === w);
      const job = {
        kind,
        target,
        leaseMs: options.leaseMs,
        owner: `writer-${round}-${w}`,
        prefix: `w${w}-${round}`,
        sessions,
      };
      const how = { width: WIDTH, copies: copies && round % 2 === w, mayBeAway: killsServer };
      return startWriter({ ...job, ...how, log: join(folder, `${round}-${w}.log`) });
    });
    const middles = writers.map((writer, w) => inTheMiddle(writer, killed + w));
    if (killsServer) {
      await Promise.all(middles);
      await server.process.killed();
      serverKills += 1;
    }
    await Promise.all(writers.map((writer, w) => (middles[w] as Promise<void>).then(() => kill(writer))));
    killed += WRITERS;
    if (killsServer) await server.process.start();

    const view = await until(() => store(target).open(options), PATIENCE);
    if (buries) for (const lease of await view.instances.list()) expect(await view.instances.bury(lease)).toBe(true);
    await until(async () => (await view.instances.list()).length === 0, PATIENCE);
    const logs = writers.map(({ log }) => log);
    const { listed } = await lives.check(view, logs);
    if (plan.countsAtOnce) expect(await view.sessions.count()).toBe(listed);
    await view.close();
  }
  // Enough to be meaningful: each writer has done its steps, and a session has `LAST_STEP` of them.
  expect(lives.steps).toBeGreaterThan((kills * MOST_STEPS) / 4);
  expect(lives.ended).toBeGreaterThan(0);
  if (process.env['SOJOURN_KILLS'] !== undefined)
    console.log(
      `${killed} kills, ${serverKills} of the server, ${lives.steps} acknowledged steps, ${lives.ended} sessions ended`,
    );
}
