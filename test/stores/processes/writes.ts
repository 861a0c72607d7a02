/** Writes into a SQLite file without a pause: `writes.ts FILE COMMITS`. */
import { systemRandom, systemTime } from '../../../src/base/system.ts';
import { openFile } from '../../../src/stores/sqlite/open-file.ts';
import { createLog } from '../../kit/log.ts';

const [path = '', commits = ''] = process.argv.slice(2);
const file = await openFile(
  { path, synchronous: 'normal' },
  { time: systemTime, random: systemRandom },
  createLog(),
);
await file.write(() => file.database.execute('CREATE TABLE IF NOT EXISTS written (data TEXT)'));
const row = ['x'.repeat(800)];
for (let n = 0; n < Number(commits); n++)
  await file.write(() => {
    for (let m = 0; m < 8; m++) file.database.run('INSERT INTO written VALUES (?)', row);
  });
await file.close();
