/** What the page shows of a session and of a task: the fields of `sojourn sessions` and `sojourn tasks`. */
import type { DashboardParts } from '../../endpoint/dashboard-parts.ts';
import { cut, escapeControls, keptText } from '../../base/shown.ts';
import { decodeSession, endReasonOf } from '../../session/record/session-record.ts';
import { bytesOf, summary } from '../../session/record/session-summary.ts';
import { isEnded, type StoredRecord } from '../../stores/store.ts';
import { MESSAGE_FIELD, readOutcome, readSettings } from '../../tasks/task-record.ts';
import type { SessionDetail, SessionRow, TaskDetail, TaskRow } from '../wire.ts';
import { errorOf, questionStates, taskSummary } from '../../tasks/task-summary.ts';

/** Keys of `session.state`, and capabilities, that are named. */
const NAMED = 100;
const MESSAGE_LENGTH = 200;

const optional = <Name extends string>(name: Name, text: string | undefined) =>
  (text === undefined ? {} : { [name]: keptText(text) }) as { readonly [key in Name]?: string };

export function sessionRow(record: StoredRecord, alive: ReadonlySet<string>): SessionRow {
  const { id: _, user: __, userName, clientInfo, ...shown } = summary(record, alive);
  const client = { name: keptText(clientInfo.name), version: keptText(clientInfo.version) };
  return { ...shown, ...optional('userName', userName), clientInfo: client };
}

/** `undefined`: the store does not know it. Of an ended one only the end is known. */
export async function sessionDetail(
  hash: string,
  id: string,
  { store, instance, registry }: DashboardParts,
): Promise<SessionDetail | undefined> {
  const record = await store.sessions.read(id);
  if (record === undefined) return undefined;
  if (isEnded(record)) return { hash, ended: { reason: endReasonOf(record), at: record.at } };
  const { state, handshake, subscriptions } = decodeSession(record);
  const live = registry.get(id);
  const values = Object.entries(state).slice(0, NAMED);
  return {
    ...sessionRow(record, await instance.living()),
    capabilities: Object.keys(handshake.capabilities).slice(0, NAMED).map(keptText),
    subscriptions: subscriptions.length,
    expiresAt: record.expiresAt,
    bytes: bytesOf(record).record,
    state: Object.fromEntries(values.map(([key, text]) => [keptText(key), Buffer.byteLength(text)] as const)),
    ...(live !== undefined && { running: live.calls.running.size }),
  };
}

const messageText = (text: string | undefined) =>
  text === undefined ? {} : { message: escapeControls(cut(text, MESSAGE_LENGTH)) };

export function taskRow(record: StoredRecord, alive: ReadonlySet<string>): TaskRow {
  const { id: _, user: __, round: ___, tool, userName, owner, attempt, ...shown } = taskSummary(record, alive);
  const { maxAttempts } = readSettings(record.body) ?? {};
  const texts = { ...optional('tool', tool), ...optional('userName', userName) };
  const attempts = attempt === undefined || maxAttempts === undefined ? {} : { attempt, maxAttempts };
  const held = owner === undefined ? {} : { owner };
  return { ...shown, ...held, ...texts, ...attempts, ...messageText(record.fields[MESSAGE_FIELD]) };
}

/** `undefined`: the store does not know it. Of an ended one the end is known, its tool and when it was created. */
export async function taskDetail(
  hash: string,
  id: string,
  { store, instance }: DashboardParts,
): Promise<TaskDetail | undefined> {
  const record = await store.tasks.read(id);
  if (record === undefined) return undefined;
  if (isEnded(record)) {
    const end = readOutcome(record.outcome);
    const status = record.outcome === '' ? ('expired' as const) : ('unreadable' as const);
    if (end === undefined) return { hash, ended: { status, at: record.at } };
    const ended = { status: end.status, at: end.endedAt, ...errorOf(end) };
    return { hash, ...optional('tool', end.tool), createdAt: end.createdAt, ...messageText(end.statusMessage), ended };
  }
  const found = await store.steps.read(id);
  const recorded = found === undefined || isEnded(found) ? {} : found.fields;
  const { resume } = readSettings(record.body) ?? {};
  const texts = [record.head, record.body, ...Object.entries({ ...record.fields, ...recorded }).flat()];
  return {
    ...taskRow(record, await instance.living()),
    ...(resume !== undefined && { resume }),
    questions: questionStates(record).map(({ name, answered }) => ({ name: keptText(name), answered })),
    steps: Object.keys(recorded).length,
    bytes: texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0),
  };
}
