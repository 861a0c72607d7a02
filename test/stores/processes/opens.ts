/**
 * Opens a store, uses it, and prints how that ended: `opens TARGET close|leave`. Nothing else keeps the process
 * alive: idle connections do not.
 */
import { announce, recordOf, VIEW_DEFAULTS } from '../contract/store-kit.ts';
import { openView } from '../contract/view.ts';
import { storeAt } from '../store-at.ts';

const [target = '', end] = process.argv.slice(2);
const id = `of-${process.pid}`;

try {
  const view = await openView(storeAt(target), { ...VIEW_DEFAULTS, deployment: 'mcp' });
  await announce(view, id);
  await view.records.create(recordOf(`session-${id}`, { owner: id }));
  await view.records.list(1);
  if (end === 'close') await view.close();
  console.log('opened');
} catch (error) {
  console.log((error as { readonly code?: unknown }).code, (error as Error).message);
}
