/**
 * What the runs of one task have recorded: results of steps, and values of its state. Each is an event of the task's own
 * log, so the fence of the task refuses what a run records that has lost it. The last event of a name has its value.
 * The log keeps its newest events alone, so all values are written again before it drops one.
 */
import { overMemory, stepInvalid, storeUnavailable } from '../../base/errors.ts';
import { TASK_LOG } from '../../session/record/record-kinds.ts';
import type { Fence, Records, ReplayOutcome } from '../../stores/store.ts';
import type { OwnedRecord } from '../records/owned-record.ts';
import { heldBytes, type StoppableRun } from './run-room.ts';
import { FIELD_NAME, isFieldName } from './task-record.ts';

const STREAM = 'steps';
/** At most half of what the log keeps: then all values fit into it, and as much again. */
const MOST_BYTES = 1_048_576;
const MOST_VALUES = 1_000;
const OVER = 'is not recorded: another instance runs its task, or that has ended';

/** What the log of a task says. */
export interface Recorded {
  /** JSON texts by kind and name. */
  readonly values: ReadonlyMap<string, string>;
  /** The offset of the next event. */
  readonly next: number;
  /** How many events are kept, and how large they are. */
  readonly events: number;
  readonly bytes: number;
}

export const NOTHING_RECORDED: Recorded = { values: new Map(), next: 0, events: 0, bytes: 0 };

/** What the runs of a task have recorded. Its owner writes nothing in between. */
export async function recordedOf(records: Pick<Records, 'replay'>, id: string): Promise<Recorded> {
  let found: ReplayOutcome = await records.replay(id, STREAM, -1);
  if (!found.found && found.why === 'gap' && found.first !== undefined)
    found = await records.replay(id, STREAM, found.first - 1);
  if (!found.found && found.why === 'unknown') return NOTHING_RECORDED;
  if (!found.found) throw storeUnavailable('the steps of a task change while they are read');
  const { events, next } = found;
  const values = new Map<string, string>();
  let bytes = 0;
  for (const { data } of events) {
    const [field, value] = JSON.parse(data) as [string, unknown];
    values.set(field, JSON.stringify(value));
    bytes += Buffer.byteLength(data);
  }
  return { values, next, events: events.length, bytes };
}

const eventOf = (field: string, json: string): string => `[${JSON.stringify(field)},${json}]`;

/** The result of a step, or a value of the state. */
export type StepKind = 's' | 't';

export class Steps {
  readonly #owned: OwnedRecord;
  readonly #run: StoppableRun;
  /** What this run may read: the state, and what earlier runs have recorded. */
  readonly #values: Map<string, string>;
  /** The bytes of every recorded value. */
  readonly #sizes = new Map<string, number>();
  #bytes = 0;
  /** How much the log got since all values were last written together. */
  #logged: Omit<Recorded, 'values'>;
  #last: Promise<unknown> = Promise.resolve();
  readonly #isOver = (): boolean => this.#run.isOver;

  constructor(owned: OwnedRecord, run: StoppableRun, { values, ...logged }: Recorded) {
    this.#owned = owned;
    this.#run = run;
    this.#values = new Map(values);
    this.#logged = logged;
    for (const [field, json] of values)
      this.#resize(field, Buffer.byteLength(eventOf(field, json)));
  }

  #resize(field: string, size: number): void {
    this.#bytes += size - (this.#sizes.get(field) ?? 0);
    this.#sizes.set(field, size);
  }

  /** JSON; `undefined`: nothing is recorded. */
  get(kind: StepKind, name: string): string | undefined {
    return this.#values.get(kind + name);
  }

  /** Throws for a name or a value that cannot be recorded, before anything runs. */
  checkName(kind: StepKind, name: unknown): asserts name is string {
    if (typeof name !== 'string' || !isFieldName(name))
      throw stepInvalid(String(name), `needs another name: a name has ${FIELD_NAME}`);
    if (this.#sizes.has(kind + name)) return;
    // Its effect could not be recorded.
    if (this.#run.isOver) throw stepInvalid(name, OVER);
    if (this.#sizes.size >= MOST_VALUES)
      throw stepInvalid(name, `is one too many: a task records ${MOST_VALUES} steps and values`);
  }

  /** Resolves when the value is stored. */
  async record(kind: StepKind, name: string, json: string): Promise<void> {
    if (this.#run.isOver) throw stepInvalid(name, OVER);
    const field = kind + name;
    const event = eventOf(field, json);
    const size = Buffer.byteLength(event);
    const bytes = this.#bytes + size - (this.#sizes.get(field) ?? 0);
    if (bytes > MOST_BYTES)
      throw stepInvalid(
        name,
        `has no room: a task records ${MOST_BYTES} bytes, and this makes ${bytes}`,
      );
    const held = heldBytes(field, json);
    const { room } = this.#run;
    if (!room.take(held)) throw overMemory();
    this.#resize(field, size);
    const before = kind === 't' ? this.#values.get(field) : undefined;
    if (kind === 't') this.#values.set(field, json);
    const stored = this.#last
      .catch(() => {})
      .then(() => this.#store(event, size))
      .finally(() =>
        room.charge(kind === 's' ? -held : before === undefined ? 0 : -heldBytes(field, before)),
      );
    this.#last = stored;
    if (!(await stored)) throw stepInvalid(name, OVER);
  }

  /** `false`: another instance has the task, or it has ended. */
  async #store(event: string, size: number): Promise<boolean> {
    const { events, bytes } = this.#logged;
    const fits = events < TASK_LOG.events && bytes + size <= TASK_LOG.bytes;
    const isStored = (fits || (await this.#storeAll())) && (await this.#append([event], size));
    if (!isStored) this.#run.stop('another instance runs it');
    return isStored;
  }

  /** Writes all values again: what is before them in the log may go. */
  async #storeAll(): Promise<boolean> {
    const owned = this.#owned;
    const { values, next } = await owned.reach(
      () => recordedOf(owned.records, owned.id),
      this.#isOver,
    );
    const events = Array.from(values, ([field, json]) => eventOf(field, json));
    const size = events.reduce((sum, event) => sum + Buffer.byteLength(event), 0);
    return this.#append(events, size, { next, events: 0, bytes: 0 });
  }

  /** `after`: what the log has before these events, since all values were written last. */
  async #append(events: readonly string[], size: number, after = this.#logged): Promise<boolean> {
    const owned = this.#owned;
    const request = { id: owned.id, stream: STREAM, from: after.next, events };
    const append = (fence: Fence) => owned.records.append({ ...request, fence });
    if ((await owned.write(append, this.#isOver)) === 'fenced') return false;
    const next = after.next + events.length;
    this.#logged = { next, events: after.events + events.length, bytes: after.bytes + size };
    return true;
  }

  /** Resolves when everything so far is stored, or could not be. */
  async settled(): Promise<void> {
    await this.#last.catch(() => {});
  }
}
