/**
 * Writers are killed in the middle of their work, again and again, and every other time Redis with them, which keeps an
 * append-only file. After each kill, of every session all that was acknowledged is there, at most one step more (asked for,
 * stored, not yet acknowledged), and that step whole; what has ended stays ended; the directory knows them all.
 * `SOJOURN_KILLS=200 npx vitest run test/stores/redis-crash.test.ts` kills longer.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { redis } from '../../src/stores/redis/index.ts';
import { isEnded, type OpenStore, type SessionRecord } from '../../src/stores/store.ts';
import { describeWhereInstalled, startServer } from '../kit/servers/index.ts';
import { storeOptions } from './redis-views.ts';

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

const KILLS = Number(process.env['SOJOURN_KILLS'] ?? 30);
const WRITERS = 2;
const WIDTH = 8;
const LONGEST_MS = 120;
const ROUND_MS = 5_000; // for the time limit of the test

const WRITER = join(import.meta.dirname, 'processes/redis-writer.mjs');
const DIST = resolve(import.meta.dirname, '../../dist');
const { LAST_STEP, expectedAfter, openOptions } = (await import(
  join(import.meta.dirname, 'processes/sqlite-steps.mjs')
)) as Steps;

/** Session → the last step that was acknowledged. */
type Acknowledged = Map<string, number>;

function startWriter(url: string, job: object) {
  const child: ChildProcess = spawn(process.execPath, [WRITER, url, JSON.stringify(job)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const errors: string[] = [];
  child.stderr?.on('data', (chunk: Buffer) => errors.push(chunk.toString()));
  const ready = Promise.race([once(child.stdout as NodeJS.ReadableStream, 'data'), once(child, 'close')]);
  return { process: child, ready, gone: once(child, 'close'), errors };
}

function readAcknowledged(log: string): Acknowledged {
  if (!existsSync(log)) return new Map();
  // A line that the kill cut off was not said.
  const lines = readFileSync(log, 'utf8').split('\n').slice(0, -1);
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(' ')), Number(line.slice(line.indexOf(' ')))]));
}

/** What is kept of a session. Claims it, which is how markers are read. */
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

describeWhereInstalled('redis', 'what Redis has acknowledged', () => {
  test(
    `outlives ${KILLS} kills in the middle of writes, and nothing that has ended comes back`,
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'sojourn-crash-'));
      onTestFinished(() => rmSync(folder, { recursive: true }));
      const server = await startServer('redis', { args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
      onTestFinished(() => server.close());
      const options = { ...storeOptions(), ...(await openOptions(DIST)), leaseMs: 600_000 };
      const living: Acknowledged = new Map();
      const ended = new Set<string>();
      let [kills, steps] = [0, 0];
      for (let round = 0; kills < KILLS; round++) {
        const epochs = new Map<string, number>();
        const before = await redis(server.url).open(options);
        for (const id of living.keys()) {
          const record = await before.sessions.read(id);
          if (record !== undefined && !isEnded(record)) epochs.set(id, record.epoch);
        }
        await before.close();
        const writers = Array.from({ length: WRITERS }, (_, w) => {
          const mine = [...living].filter((_session, n) => n % WRITERS === w);
          const sessions = mine.map(([id, step]) => ({ id, step, epoch: epochs.get(id) }));
          const [owner, log] = [`writer-${round}-${w}`, join(folder, `${round}-${w}.log`)];
          const job = { owner, sessions, prefix: `w${w}-${round}`, width: WIDTH, log };
          return { ...startWriter(server.url, job), owner, log };
        });
        await Promise.all(writers.map(({ ready }) => ready));
        await sleep(Math.random() * LONGEST_MS);
        if (round % 2 === 1) await server.killed();
        for (const writer of writers) {
          writer.process.kill('SIGKILL');
          kills += 1;
          await writer.gone;
          expect(writer.errors.join('')).toBe('');
        }
        if (round % 2 === 1) await server.start();

        const view = await redis(server.url).open(options);
        for (const { owner } of writers) {
          const lease = await view.instances.read(owner);
          if (lease !== undefined) expect(await view.instances.bury(lease)).toBe(true);
        }
        for (const [id, step] of writers.flatMap(({ log }) => [...readAcknowledged(log)])) {
          steps += step - (living.get(id) ?? 0);
          living.set(id, step);
        }
        const listed = new Set((await view.sessions.list(100_000)).records.map(({ id }) => id));
        for (const [id, step] of living) {
          const record = await view.sessions.read(id);
          expect(record, id).toBeDefined();
          if (record === undefined) continue;
          if (isEnded(record)) {
            expect(step, id).toBeGreaterThanOrEqual(LAST_STEP - 1);
            ended.add(id);
            living.delete(id);
            continue;
          }
          expect(step, `${id} was acknowledged as ended`).toBeLessThan(LAST_STEP);
          expect(listed.has(id), id).toBe(true);
          const found = await stored(view, record);
          const both = [expectedAfter(step), expectedAfter(step + 1)];
          if (step + 1 === LAST_STEP) both.pop();
          expect(both, `${id} after step ${step}`).toContainEqual(found);
          // What was stored and not acknowledged any more is where the next owner goes on.
          const reached = both.findIndex((one) => JSON.stringify(one) === JSON.stringify(found));
          living.set(id, step + Math.max(0, reached));
        }
        // One may have been created whose acknowledgement was lost.
        for (const id of listed) if (!living.has(id)) living.set(id, 0);
        for (const id of ended) {
          expect(isEnded((await view.sessions.read(id)) as SessionRecord), id).toBe(true);
          expect(listed.has(id), id).toBe(false);
        }
        await view.close();
      }
      expect(steps).toBeGreaterThan(KILLS * 20);
      expect(ended.size).toBeGreaterThan(KILLS / 2);
      if (process.env['SOJOURN_KILLS'] !== undefined)
        console.log(`${kills} kills, ${steps} acknowledged steps, ${ended.size} sessions ended, ${living.size} living`);
    },
    KILLS * ROUND_MS,
  );
});
