/**
 * One instance in a process of its own: `node redis-instance.mjs URL NAME ID LEASE_MS`. Says `ready`, then each message that it
 * gets as a line of JSON, `lost` when its mailbox is, and `dead` when it has no lease any more.
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { openOptions, recordOf } from './steps.mjs';

const dist = resolve(import.meta.dirname, '../../../dist');
const { redis } = await import(pathToFileURL(`${dist}/stores/redis/index.js`).href);
const [url, name, id, leaseMs] = process.argv.slice(2);

const view = await redis(url).open({ ...(await openOptions(dist)), name, leaseMs: Number(leaseMs) });
await view.instances.announce(
  { id, state: 'serving', version: '1' },
  (from, message) => console.log(JSON.stringify({ from, kind: message.kind })),
  () => console.log('lost'),
);
await view.sessions.create(recordOf(`session-of-${id}`, id));
console.log('ready');
async function renew() {
  if (!(await view.instances.renew(id, 'serving'))) console.log('dead');
}
setInterval(() => void renew(), Math.min(Number(leaseMs) / 3, 500));
