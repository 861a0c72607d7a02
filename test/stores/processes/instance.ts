/**
 * One instance in a separate process: `instance TARGET NAME ID LEASE_MS`. Prints `ready`, then each message that it
 * receives as a line of JSON, `lost` when its mailbox is lost, and `dead` when it has no lease any more. Renews its
 * lease.
 */
import { recordOf, VIEW_DEFAULTS } from '../contract/store-kit.ts';
import { openView } from '../contract/view.ts';
import { storeAt } from '../store-at.ts';

const [target = '', name = '', id = '', ms] = process.argv.slice(2);
const leaseMs = Number(ms);

const view = await openView(storeAt(target), { ...VIEW_DEFAULTS, deployment: name, leaseMs });
await view.instances.announce(
  { id, state: 'serving', version: '1' },
  (from, message) =>
    console.log(
      JSON.stringify({ from, kind: message.kind, bytes: JSON.stringify(message).length }),
    ),
  () => console.log('lost'),
);
await view.records.create(recordOf(`session-of-${id}`, { owner: id }));
console.log('ready');

async function renew(): Promise<void> {
  try {
    if (!(await view.instances.renew(id, 'serving'))) console.log('dead');
  } catch (error) {
    // While its connection is made anew; the next renewal shows whether the lease was kept.
    if ((error as { readonly code?: unknown }).code !== 'STORE_UNAVAILABLE') throw error;
  }
}
setInterval(() => void renew(), Math.min(leaseMs / 3, 500));
