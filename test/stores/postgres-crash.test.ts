/**
 * Writers are killed in the middle of their work, and the server too, again and again. After each kill all that was
 * acknowledged of a session is there, at most one step more (asked for, stored, not yet acknowledged), and that step
 * whole; what has ended stays ended. `SOJOURN_KILLS=200 npx vitest run test/stores/postgres-crash.test.ts` kills longer.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { postgres } from '../../src/stores/postgres/index.ts';
import { isEnded, type OpenStore, type SessionRecord, type StoreOptions } from '../../src/stores/store.ts';
import { describeWithServer, type TestServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { newDatabase, storeOptions } from './postgres-views.ts';

interface Steps {
  readonly LAST_STEP: number;
  expectedAfter(step: number): Stored;
  openOptions(dist: string): Promise<object>;
}
interface Stored {
  readonly state: Record<string, string>;
  readonly activeAt: number;
  readonly get: number[];
  readonly calls: number[];
  readonly markers: string[];
}

const KILLS = Number(process.env['SOJOURN_KILLS'] ?? 16);
const WRITERS = 2;
const WIDTH = 8;
const LONGEST_MS = 150;
const ROUND_MS = 6_000; // for the time limit of the test

const WRITER = join(import.meta.dirname, 'processes/postgres-writer.mjs');
const DIST = resolve(import.meta.dirname, '../../dist');
const { LAST_STEP, expectedAfter, openOptions } = (await import(
  join(import.meta.dirname, 'processes/sqlite-steps.mjs')
)) as Steps;

interface Writer {
  readonly process: ChildProcess;
  /** Resolves when it writes, or has ended. */
  readonly ready: Promise<unknown>;
  readonly gone: Promise<unknown>;
  readonly errors: string[];
  readonly log: string;
}

function startWriter(url: string, job: { readonly log: string }): Writer {
  const child = spawn(process.execPath, [WRITER, url, JSON.stringify(job)], { stdio: ['ignore', 'pipe', 'pipe'] });
  const errors: string[] = [];
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk.toString()));
  const ready = Promise.race([once(child.stdout, 'data'), once(child, 'close')]);
  return { process: child, ready, gone: once(child, 'close'), errors, log: job.log };
}

/** Session → the last step that was acknowledged. */
function readAcknowledged(log: string): Array<[id: string, step: number]> {
  if (!existsSync(log)) return [];
  // A line that the kill cut off was not said.
  const lines = readFileSync(log, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => [line.slice(0, line.indexOf(' ')), Number(line.slice(line.indexOf(' ')))]);
}

/** What the store holds of a session. Claims it, which is how markers are read. */
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
  const claim = await view.sessions.claim(record.id, record.epoch, 'checker');
  if (!claim.claimed) throw new Error(`${record.id} was not claimed: its owner lives`);
  const markers = claim.markers.map(({ request }) => request);
  const { state, activeAt } = record;
  return { state, activeAt, get, calls, markers };
}

/** The lives of sessions from round to round, and what must hold of them. */
class Lives {
  readonly #living = new Map<string, number>();
  readonly #ended = new Set<string>();
  steps = 0;

  get ended(): number {
    return this.#ended.size;
  }

  async jobs(view: OpenStore): Promise<Array<{ id: string; step: number; epoch: number }>> {
    const jobs = [];
    for (const [id, step] of this.#living) {
      const record = await view.sessions.read(id);
      if (record !== undefined && !isEnded(record)) jobs.push({ id, step, epoch: record.epoch });
    }
    return jobs;
  }

  async check(view: OpenStore, logs: readonly string[]): Promise<void> {
    for (const [id, step] of logs.flatMap(readAcknowledged)) {
      this.steps += step - (this.#living.get(id) ?? 0);
      this.#living.set(id, step);
    }
    const listed = new Set((await view.sessions.list(100_000)).records.map(({ id }) => id));
    for (const [id, step] of this.#living) await this.#checkOne(view, id, step, listed);
    // One may have been created whose acknowledgement was lost.
    for (const id of listed) if (!this.#living.has(id)) this.#living.set(id, 0);
    for (const id of this.#ended) {
      expect(isEnded((await view.sessions.read(id)) as SessionRecord), id).toBe(true);
      expect(listed.has(id), id).toBe(false);
    }
    expect(await view.sessions.count()).toBe(listed.size);
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
    // What was stored and not acknowledged any more is where the next owner goes on.
    const reached = both.findIndex((one) => JSON.stringify(one) === JSON.stringify(found));
    this.#living.set(id, step + Math.max(0, reached));
  }
}

describeWithServer('postgres', 'kills in the middle of writes', (server) => {
  async function run(kills: number, kill: (writers: readonly Writer[], server: TestServer) => Promise<void>) {
    const folder = mkdtempSync(join(tmpdir(), 'sojourn-crash-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const url = await newDatabase(server().url);
    const options: StoreOptions = { ...storeOptions(), ...(await openOptions(DIST)) };
    const lives = new Lives();
    for (let round = 0; round * WRITERS < kills; round++) {
      const before = await postgres(url).open(options);
      const jobs = await lives.jobs(before);
      await before.close();
      const writers = Array.from({ length: WRITERS }, (_, w) => {
        const sessions = jobs.filter((_job, n) => n % WRITERS === w);
        const [owner, log] = [`writer-${round}-${w}`, join(folder, `${round}-${w}.log`)];
        return startWriter(url, { owner, sessions, prefix: `w${w}-${round}`, width: WIDTH, log } as { log: string });
      });
      await Promise.all(writers.map(({ ready }) => ready));
      await kill(writers, server());
      const view = await postgres(url).open(options);
      await until(async () => (await view.instances.list()).length === 0);
      await lives.check(
        view,
        writers.map(({ log }) => log),
      );
      await view.close();
    }
    expect(lives.steps).toBeGreaterThan(kills * 10);
    if (process.env['SOJOURN_KILLS'] !== undefined)
      console.log(`${kills} kills, ${lives.steps} acknowledged steps, ${lives.ended} sessions ended`);
  }

  async function killWriters(writers: readonly Writer[]): Promise<void> {
    await Promise.all(
      writers.map(async (writer) => {
        await sleep(Math.random() * LONGEST_MS);
        writer.process.kill('SIGKILL');
        await writer.gone;
      }),
    );
  }

  test(
    `of writers: ${KILLS} lose nothing that was acknowledged, and bring back nothing that has ended`,
    async () => {
      await run(KILLS, async (writers) => {
        await killWriters(writers);
        for (const { errors } of writers) expect(errors.join('')).toBe('');
      });
    },
    KILLS * ROUND_MS,
  );

  test(
    `of the server: ${KILLS / 4} lose nothing that was acknowledged, and bring back nothing that has ended`,
    async () => {
      await run(KILLS / 2, async (writers, killed) => {
        await sleep(Math.random() * LONGEST_MS);
        await killed.killed();
        await killWriters(writers);
        await killed.start();
      });
    },
    KILLS * ROUND_MS,
  );
});
