/**
 * `sojourn sessions ls | show | end`: reads the store of a deployment. The command is not an instance and takes no
 * lease, so it cannot claim a session: it orders the instance that has one (`given-orders.ts`).
 */
import { sessionHash } from '../../base/shown.ts';
import type { EndpointStore } from '../../endpoint/endpoint-store.ts';
import { decodeSession, endReasonOf } from '../../session/record/session-record.ts';
import { bytesOf, type SessionSummary, summary } from '../../session/record/session-summary.ts';
import { isEnded, type InstanceLease } from '../../stores/store.ts';
import { Failure } from '../failure.ts';
import type { RecordRequest } from './commands.ts';
import { order } from './given-orders.ts';
import { recordOf } from './opened-store.ts';
import { timestamp } from './printing.ts';
import { ownerOf, type RecordKind, shownOf, summaries } from './record-kind.ts';

const TRIES = 3;

export const sessions: RecordKind<SessionSummary> = {
  ls: {
    noun: 'session',
    columns: ['ID', 'HASH', 'STATUS', 'CLIENT', 'VERSION', 'ACTIVE', 'USER'],
    widths: [22, 12, 10, 24, 10, 20],
    cells({ id, hash, status, clientInfo: { name, version }, protocolVersion, activeAt, userName = '-' }) {
      return [id, hash, status, `${name} ${version}`, protocolVersion, timestamp(activeAt), userName];
    },
    rows: (store, request) => summaries(store, store.sessions, summary, request),
  },

  async show(store, request) {
    const found = await recordOf(store, 'sessions', request.names[0]);
    const { id } = found;
    if (isEnded(found))
      return { ...shownOf({ id, hash: sessionHash(id) }, request), ended: endReasonOf(found), at: found.at };
    const { alive, shown } = await ownerOf(store, found);
    const { epoch, initialized, logLevel, subscriptions, getPrimed, handshake, state } = decodeSession(found);
    return {
      ...shownOf(summary(found, alive), request),
      ...shown,
      epoch,
      capabilities: handshake.params.capabilities,
      initialized,
      logLevel,
      subscriptions,
      getStream: getPrimed,
      bytes: bytesOf(found),
      expiresAt: found.expiresAt,
      // Private data is not printed.
      state: Object.fromEntries(Object.entries(state).map(([key, text]) => [key, Buffer.byteLength(text)])),
    };
  },

  verbs: {
    async end(store, request) {
      const { id } = await recordOf(store, 'sessions', request.names[0]);
      const shown = request.ids ? id : sessionHash(id);
      for (let tries = 0; tries < TRIES; tries++) {
        const found = await recordOf(store, 'sessions', id);
        if (isEnded(found))
          throw new Failure(
            `session ${shown} has already ended (${endReasonOf(found)}) at ${timestamp(found.at)}, so nothing was done`,
          );
        const { lease } = await ownerOf(store, found);
        const outcome =
          lease === undefined
            ? await store.sessions.end(id, found, 'terminated')
            : await endAt(store, request, lease, id);
        if (outcome === 'ended') return `ended ${shown}`;
      }
      throw new Failure(`session ${shown} is moving to another instance; try again`);
    },
  },
};

/** Only the instance that has it can end it. `moved`: that instance died, or has it no more. */
function endAt(
  store: EndpointStore,
  request: RecordRequest,
  owner: InstanceLease,
  session: string,
): Promise<'ended' | 'moved'> {
  return order(store, request, owner, { run: 'end', session }, async () => {
    const now = await store.sessions.read(session);
    if (now === undefined || isEnded(now)) return 'ended';
    const isThere = now.owner === owner.id && (await store.instances.read(owner.id)) !== undefined;
    return isThere ? undefined : 'moved';
  });
}
