/**
 * One instance in a separate process: `node instance.mjs KIND TARGET NAME ID LEASE_MS`. Prints `ready`, then each
 * message that it receives as a line of JSON, `lost` when its mailbox is lost, and `dead` when it has no lease any
 * more. Renews its lease.
 */
import { openStore, recordOf } from './open-store.mjs';

const [kind, target, name, id, leaseMs] = process.argv.slice(2);

const view = await openStore(kind, target, { name, leaseMs: Number(leaseMs) });
await view.instances.announce(
  { id, state: 'serving', version: '1' },
  (from, message) => console.log(JSON.stringify({ from, kind: message.kind, bytes: JSON.stringify(message).length })),
  () => console.log('lost'),
);
await view.records.create(recordOf(`session-of-${id}`, id));
console.log('ready');
async function renew() {
  try {
    if (!(await view.instances.renew(id, 'serving'))) console.log('dead');
  } catch (error) {
    // While its connection is made anew; the next renewal shows whether the lease was kept.
    if (error.code !== 'STORE_AWAY') throw error;
  }
}
setInterval(() => void renew(), Math.min(Number(leaseMs) / 3, 500));
