import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { CURVES, measureCurve } from './curves.ts';
import { measureGateways } from './gateways.ts';
import { measureKills } from './kills/main.ts';
import { compareRecorded } from './ratio.ts';
import { formatWork, ratiosOf } from './report.ts';
import { type RoundsOptions, runRounds } from './rounds.ts';
import type { Node } from './server-process.ts';
import { measureSessions, sidesOf } from './sessions.ts';
import { measureStartup } from './startup.ts';
import { measureStores } from './stores.ts';
import { measureWorkers } from './workers.ts';
import { everySide, selectWorks, type StoreKind, withItself } from './works.ts';

const USAGE = `npm run bench -- [COMMAND] [options]

  load (without a command)  what a call costs, side by side: the works of --only
  ratio                     a short run against the official SDK beside bench/recorded.json; fails under half of it
  startup                   from the start of a process to its server's first answer
  gateways                  sojourn stdio beside supergateway, mcp-proxy and mcp-stdio, in front of one program;
                            --only sojourn, supergateway, mcp-proxy, mcp-stdio; --short for a first look
  kills                     what a deploy, kills and an outage cost the clients of sojourn and of what people take
                            instead, in some 25 minutes; --only memory, sqlite, redis, postgres, stdio, sdk2-stateful,
                            sdk1-map, fastmcp, supergateway
  workers                   two processes on one SQLite file beside one, with 16 and 64 calls at once
  stores                    operations of a store without HTTP, in this process

  --only WORK      initialize, stateful, durable, durable-redis, durable-postgres, modern, lists, express, stdio, sessions;
                   a list. Of stores: sqlite, redis, postgres
  --sides SIDE     ours, one, official, floor, bare, baseline, baseline-one, dashboard, looked-at; of sessions also
                   no-log, hibernated; a list
  --baseline DIST  another build of this package beside ours, in the same rounds; below this folder, so that both import
                   the same SDK. Without --sides these two alone
  --rounds N       of each side (3; startup, workers: 15)
  --slices N       of 100 ms, of each side in a round (15)
  --connections N  calls at once (16); a list
  --kills N        of each side (10)
  --record         the results of kills into bench/recorded-kills.json, and from there into README and docs/kills.md
  --node PATH      the Node.js that runs the servers
  --cpu-prof DIR   CPU profiles of the servers
  --json           JSON lines instead of tables, of load
`;

const list = (given: readonly string[] = []): string[] => given.flatMap((text) => text.split(','));

function positive(name: string, text: string): number {
  const number = Number(text);
  if (!(number > 0)) throw new Error(`--${name} takes a number above 0, got ${text}`);
  return number;
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${text}`);
}

function parse() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      only: { type: 'string', multiple: true },
      sides: { type: 'string', multiple: true },
      store: { type: 'string' },
      baseline: { type: 'string' },
      rounds: { type: 'string' },
      slices: { type: 'string', default: '15' },
      connections: { type: 'string', multiple: true, default: ['16'] },
      kills: { type: 'string', default: '10' },
      record: { type: 'boolean', default: false },
      node: { type: 'string', default: process.execPath },
      'cpu-prof': { type: 'string' },
      json: { type: 'boolean', default: false },
      short: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const [command = 'load'] = positionals;
  const profile = values['cpu-prof'];
  const node: Node = {
    path: values.node,
    flags: profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`],
  };
  const rounds = values.rounds ?? (command === 'startup' || command === 'workers' ? '15' : '3');
  const options: RoundsOptions = {
    node,
    rounds: Math.ceil(positive('rounds', rounds)),
    slices: Math.ceil(positive('slices', values.slices)),
    progress,
  };
  const { baseline, store } = values;
  if (store !== undefined && !['sqlite', 'redis', 'postgres'].includes(store))
    throw new Error(`--store ${store}: the stores are sqlite, redis, postgres`);
  if (baseline !== undefined && !existsSync(resolve(baseline, 'index.js')))
    throw new Error(
      `--baseline ${baseline}: the folder has no index.js. It is the dist of another build`,
    );
  const connections = list(values.connections).map((text) =>
    Math.ceil(positive('connections', text)),
  );
  return {
    ...values,
    command,
    options,
    connections,
    only: list(values.only),
    sides: list(values.sides),
  };
}

async function runWorks({
  only: named,
  store,
  sides,
  baseline,
  json,
  connections,
  options,
}: ReturnType<typeof parse>): Promise<void> {
  const curves = named.filter((id) => id in CURVES);
  for (const id of curves)
    console.log(await measureCurve(id, options.node, store as StoreKind | undefined, baseline));
  const only = named.filter((id) => !curves.includes(id));
  if (curves.length > 0 && only.length === 0) return;
  const known = [...everySide(baseline), ...sidesOf(baseline)];
  const unknown = sides.filter((side) => !known.some(({ id }) => id === side));
  if (unknown.length > 0)
    throw new Error(
      `--sides ${unknown.join(', ')}: the sides are ${[...new Set(known.map(({ id }) => id))].join(', ')}`,
    );
  const works =
    only.length > 0 && only.every((id) => id === 'sessions')
      ? []
      : only.filter((id) => id !== 'sessions');
  for (const work of only.includes('sessions') && works.length === 0
    ? []
    : selectWorks(works, sides, baseline)) {
    for (const atOnce of connections) {
      const results = await runRounds(withItself(work), atOnce, options);
      progress('');
      if (json)
        console.log(
          JSON.stringify({
            work: work.id,
            connections: atOnce,
            results,
            ...ratiosOf(results),
          }),
        );
      else console.log(formatWork(work, atOnce, results));
    }
  }
  if (only.length === 0 || only.includes('sessions'))
    console.log(await measureSessions(options.node, sides, baseline));
}

async function main(): Promise<void> {
  const given = parse();
  const { command, options, connections, only, baseline, json, help, short } = given;
  const version = execFileSync(options.node.path, ['--version'], { encoding: 'utf8' }).trim();
  const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, ${process.platform} ${release()}, Node ${version}`;
  const hasRounds = command !== 'kills' && command !== 'gateways';
  const rounds = hasRounds ? `${options.rounds} rounds of ${options.slices} slices, ` : '';
  const load = `${rounds}load average ${loadavg()[0]?.toFixed(1)}`;
  if (help) return console.log(USAGE);
  if (!json) console.log(`${machine}\n${load}\n`);
  switch (command) {
    case 'load':
      return runWorks(given);
    case 'ratio':
      if (
        !(await compareRecorded(
          connections[0] ?? 16,
          options,
          version.slice(1).split('.')[0] ?? '',
        ))
      )
        process.exitCode = 1;
      return;
    case 'startup':
      return console.log(await measureStartup(options.node, options.rounds, progress, baseline));
    case 'workers':
      return console.log(await measureWorkers(options.node, options.rounds));
    case 'gateways':
      return console.log(await measureGateways(only, short));
    case 'kills': {
      const kills = Math.ceil(positive('kills', given.kills));
      return console.log(await measureKills({ only, kills, machine, isRecorded: given.record }));
    }
    case 'stores':
      return measureStores(only);
    default:
      throw new Error(`${command} is no command\n\n${USAGE}`);
  }
}

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
