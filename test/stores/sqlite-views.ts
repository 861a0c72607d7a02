/** Files in a temporary folder, views on them, and test data. */
import { join } from 'node:path';
import type Libsql from 'libsql';
import type { Store } from '../../src/stores/store.ts';
import type { View, ViewSettings } from '../store-contract/view.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { open, storeOptions } from './views.ts';

export { announce, append, FENCE, recordOf, storeOptions } from './views.ts';

export { temporaryFolder as newFolder } from '../kit/temporary.ts';

export const newPath = (): string => join(temporaryFolder(), 'sessions.db');

/** Closed when the test is over. */
export async function openView(store: Store | string, more: Partial<ViewSettings> = {}): Promise<View> {
  return open(typeof store === 'string' ? sqlite(store) : store, storeOptions(more));
}

/** Places in the list that a row's data is (`kernel/row-texts.ts`). */
const PLACES = { v: 0, owner: 2, user: 3, expiresAt: 8 } as const;

/** Changes a record as another process would: the row has another version afterwards. */
export function changeStored(
  database: Libsql.Database,
  id: string,
  { wake, ...members }: { readonly [name in keyof typeof PLACES | 'wake']?: string | number },
): void {
  for (const [name, value] of Object.entries(members)) {
    const data = `json_set(data, '$[${PLACES[name as keyof typeof PLACES]}]', ?)`;
    database.prepare(`UPDATE rows SET version = version + 1, data = ${data} WHERE id = ?`).run(value, id);
  }
  if (wake !== undefined) database.prepare('UPDATE rows SET wake = ? WHERE id = ?').run(wake, id);
}

/** A member of a stored record. */
export function stored(database: Libsql.Database, id: string, name: keyof typeof PLACES): unknown {
  const [value] = database
    .prepare(`SELECT json_extract(data, '$[${PLACES[name]}]') FROM rows WHERE id = ?`)
    .raw(true)
    .get([id]) as unknown[];
  return value;
}
