/**
 * Kills writers in the middle of their work, again and again, and the server with them where there is one. After each
 * round every acknowledged step of a session is stored, and at most one further step (requested and stored, not yet
 * acknowledged), complete. Ended sessions stay ended. What each share counts is what its rows and logs count.
 */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { base64url, elapse, systemRandom, systemTime } from '../../../../src/base/system.ts';
import { isEnded, type StoredRecord } from '../../../../src/stores/store.ts';
import { compiled } from '../../../kit/compiled.ts';
import { allPages, idsOf, openView, type View } from '../view.ts';
import { until, type UntilOptions } from '../../../../src/testing/until.ts';
import {
  GROUPS,
  LAST_STEP,
  modelAfter,
  OUTCOME,
  SHARES,
  STREAMS,
  viewOptions,
} from './session-steps.ts';
import { storeAt } from '../../store-at.ts';
import type { WriterJob } from './crash-writer.ts';

export interface StoreCrashes {
  /** What `storeAt` makes the store of, here and in the processes of the writers. */
  readonly target: string;
  /** Kills of writers: 20. With fewer than 16 a slow machine may end no session, which counts as a failure. */
  readonly kills?: number;
  /** Every second time it is killed before the writers. */
  readonly server?: { kill(): Promise<unknown>; start(): Promise<unknown> };
  /** A module whose default export one of the two writers runs beside its work, called with `target`. */
  readonly beside?: string;
}

interface Writer {
  readonly process: ChildProcess;
  readonly gone: Promise<unknown>;
  readonly errors: string[];
  readonly log: string;
}

const KILLS = 20;
const WRITERS = 2;
const WIDTH = 8;
/** The most steps that a writer has done when it is killed; the number is the next one of an evenly spread sequence. */
const MOST_STEPS = 160;
const GOLDEN = (Math.sqrt(5) - 1) / 2;
/** And the longest delay after that. */
const LONGEST_MS = 10;
const PATIENCE_MS = 60_000;
const PAGE = 10;
/** It has no lease: the next writer may claim from it. */
const CHECKER = 'checker';

const waiting = (what: string): UntilOptions => ({ what, timeoutMs: PATIENCE_MS });

function startWriter(program: string, job: WriterJob): Writer {
  const child = spawn(process.execPath, [program, JSON.stringify(job)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const errors: string[] = [];
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk.toString()));
  return { process: child, gone: once(child, 'close'), errors, log: job.log };
}

/** Session and step, as they were acknowledged. */
function readAcknowledged(log: string): Array<[id: string, step: number]> {
  if (!existsSync(log)) return [];
  // A line that the kill cut off was not acknowledged.
  const lines = readFileSync(log, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => [
    line.slice(0, line.indexOf(' ')),
    Number(line.slice(line.indexOf(' '))),
  ]);
}

type Held = Pick<View['records'], 'claim'> & {
  replay(id: string, stream: string, after: number): unknown;
};

/** What a store or the model holds of a session. Claims it, because a claim returns marks and open streams. */
async function contentOf(held: Held, { id, epoch, owner }: StoredRecord): Promise<object> {
  const claim = await held.claim(id, { epoch, owner }, CHECKER);
  assert.ok(claim.claimed, `${id} was not claimed: its owner lives`);
  const { fields, rung, stamp, head, body } = claim.record;
  const logs = await Promise.all(STREAMS.map(async (stream) => held.replay(id, stream, -1)));
  return { ...claim, record: { fields: { ...fields }, rung, stamp, head, body }, logs };
}

/** The sessions from round to round, and the assertions about them. */
class Lives {
  /** Each with its last acknowledged step, and as the next writer finds it. */
  readonly living = new Map<string, WriterJob['sessions'][number]>();
  readonly #ended = new Set<string>();
  steps = 0;

  get ended(): number {
    return this.#ended.size;
  }

  /** The writers have been killed. */
  async check(view: View, writers: readonly Writer[]): Promise<void> {
    for (const lease of await view.instances.list())
      assert.equal(await view.instances.bury(lease), true);
    for (const [id, step] of writers.flatMap(({ log }) => readAcknowledged(log))) {
      this.steps += step - (this.living.get(id)?.step ?? 0);
      this.living.set(id, { id, step, epoch: 0, owner: null });
    }
    const { records } = await view.records.list(100_000);
    const listed = new Set(idsOf(records));
    const due = new Set(idsOf(await allPages((cursor) => view.records.due(PAGE, cursor))));
    for (const group of GROUPS) await this.#checkGroup(view, group, listed);
    for (const { id, step } of this.living.values())
      await this.#checkOne(view, id, step, listed, due);
    // A session may have been created whose acknowledgement was lost.
    for (const { id, epoch, owner } of records) {
      if (!this.living.has(id)) this.living.set(id, { id, step: 0, epoch, owner });
    }
    for (const id of this.#ended) {
      const value = await view.records.read(id);
      assert.ok(value !== undefined && isEnded(value), `${id} came back after its end`);
      assert.ok(!listed.has(id), `${id} is listed after its end`);
    }
    await checkNumbers(view);
  }

