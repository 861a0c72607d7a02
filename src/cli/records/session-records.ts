/**
 * `sojourn sessions ls | show | end`: reads the store of a deployment. The command is not an instance and takes no
 * lease, so it cannot claim a session: it orders the instance that has one (`given-orders.ts`).
 */
import { pagesOf } from '../../base/pages.ts';
import { sessionHash } from '../../base/shown.ts';
import type { EndpointStore } from '../../endpoint/endpoint-store.ts';
import {
  bytesOf,
  decodeSession,
  endReasonOf,
  GET_STREAM,
  type SessionSummary,
  summary,
} from '../../endpoint/sessions.ts';
import { type EndedRecord, isEnded, type InstanceLease } from '../../stores/store.ts';
import { Failure } from '../failure.ts';
import type { RecordRequest } from './commands.ts';
import { GivenOrders } from './given-orders.ts';
import { idOf } from './opened-store.ts';
import { timestamp } from './printing.ts';
import { isOf, liveInstances, type RecordKind, shownOf } from './record-kind.ts';

const PAGE = 100;
const TRIES = 3;

export const sessions: RecordKind = {
  ls: {
    noun: 'session',
    statuses: ['live', 'hibernated', 'released', 'orphaned'],
    columns: ['ID', 'HASH', 'STATUS', 'CLIENT', 'VERSION', 'ACTIVE', 'USER'],
    widths: [22, 12, 10, 24, 10, 20, 0],
    async *rows(store, request) {
      for await (const page of pagesOf((cursor) => store.sessions.list(PAGE, cursor))) {
        // Read again for each page, because an instance may die between two pages.
        const alive = await liveInstances(store);
        for (const record of page.records) {
          const session = summary(record, alive);
          if (!fits(session, request)) continue;
          const { id, hash, status, clientInfo, protocolVersion, activeAt, userName = '-' } = session;
          const client = `${clientInfo.name} ${clientInfo.version}`;
          const cells = [id, hash, status, client, protocolVersion, timestamp(activeAt), userName];
          yield { value: shownOf(session, request), cells, status };
        }
      }
    },
  },

  /** All public fields of one session. Of `session.state`: the keys, and the size of each value in bytes. */
  async show(store, request) {
    const found = await read(store, request);
    if (isEnded(found)) return endOf(found, request);
    const { id, owner } = found;
    const lease = owner === null ? undefined : await store.instances.read(owner);
    const kept = await store.sessions.replay(id, GET_STREAM, -1);
    const { epoch, initialized, logLevel, subscriptions, getPrimed, handshake, state } = decodeSession(found);
    return {
      ...shownOf(summary(found, new Set(lease === undefined ? [] : [lease.id])), request),
      ...processOf(lease),
      getStream: getPrimed,
      ...(kept.found && {
        getStreamKept: { messages: kept.events.length, bytes: sizeOf(kept.events.map(({ data }) => data)) },
      }),
      bytes: bytesOf(found),
      epoch,
      capabilities: handshake.capabilities,
      initialized,
      logLevel,
      subscriptions,
      expiresAt: found.expiresAt,
      state: Object.fromEntries(Object.entries(state).map(([key, text]) => [key, Buffer.byteLength(text)])),
    };
  },

  verbs: {
    async end(store, request) {
      const { id } = await read(store, request);
      const shown = request.ids ? id : sessionHash(id);
      for (let tries = 0; tries < TRIES; tries++) {
        const found = await store.sessions.read(id);
        if (found === undefined) throw unknown(request);
        if (isEnded(found))
          throw new Failure(
            `session ${shown} has already ended (${endReasonOf(found)}) at ${timestamp(found.at)}, so nothing was done`,
          );
        // Not the list of leases: only the answer of `read` is final.
        const owner = found.owner === null ? undefined : await store.instances.read(found.owner);
        const outcome =
          owner === undefined
            ? await store.sessions.end(id, found, 'terminated')
            : await endAt(store, request, owner, id);
        const value = { ...shownOf({ id, hash: sessionHash(id) }, request), ended: 'terminated' };
        if (outcome === 'ended') return { value, text: `ended ${shown}\n` };
      }
      throw new Failure(`session ${shown} is moving to another instance; try again`);
    },
  },
};

/** Only the instance that has it can end it. `moved`: that instance died, or has it no more. */
async function endAt(
  store: EndpointStore,
  request: RecordRequest,
  owner: InstanceLease,
  session: string,
): Promise<'ended' | 'moved'> {
  const orders = new GivenOrders(store, request);
  await orders.send(owner, { run: 'end', session });
  const outcome = await orders.effect(async () => {
    const now = await store.sessions.read(session);
    if (now === undefined || isEnded(now)) return 'ended' as const;
    const isThere = now.owner === owner.id && (await store.instances.read(owner.id)) !== undefined;
    return isThere ? undefined : ('moved' as const);
  });
  if (outcome === undefined) throw await orders.noEffect(owner, 'end the session');
  return outcome;
}

async function read({ sessions: all }: EndpointStore, request: RecordRequest) {
  const found = await all.read(await idOf('sessions', all, request.names[0] ?? ''));
  if (found === undefined) throw unknown(request);
  return found;
}

const unknown = ({ names }: RecordRequest): Failure =>
  new Failure(`there is no session ${JSON.stringify(names[0])} in this store; set --name to the name of its endpoint`);

const endOf = (record: EndedRecord, request: RecordRequest): object => ({
  ...shownOf({ id: record.id, hash: sessionHash(record.id) }, request),
  ended: endReasonOf(record),
  at: record.at,
});

/** Where an instance runs. An older build says nothing of its process. */
export const processOf = (lease: InstanceLease | undefined): object => {
  const { host, pid } = lease?.process ?? {};
  return { ...(lease !== undefined && { ownerState: lease.state }), ...(host !== undefined && { host, pid }) };
};

export const sizeOf = (texts: readonly string[]): number =>
  texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);

function fits(session: SessionSummary, request: RecordRequest): boolean {
  const { client, owner, idleMs } = request;
  return (
    isOf(session, request) &&
    (client === undefined || session.clientInfo.name.toLowerCase().includes(client.toLowerCase())) &&
    (owner === undefined || session.owner === owner) &&
    (idleMs === undefined || Date.now() - session.activeAt >= idleMs)
  );
}
