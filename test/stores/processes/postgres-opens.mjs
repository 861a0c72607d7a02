// Opens a store, closes it, and prints the result: `node postgres-opens.mjs URL [OPTIONS]`. Nothing else keeps the
// process alive.
import { resolve } from 'node:path';
import { openOptions, recordOf } from './steps.mjs';
import { openView } from './view.mjs';

const dist = resolve(import.meta.dirname, '../../../dist');
const { postgres } = await import('sojourn-postgres');
const [url, id, end = 'close'] = process.argv.slice(2);

try {
  const view = await openView(postgres(url), { ...(await openOptions(dist)), leaseMs: 60_000 });
  await view.instances.announce({ id, state: 'serving', version: '1' }, () => undefined);
  await view.records.create(recordOf(`session-of-${id}`, id));
  await view.records.list(1);
  // Idle connections keep no process alive.
  if (end === 'close') await view.close();
  console.log('opened');
} catch (error) {
  console.log(error.code, error.message);
}
