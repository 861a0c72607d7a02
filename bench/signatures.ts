/**
 * What signing costs: CPU of one message signed and verified, by its size, and the share of a relayed call. Both are
 * user and system time of this process. A relayed call passes two instances of the build on one Redis, without sockets
 * of HTTP.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { McpEndpoint, McpEndpointOptions } from '../src/index.ts';
import type { SignedMessages } from '../src/cluster/signed-messages.ts';
import type { InstanceMessage, InstanceStore, Store } from '../src/stores/store.ts';
import type { TimeProvider } from '../src/types.ts';
import { startStore } from './store-servers.ts';
import { summarize, type Summary } from './statistics.ts';
import { formatTable } from './table.ts';

export interface SignaturesOptions {
  readonly rounds: number;
  /** Relayed calls of each round. */
  readonly operations: number;
}

export interface SignaturesReport {
  readonly node: string;
  readonly messages: ReadonlyArray<{ readonly bytes: number; readonly plainUs: Summary; readonly addedUs: Summary }>;
  readonly relay: readonly RelayRow[];
}

interface RelayRow {
  /** Calls that run at the same time. */
  readonly together: number;
  /** CPU of one relayed call, with its signatures. */
  readonly callUs: Summary;
  /** Messages of one call, and their bytes. */
  readonly messages: number;
  readonly bytes: number;
  /** CPU that signing and verifying these messages adds. */
  readonly addedUs: Summary;
}

interface Build {
  readonly createMcpEndpoint: (factory: unknown, options: McpEndpointOptions) => McpEndpoint;
  readonly SignedMessages: typeof SignedMessages;
  readonly redis: (url: string) => Store;
  readonly systemTime: Required<TimeProvider>;
}

const SIZES = [300, 4_096, 1_048_576];
/** Bytes that one measurement of messages of a size sends. */
const BYTES_PER_ROUND = 32 * 2 ** 20;
const MOST_MESSAGES = 20_000;
const KEY = 'a key of 32 bytes for a benchmark';
const LEASE = { state: 'serving', version: '0.2.0', stamp: '1' } as const;

async function loadBuild(): Promise<Build> {
  const dist = process.env['BENCH_DIST'] ?? join(import.meta.dirname, '../dist');
  const files = ['index', 'cluster/signed-messages', 'stores/redis/index', 'base/system'];
  const modules = await Promise.all(files.map((file) => import(pathToFileURL(join(dist, `${file}.js`)).href)));
  return Object.assign({}, ...modules) as Build;
}

/** User and system time of this process since `from`, in µs. */
function cpuUs(from?: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(from);
  return user + system;
}

/** Mailboxes that pass messages on as JSON, as stores do. */
function mailboxes(): InstanceStore {
  const receivers = new Map<string, (from: string, message: InstanceMessage) => void>();
  return {
    announce: ({ id }, receive) => void receivers.set(id, receive),
    renew: () => true,
    read: () => undefined,
    list: () => [],
    send(from, to, message) {
      receivers.get(to)?.(from, JSON.parse(JSON.stringify(message)) as InstanceMessage);
      return 'sent';
    },
    bury: () => true,
    leave: (id) => void receivers.delete(id),
    publish: () => undefined,
  };
}

/** CPU of one message on the way from `a` to `b`. */
async function messageUs(directory: InstanceStore, messages: readonly InstanceMessage[]): Promise<number> {
  let received = 0;
  for (const id of ['a', 'b']) await directory.announce({ ...LEASE, id }, () => received++);
  const pass = (): void => {
    for (const message of messages) void directory.send('a', 'b', message);
  };
  pass();
  const start = process.cpuUsage();
  pass();
  const us = cpuUs(start) / messages.length;
  if (received !== 2 * messages.length) throw new Error(`${received} of ${2 * messages.length} messages arrived`);
  return us;
}

async function costOf({ SignedMessages: Signed, systemTime: timeProvider }: Build, all: InstanceMessage[]) {
  const store = { instances: mailboxes(), secret: () => Promise.resolve(new Uint8Array(32)) };
  const logger = { debug() {}, info() {}, warn() {}, error: console.error, fatal() {} };
  const plain = await messageUs(mailboxes(), all);
  const signed = new Signed(store, { name: 'bench', instanceKeys: [KEY], leaseMs: 30_000, timeProvider, logger });
  return { plain, added: (await messageUs(signed, all)) - plain };
}

async function measureMessages(build: Build, bytes: number, rounds: number) {
  const count = Math.min(MOST_MESSAGES, Math.ceil(BYTES_PER_ROUND / bytes));
  const empty = JSON.stringify({ kind: 'link', n: 1, body: '' }).length;
  const message = { kind: 'link', n: 1, body: 'x'.repeat(bytes - empty) };
  const all = Array.from({ length: count }, () => message);
  const costs = [];
  for (let round = 0; round <= rounds; round++) costs.push(await costOf(build, all));
  const measured = costs.slice(1); // the first one warms up
  const [plainUs, addedUs] = [measured.map(({ plain }) => plain), measured.map(({ added }) => added)].map(summarize);
  return { bytes, plainUs: plainUs as Summary, addedUs: addedUs as Summary };
}

