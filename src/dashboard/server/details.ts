/** What the page shows of a session, a task and a handle: the fields of `sojourn sessions`, `tasks` and `handles`. */
import type { ShownEndpoint } from './shown-endpoint.ts';
import { cut, escapeControls, keptText, userName } from '../../base/shown.ts';
import { decodeSession, endReasonOf } from '../../session/record/session-record.ts';
import { bytesOf, summary } from '../../session/record/session-summary.ts';
import { isEnded, type StoredRecord } from '../../stores/store.ts';
import { infoOf, objectOf } from '../../durable/state/handles.ts';
import { recordedOf } from '../../durable/tasks/steps.ts';
import { MESSAGE_FIELD, readOutcome, readBody } from '../../durable/tasks/task-record.ts';
import { errorOf, questionStates, taskSummary } from '../../durable/tasks/task-summary.ts';

/** Keys of `session.state`, and capabilities, that are named. */
const NAMED = 100;
const MESSAGE_LENGTH = 200;

export type SessionRow = ReturnType<typeof sessionRow> & { readonly ref: string };
export type SessionDetail = NonNullable<Awaited<ReturnType<typeof sessionDetail>>>;
export type ShownSession = Extract<SessionDetail, { readonly ended: undefined }>;
export type TaskRow = ReturnType<typeof taskRow> & { readonly ref: string };
export type TaskDetail = NonNullable<Awaited<ReturnType<typeof taskDetail>>>;
export type HandleRow = ReturnType<typeof handleRow> & { readonly ref: string };
export type HandleDetail = NonNullable<Awaited<ReturnType<typeof handleDetail>>>;
export type ShownTask = Extract<TaskDetail, { readonly ended: undefined }>;

const kept = (text: string | undefined): string | undefined =>
  text === undefined ? undefined : keptText(text);
/** What its client shows. */
const messageOf = (text: string | undefined): string | undefined =>
  text === undefined ? undefined : escapeControls(cut(text, MESSAGE_LENGTH));

export function sessionRow(record: StoredRecord, alive: ReadonlySet<string>) {
  const { id: _, userKey: __, userName, clientInfo, ...shown } = summary(record, alive);
  const client = { name: keptText(clientInfo.name), version: keptText(clientInfo.version) };
  return { ...shown, userName: kept(userName), clientInfo: client };
}

/** `undefined`: the store does not know it. Of an ended one only the end is known. */
export async function sessionDetail(
  hash: string,
  id: string,
  { store, instance, registry }: ShownEndpoint,
) {
  const record = await store.sessions.read(id);
  if (record === undefined) return undefined;
  if (isEnded(record)) return { hash, ended: { reason: endReasonOf(record), at: record.at } };
  const { state, handshake, subscriptions } = decodeSession(record);
  return {
    ended: undefined,
    ...sessionRow(record, await instance.living()),
    capabilities: Object.keys(handshake.params.capabilities).slice(0, NAMED).map(keptText),
    /** How many resources: their URIs are not sent. */
    subscriptions: subscriptions.length,
    /** `null`: never. */
    expiresAt: record.expiresAt,
    /** The size of its record, and that of each value of `session.state`. */
    bytes: bytesOf(record).record,
    state: sizesOf(state),
    /** Requests that run, where it is live at the instance that answers. */
    running: registry.get(id)?.calls.running.size,
  };
}

/** The size of each value. */
const sizesOf = (values: Readonly<Record<string, string>>): Readonly<Record<string, number>> =>
  Object.fromEntries(
    Object.entries(values)
      .slice(0, NAMED)
      .map(([key, text]) => [keptText(key), Buffer.byteLength(text)] as const),
  );

export function handleRow(record: StoredRecord, alive: ReadonlySet<string>) {
  const { userKey, ...shown } = infoOf(record);
  const user = userKey === undefined ? undefined : keptText(userName(userKey));
  /** `object`: where its object of `live()` is open. */
  return { ...shown, userName: user, object: objectOf(record, alive) };
}

/** `undefined`: it has ended, or never was. */
export async function handleDetail(_hash: string, id: string, { store, instance }: ShownEndpoint) {
  const record = await store.handles.read(id);
  if (record === undefined || isEnded(record)) return undefined;
  return { ...handleRow(record, await instance.living()), state: sizesOf(record.fields) };
}

export function taskRow(record: StoredRecord, alive: ReadonlySet<string>) {
  const { id: _, userKey: __, tool, userName, ...shown } = taskSummary(record, alive);
  return {
    ...shown,
    /** Absent: another build has made it. */
    tool: kept(tool),
    userName: kept(userName),
    maxAttempts: readBody(record.body)?.maxAttempts,
    message: messageOf(record.fields[MESSAGE_FIELD]),
  };
}

/** `undefined`: the store does not know it. Of an ended one the end is known, its tool and when it was created. */
export async function taskDetail(hash: string, id: string, { store, instance }: ShownEndpoint) {
  const record = await store.outcomes.whole(await store.tasks.read(id));
  if (record === undefined) return undefined;
  if (isEnded(record)) {
    const end = readOutcome(record.outcome);
    /** `expired`: its time was over. `unreadable`: another build has ended it. */
    const unknown = record.outcome === '' ? ('expired' as const) : ('unreadable' as const);
    const ended = {
      status: end?.status ?? unknown,
      at: end?.endedAt ?? record.at,
      ...(end && errorOf(end)),
    };
    return {
      hash,
      tool: kept(end?.tool),
      createdAt: end?.createdAt,
      message: messageOf(end?.statusMessage),
      ended,
    };
  }
  const { values } = await recordedOf(store.tasks, id);
  const recorded = [...values].flat();
  return {
    ended: undefined,
    ...taskRow(record, await instance.living()),
    /** Absent: as the hints of its tool say. */
    afterCrash: readBody(record.body)?.afterCrash,
    /** Their names; never texts or answers. */
    questions: questionStates(record).map(({ name, answered }) => ({
      name: keptText(name),
      answered,
    })),
    /** Steps and values that its runs have recorded. */
    steps: values.size,
    bytes: recorded.reduce((sum, text) => sum + Buffer.byteLength(text), bytesOf(record).record),
  };
}
