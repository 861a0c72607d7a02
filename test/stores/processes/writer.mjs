/**
 * Writes until it is killed, and logs to a file what was acknowledged: `node writer.mjs JOB`.
 *
 * `JOB` is JSON: `{ kind, target, leaseMs, owner, sessions: [{ id, epoch, owner, step }], prefix, width, copies, mayBeAway,
 * log }`, with the store's `kind` and what it is opened with. Each of `width` workers takes a session of the list, or
 * creates one, and does the steps of `steps.mjs` one after the other; the last one ends the session. With `copies`
 * SQLite's log is copied into the file all the time, so that kills hit that too. Lines are `id step`, written
 * synchronously: a logged step was acknowledged before the kill. If the server may be away, a worker that finds it away
 * stops; the next writer finds out whether its step was stored.
 */
import { openSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { LAST_STEP, doStep, openOptions, recordOf } from './steps.mjs';

const dist = resolve(import.meta.dirname, '../../../dist');
const { kind, target, leaseMs, owner, sessions, prefix, width, copies, mayBeAway, log } = JSON.parse(process.argv[2]);
const { [kind]: store } = await import(pathToFileURL(`${dist}/stores/${kind}/index.js`).href);

const view = await store(target).open({ ...(await openOptions(dist)), leaseMs });
await view.instances.announce({ id: owner, state: 'serving', version: '1' }, () => undefined);
const file = openSync(log, 'a');
const say = (line) => writeSync(file, `${line}\n`);

let made = 0;

async function take() {
  const next = sessions.shift();
  if (next === undefined) {
    const id = `${prefix}-${made++}`;
    if ((await view.sessions.create(recordOf(id, owner))) !== 'created') throw new Error(`${id} exists`);
    say(`${id} 0`);
    return { id, step: 0, fence: { epoch: 1, owner } };
  }
  const claim = await view.sessions.claim(next.id, next, owner);
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

async function copy() {
  const { default: Background } = await import('libsql/promise');
  const background = new Background(target, { timeout: 200 });
  for (;;) {
    for (const mode of ['PASSIVE', 'TRUNCATE']) await background.exec(`PRAGMA wal_checkpoint(${mode})`).catch(() => {});
  }
}

const untilAway = (error) => {
  if (!mayBeAway || error.code !== 'STORE_AWAY') throw error;
};

await Promise.all([...Array.from({ length: width }, () => work().catch(untilAway)), ...(copies ? [copy()] : [])]);
// The server is away: wait to be killed.
await new Promise((done) => setTimeout(done, 60_000));
