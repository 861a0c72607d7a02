/**
 * `sojourn sessions ls | show | end`: reads the store of a deployment. The command is not an instance and takes no
 * lease, so it cannot claim a session: it orders the instance that has one (`orders.ts`).
 */
import { sessionHash } from '../../base/shown.ts';
import { decodeSession, endReasonOf } from '../../session/record/session-record.ts';
import { bytesOf, type SessionSummary, summary } from '../../session/record/session-summary.ts';
import { GET_STREAM } from '../../session/streams/event-id.ts';
import { isEnded } from '../../stores/store.ts';
import { Failure } from '../failure.ts';
import type { RecordKind } from './commands.ts';
import { living, ownerIn, recordOf, summaries } from './opened-store.ts';
import { order } from './orders.ts';
import { timestamp } from './printing.ts';

export const sessions: RecordKind<SessionSummary> = {
  columns: ['ID', 'HASH', 'STATUS', 'CLIENT', 'VERSION', 'ACTIVE', 'USER'],
  widths: [22, 12, 10, 24, 10, 20],
  cells({
    id,
    hash,
    status,
    clientInfo: { name, version },
    protocolVersion,
    activeAt,
    userName = '-',
  }) {
    return [id, hash, status, `${name} ${version}`, protocolVersion, timestamp(activeAt), userName];
  },
  ls: (store, request) => summaries(store, 'sessions', summary, request),

  async show(store, request) {
    const found = await recordOf(store, 'sessions', request.names[0]);
    const { id } = found;
    if (isEnded(found))
      return { id, hash: sessionHash(id), ended: endReasonOf(found), at: found.at };
    const alive = await living(store);
    const { epoch, initialized, logLevel, subscriptions, handshake, state } = decodeSession(found);
    return {
      ...summary(found, new Set(alive.keys())),
      ...ownerIn(alive, found),
      epoch,
      capabilities: handshake.params.capabilities,
      initialized,
      logLevel,
      subscriptions,
      // Its log has the stream from the first one on that its client opened.
      getStream: (await store.sessions.replay(id, GET_STREAM, Infinity)).found,
      bytes: bytesOf(found),
      expiresAt: found.expiresAt,
      // Private data is not printed.
      state: Object.fromEntries(
        Object.entries(state).map(([key, text]) => [key, Buffer.byteLength(text)]),
      ),
    };
  },

  /** Ends it. Only the instance that has it live can do that. */
  async act(store, request) {
    const found = await recordOf(store, 'sessions', request.names[0]);
    const { id } = found;
    const hash = sessionHash(id);
    if (isEnded(found))
      throw new Failure(
        `session ${hash} has already ended (${endReasonOf(found)}) at ${timestamp(found.at)}, so nothing was done`,
      );
    const owner = (await living(store)).get(found.owner ?? '');
    const outcome =
      owner === undefined
        ? await store.sessions.end(id, found, 'terminated')
        : await order(store, request, owner, { run: 'end', session: id }, async () => {
            const now = await store.sessions.read(id);
            if (now === undefined || isEnded(now)) return 'ended';
            const isThere =
              now.owner === owner.id && (await store.instances.read(owner.id)) !== undefined;
            return isThere ? undefined : 'moved';
          });
    if (outcome === 'ended') return `ended ${hash}`;
    throw new Failure(`session ${hash} has moved to another instance; try again`);
  },
};
