#!/usr/bin/env node
/**
 * `sojourn-demo`: three instances on sojourn and three on the SDK's own transport, six official clients of each, and
 * keys that break both. One line is printed for each thing that happens.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import Database from 'libsql';
import { CountingClient } from './clients.mjs';
import { Front } from './front.mjs';
import { Instance } from './instance.mjs';

const NAMES = ['one', 'two', 'three'];
const CLIENTS = { A: '2025', B: '2025', C: '2025', D: '2025', E: '2026', F: '2026' };
const AWAY_MS = 5_000;
const GATHER_MS = 1_000;
const CAN_FREEZE = process.platform !== 'win32';
const KEYS = `k kill   ${CAN_FREEZE ? 'f freeze   ' : ''}d drain   r start again   s store away for 5 s   q quit`;
/** Where no person can press a key. */
const TOUR = `...k..r..s......${CAN_FREEZE ? 'f.....f..' : ''}d...r..`;

const beside = (file) => fileURLToPath(new URL(file, import.meta.url));

/** The command line of the installed package, or of the checkout that this folder is in. */
function commandLine() {
  const checkout = beside('../../package.json');
  const isCheckout =
    existsSync(checkout) && JSON.parse(readFileSync(checkout, 'utf8')).name === 'sojourn';
  const found = isCheckout
    ? checkout
    : createRequire(import.meta.url).resolve('sojourn/package.json');
  return join(dirname(found), 'dist/cli/main.js');
}

const began = performance.now();
const say = (text) =>
  console.log(`${((performance.now() - began) / 1_000).toFixed(1).padStart(7)} s  ${text}`);

/** One side: its instances, their front, and its clients. */
async function openSide(title, { args, affinity }) {
  const says = (text) => say(`${title.padEnd(8)} ${text}`);
  const clients = [];
  const continued = new Map();
  /** Sessions of one crash are taken over together, and make one line. */
  const continues = (name, hash) => {
    const client = clients.find((one) => one.hash === hash);
    if (client === undefined) return;
    if (continued.size === 0) setTimeout(tell, GATHER_MS);
    continued.set(name, [...(continued.get(name) ?? []), client.name].sort());
  };
  const tell = () => {
    const parts = [...continued].map(
      ([name, of]) => `${of.join(', ')} ${of.length === 1 ? 'continues' : 'continue'} at ${name}`,
    );
    continued.clear();
    says(parts.join('; '));
  };
  const instances = NAMES.map(
    (name) => new Instance(name, args, says, (hash) => continues(name, hash)),
  );
  await Promise.all(instances.map((instance) => instance.start()));
  const front = new Front(instances, { affinity });
  const url = await front.listen();
  const opening = Object.entries(CLIENTS).map(([name, era]) =>
    CountingClient.open(name, era, url, says),
  );
  clients.push(...(await Promise.all(opening)));
  return { title, instances, front, clients, says, isStopped: false };
}

async function closeSide({ clients, front, instances }) {
  await Promise.all(clients.map((client) => client.stop()));
  front.close();
  await Promise.all(instances.map((instance) => instance.close()));
}

const sum = ({ clients }, of) => clients.reduce((all, client) => all + Number(of(client)), 0);

