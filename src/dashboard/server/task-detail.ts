/** The page of one task: its facts, its questions by name, and the runs and steps of its handler. */
import { isObject } from '../../protocol/jsonrpc.ts';
import { cut, escapeControls, keptText } from '../../base/shown.ts';
import { type EndedRecord, isEnded, type StoredRecord } from '../../stores/store.ts';
import { readRuns, RUNS_FIELD, timesOfStep } from '../../tasks/step-times.ts';
import { MESSAGE_FIELD, openQuestions, readHead, readOutcome, readSettings } from '../../tasks/task-record.ts';
import { errorOf, questionStates } from '../../tasks/task-summary.ts';
import type { RunningTaskRow, TaskBar, TaskDetail, TaskRunSpan } from '../wire-pages.ts';
import type { DashboardParts } from './parts-of-endpoint.ts';
import type { Peers } from './peers.ts';
import type { Fleet } from './fleet.ts';
import { runningTasks, taskFields, type TaskRows } from './task-rows.ts';

const RUNS = 16;
const BARS = 200;
const MESSAGE_LENGTH = 200;

interface DetailParts {
  readonly parts: DashboardParts;
  readonly fleet: Fleet;
  readonly peers: Peers;
  readonly tasks: TaskRows;
}

/** `undefined`: the store does not know it. */
export async function taskDetail(hash: string, given: DetailParts): Promise<TaskDetail | undefined> {
  const { parts, tasks } = given;
  const id = await tasks.idOf(hash);
  if (id === undefined) return undefined;
  const { record, ended } = await tasks.read(id);
  const at = parts.options.timeProvider.now();
  if (ended !== undefined) return { hash, at, ...endOf(ended) };
  if (record === undefined) return undefined;
  const { fields } = record;
  const found = await parts.store.steps.read(id);
  const recorded = found === undefined || isEnded(found) ? {} : found.fields;
  const message = fields[MESSAGE_FIELD];
  const { resume } = readSettings(record.body) ?? {};
  const { round } = readHead(record.head) ?? {};
  const runs = runsOf(record, recorded[RUNS_FIELD]);
  const bars = barsOf(recorded);
  const now = (await ownersView(record, given))?.now ?? [];
  const run = runs.at(-1)?.run ?? 1;
  return {
    at,
    ...taskFields(record, await parts.instance.living()),
    ...(message !== undefined && { message: messageText(message) }),
    ...(round !== undefined && { round }),
    ...(resume !== undefined && { resume }),
    questions: questions(record),
    bytes: sizeOf(fields) + Buffer.byteLength(record.head + record.body),
    stepBytes: sizeOf(recorded),
    runs: runs.slice(-RUNS),
    steps: bars.length,
    bars: [...bars.slice(-BARS), ...now.map(({ name, begin }) => ({ name, begin, run }))],
  };
}

const messageText = (text: string): string => escapeControls(cut(text, MESSAGE_LENGTH));

function endOf({ outcome, at }: EndedRecord): Partial<TaskDetail> {
  const end = readOutcome(outcome);
  if (end === undefined) return { ended: { status: outcome === '' ? 'expired' : 'unreadable', at } };
  const { status, endedAt, tool, createdAt, statusMessage } = end;
  return {
    tool: keptText(tool),
    createdAt,
    ...(statusMessage !== undefined && { message: messageText(statusMessage) }),
    ended: { status, at: endedAt, ...errorOf(end) },
  };
}

function questions(record: StoredRecord): NonNullable<TaskDetail['questions']> {
  const open = openQuestions(record.fields);
  return questionStates(record).map(({ name, answered }) => {
    const asked: unknown = answered ? undefined : open[name];
    const method = isObject(asked) ? asked['method'] : undefined;
    return { name: keptText(name), ...(typeof method === 'string' && { method: keptText(method) }), answered };
  });
}

/** A task that has recorded nothing has one lane, from its creation to its last change. */
function runsOf({ head, owner, createdAt, stamp }: StoredRecord, text: string | undefined): readonly TaskRunSpan[] {
  if (text !== undefined) return readRuns(text);
  const { state, attempt = 1, round = 1 } = readHead(head) ?? {};
  // A parked task has the round that comes next.
  const run = { run: 1, attempt, round: state === 'parked' ? round - 1 : round, begin: createdAt };
  return state === 'running' && owner !== null ? [{ ...run, owner }] : [{ ...run, end: stamp }];
}

function barsOf(fields: StoredRecord['fields']): TaskBar[] {
  return Object.entries(fields)
    .flatMap(([field, text]) => {
      const times = field.startsWith('s') ? timesOfStep(text) : undefined;
      return times === undefined ? [] : [{ name: keptText(field.slice(1)), ...times }];
    })
    .toSorted((one, other) => one.begin - other.begin);
}

/** What its owner knows. `undefined`: it has none, or that did not answer. */
async function ownersView({ id, owner }: StoredRecord, { parts, fleet, peers }: DetailParts) {
  if (owner === null) return undefined;
  if (owner === parts.instance.lease.id) return runningTasks(parts, id)[0];
  await fleet.look();
  if (!fleet.others.includes(owner)) return undefined;
  const [answer] = await peers.ask([owner], 'tasks', id);
  return Array.isArray(answer?.[1]) ? (answer[1][0] as RunningTaskRow | undefined) : undefined;
}

const sizeOf = (fields: StoredRecord['fields']): number =>
  Object.entries(fields).reduce((sum, [name, text]) => sum + Buffer.byteLength(name) + Buffer.byteLength(text), 0);
