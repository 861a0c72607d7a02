/**
 * `npm run bench -- gateways`: `sojourn stdio` beside what people would take instead, each in the
 * version that the registry has, as its README starts it, in front of the same program.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { RawClient } from '../test/kit/raw-client.ts';
import { freePort } from '../test/kit/free-port.ts';
import { formatTable } from './table.ts';

const PROGRAM = resolve(import.meta.dirname, 'servers/stdio-program.mjs');
const SOJOURN = resolve(import.meta.dirname, '../dist/cli/main.js');
const CALLS = { first: 100, timed: 500, together: 4_000, atOnce: 16 };

/** `command`: what is started, for a port and the words of the program. */
interface Gateway {
  readonly name: string;
  readonly path: string;
  command(port: number, program: readonly string[]): readonly string[];
}

const shell = (words: readonly string[]): string => words.join(' ');

const sojourn = (name: string, ...flags: string[]): Gateway => ({
  name,
  path: '/mcp',
  command: (port, program) => [
    process.execPath,
    SOJOURN,
    'stdio',
    '--port',
    `${port}`,
    ...flags,
    '--',
    ...program,
  ],
});

const GATEWAYS: readonly Gateway[] = [
  sojourn('sojourn, memory', '--store', 'memory:'),
  sojourn('sojourn, SQLite'),
  {
    name: 'supergateway 4.0.0',
    path: '/mcp',
    command: (port, program) => [
      'npx',
      '-y',
      'supergateway@4.0.0',
      '--stdio',
      shell(program),
      '--port',
      `${port}`,
      '--outputTransport',
      'streamableHttp',
      '--stateful',
      '--logLevel',
      'none',
    ],
  },
  {
    name: 'mcp-proxy 6.7.19',
    path: '/mcp',
    command: (port, program) => [
      'npx',
      '-y',
      'mcp-proxy@6.7.19',
      '--port',
      `${port}`,
      '--server',
      'stream',
      '--',
      ...program,
    ],
  },
];

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
const CALL = { name: 'echo', arguments: { text: 'hello' } };

interface Started {
  readonly url: string;
  readonly folder: string;
  readonly leader: ChildProcess;
  /** Processes of the program. */
  processes(): readonly number[];
  end(): Promise<void>;
}

let starts = 0;

/** `again`: a start in the folder and on the port of an earlier one. */
async function start(
  gateway: Gateway,
  words: readonly string[] = [],
  again?: Started,
): Promise<Started> {
  const port = again === undefined ? await freePort() : Number(new URL(again.url).port);
  const folder = again?.folder ?? mkdtempSync(join(tmpdir(), 'gateway-'));
  const mark = `${process.pid}.${(starts += 1)}`;
  const [program = '', ...args] = gateway.command(port, [
    process.execPath,
    PROGRAM,
    mark,
    ...words,
  ]);
  const leader = spawn(program, args, { cwd: folder, stdio: 'ignore', detached: true });
  const url = `http://127.0.0.1:${port}${gateway.path}`;
  for (let tries = 0; ; tries += 1) {
    const answered = await fetch(url).then(
      () => true,
      () => false,
    );
    if (answered) break;
    if (tries > 300) throw new Error(`${gateway.name} does not listen`);
    await pause(100);
  }
  const running = `${process.execPath}\0${PROGRAM}\0${mark}\0`;
  const processes = (): readonly number[] =>
    commands()
      .filter(({ text }) => text.startsWith(running))
      .map(({ pid }) => pid);
  const end = async (): Promise<void> => {
    for (const pid of [-(leader.pid ?? 0), ...processes()])
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended.
      }
    await pause(200);
    rmSync(folder, { recursive: true, force: true });
  };
  return { url, folder, leader, processes, end };
}

function commands(): readonly { readonly pid: number; readonly text: string }[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      return [{ pid: Number(name), text: readFileSync(`/proc/${name}/cmdline`, 'latin1') }];
    } catch {
      return [];
    }
  });
}

/** CPU of the processes of a gateway without the program, in µs, and their memory. */
function usageOf({ leader, processes }: Started): { readonly cpu: number; readonly bytes: number } {
  const programs = new Set(processes());
  let [cpu, bytes] = [0, 0];
  for (const { pid } of commands()) {
    if (programs.has(pid)) continue;
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? [];
    if (Number(stat[2]) !== leader.pid) continue;
    cpu += (Number(stat[11]) + Number(stat[12])) * 10_000;
    bytes += Number(stat[21]) * 4_096;
  }
  return { cpu, bytes };
}

