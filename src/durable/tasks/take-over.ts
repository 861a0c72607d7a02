/**
 * Tasks that have no run: parked tasks whose client has answered, those that an instance has given
 * back, and those whose instance died. The instance that is asked for such a task continues it,
 * else the sweep of any instance.
 *
 *     queued, or parked and answered ──claimed──▶ its next run
 *     running, its owner dead ──may run again──▶ claimed, its next attempt, from the third on after a pause: queued
 *                  ╰──may not──▶ ended: `owner_lost`
 *
 * A task that an instance cannot run now is queued with a later due time, and only a sweep takes it
 * then. A client that asks this instance all the time would put it off again and again, and no
 * other instance would find it due.
 */
import { ownerLost, rpcError, type SojournError, tooManyAttempts } from '../../base/errors.ts';
import { limitedLogger } from '../../base/options/log-limit.ts';
import { pagesOf } from '../../base/pages.ts';
import { shareKey } from '../../base/budget.ts';
import { elapse, every, within } from '../../base/system.ts';
import { sessionHash, userName } from '../../base/shown.ts';
import { inHookTime } from '../../base/hook-time.ts';
import { authOf } from '../../cluster/relay/sent-request.ts';
import type { Fence, Ownership, StoredRecord } from '../../stores/store.ts';
import type { Logger } from '../../base/types.ts';
import { DUE_MS } from './owned-task.ts';
import {
  hasOpenQuestions,
  headText,
  type TaskBody,
  nextRound,
  readHead,
  type TaskHead,
} from './task-record.ts';
import { heldByAll, laterRunBytes, type RunRoom } from './run-room.ts';
import { recordedOf } from './steps.ts';
import type { RunRequest } from './run-sink.ts';
import { REFUSED_MS } from './task-run.ts';
import type { LivingTask } from './task-store.ts';
import type { Tasks } from './tasks.ts';

const SWEEP_MS = 5_000;
const PAGE = 100;
/** Between two tasks, so that requests come between. */
const PAUSE_MS = 2;
/** The application is asked about a task. The sweep waits so long for the answer, and then looks at others. */
const ASKED_MS = 25;
/** The pause after the second death, which doubles with each one. */
const FIRST_PAUSE_MS = 2_000;
const LONGEST_PAUSE_MS = 60_000;

/** A task that is due so long after it was given back was put off: both clocks may differ a little. */
const PUT_OFF_MS = 1_000;

const isPutOff = ({ head, dueAt, stamp }: StoredRecord): boolean =>
  readHead(head)?.state === 'queued' && dueAt !== null && dueAt - stamp > PUT_OFF_MS;

/** Whose places and memory its run takes. A caller without a user has others here than for what it calls itself. */
const shareOf = ({ user, share }: StoredRecord): string =>
  user === null && share !== null ? share : shareKey(user ?? undefined);

/** Why a task that was found in this state continues. */
const CAUSES = {
  running: 'takeover',
  parked: 'answered',
  queued: 'released',
  detached: 'released',
} as const;

export class TakeOver {
  readonly #tasks: Tasks;
  readonly #logger: Logger;
  readonly #busy = new Set<string>();
  /** Ends the sweep. */
  readonly stop: () => void;
  #isSweeping = false;

