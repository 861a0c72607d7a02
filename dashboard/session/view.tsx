/** One session: what happened to it? */
import type { SessionDetail } from '../../src/dashboard/wire-pages.ts';
import { count, many, ms, span } from '../format.ts';
import { nameOf, now } from '../state/model.ts';
import { DetailFrame, useDetail } from '../ui/detail.tsx';
import { When } from '../ui/when.tsx';
import { confirmEnd, confirmPayloads, copyCurl } from './actions.tsx';
import { Facts } from './facts.tsx';
import { Life } from './life.tsx';
import { type Place, placesOf } from './owners.ts';
import { Timeline } from './timeline.tsx';

function whereText({ status, owner }: SessionDetail, places: readonly Place[]): string {
  const since = places.at(-1)?.from;
  switch (status) {
    case 'live':
      return `Live on ${nameOf(owner) ?? 'an instance'}${since === undefined ? '' : ` for ${span(now.value - since)}`}.`;
    case 'hibernated':
      return 'Hibernated: only its record is kept. Its next request wakes it.';
    case 'released':
      return 'Released: its owner was drained. Its next request continues it.';
    case 'orphaned':
      return 'In the store since its owner went away. Its next request continues it.';
    case 'ended':
    case undefined:
      return '';
  }
}

function waitText({ timeline }: SessionDetail): string {
  const waits = timeline.flatMap((row) => (row.kind === 'message' ? (row.waitedMs ?? []) : []));
  const lost = timeline.filter((row) => row.kind === 'message' && row.outcome === 'lost').length;
  if (lost > 0) return `${many(lost, 'call')} may have run without an answer.`;
  return waits.length === 0
    ? 'None of its calls that are known waited.'
    : `The longest wait was ${ms(Math.max(...waits))}.`;
}

function Line({ detail, places }: { detail: SessionDetail; places: readonly Place[] }) {
  const owners = new Set(places.flatMap(({ instance }) => instance ?? [])).size;
  return (
    <p>
      {whereText(detail, places)} Opened <When at={detail.createdAt} ago />
      {owners > 1 ? `; ${count(owners)} owners are known` : ''}. {waitText(detail)}
    </p>
  );
}

function Known({ detail, reload }: { detail: SessionDetail; reload: () => void }) {
  const { hash, clientInfo, userName, protocolVersion, traceUrl } = detail;
  const places = placesOf(detail.timeline, detail.owner, detail.createdAt);
  return (
    <div class="page">
      <div class="body">
        <Crumb hash={hash} />
        <div class="title">
          <div class="grow">
            <h1>
              {clientInfo?.name ?? 'Session'}
              <small>{[clientInfo?.version, userName ?? 'no user', protocolVersion].filter(Boolean).join(', ')}</small>
            </h1>
            <Line detail={detail} places={places} />
          </div>
          <div class="row">
            <button class="btn" type="button" onClick={() => copyCurl(detail)}>
              Copy as curl
            </button>
            {traceUrl !== undefined && /^https?:/.test(traceUrl) && (
              <a class="btn" href={traceUrl} {...NEW_TAB}>
                Open trace
              </a>
            )}
            <button class="btn" type="button" onClick={() => confirmEnd(detail)}>
              End session…
            </button>
          </div>
        </div>
        <Life places={places} timeline={detail.timeline} now={Math.max(now.value, detail.at)} />
        <Timeline detail={detail} />
      </div>
      <Facts detail={detail} showPayloads={() => confirmPayloads(detail, reload)} />
    </div>
  );
}

/** The trace opens beside the page. */
const NEW_TAB = { target: `${'_'}blank`, rel: 'noreferrer' };

const Crumb = ({ hash }: { hash: string }) => (
  <p class="crumb">
    <a href="#/sessions">Sessions</a> / <span class="mono">{hash}</span>
  </p>
);

function Ended({ hash, ended, timeline, at }: SessionDetail) {
  return (
    <div class="page">
      <div class="body">
        <Crumb hash={hash} />
        <div class="title">
          <div class="grow">
            <h1>This session has ended.</h1>
            <p>
              It ended <When at={ended?.at} ago /> (<code>{ended?.reason}</code>). Its id answers 404, and its client
              opens a new session.
            </p>
          </div>
        </div>
        {timeline.length > 0 && <Timeline detail={{ hash, timeline, at }} />}
      </div>
    </div>
  );
}

const Unknown = ({ hash }: { hash: string }) => (
  <div class="blank">
    <h1>This store does not know the session {hash}.</h1>
    <p>
      Its client ended it, it was idle for <code>idleTimeoutMs</code>, it ended so long ago that the store has forgotten
      it, or it was in the memory of a process that ended (option <code>store</code>). A request with its id gets 404,
      and its client opens a new session.
    </p>
    <p>
      <a href="#/sessions">All sessions</a>
    </p>
  </div>
);

const EVERY_MS = 1_000;

export function SessionView({ hash }: { hash: string }) {
  const detail = useDetail<SessionDetail>(`sessions/${encodeURIComponent(hash)}`, () => EVERY_MS);
  const { loaded, reload } = detail;
  return (
    <DetailFrame of={detail}>
      {loaded === 'unknown' && <Unknown hash={hash} />}
      {loaded !== undefined && loaded !== 'unknown' && loaded.ended !== undefined && <Ended {...loaded} />}
      {loaded !== undefined && loaded !== 'unknown' && loaded.ended === undefined && (
        <Known detail={loaded} reload={reload} />
      )}
    </DetailFrame>
  );
}