const opened = async (url: string): Promise<RawClient> => {
  const client = new RawClient(url, { timeoutMs: 60_000 });
  await client.initialize({ protocolVersion: '2025-06-18' });
  return client;
};

async function calls(gateway: Gateway) {
  const started = await start(gateway);
  try {
    const client = await opened(started.url);
    const times: number[] = [];
    for (let n = 0; n < CALLS.first + CALLS.timed; n += 1) {
      const begun = performance.now();
      await client.call('tools/call', CALL);
      if (n >= CALLS.first) times.push(performance.now() - begun);
    }
    const before = usageOf(started);
    const begun = performance.now();
    let sent = 0;
    const work = async (): Promise<void> => {
      while (sent++ < CALLS.together) await client.call('tools/call', CALL);
    };
    await Promise.all(Array.from({ length: CALLS.atOnce }, work));
    const seconds = (performance.now() - begun) / 1_000;
    const after = usageOf(started);
    client.close();
    return {
      p50: times.toSorted((a, b) => a - b)[times.length / 2]?.toFixed(2),
      perSecond: Math.round(CALLS.together / seconds),
      cpu: Math.round((after.cpu - before.cpu) / CALLS.together),
      megabytes: Math.round(after.bytes / 1e6),
    };
  } finally {
    await started.end();
  }
}

/** Children after 200 sessions whose clients disappear. */
async function cut(gateway: Gateway): Promise<number> {
  const started = await start(gateway);
  try {
    for (let n = 0; n < 200; n += 1) (await opened(started.url)).close();
    await pause(3_000);
    return started.processes().length;
  } finally {
    await started.end();
  }
}

/** Processes of 20 stubborn programs after SIGKILL of the gateway. */
async function killed(gateway: Gateway): Promise<number> {
  const started = await start(gateway, ['stubborn']);
  const before = new Set(commands().map(({ pid }) => pid));
  try {
    for (let n = 0; n < 20; n += 1) (await opened(started.url)).close();
    const own = commands().filter(
      ({ pid, text }) => !before.has(pid) && text.includes('setInterval'),
    );
    process.kill(-(started.leader.pid ?? 0), 'SIGKILL');
    await pause(4_000);
    const alive = new Set(commands().map(({ pid }) => pid));
    const left = [
      ...own.map(({ pid }) => pid).filter((pid) => alive.has(pid)),
      ...started.processes(),
    ];
    for (const pid of left) process.kill(pid, 'SIGKILL');
    return left.length;
  } finally {
    await started.end();
  }
}

/** What a session gets after `kill -9` and a new start. */
async function restarted(gateway: Gateway): Promise<string> {
  const first = await start(gateway);
  const client = await opened(first.url);
  process.kill(-(first.leader.pid ?? 0), 'SIGKILL');
  await pause(500);
  const second = await start(gateway, [], first);
  try {
    const { response, message } = await client.call('tools/call', CALL);
    return message.result === undefined ? String(response.status) : 'goes on';
  } catch (error) {
    return (error as Error).message.slice(0, 20);
  } finally {
    client.close();
    await second.end();
    await first.end();
  }
}

export async function measureGateways(only: readonly string[]): Promise<string> {
  const wanted = GATEWAYS.filter(
    ({ name }) => only.length === 0 || only.some((one) => name.includes(one)),
  );
  const rows: (readonly string[])[] = [];
  for (const gateway of wanted) {
    const { p50, perSecond, cpu, megabytes } = await calls(gateway);
    const [after, left, session] = [
      await cut(gateway),
      await killed(gateway),
      await restarted(gateway),
    ];
    rows.push([
      gateway.name,
      `${p50}`,
      `${perSecond}`,
      `${cpu}`,
      `${megabytes}`,
      `${after}`,
      `${left}`,
      session,
    ]);
  }
  const head = ['', 'p50 ms', 'calls/s', 'CPU µs', 'MB', '200 cut', 'SIGKILL', 'session'];
  return formatTable([head, ...rows]);
}