  constructor(tasks: Tasks) {
    this.#tasks = tasks;
    this.#logger = limitedLogger(tasks.options.logger, tasks.options.timeProvider, 1);
    this.stop = every(tasks.options.timeProvider, SWEEP_MS, () => void this.#sweep());
  }

  /**
   * Continues a task if it has no run. Never rejects. `found`: what a client that asked for it was
   * answered; almost always it runs, or waits for its client. An instance that stops waits for it:
   * a task is never left between a claim and its run.
   */
  async look(id: string, found?: LivingTask): Promise<void> {
    if (this.#busy.has(id) || this.#tasks.holds(id) || !this.#tasks.takes) return;
    if (found !== undefined && isPutOff(found.record)) return;
    this.#busy.add(id);
    const taken = async (): Promise<void> => {
      const task = found ?? (await this.#tasks.store.read(id));
      if (task !== undefined && 'record' in task) await this.#take(task);
    };
    await this.#tasks.store.send(taken, (err) =>
      this.#logger.warn({ err }, 'A task could not be continued; the next sweep tries again'),
    );
    this.#busy.delete(id);
  }

  async #take(found: LivingTask): Promise<void> {
    const { record, kept } = found;
    const head = readHead(record.head);
    if (head === undefined || head.state === 'detached') return;
    if (head.state === 'parked' && hasOpenQuestions(record.fields)) return;
    if (await this.#tasks.directory.isTaken(record)) return;
    const isLost = head.state === 'running';
    if (isLost) {
      if (kept.afterCrash === 'fail') return this.#fail(found, ownerLost(true));
      if (head.attempt >= kept.maxAttempts) return this.#fail(found, tooManyAttempts(head.attempt));
    }
    const room = this.#tasks.roomFor(shareOf(record));
    if (!this.#tasks.takes || !room.enter()) return;
    let begins = false;
    try {
      begins = room.take(laterRunBytes(record)) && (await this.#continue(found, head, room));
    } finally {
      if (!begins) room.leave();
    }
  }

  async #fail(found: LivingTask, error: SojournError): Promise<void> {
    const { record: seen } = found;
    const end = { status: 'failed', error: rpcError(error) } as const;
    if (await this.#tasks.end(seen.id, end, seen)) this.#noteLost(found, false);
  }

  #noteLost({ record, kept }: LivingTask, runsAgain: boolean): void {
    this.#tasks.options.notices.emit({
      kind: 'callLost',
      runsAgain,
      method: 'tools/call',
      target: kept.tool,
      userKey: record.user ?? undefined,
      instance: record.owner ?? undefined,
      run: readHead(record.head)?.attempt,
    });
  }

  /**
   * The head is written last: until then the task has not been run, whatever becomes of this instance. `false`: it does
   * not run here.
   */
  async #continue(found: LivingTask, before: TaskHead, room: RunRoom): Promise<boolean> {
    const { record: seen, kept } = found;
    const tasks = this.#tasks;
    const { store } = tasks;
    const isLost = before.state === 'running';
    const head: TaskHead = {
      ...before,
      state: 'running',
      attempt: before.attempt + (isLost ? 1 : 0),
    };
    const { id, epoch, owner } = seen;
    const me = store.lease.owner;
    const began = tasks.options.timeProvider.monotonic();
    // The reply to each write may be lost: a task that this instance owns and does not run would wait to be due.
    const claim = await store.reach(() => store.records.claim(id, { epoch, owner }, me));
    if (!claim.claimed) return false;
    const fence = { epoch: claim.record.epoch, owner: me };
    // An owner that woke after its lease began the run that this one was to be.
    if (claim.record.head !== seen.head) return this.#giveBack(claim.record, fence, 0);
    const queued = { ...claim.record, head: headText({ ...head, state: 'queued' }) };
    if (isLost && head.attempt > 2) {
      this.#noteLost(found, true);
      const pauseMs = FIRST_PAUSE_MS * 2 ** (head.attempt - 3);
      return this.#giveBack(queued, fence, Math.min(LONGEST_PAUSE_MS, pauseMs));
    }
    // The claim was stored, so no earlier run records anything more.
    const recorded = await store.reach(() => recordedOf(store.records, id));
    const record = {
      ...claim.record,
      stamp: Math.max(seen.stamp, tasks.options.timeProvider.now()),
    };
    const asked = await this.#laterRequest(record, kept);
    if (asked === undefined) return this.#giveBack(queued, fence, REFUSED_MS);
    if (!room.take(heldByAll(recorded.values))) return this.#giveBack(queued, fence, SWEEP_MS);
    const due = { inMs: DUE_MS, seen: record.rung };
    const change = { head: headText(head), stamp: record.stamp, due };
    // Once this may be stored the task counts as run, so it is repeated until there is an answer.
    const saved = await store.reach(
      () => store.records.save(id, fence, change),
      undefined,
      Infinity,
    );
    if (saved === 'fenced') return false;
    // What it records must not outlive it: its key may be called again.
    const tookMs = tasks.options.timeProvider.monotonic() - began;
    const restMs = Math.max(1, Math.ceil((claim.expiresInMs ?? kept.ttlMs) - tookMs));
    const run = tasks.restart({ record, kept, head, fence, restMs, recorded }, asked, room);
    if (run === undefined) return this.#giveBack(queued, fence, 0);
    if (isLost) this.#noteLost(found, true);
    const cause = CAUSES[before.state];
    tasks.options.notices.emit({
      kind: 'taskContinued',
      taskId: id,
      tool: kept.tool,
      cause,
      attempt: head.attempt,
    });
    tasks.serve(run);
    return true;
  }

  /** The request of a later run; `undefined`: the task may not run now. */
  async #laterRequest(record: StoredRecord, kept: TaskBody): Promise<RunRequest | undefined> {
    const { settings, options } = this.#tasks;
    const { authInfo: authorize } = settings;
    const { tool, version } = kept;
    const { id } = record;
    const userKey = record.user ?? undefined;
    let authInfo = authorize === undefined ? authOf(kept) : undefined;
    if (authorize !== undefined) {
      const about = { taskId: id, tool, userKey, userName: userKey && userName(userKey) };
      const hook = { hook: 'tasks.authInfo', sessionId: undefined };
      const asked = async () => authorize(about);
      try {
        authInfo = await inHookTime(options, hook, asked());
      } catch (err) {
        this.#logger.warn(
          { err, task: sessionHash(id), tool },
          'tasks.authInfo threw: the task waits',
        );
      }
      if (authInfo === undefined) return undefined;
    }
    return {
      fields: { ...kept.fields, user: userKey },
      authInfo,
      request: nextRound(record),
      version,
    };
  }

  /** The task has a pause, or this instance has no room for it or drains, or it may not run now. */
  async #giveBack({ id, head, rung }: StoredRecord, fence: Fence, inMs: number): Promise<false> {
    const change = { head, release: true, due: { inMs, seen: rung } } as const;
    const { store } = this.#tasks;
    await store.reach(() => store.records.save(id, fence, change));
    return false;
  }

  // ——— the sweep ———

  async #sweep(): Promise<void> {
    if (this.#isSweeping || !this.#tasks.takes) return;
    this.#isSweeping = true;
    const { timeProvider: time } = this.#tasks.options;
    try {
      for await (const { records } of pagesOf((cursor) =>
        this.#tasks.store.records.due(PAGE, cursor),
      )) {
        for (const due of records) {
          if (this.#tasks.store.stopped) return;
          await (due.expired
            ? this.#expire(due)
            : within(time, ASKED_MS, this.look(due.id), () => {}));
          await elapse(time, PAUSE_MS);
        }
        if (!this.#tasks.takes) break;
      }
      await this.#tasks.store.records.trim();
    } catch (err) {
      this.#logger.warn(
        { err },
        'Tasks could not be looked at; the next sweep, in 5 s, tries again',
      );
    } finally {
      this.#isSweeping = false;
    }
  }

  async #expire({ id, epoch, owner }: Ownership & { readonly id: string }): Promise<void> {
    const { store } = this.#tasks;
    if ((await store.records.end(id, { epoch, owner }, '', 0)) === 'ended') store.expired(id);
  }
}
