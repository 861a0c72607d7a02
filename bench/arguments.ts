import { parseArgs } from 'node:util';
import { isProgramId, type ProgramId, programIds } from './programs.ts';
import { isStoreKind, storeKinds, type StoreKind } from './store-servers.ts';

const COMMANDS = [
  'load',
  'ratio',
  'sessions',
  'startup',
  'workers',
  'deaths',
  'fail-over',
  'growth',
  'public',
  'streams',
  'big',
  'stores',
  'signatures',
  'tasks',
  'charts',
  'help',
] as const;
type Command = (typeof COMMANDS)[number];

export interface BenchArguments {
  readonly command: Command;
  readonly rounds: number;
  readonly durationS: number;
  readonly nodes: readonly string[];
  readonly only: readonly string[];
  readonly sides: readonly string[];
  /** Servers of `public` in other languages. */
  readonly servers: readonly ProgramId[];
  /** The folder of another build. */
  readonly baseline: string | undefined;
  readonly connections: number;
  readonly foreignPercent: number;
  readonly patienceS: number;
  readonly nice: number;
  /** Operations of each kind on the stores themselves; relayed calls of `signatures`. */
  readonly operations: number;
  /** SQLite's setting. */
  readonly synchronous: 'normal' | 'full';
  /** Sessions of the sides that hibernate them, and idle sessions on the stores themselves. */
  readonly hibernated: number;
  /** Live sessions of `growth`. */
  readonly sessions: readonly number[];
  /** Open GET streams of `streams`. */
  readonly streams: number;
  /** Parked tasks of `tasks`. */
  readonly tasks: number;
  /** The stores of the workers. */
  readonly stores: readonly StoreKind[];
  readonly json: boolean;
  readonly keep: boolean;
}

export const usage = `npm run bench -- [COMMAND] [options]

  load                  what a call costs, side by side: the works of --only (what runs without a command)
  ratio                 a short run against the official SDK beside bench/recorded.json; fails under half of what it says
  sessions              heap per live idle session
  startup               from the start of a process to its server's first answer
  workers               sojourn serve with two workers beside one, and what the wrong worker costs
  deaths                how long clients wait when the owner of their sessions is killed or frozen
  fail-over             official clients behind nginx: one of two hosts killed, nginx away; with and without fleetRetryMs;
                        --only killed, front-2, front-4, front-6
  growth                calls over few and many live sessions; servers of 1 to 1,000 tools; --only sessions, tools
  public                a published comparison's work: three tools with Redis and HTTP behind them, a session per call;
                        then resident memory of 10,000 idle sessions
  streams               memory of open GET streams, a message to all of them, their keep-alives
  big                   4 MiB bodies and results beside small calls, 10,000 progress notifications, 64 calls at once
  stores                what the operations of --store cost without HTTP, and bytes per session and call; --only records,
                        lives, log, mailbox, sizes
  signatures            what signing costs a message between instances, and its share of a relayed call on Redis
  tasks                 creating a task, asking for one, calls that are none, memory of parked tasks, and calls beside a
                        take-over, on --store; --only times, calls, parked, deaths

  charts                docs/images, from what --keep has kept

  --rounds N            measured rounds per side, after one warm-up round (5; startup, tasks: 15, ratio: 3)
  --duration S          seconds of load per side and round (3; ratio: 2)
  --node 20|22|24|PATH  Node.js that runs the servers; a list runs one after the other (the running one)
  --only WORK           stateful, log, durable, durable-redis, durable-postgres, initialize, modern, auth; only
                        when named: initialize-100, initialize-1000, modern-100, lists-100, lists-1000, watched, watched-modern,
                        dashboard, dashboard-modern, dashboard-watched, others; a list
                        of workers: burn, cpu, marker, relay, spread, spread-cpu, spread-store
  --store STORE         sqlite, redis, postgres: what workers and instances share; a list (sqlite)
  --sides SIDE          ours, official, bare, no-log …; a list
  --servers LANGUAGE    go, rust: also servers of public on the SDKs of these languages, built in release mode; a list
  --baseline DIST       another build of this package as a further side, beside ours; below this folder, so that both
                        import the same SDK
  --connections N       keep-alive connections of the load client (16)
  --foreign PERCENT     a round in which other processes took more of the machine is run again, twice at most (5)
  --patience S          seconds that the whole run may wait for a quiet machine (60)
  --nice=N              niceness of servers and load client; root may go below 0 on a machine that others use (0)
  --hibernated N        hibernated sessions, of the sides that have them, and idle ones of stores (100000)
  --operations N        of each kind, of stores and tasks; relayed calls of signatures (5000)
  --synchronous MODE    normal or full, of stores on SQLite (normal)
  --sessions N          live sessions of growth; a list (1,1000,10000,100000)
  --streams N           open GET streams (10000)
  --tasks N             parked tasks; a tenth as many lose their instance (100000)
  --json                print JSON instead of tables
  --keep                keep what charts are drawn from
`;

