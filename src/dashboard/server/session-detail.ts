/** The page of one session: its facts, as `sojourn sessions show` has them, and what happened to it. */
import { decodeSession, endReasonOf } from '../../session/record/session-record.ts';
import { GET_STREAM } from '../../session/streams/event-id.ts';
import { bytesOf, summary } from '../../session/record/session-summary.ts';
import { isObject } from '../../protocol/jsonrpc.ts';
import { keptText } from '../../base/shown.ts';
import type { StoredRecord } from '../../stores/store.ts';
import type { SessionDetail, SessionRow, TimelineRow } from '../wire-pages.ts';
import type { Collector } from './collector.ts';
import type { Fleet } from './fleet.ts';
import type { CheckedDashboard } from './options.ts';
import type { DashboardParts } from './parts-of-endpoint.ts';
import type { Peers } from './peers.ts';
import type { SessionRows } from './session-rows.ts';

const ROWS = 500;
/** Keys of `session.state` that are named. */
const KEYS = 100;

/** What one instance knows of the timeline of a session. */
export interface TimelinePart {
  readonly rows: readonly TimelineRow[];
  /** Older rows may have been forgotten. */
  readonly isFull: boolean;
  /** The trace of its newest call there. */
  readonly trace?: string;
  /** It is live there. */
  readonly live?: SessionRow;
}

interface DetailParts {
  readonly given: Pick<CheckedDashboard, 'traceUrl'>;
  readonly parts: DashboardParts;
  readonly collector: Collector;
  readonly fleet: Fleet;
  readonly peers: Peers;
  readonly rows: SessionRows;
}

/** `undefined`: the store does not know it. */
export async function sessionDetail(hash: string, given: DetailParts): Promise<SessionDetail | undefined> {
  const { parts, rows } = given;
  const id = await rows.idOf(hash);
  if (id === undefined) return undefined;
  const { record, ended } = await rows.read(id);
  const at = parts.options.timeProvider.now();
  const until = given.collector.payloads.untilOf(id);
  const { live, trace, ...shown } = await timelineOf(id, given);
  const traceUrl = trace === undefined ? undefined : given.given.traceUrl?.replaceAll('{traceId}', trace);
  const told = { ...shown, ...(traceUrl !== undefined && { traceUrl }) };
  const timeline = { ...told, ...(until !== undefined && { payloadsUntil: until }) };
  if (record === undefined) {
    if (ended === undefined && timeline.timeline.length === 0) return undefined;
    return {
      hash,
      at,
      ...(ended !== undefined && { ended: { reason: endReasonOf(ended), at: ended.at } }),
      ...timeline,
    };
  }
  return { at, ...(await factsOf(record, parts)), ...live, ...timeline };
}

async function factsOf(record: StoredRecord, { instance, store }: DashboardParts) {
  const alive = await instance.living();
  const session = decodeSession(record);
  const { id: _, user: __, userName: user, clientInfo, ...basics } = summary(record, alive);
  const state = Object.entries(session.state).slice(0, KEYS);
  const kept = await store.sessions.replay(record.id, GET_STREAM, -1);
  return {
    ...basics,
    ...(user !== undefined && { userName: keptText(user) }),
    clientInfo: { name: keptText(clientInfo.name), version: keptText(clientInfo.version) },
    bytes: bytesOf(record).record,
    epoch: session.epoch,
    initialized: session.initialized,
    capabilities: Object.keys(session.handshake.capabilities).slice(0, KEYS).map(keptText),
    ...(session.logLevel !== null && { logLevel: keptText(session.logLevel) }),
    subscriptions: session.subscriptions.length,
    expiresAt: record.expiresAt,
    state: Object.fromEntries(state.map(([key, text]) => [keptText(key), Buffer.byteLength(text)] as const)),
    ...(kept.found && {
      getStreamKept: {
        messages: kept.events.length,
        bytes: kept.events.reduce((sum, { data }) => sum + Buffer.byteLength(data), 0),
      },
    }),
  };
}

/** The rows of this instance and of those that answer. A process that died took its rows with it. */
async function timelineOf(
  id: string,
  { collector, fleet, peers, rows }: DetailParts,
): Promise<Pick<SessionDetail, 'timeline' | 'cut'> & Pick<TimelinePart, 'live' | 'trace'>> {
  await fleet.look();
  const own = timelinePart(id, collector, rows);
  const answers = await peers.ask(fleet.others, 'timeline', id);
  const all = [own, ...answers.map(([, answer]) => answer).filter(isPart)];
  const timeline = all
    .flatMap(({ rows }) => rows)
    .toSorted((one, other) => other.at - one.at)
    .slice(0, ROWS);
  const live = all.find((part) => part.live !== undefined)?.live;
  const trace = all.map((part) => part.trace).find((each) => typeof each === 'string' && /^[\da-f]{32}$/.test(each));
  const shown = { timeline, ...(live !== undefined && { live }), ...(trace !== undefined && { trace }) };
  if (timeline.some((row) => row.kind === 'event' && row.what === 'opened')) return shown;
  return { ...shown, cut: all.some((part) => part.isFull) ? 'ring' : 'process' };
}

export function timelinePart(id: string, { ring }: Collector, rows: SessionRows): TimelinePart {
  const live = rows.live(id);
  const trace = ring.traceOf(id);
  return {
    rows: ring.rowsOf(id),
    isFull: ring.isFull,
    ...(trace !== undefined && { trace }),
    ...(live !== undefined && { live }),
  };
}

const isPart = (value: unknown): value is TimelinePart => isObject(value) && Array.isArray(value['rows']);
