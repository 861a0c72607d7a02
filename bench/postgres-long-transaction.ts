/**
 * `npx tsx bench/postgres-long-transaction.ts [messages]`: the cost of a message between two instances on PostgreSQL
 * while another session of the same database keeps a transaction open, as `pg_dump` does. Prints a row for each tenth
 * of the messages.
 */
import pg from 'pg';
import { systemRandom, systemTime } from '../src/base/system.ts';
import { postgres } from '../src/stores/postgres/index.ts';
import { openView, type View } from '../test/store-contract/view.ts';
import { startServer } from '../test/kit/servers/start.ts';

const MESSAGES = Number(process.argv[2] ?? 80_000);
const TOGETHER = 16;
const PARTS = 10;

const server = await startServer('postgres');
const quiet = () => undefined;
const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet, fatal: quiet };
const store = postgres(server.url);
const open = async (): Promise<View> =>
  openView(store, {
    name: 'bench',
    time: systemTime,
    random: systemRandom,
    logger,
    leaseMs: 600_000,
    keepMs: 600_000,
    log: { ttlMs: 600_000, events: 1_000, bytes: 1_048_576 },
    eventLogBytes: 0,
    tombstones: 0,
  });
const view = await open();
let heard = 0;
let next: () => void = quiet;
await view.instances.announce({ id: 'sender', state: 'serving', version: '1' }, quiet);
await view.instances.announce({ id: 'receiver', state: 'serving', version: '1' }, () => {
  heard += 1;
  next();
});

const other = new pg.Client(server.url);
await other.connect();
await other.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
await other.query('SELECT count(*) FROM sojourn.records');

let sent = 0;
for (let part = 1; part <= PARTS; part++) {
  const began = performance.now();
  const until = (MESSAGES / PARTS) * part;
  while (sent < until) {
    sent += TOGETHER;
    const arrived = new Promise<void>((done) => {
      next = () => (heard === sent ? done() : undefined);
    });
    const letters = Array.from({ length: TOGETHER }, () => view.instances.send('sender', 'receiver', { kind: 'word' }));
    await Promise.all([...letters, arrived]);
  }
  const us = ((performance.now() - began) * 1_000) / (MESSAGES / PARTS);
  console.log(`${String(sent).padStart(7)} messages: ${us.toFixed(0)} µs each`);
}
await other.end();
await view.close();
await server.close();
