/**
 * What happened to the tasks of a world, and what is wrong with it. It hears of every run, step, question and answer of
 * the handlers, of every write in the store, and of every answer that a client got.
 */
import { readHead, readOutcome, type TaskOutcome } from '../../src/durable/tasks/task-record.ts';
import { TASKS } from '../../src/session/record/record-kinds.ts';
import { isEnded, type StoredRecord } from '../../src/stores/store.ts';
import type { Range } from './faults.ts';
import { Counters } from './counters.ts';
import { OnceRuns } from './once.ts';
import type { SimProcess } from './process.ts';
import type { Random } from './random.ts';
import type { StoreData } from './store-data.ts';
import { MOST_ATTEMPTS } from './task-tools.ts';
import { WellInstances } from './well-instances.ts';
import type { World } from './world.ts';

/** What takes effect at the same time as an end may be seen later. */
const NEAR_MS = 500;

export interface TaskRunNote {
  readonly n: number;
  readonly tool: string;
  readonly key: string;
  readonly process: SimProcess;
  /** `undefined`: its call is no task, or not yet. */
  readonly id: () => string | undefined;
  readonly attempt: number;
  /** The questions that it got answers to: those of one round. */
  readonly round: string;
  /** Its handler has settled, or can record nothing more. */
  readonly isOver: () => boolean;
  /** Its instance had drained when it began. */
  readonly isLate: boolean;
}

/** What a client got for a task that has ended. */
export interface Ended {
  readonly status: string;
  readonly result?: unknown;
  readonly error?: unknown;
}

export class TaskLedger {
  readonly world: World;
  readonly well: WellInstances;
  readonly once: OnceRuns;
  readonly counters: Counters;
  readonly runs: TaskRunNote[] = [];
  readonly outcomes = new Map<string, TaskOutcome>();
  readonly created = new Set<string>();
  /** Tasks whose work elsewhere has begun. A crash before that leaves a task that nothing ends. */
  readonly detached = new Set<string>();
  /** Keys of calls whose clients were told that the store is away. */
  readonly #refused = new Map<string, SimProcess>();
  readonly #byTask = new Map<string, TaskRunNote[]>();
  readonly #steps = new Map<string, string>();
  readonly #answers = new Map<string, string>();
  readonly #endedAt = new Map<string, number>();
  readonly #told = new Map<string, string>();
  readonly #answeredAt = new Map<string, number>();
  /** Nothing goes wrong in this world: an answered task continues at once. */
  promptMs = Infinity;
  /** Clients try no longer than this. */
  latest = Infinity;

  constructor(world: World, random: Random, onceMs: Range) {
    this.world = world;
    this.well = new WellInstances(world);
    this.counters = new Counters(world);
    this.once = new OnceRuns(world, this.well, random, onceMs);
    this.#hear(world.dataOf(TASKS));
  }

  // ——— the store ———