/** Resolves with the exit code. */
async function demo({ script }) {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-demo-'));
  const file = join(folder, 'sessions.db');
  const flags = [
    '--retry-ms=500',
    '--workers=0',
    '--no-require-store',
    '--log-level=info',
    '--log-format=json',
  ];
  const cli = commandLine();
  const sojourn = (port) => [
    cli,
    'serve',
    beside('counter.mjs'),
    `--store=sqlite:${file}`,
    `--port=${port}`,
    ...flags,
  ];
  const sdk = (port) => [beside('map.mjs'), String(port)];
  const sides = await Promise.all([
    openSide('sojourn', { args: sojourn, affinity: false }),
    openSide('SDK', { args: sdk, affinity: true }),
  ]);
  const [ours, theirs] = sides;
  let next = 0;
  let isAway = false;

  /** Does it to the next instance that serves, on both sides. */
  const toNext = (action) => {
    for (let tries = 0; tries < NAMES.length; tries += 1) {
      const at = next++ % NAMES.length;
      if (ours.instances[at].state !== 'serving') continue;
      say(ours.instances[at][action]());
      if (theirs.instances[at].state === 'serving') theirs.instances[at][action]();
      return;
    }
    say('no instance serves: r starts them');
  };
  const each = (wanted, action) =>
    sides.flatMap(({ instances }) => instances.filter(({ state }) => state === wanted).map(action));

  async function takeStoreAway() {
    if (isAway) return;
    isAway = true;
    const database = new Database(file, { timeout: 1_000 });
    database.exec('BEGIN IMMEDIATE');
    say('the store does not answer: its file is locked');
    await delay(AWAY_MS);
    database.exec('ROLLBACK');
    database.close();
    isAway = false;
    say('the store answers again');
  }

  const actions = {
    k: () => toNext('kill'),
    d: () => toNext('drain'),
    f: () => {
      if (!CAN_FREEZE) return say('Windows cannot freeze');
      const thawed = each('frozen', (instance) => instance.thaw());
      if (thawed.length > 0) say(thawed[0]);
      else toNext('freeze');
    },
    r: () => Promise.all(each('ended', (instance) => instance.start())),
    s: takeStoreAway,
  };

  console.log(
    `\nThree instances on sojourn, three on the SDK's own transport, six clients on each.\n${KEYS}\n`,
  );
  for (const { clients } of sides) for (const client of clients) void client.run();
  const over = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => over.abort());
  // An instance that cannot start again ends the demo.
  let problem;
  let isClosing = false;
  const press = async (key) => actions[key]?.();
  const pressed = (key) => {
    press(key).catch((error) => {
      if (isClosing) return;
      problem = error;
      over.abort();
    });
  };
  if (script === undefined) {
    process.stdin.setRawMode(true);
    process.stdin
      .setEncoding('utf8')
      .on('data', (key) => ('q\u0003'.includes(key) ? over.abort() : pressed(key)));
    await new Promise((done) => over.signal.addEventListener('abort', done));
    process.stdin.setRawMode(false).pause();
  } else {
    for (const key of script) {
      if (over.signal.aborted || key === 'q') break;
      if (key === '.') await delay(1_000, undefined, { signal: over.signal }).catch(() => {});
      else pressed(key);
    }
  }
  isClosing = true;
  while (isAway) await delay(100);
  await Promise.all(sides.map(closeSide));
  rmSync(folder, { recursive: true, force: true });
  if (problem !== undefined) throw new Error(problem.message);
  return printTotals(sides);
}

function printTotals([ours, theirs]) {
  const rows = [
    ['calls answered', ({ number }) => number],
    ['calls that waited', ({ waited }) => waited],
    ['calls lost', ({ lost }) => lost],
    ['sessions lost', ({ hasEnded }) => hasEnded],
  ];
  console.log(`\n${' '.repeat(23)}on sojourn   on the SDK's own transport`);
  for (const [name, of] of rows)
    console.log(
      `   ${name.padEnd(17)}${String(sum(ours, of)).padStart(13)}${String(sum(theirs, of)).padStart(29)}`,
    );
  const longest = Math.max(...ours.clients.map(({ longestMs }) => longestMs)) / 1_000;
  if (longest > 0) console.log(`\n   The longest call on sojourn took ${longest.toFixed(1)} s.`);
  console.log('\n   Your server:  npx sojourn serve server.js --store sqlite:./sessions.db\n');
  return sum(ours, ({ lost, hasEnded }) => lost + Number(hasEnded)) === 0 ? 0 : 1;
}

const USAGE = `Usage: sojourn-demo [--script <keys>]   (a dot waits 1 s)\n${KEYS}`;

function wrong(message) {
  console.error(`sojourn-demo: ${message}\n${USAGE}`);
  process.exit(2);
}

function readFlags() {
  try {
    return parseArgs({
      options: { script: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    }).values;
  } catch ({ message }) {
    return wrong(message);
  }
}

const { script, help } = readFlags();
const unknown = script?.split('').find((key) => !'kfdrsq.'.includes(key));
if (unknown !== undefined) wrong(`--script: there is no key ${JSON.stringify(unknown)}`);
if (help) console.log(USAGE);
else process.exitCode = await demo({ script: script ?? (process.stdin.isTTY ? undefined : TOUR) });
