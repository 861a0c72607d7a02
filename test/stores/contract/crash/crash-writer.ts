/**
 * A process that writes until it is killed: `crash-writer JOB`. It logs to a file what the store acknowledged.
 *
 * Each of `width` workers takes a session of the job, or creates one, and does the steps of `session-steps.ts` in
 * order; the last step ends the session. Lines are `id step`, written synchronously: a logged step was acknowledged
 * before the kill. If the server may be away, a worker that finds it away stops; the next writer finds out whether its
 * step was stored.
 */
import { openSync, writeSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { SojournError } from '../../../../src/base/errors.ts';
import { elapse, systemTime } from '../../../../src/base/system.ts';
import type { Fence, Ownership } from '../../../../src/stores/store.ts';
import { openView, type View } from '../view.ts';
import { storeAt } from '../../store-at.ts';
import { doStep, GROUPS, LAST_STEP, newRecord, viewOptions } from './session-steps.ts';

export interface WriterJob {
  readonly target: string;
  readonly deployment: string;
  readonly owner: string;
  readonly sessions: ReadonlyArray<Ownership & { readonly id: string; readonly step: number }>;
  /** Begins the names of new sessions in their groups. */
  readonly prefix: string;
  readonly width: number;
  readonly mayBeAway: boolean;
  /** A module whose default export runs beside the workers, called with the target. */
  readonly beside: string | undefined;
  readonly log: string;
}

interface BesideModule {
  default(target: string): Promise<void>;
}

const DONE = ['written', 'added', 'ended'];

/** Returns what each worker runs. */
function workOf({ owner, prefix, log, ...job }: WriterJob, view: View): () => Promise<never> {
  const sessions = [...job.sessions];
  const file = openSync(log, 'a');
  let made = 0;
  const acknowledged = (id: string, step: number): unknown => writeSync(file, `${id} ${step}\n`);
  const take = async (): Promise<{
    readonly id: string;
    readonly step: number;
    readonly fence: Fence;
  }> => {
    const next = sessions.shift();
    if (next === undefined) {
      const id = `${GROUPS[made % GROUPS.length]}.${prefix}-${made++}`;
      if ((await view.records.create(newRecord(id, owner))) !== 'created')
        throw new Error(`${id} exists`);
      acknowledged(id, 0);
      return { id, step: 0, fence: { epoch: 1, owner } };
    }
    const claim = await view.records.claim(next.id, next, owner);
    if (!claim.claimed) throw new Error(`${next.id} was not claimed: ${JSON.stringify(claim)}`);
    return { id: next.id, step: next.step, fence: { epoch: claim.record.epoch, owner } };
  };
  return async () => {
    for (;;) {
      const { id, step: done, fence } = await take();
      for (let step = done + 1; step <= LAST_STEP; step++) {
        const outcome = await doStep(view.records, id, step, fence);
        if (!DONE.includes(outcome)) throw new Error(`${id} ${step}: ${outcome}`);
        acknowledged(id, step);
      }
    }
  };
}

/** The server may also be away while the store is opened. */
async function untilAway({ mayBeAway }: WriterJob, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!mayBeAway || !(error instanceof SojournError) || error.code !== 'STORE_UNAVAILABLE')
      throw error;
  }
}

async function main(job: WriterJob): Promise<void> {
  const beside = async (): Promise<void> => {
    if (job.beside === undefined) return;
    const { default: run } = (await import(pathToFileURL(job.beside).href)) as BesideModule;
    await run(job.target);
  };
  await untilAway(job, async () => {
    const view = await openView(storeAt(job.target), viewOptions(job.deployment));
    await view.instances.announce(
      { id: job.owner, state: 'serving', version: '1' },
      () => undefined,
    );
    const work = workOf(job, view);
    const workers = Array.from({ length: job.width }, () => untilAway(job, work));
    await Promise.all([...workers, beside()]);
  });
  // The server is away: wait to be killed.
  for (;;) await elapse(systemTime, 1_000);
}

await main(JSON.parse(process.argv[2] ?? '') as WriterJob);