  #hear(data: StoreData): void {
    data.onLogged = (id, process) => this.#records(id, process);
    data.onChange = ({ kind, id, before, value }) => {
      const owner = before !== undefined && !isEnded(before) ? (before.owner ?? '') : '';
      if (isEnded(value)) return this.#ended(id, value.outcome, owner);
      if (kind === 'claim') this.#claimed(id, owner, value.owner ?? '');
      if (kind === 'create' && this.created.has(id)) this.world.wrong(`${id} was created twice`);
      if (kind === 'create') this.created.add(id);
      const { rung = 0 } = before !== undefined && !isEnded(before) ? before : {};
      if (value.rung > rung) this.#rang(value);
    };
  }

  #claimed(id: string, from: string, me: string): void {
    const process = this.world.processOf(from);
    if (this.#lives(from) && process !== this.world.processOf(me))
      this.world.wrong(`${id} was claimed from ${process?.name}, which lives`);
  }

  /** A replaced run records nothing. */
  #records(id: string, process: string): void {
    const latest = this.#latest(id);
    if (latest === undefined || this.#endedAt.has(id) || latest.process.name === process) return;
    this.world.wrong(`${id}: ${process} records after run ${latest.n} began`);
  }

  /** Another field was added. */
  #rang({ id, fields, head }: StoredRecord): void {
    for (const [field, text] of Object.entries(fields)) {
      const name = `${id} ${field}`;
      if (field.startsWith('a') && !this.#answers.has(name)) this.#answers.set(name, text);
    }
    if (this.openOf(id).length === 0 && readHead(head)?.state === 'parked')
      this.#answeredAt.set(id, this.world.now);
  }

  #lives(owner: string): boolean {
    return this.world.isAlive(owner);
  }

  #ended(id: string, text: string, owner: string): void {
    const outcome = readOutcome(text);
    if (outcome === undefined) return void this.#endedAt.set(id, this.world.now);
    const { status, error, resultJson = 'null' } = outcome;
    const result = JSON.parse(resultJson) as { isError?: boolean } | null;
    const before = this.outcomes.get(id);
    if (before !== undefined)
      this.world.wrong(`${id} had ended as ${before.status}, and ends again as ${status}`);
    this.outcomes.set(id, outcome);
    this.#endedAt.set(id, this.world.now);
    const reason = (error?.data as { reason?: string } | undefined)?.reason;
    const runs = this.#byTask.get(id) ?? [];
    const tool = outcome.tool;
    if (status === 'completed' && result?.isError === true)
      this.world.wrong(`${id} ended with an error of its handler: ${JSON.stringify(result)}`);
    const [, by] = /by run (\d+)/.exec(text) ?? [];
    const latest = this.#latest(id);
    if (by !== undefined && latest !== undefined && latest.n !== Number(by))
      this.world.wrong(`${id} was completed by run ${by}, which run ${latest.n} has replaced`);
    if (
      status === 'failed' &&
      !['owner_lost', 'draining', 'endpoint_closed', 'too_many_attempts'].includes(reason ?? '')
    )
      this.world.wrong(`${id} failed: ${JSON.stringify(error)}`);
    // An instance whose drain is over lists its tools no more, so it does not know.
    const unknown = reason === 'draining' && tool === 'hinted' && runs.some((run) => run.isLate);
    const isLeft = ['owner_lost', 'draining', 'endpoint_closed'].includes(reason ?? '');
    if (isLeft && RESUMES.has(tool) && !unknown)
      this.world.wrong(`${id} ended as ${reason}, though ${tool} may run again`);
    if (reason === 'owner_lost' || reason === 'too_many_attempts') {
      const living = runs.find((run) => !run.isOver() && this.well.has(run.process));
      if (living !== undefined)
        this.world.wrong(`${id} ended as ${reason}, though run ${living.n} is well`);
      if (this.#lives(owner))
        this.world.wrong(
          `${id} ended as ${reason}, though ${this.world.processOf(owner)?.name} lives`,
        );
    }
  }

  // ——— handlers ———

  begins(of: Omit<TaskRunNote, 'n' | 'isLate'>): TaskRunNote {
    const { world } = this;
    const core = world.slots.find((instance) => instance?.process === of.process)?.core;
    const isLate = core?.registry.lifecycle.refusal !== undefined;
    const run: TaskRunNote = { ...of, n: this.runs.length, isLate };
    this.runs.push(run);
    const { process, attempt, round, key, tool } = of;
    const refused = this.#refused.get(key);
    // One that died with the store away could not take it back.
    if (refused !== undefined && refused.state !== 'dead' && tool !== 'keyed')
      world.wrong(`${tool} ${key} was refused, and run ${run.n} begins`);
    world.note(
      `${process.name} begins run ${run.n} of ${tool} ${of.id() ?? ''} attempt ${attempt}, round ${round}`,
    );
    const id = of.id() ?? '';
    if (world.now - (this.#endedAt.get(id) ?? Infinity) > NEAR_MS && this.well.has(process))
      this.world.wrong(`${id} had ended, and run ${run.n} begins`);
    if (attempt > (MOST_ATTEMPTS[tool] ?? 0)) world.wrong(`${id} began ${attempt} times`);
    const { attempt: latest = 0 } = this.#latest(id) ?? {};
    if (latest > attempt && this.well.has(process))
      this.world.wrong(`${id}: run ${run.n} has attempt ${attempt}, after ${latest}`);
    this.isTask(run);
    return run;
  }

  /** The run that took the task last. An instance that has just woken does not know of it. */
  #latest(id: string): TaskRunNote | undefined {
    return this.#byTask
      .get(id)
      ?.toSorted((a, b) => a.attempt - b.attempt || a.n - b.n)
      .at(-1);
  }

  /** Called again once its call has become a task. */
  isTask(run: TaskRunNote): void {
    const id = run.id();
    if (id === undefined) return;
    const runs = this.#byTask.get(id) ?? [];
    if (runs.includes(run)) return;
    this.#byTask.set(id, [...runs, run]);
    const { n, tool, process, attempt, round } = run;
    const sameRound = runs.filter((earlier) => earlier.round === round);
    if (!RESUMES.has(tool) && sameRound.length > 0)
      this.world.wrong(`${id} (${tool}) ran again, and may not: run ${n}`);
    for (const earlier of runs) {
      const other = earlier.process;
      const knows = attempt >= earlier.attempt || this.well.has(process);
      if (knows && !earlier.isOver() && this.well.has(other))
        this.world.wrong(
          `${id} ran twice at once: run ${earlier.n} at ${other.name}, run ${n} at ${process.name}`,
        );
    }
    const answeredAt = this.#answeredAt.get(id) ?? Infinity;
    this.#answeredAt.delete(id);
    if (this.world.now - answeredAt > this.promptMs)
      this.world.wrong(
        `${id} was answered, and continued ${(this.world.now - answeredAt).toFixed(0)} ms later`,
      );
  }

  stepBegins(run: TaskRunNote, step: string): void {
    const id = run.id();
    this.world.note(`run ${run.n} begins step ${step}`);
    if (id === undefined || !this.#steps.has(`${id} ${step}`)) return;
    if (this.#latest(id) === run || this.well.has(run.process))
      this.world.wrong(`${id}: step ${step} was recorded, and begins again in run ${run.n}`);
  }

  /** `isRecorded`: its call was a task when the step began. */
  stepped(run: TaskRunNote, step: string, value: string): void {
    const name = `${run.id()} ${step}`;
    const known = this.#steps.get(name);
    // A run that has not heard of the end leaves values that expire.
    if (this.#endedAt.has(run.id() ?? '')) return;
    if (known === undefined) {
      this.#steps.set(name, value);
      this.world.note(`run ${run.n} has recorded step ${step}: ${value}`);
    } else if (known !== value) {
      this.world.wrong(`${name} was ${known}, and is ${value} in run ${run.n}`);
    }
  }

  /** A handler got the answer to a question. */
  answered(run: TaskRunNote, key: string, answer: string): void {
    const first = this.#answers.get(`${run.id()} a${key}`);
    const said =
      first === undefined
        ? undefined
        : (JSON.parse(first) as { content: { said: string } }).content.said;
    if (said !== answer)
      this.world.wrong(`${run.id()}: run ${run.n} got ${answer} for ${key}; first was ${said}`);
  }

  // ——— clients ———

  /** `process`: which told the client. */
  refused(key: string, process: SimProcess): void {
    this.#refused.set(key, process);
    const run = this.runs.find((one) => one.key === key && one.tool !== 'keyed');
    if (run !== undefined)
      this.world.wrong(`${run.tool} ${key} was refused, after run ${run.n} began`);
  }

  /** A client got the state of a task. `askedAt`: when it sent its request. */
  reads(id: string, askedAt: number, got: Ended): void {
    const isOver = ['completed', 'failed', 'cancelled'].includes(got.status);
    const told = this.#told.get(id);
    const endedAt = this.#endedAt.get(id) ?? Infinity;
    if (!isOver) {
      if (askedAt > endedAt) this.world.wrong(`${id} had ended, and is shown as ${got.status}`);
      return;
    }
    const { status, result, error } = got;
    const text = JSON.stringify({ status, result, error });
    if (told === undefined) this.#told.set(id, text);
    else if (told !== text) this.world.wrong(`${id} was shown as ${told}, and then as ${text}`);
  }

  cancelled(id: string): void {
    if (!this.#endedAt.has(id)) this.world.wrong(`${id} was cancelled, and continues`);
  }

  acknowledged(id: string, keys: readonly string[]): void {
    for (const key of keys)
      if (!this.#endedAt.has(id) && !this.#answers.has(`${id} a${key}`))
        this.world.wrong(`${id}: the answer to ${key} was acknowledged, and is lost`);
  }

  unknown(id: string): void {
    this.world.wrong(`${id} is unknown, though its time is not over`);
  }

  // ——— instances ———

  /** Tasks that have no end and no open question, with what is stored of them. */
  get unfinished(): string[] {
    const data = this.world.dataOf(TASKS);
    return [...this.created].filter((id) => {
      const record = data.stored(id);
      if (record === undefined) return false;
      const { state } = readHead(record.head) ?? {};
      return state === 'detached' ? this.detached.has(id) : this.openOf(id).length === 0;
    });
  }

  get waiting(): string[] {
    return [...this.created].filter((id) => this.openOf(id).length > 0);
  }

  openOf(id: string): string[] {
    const { fields = {} } = this.world.dataOf(TASKS).stored(id) ?? {};
    const names = Object.keys(fields).filter((name) => name.startsWith('q'));
    return names.map((name) => name.slice(1)).filter((key) => !(`a${key}` in fields));
  }

  describe(id: string): string {
    const { head, owner, dueAt, epoch } = this.world.dataOf(TASKS).record(id) as unknown as Record<
      string,
      unknown
    >;
    const name = this.world.processOf(String(owner))?.name;
    return JSON.stringify({
      head,
      epoch,
      owner: name,
      dueIn: dueAt === null ? null : Number(dueAt) - this.world.storeNow,
    });
  }
}

/** Tools whose handler may run again after a crash. */
const RESUMES: ReadonlySet<string> = new Set(['resumes', 'hinted', 'slow', 'rounds', 'detaches']);
