/** `sojourn handles ls | show | end`: what is behind handles. Values are not printed, and no text that opens a handle. */
import { userName } from '../../base/shown.ts';
import { infoOf } from '../../durable/state/handles.ts';
import { isEnded, type StoredRecord } from '../../stores/store.ts';
import { Failure } from '../failure.ts';
import type { RecordKind } from './commands.ts';
import { recordOf, summaries } from './opened-store.ts';
import { requireYes, timestamp } from './printing.ts';

function summary(record: StoredRecord) {
  const { userKey, ...info } = infoOf(record);
  const user = userKey !== undefined && { userKey, userName: userName(userKey) };
  return { id: info.hash, ...info, ...user };
}

export const handles: RecordKind<ReturnType<typeof summary>> = {
  columns: ['HASH', 'KIND', 'CREATED', 'EXPIRES', 'BYTES', 'USER'],
  widths: [39, 16, 20, 20, 8],
  cells({ hash, kind, createdAt, expiresAt, bytes, userName: name = '-' }) {
    return [hash, kind, timestamp(createdAt), timestamp(expiresAt), String(bytes), name];
  },
  ls: (store, request) => summaries(store, 'handles', summary, request),

  async show(store, { names }) {
    const found = await recordOf(store, 'handles', names[0]);
    if (isEnded(found)) return { hash: found.id, endedAt: found.at };
    const sizes = Object.entries(found.fields).map(([key, json]) => [key, Buffer.byteLength(json)]);
    return { ...summary(found), state: Object.fromEntries(sizes) as Record<string, number> };
  },

  /** Ends it. */
  async act(store, request) {
    const found = await recordOf(store, 'handles', request.names[0]);
    if (isEnded(found)) throw new Failure(`this handle has expired at ${timestamp(found.at)}`);
    requireYes(
      await handles.show(store, request),
      'With --yes it ends with its state, and nothing undoes that',
      request,
    );
    if ((await store.handles.end(found.id, found, '', 0)) !== 'ended')
      throw new Failure('the handle had ended since');
    return `ended ${found.id}`;
  },
};
