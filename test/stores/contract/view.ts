/** A view of a store that was opened for one kind of records, as tests of stores use it. */
import {
  type DueRecord,
  isEnded,
  type Kind,
  type MaybePromise,
  type OpenStore,
  type OpenStream,
  type RecordPage,
  type Records,
  type Store,
  type StoreOptions,
} from '../../../src/stores/store.ts';

export interface View extends Omit<OpenStore, 'records'> {
  readonly records: Records;
}

/** `kind`: the name of the kind; default `'things'`. */
export interface ViewSettings
  extends
    Omit<StoreOptions, 'kinds'>,
    Pick<Kind, 'log' | 'keepMs' | 'grouped' | 'counted' | 'evicts'> {
  readonly kind?: string;
  readonly listed?: boolean;
}

export async function openView(store: Store, settings: ViewSettings): Promise<View> {
  const {
    kind: name = 'things',
    log,
    keepMs,
    listed = true,
    grouped,
    counted,
    evicts,
    ...options
  } = settings;
  const more = {
    ...(grouped && { grouped }),
    ...(counted && { counted }),
    ...(evicts === false && { evicts }),
  };
  const kind: Kind = { name, log, keepMs, listed, ...more };
  return viewOf(await store.open({ ...options, kinds: [kind] }), kind);
}

export function viewOf(open: OpenStore, kind: Kind): View {
  return { ...open, records: open.records(kind) };
}

export const idsOf = (all: ReadonlyArray<{ readonly id: string }>): string[] =>
  all.map(({ id }) => id);

/** The records of the first page of `due`. */
export async function dueNow({ records }: View, limit: number): Promise<readonly DueRecord[]> {
  return (await records.due(limit)).records;
}

export async function allPages<R>(
  page: (cursor?: string) => MaybePromise<RecordPage<R>>,
): Promise<R[]> {
  const all: R[] = [];
  for (let cursor: string | undefined; ;) {
    const { records, nextCursor } = await page(cursor);
    all.push(...records);
    if (nextCursor === undefined) return all;
    cursor = nextCursor;
  }
}

/** The open streams of a record with an owner: a claim that is stored already answers them and changes nothing. */
export async function openStreams(
  { records }: { readonly records: Pick<Records, 'read' | 'claim'> },
  id: string,
): Promise<readonly OpenStream[]> {
  const record = await records.read(id);
  if (record === undefined || isEnded(record) || record.owner === null) return [];
  const claim = await records.claim(id, { epoch: record.epoch - 1, owner: null }, record.owner);
  return claim.claimed ? claim.streams : [];
}