const list = (values: readonly string[] | undefined): string[] =>
  (values ?? []).flatMap((value) => value.split(',')).filter((value) => value !== '');

function positive(name: string, value: string): number {
  const number = Number(value);
  if (!(number > 0)) throw new Error(`--${name} takes a number above 0, got ${value}`);
  return number;
}

/** Rounds of commands that do not have 5. */
const ROUNDS: Partial<Record<BenchArguments['command'], string>> = { startup: '15', ratio: '3', tasks: '15' };

const isCommand = (text: string): text is Command => (COMMANDS as readonly string[]).includes(text) && text !== 'help';

export function parseArguments(argv: readonly string[]): BenchArguments {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      rounds: { type: 'string' },
      duration: { type: 'string' },
      node: { type: 'string', multiple: true },
      only: { type: 'string', multiple: true },
      sides: { type: 'string', multiple: true },
      servers: { type: 'string', multiple: true },
      baseline: { type: 'string' },
      connections: { type: 'string', default: '16' },
      foreign: { type: 'string', default: '5' },
      patience: { type: 'string', default: '60' },
      nice: { type: 'string', default: '0' },
      hibernated: { type: 'string', default: '100000' },
      operations: { type: 'string', default: '5000' },
      synchronous: { type: 'string', default: 'normal' },
      sessions: { type: 'string', default: '1,1000,10000,100000' },
      streams: { type: 'string', default: '10000' },
      tasks: { type: 'string', default: '100000' },
      store: { type: 'string', multiple: true },
      json: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const [command = 'load', ...rest] = positionals;
  if (!isCommand(command) || rest.length > 0) throw new Error(`unknown command: ${positionals.join(' ')}`);
  const nodes = list(values.node);
  const stores = list(values.store ?? ['sqlite']);
  const stranger = stores.find((store) => !isStoreKind(store));
  if (stranger !== undefined) throw new Error(`--store takes ${storeKinds.join(', ')}, got ${stranger}`);
  const servers = list(values.servers);
  const unknown = servers.find((server) => !isProgramId(server));
  if (unknown !== undefined) throw new Error(`--servers takes ${programIds.join(', ')}, got ${unknown}`);
  if (!['normal', 'full'].includes(values.synchronous))
    throw new Error(`--synchronous takes normal or full, got ${values.synchronous}`);
  return {
    command: values.help ? 'help' : command,
    rounds: Math.ceil(positive('rounds', values.rounds ?? ROUNDS[command] ?? '5')),
    durationS: positive('duration', values.duration ?? (command === 'ratio' ? '2' : '3')),
    nodes: nodes.length > 0 ? nodes : [process.execPath],
    only: list(values.only),
    sides: list(values.sides),
    servers: servers.filter(isProgramId),
    baseline: values.baseline,
    connections: Math.ceil(positive('connections', values.connections)),
    foreignPercent: positive('foreign', values.foreign),
    patienceS: positive('patience', values.patience),
    nice: Number(values.nice),
    hibernated: Math.ceil(positive('hibernated', values.hibernated)),
    operations: Math.ceil(positive('operations', values.operations)),
    synchronous: values.synchronous === 'full' ? 'full' : 'normal',
    sessions: list([values.sessions]).map((count) => Math.ceil(positive('sessions', count))),
    streams: Math.ceil(positive('streams', values.streams)),
    tasks: Math.ceil(positive('tasks', values.tasks)),
    stores: stores.filter(isStoreKind),
    json: values.json,
    keep: values.keep,
  };
}
