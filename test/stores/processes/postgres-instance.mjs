/**
 * One instance in a process of its own: `node postgres-instance.mjs URL ID [LEASE_MS]`. Says `ready`, then each message that
 * it gets as a line of JSON; answers a message with `answer` by sending it back. Renews its lease, and
 * says `dead` when it has none any more.
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { openOptions, recordOf } from './steps.mjs';

const dist = resolve(import.meta.dirname, '../../../dist');
const { postgres } = await import(pathToFileURL(`${dist}/stores/postgres/index.js`).href);
const [url, id, leaseMs = '1000'] = process.argv.slice(2);

const view = await postgres(url).open({ ...(await openOptions(dist)), leaseMs: Number(leaseMs) });
await view.instances.announce({ id, state: 'serving', version: '1' }, (from, message) => {
  console.log(JSON.stringify({ from, kind: message.kind, bytes: JSON.stringify(message).length }));
  if (message.answer) void view.instances.send(id, from, { kind: 'answer' });
});
await view.sessions.create(recordOf(`session-of-${id}`, id));
console.log('ready');
const renew = async () => {
  if (!(await view.instances.renew(id, 'serving'))) console.log('dead');
};
setInterval(() => void renew(), Number(leaseMs) / 3);
