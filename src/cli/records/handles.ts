/** `sojourn handles ls | show | close | end`: what is behind handles, without values and without texts that open one. */
import { userName } from '../../base/shown.ts';
import { infoOf, objectOf } from '../../durable/state/handles.ts';
import { isEnded, type StoredRecord } from '../../stores/store.ts';
import type { EndpointStore } from '../../endpoint/endpoint-store.ts';
import { Failure } from '../failure.ts';
import type { RecordKind, RecordRequest } from './commands.ts';
import { living, ownerIn, recordOf, summaries } from './opened-store.ts';
import { order, tellOfEnds } from './orders.ts';
import { requireYes, timestamp } from './printing.ts';

function summary(record: StoredRecord, alive: ReadonlySet<string>) {
  const { userKey, ...info } = infoOf(record);
  const user = userKey !== undefined && { userKey, userName: userName(userKey) };
  return { id: info.hash, ...info, ...objectOf(record, alive), ...user };
}

export const handles: RecordKind<ReturnType<typeof summary>> = {
  columns: ['HASH', 'KIND', 'CREATED', 'EXPIRES', 'BYTES', 'INSTANCE', 'OPENED', 'USER'],
  widths: [39, 16, 20, 20, 8, 12, 20],
  cells({
    hash,
    kind,
    createdAt,
    expiresAt,
    bytes,
    instance = '-',
    openedAt,
    userName: name = '-',
  }) {
    const opened = openedAt === undefined ? '-' : timestamp(openedAt);
    const times = [timestamp(createdAt), timestamp(expiresAt)];
    return [hash, kind, ...times, String(bytes), instance, opened, name];
  },
  ls: (store, request) => summaries(store, 'handles', summary, request),

  async show(store, { names }) {
    const found = await recordOf(store, 'handles', names[0]);
    if (isEnded(found)) return { hash: found.id, endedAt: found.at };
    const alive = await living(store);
    const sizes = Object.entries(found.fields).map(([key, json]) => [key, Buffer.byteLength(json)]);
    return {
      ...summary(found, new Set(alive.keys())),
      ...ownerIn(alive, found),
      state: Object.fromEntries(sizes) as Record<string, number>,
    };
  },

  async act(store, request) {
    const found = await recordOf(store, 'handles', request.names[0]);
    if (isEnded(found)) throw new Failure(`this handle has expired at ${timestamp(found.at)}`);
    return request.verb === 'close' ? close(store, request, found) : end(store, request, found);
  },
};

/** The object alone: the handle and its state stay. */
async function close(
  store: EndpointStore,
  request: RecordRequest,
  { id, epoch, owner }: StoredRecord,
): Promise<string> {
  const instance = (await living(store)).get(owner ?? '');
  if (instance === undefined) throw new Failure('no instance has an object of this handle open');
  return order(store, request, instance, { run: 'close', handle: id }, async () => {
    const now = await store.handles.read(id);
    const isThere =
      now !== undefined && !isEnded(now) && now.owner === owner && now.epoch === epoch;
    return isThere ? undefined : `closed the object of ${id} at ${instance.id}`;
  });
}

async function end(
  store: EndpointStore,
  request: RecordRequest,
  found: StoredRecord,
): Promise<string> {
  requireYes(
    await handles.show(store, request),
    'With --yes it ends with its state, and nothing undoes that',
    request,
  );
  const { id, owner } = found;
  if ((await store.handles.end(id, found, '', 0)) !== 'ended')
    throw new Failure('the handle had ended since, or its object was opened elsewhere');
  if (owner === null || !(await living(store)).has(owner)) return `ended ${id}`;
  await tellOfEnds(store, request, [[id, owner]]);
  return `ended ${id}\ninstance ${owner} has its object open, and closes it`;
}
