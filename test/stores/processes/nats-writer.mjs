/**
 * Writes until it is killed, and says in a file what was acknowledged: `node nats-writer.mjs URL JOB`.
 *
 * `JOB` is JSON: `{ owner, prefix, sessions: [{ id, epoch, step }], names, width, log }`. Each of `width` lines of work takes a
 * session of the list, or makes one, and does the steps of `sqlite-steps.mjs` one after the other; the last one ends the
 * session. Lines are `id step`. A file is written synchronously: what was said was acknowledged before the kill. While the
 * server is away a line of work goes no further: what became of its step is for the next writer to find.
 */
import { openSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { LAST_STEP, doStep, openOptions, recordOf } from './sqlite-steps.mjs';

const dist = resolve(import.meta.dirname, '../../../dist');
const { nats } = await import(pathToFileURL(`${dist}/stores/nats/index.js`).href);
const [url, job] = process.argv.slice(2);
const { owner, prefix, sessions, names, width, log } = JSON.parse(job);

const view = await nats(url, { prefix }).open({ ...(await openOptions(dist)), leaseMs: 3_000 });
await view.instances.announce({ id: owner, state: 'serving', version: '1' }, () => undefined);
console.log('ready');
const file = openSync(log, 'a');
const say = (line) => writeSync(file, `${line}\n`);

let made = 0;

async function take() {
  const next = sessions.shift();
  if (next === undefined) {
    const id = `${names}-${made++}`;
    if ((await view.sessions.create(recordOf(id, owner))) !== 'created') throw new Error(`${id} exists`);
    say(`${id} 0`);
    return { id, step: 0, fence: { epoch: 1, owner } };
  }
  const claim = await view.sessions.claim(next.id, next.epoch, owner);
  if (!claim.claimed) throw new Error(`${next.id} was not claimed: ${JSON.stringify(claim)}`);
  return { id: next.id, step: next.step, fence: { epoch: claim.record.epoch, owner } };
}

async function work() {
  for (;;) {
    const session = await take();
    while (session.step < LAST_STEP) {
      session.step += 1;
      const outcome = await doStep(view, session);
      if (outcome !== 'written' && outcome !== 'ended') throw new Error(`${session.id} ${session.step}: ${outcome}`);
      say(`${session.id} ${session.step}`);
    }
  }
}

const untilAway = (error) => {
  if (error.code !== 'STORE_AWAY') throw error;
};

await Promise.all(Array.from({ length: width }, () => work().catch(untilAway)));
// The server is away: wait to be killed.
await new Promise((done) => setTimeout(done, 60_000));