  async #checkGroup({ records }: View, group: string, listed: ReadonlySet<string>): Promise<void> {
    const expected = [...listed].filter((id) => id.startsWith(`${group}.`)).sort();
    const found = idsOf(await allPages((cursor) => records.list(PAGE, cursor, group)));
    assert.deepEqual(found.sort(), expected, `the listing of the group ${group}`);
    assert.equal(await records.count(group), expected.length, `the count of the group ${group}`);
  }

  async #checkOne(
    view: View,
    id: string,
    step: number,
    listed: ReadonlySet<string>,
    due: ReadonlySet<string>,
  ): Promise<void> {
    const record = await view.records.read(id);
    assert.ok(record !== undefined, `${id} is missing; step ${step} was acknowledged`);
    if (isEnded(record)) {
      assert.ok(step >= LAST_STEP - 1, `${id} has ended after step ${step}`);
      assert.equal(record.outcome, OUTCOME, id);
      this.#ended.add(id);
      this.living.delete(id);
      return;
    }
    assert.ok(step < LAST_STEP, `${id} lives, although its end was acknowledged`);
    assert.ok(listed.has(id), `${id} is not listed`);
    const found = await contentOf(view.records, record);
    const models = [step, step + 1]
      .filter((one) => one < LAST_STEP)
      .map((one) => modelAfter(id, one));
    const possible = await Promise.all(
      models.map((model) => contentOf(model, model.record(id) ?? record)),
    );
    const reached = possible.findIndex((content) => isDeepStrictEqual(content, found));
    if (reached < 0)
      assert.deepEqual(found, possible[0], `${id} after the acknowledged step ${step}`);
    assert.equal(
      due.has(id),
      models[reached]?.due().records.length === 1,
      `${id} is due after step ${step + reached}`,
    );
    // The next owner continues after a step that was stored but not acknowledged.
    this.living.set(id, { id, step: step + reached, epoch: record.epoch + 1, owner: CHECKER });
  }
}

async function checkNumbers({ kept }: View): Promise<void> {
  const counted = [];
  for (const share of SHARES) {
    const numbers = await kept.of(share);
    assert.deepEqual(numbers, await kept.recount(share), `the number of the share ${share}`);
    counted.push(...Object.values(numbers));
  }
  assert.ok(Math.min(...counted) > 0, `nothing counts: ${counted}`);
}

/** Resolves in the middle of the writer's work, or when the writer has failed. */
async function inTheMiddle({ process, log }: Writer, nth: number): Promise<void> {
  const steps = Math.floor(((nth * GOLDEN) % 1) * MOST_STEPS);
  await until(
    () => process.exitCode !== null || readAcknowledged(log).length >= steps,
    waiting(`${steps} steps`),
  );
  await elapse(systemTime, ((systemRandom(1)[0] ?? 0) / 256) * LONGEST_MS);
}

async function kill({ process, gone, errors }: Writer): Promise<void> {
  process.kill('SIGKILL');
  await gone;
  assert.equal(errors.join(''), '', 'a writer failed');
}

/** Rejects if the store lost an acknowledged step or brought back an ended session. Takes about 2 s for each kill. */
export async function runStoreCrashes(plan: StoreCrashes): Promise<void> {
  const { kills = KILLS, server } = plan;
  const program = compiled(join(import.meta.dirname, 'crash-writer.ts'));
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-crash-'));
  const deployment = `crashes-${base64url(systemRandom(9))}`;
  const open = async (): Promise<View> => openView(storeAt(plan.target), viewOptions(deployment));
  const lives = new Lives();
  let writers: readonly Writer[] = [];
  let serverKills = 0;
  let killed = 0;
  try {
    for (let round = 0; killed < kills; round++, killed += WRITERS) {
      const living = [...lives.living.values()];
      const killsServer = server !== undefined && round % 2 === 1;
      const jobOf = (w: number): WriterJob => ({
        target: plan.target,
        deployment,
        owner: `writer-${round}-${w}`,
        prefix: `w${w}-${round}`,
        sessions: living.filter((_session, n) => n % WRITERS === w),
        width: WIDTH,
        mayBeAway: killsServer,
        beside: round % WRITERS === w ? plan.beside : undefined,
        log: join(folder, `${round}-${w}.log`),
      });
      writers = Array.from({ length: WRITERS }, (_, w) => startWriter(program, jobOf(w)));
      const middles = writers.map((writer, w) => inTheMiddle(writer, killed + w));
      if (killsServer) {
        await Promise.all(middles);
        await server.kill();
        serverKills += 1;
      }
      await Promise.all(writers.map(async (writer, w) => middles[w]?.then(() => kill(writer))));
      if (killsServer) await server.start();
      const view = await until(open, waiting('the store opens'));
      try {
        await lives.check(view, writers);
      } finally {
        await view.close();
      }
    }
  } finally {
    // After a failure.
    for (const { process } of writers) process.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  }
  // Enough to be meaningful: each writer has done its steps, and a session has `LAST_STEP` of them.
  assert.ok(lives.steps > (kills * MOST_STEPS) / 4, `the writers did only ${lives.steps} steps`);
  assert.ok(lives.ended > 0, 'no session ended');
  assert.ok(server === undefined || serverKills > 0, 'the server was never killed');
}