/** The store; each message that is sent through it is also passed to `sent`, without its signature. */
function watched(store: Store, sent: (message: InstanceMessage) => void): Store {
  const { kind, durable, inProcess } = store;
  return {
    kind,
    durable,
    inProcess,
    async open(options) {
      const view = await store.open(options);
      const { instances: of } = view;
      const instances: InstanceStore = {
        announce: (lease, receive, lost) => of.announce(lease, receive, lost),
        renew: (id, state) => of.renew(id, state),
        read: (id) => of.read(id),
        list: () => of.list(),
        send(from, to, message) {
          const { mac: _mac, ...rest } = message;
          sent(rest);
          return of.send(from, to, message);
        },
        bury: (lease) => of.bury(lease),
        leave: (id) => of.leave(id),
        publish: (from, message) => of.publish(from, message),
      };
      return { ...view, instances };
    },
  };
}

const HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
const VERSION = '2025-11-25';

async function post({ fetch }: McpEndpoint, message: object, session?: string): Promise<Response> {
  const own = session === undefined ? {} : { 'mcp-session-id': session, 'mcp-protocol-version': VERSION };
  const body = JSON.stringify({ jsonrpc: '2.0', ...message });
  return fetch(new Request('http://127.0.0.1/mcp', { method: 'POST', headers: { ...HEADERS, ...own }, body }));
}

async function openSession(endpoint: McpEndpoint): Promise<string> {
  const params = { protocolVersion: VERSION, capabilities: {}, clientInfo: { name: 'bench', version: '1' } };
  const opened = await post(endpoint, { id: 0, method: 'initialize', params });
  const session = opened.headers.get('mcp-session-id');
  await opened.text();
  if (session === null) throw new Error(`no session: ${opened.status}`);
  await (await post(endpoint, { method: 'notifications/initialized' }, session)).text();
  return session;
}

const TOGETHER = [1, 16];

async function measureRelay(build: Build, { rounds, operations }: SignaturesOptions): Promise<RelayRow[]> {
  const server = await startStore('redis');
  let sent: InstanceMessage[] = [];
  const store = (): Store => watched(build.redis(server.url), (message) => sent.push(message));
  const { buildEchoServer } = (await import(new URL('servers/echo-server.mjs', import.meta.url).href)) as {
    buildEchoServer: unknown;
  };
  const [owner, relaying] = [store(), store()].map((one) => build.createMcpEndpoint(buildEchoServer, { store: one }));
  try {
    if (owner === undefined || relaying === undefined) throw new Error('two instances are needed');
    const session = await openSession(owner);
    let id = 0;
    const call = async (): Promise<void> => {
      const params = { name: 'echo', arguments: { text: 'hello' } };
      const answer = await (await post(relaying, { id: ++id, method: 'tools/call', params }, session)).text();
      if (!answer.includes('hello')) throw new Error(`no result: ${answer}`);
    };
    const rows: RelayRow[] = [];
    for (const together of TOGETHER) {
      const calls = async (): Promise<number> => {
        sent = [];
        const start = process.cpuUsage();
        const caller = async (): Promise<void> => {
          for (let n = 0; n < operations / together; n++) await call();
        };
        await Promise.all(Array.from({ length: together }, caller));
        return cpuUs(start) / operations;
      };
      await calls();
      const [callUs, addedUs]: [number[], number[]] = [[], []];
      for (let round = 0; round < rounds; round++) {
        callUs.push(await calls());
        addedUs.push(((await costOf(build, sent)).added * sent.length) / operations);
      }
      const bytes = sent.reduce((sum, message) => sum + Buffer.byteLength(JSON.stringify(message)), 0) / operations;
      const messages = sent.length / operations;
      rows.push({ together, callUs: summarize(callUs), messages, bytes, addedUs: summarize(addedUs) });
    }
    return rows;
  } finally {
    await Promise.all([owner?.close(), relaying?.close()]);
    await server.close();
  }
}

export async function measureSignatures(
  options: SignaturesOptions,
  progress: (text: string) => void,
): Promise<SignaturesReport> {
  const build = await loadBuild();
  const messages = [];
  for (const bytes of SIZES) {
    progress(`messages of ${bytes} bytes`);
    messages.push(await measureMessages(build, bytes, options.rounds));
  }
  progress('relayed calls');
  return { node: process.version, messages, relay: await measureRelay(build, options) };
}

const us = ({ median, least, most }: Summary): string =>
  `${median.toFixed(1)} (${least.toFixed(1)} to ${most.toFixed(1)})`;

export function formatSignatures({ node, messages, relay }: SignaturesReport): string {
  const rows = messages.map(({ bytes, plainUs, addedUs }) => [`${bytes} B`, us(addedUs), us(plainUs)]);
  const relayRows = relay.map(({ together, callUs, addedUs, messages: count, bytes }) => [
    `${together} at once`,
    us(callUs),
    us(addedUs),
    `${((100 * addedUs.median) / callUs.median).toFixed(1)} %`,
    count.toFixed(1),
    bytes.toFixed(0),
  ]);
  return [
    `signatures, Node ${node}: CPU in µs, median (least to most)`,
    formatTable([['one message', 'signed and verified', 'written and parsed as JSON'], ...rows]),
    '',
    formatTable([['relayed calls', 'one call', 'of which signatures', 'share', 'messages', 'bytes'], ...relayRows]),
  ].join('\n');
}
