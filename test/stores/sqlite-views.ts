/** Files in a temporary folder. */
import { join } from 'node:path';
import type Libsql from 'libsql';
import { temporaryFolder } from '../kit/temporary.ts';

export { announce, append, FENCE, openView, recordOf } from './views.ts';

export { temporaryFolder as newFolder } from '../kit/temporary.ts';

export const newPath = (): string => join(temporaryFolder(), 'sessions.db');

/** The place of the user in the list that a row's data is (`kernel/row-texts.ts`). */
const USER = 3;

/** Changes the user of a record as another process would: the row has another version afterwards. */
export function changeUser(database: Libsql.Database, id: string, user: string): void {
  const sql = `UPDATE rows SET version = version + 1, data = json_set(data, '$[${USER}]', ?) WHERE id = ?`;
  database.prepare(sql).run(user, id);
}
