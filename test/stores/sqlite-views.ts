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

/** The place of the user in the list that a row's data is (`kernel/row-texts.ts`). */
const USER = 3;

/** Changes the user of a record as another process would: the row has another version afterwards. */
export function changeUser(database: Libsql.Database, id: string, user: string): void {
  const sql = `UPDATE rows SET version = version + 1, data = json_set(data, '$[${USER}]', ?) WHERE id = ?`;
  database.prepare(sql).run(user, id);
}
