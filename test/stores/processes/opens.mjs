// Opens a store, uses it, and prints how that ended: `node opens.mjs KIND TARGET close|leave [DIST]`. Nothing else keeps
// the process alive: idle connections do not.
import { openStore, recordOf } from './open-store.mjs';

const [kind, target, end, dist] = process.argv.slice(2);
const id = `of-${process.pid}`;

try {
  const view = await openStore(kind, target, {}, dist);
  await view.instances.announce({ id, state: 'serving', version: '1' }, () => undefined);
  await view.records.create(recordOf(`session-${id}`, id));
  await view.records.list(1);
  if (end === 'close') await view.close();
  console.log('opened');
} catch (error) {
  console.log(error.code, error.message);
}
