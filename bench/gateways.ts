/**
 * `npm run bench -- gateways`: `sojourn stdio` beside what people would take instead, each in the
 * version that the registry has, as its README starts it, in front of the same program.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { RawClient } from '../test/kit/raw-client.ts';
import { freePort } from '../test/kit/free-port.ts';
import { readProcesses } from '../src/base/processes.ts';
import { formatTable } from '../src/cli/prove/table.ts';

const PROGRAM = resolve(import.meta.dirname, 'servers/stdio-program.mjs');
const SOJOURN = resolve(import.meta.dirname, '../dist/cli/main.js');
const ECHO = resolve(import.meta.dirname, 'servers/served.mjs');
const FULL = {
  timed: 1_000,
  together: 4_000,
  atOnce: 16,
  cut: 200,
  stubborn: 20,
  settleMs: 10_000,
};
const SHORT = {
  timed: 100,
  together: 200,
  atOnce: 16,
  cut: 10,
  stubborn: 3,
  settleMs: 10_000,
};
type Sizes = typeof FULL;

/** What is started, for a port and the words of the program. */
interface Gateway {
  readonly name: string;
  command(port: number, program: readonly string[]): readonly string[];
  /** It runs no program: only calls are measured. */
  readonly isInProcess?: true;
}

const words = (text: string): readonly string[] => text.split(' ');

const VERSIONS = { supergateway: '4.0.0', 'mcp-proxy': '6.7.19', 'mcp-stdio': '0.45.2' };
const titled = (name: keyof typeof VERSIONS): string => `${name} ${VERSIONS[name]}`;

const sojourn = (name: string, ...flags: string[]): Gateway => ({
  name,
  command: (port, program) =>
    [process.execPath, SOJOURN, 'stdio', '--port', `${port}`, ...flags, '--'].concat(program),
});

/** `others`: the folder in which the others are installed. */
const gatewaysIn = (others: string): readonly Gateway[] => {
  const node = (file: string): readonly string[] => [
    process.execPath,
    join(others, 'node_modules', file),
  ];
  return [
    {
      name: 'sojourn serve, the tool in process',
      isInProcess: true,
      command: (port) => [
        process.execPath,
        SOJOURN,
        ...words(`serve ${ECHO} --port ${port} --store memory:`),
      ],
    },
    sojourn('sojourn, memory', '--store', 'memory:'),
    sojourn('sojourn, SQLite'),
    {
      name: titled('supergateway'),
      command: (port, program) => [
        ...node('supergateway/dist/index.js'),
        '--stdio',
        program.join(' '),
        ...words(`--port ${port} --outputTransport streamableHttp --stateful --logLevel none`),
      ],
    },
    {
      name: titled('mcp-proxy'),
      command: (port, program) => [
        ...node('mcp-proxy/dist/bin/mcp-proxy.mjs'),
        ...words(`--port ${port} --server stream --`),
        ...program,
      ],
    },
    {
      name: titled('mcp-stdio'),
      command: (port, program) => [
        join(others, 'venv/bin/mcp-stdio'),
        ...words(`serve --port ${port}`),
        ...program,
      ],
    },
  ];
};

/** Installs the others, each as its README says, without the packages' install scripts. */
function install(others: string): void {
  const run = (command: string, ...args: string[]): unknown =>
    execFileSync(command, args, { cwd: others, stdio: ['ignore', 'ignore', 'inherit'] });
  writeFileSync(join(others, 'package.json'), '{ "private": true }');
  const packages = (['supergateway', 'mcp-proxy'] as const).map(
    (name) => `${name}@${VERSIONS[name]}`,
  );
  run('npm', 'install', '--no-audit', '--no-fund', '--ignore-scripts', ...packages);
  run('python3', '-m', 'venv', 'venv');
  run('venv/bin/pip', 'install', '--quiet', `mcp-stdio==${VERSIONS['mcp-stdio']}`);
}

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
const CALL = { name: 'echo', arguments: { text: 'hello' } };

interface Started {
  readonly url: string;
  readonly folder: string;
  readonly mark: string;
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
  // It is in the command, by which `sojourn stdio` names its store.
  const mark = again?.mark ?? `${process.pid}.${(starts += 1)}`;
  const [program = '', ...args] = gateway.command(port, [
    process.execPath,
    PROGRAM,
    mark,
    ...words,
  ]);
  const leader = spawn(program, args, { cwd: folder, stdio: 'ignore', detached: true });
  const url = `http://127.0.0.1:${port}/mcp`;
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
    for (const pid of [-(leader.pid ?? 0), ...processes()]) kill(pid);
    await pause(200);
    rmSync(folder, { recursive: true, force: true });
  };
  return { url, folder, mark, leader, processes, end };
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
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
  for (const one of readProcesses()) {
    if (one.group !== leader.pid || programs.has(one.pid)) continue;
    cpu += one.cpuMs * 1_000;
    bytes += one.bytes;
  }
  return { cpu, bytes };
}

function memoryOf(pids: readonly number[]): number {
  return readProcesses().reduce((sum, { pid, bytes }) => sum + (pids.includes(pid) ? bytes : 0), 0);
}

const opened = async (url: string): Promise<RawClient> => {
  const client = new RawClient(url, { timeoutMs: 60_000 });
  await client.initialize({ protocolVersion: '2025-06-18' });
  return client;
};

async function calls(gateway: Gateway, sizes: Sizes) {
  const started = await start(gateway);
  try {
    const client = await opened(started.url);
    const callTogether = async (count: number): Promise<void> => {
      let sent = 0;
      const work = async (): Promise<void> => {
        while (sent++ < count) await client.call('tools/call', CALL);
      };
      await Promise.all(Array.from({ length: sizes.atOnce }, work));
    };
    // V8 compiles what runs often within the first some thousand calls.
    await callTogether(sizes.together);
    const before = usageOf(started);
    const begun = performance.now();
    await callTogether(sizes.together);
    const seconds = (performance.now() - begun) / 1_000;
    const after = usageOf(started);
    const times: number[] = [];
    for (let n = 0; n < sizes.timed; n += 1) {
      const begunAt = performance.now();
      await client.call('tools/call', CALL);
      times.push(performance.now() - begunAt);
    }
    client.close();
    return {
      p50: times.toSorted((a, b) => a - b)[times.length / 2]?.toFixed(2),
      perSecond: Math.round(sizes.together / seconds),
      cpu: Math.round((after.cpu - before.cpu) / sizes.together),
      megabytes: Math.round(after.bytes / 1e6),
    };
  } finally {
    await started.end();
  }
}

/** Children after sessions whose clients disappear, and their memory. */
async function cut(gateway: Gateway, sizes: Sizes): Promise<string> {
  const started = await start(gateway);
  try {
    for (let n = 0; n < sizes.cut; n += 1) (await opened(started.url)).close();
    await pause(3_000);
    const bytes = memoryOf(started.processes());
    return `${started.processes().length} (${(bytes / 1e9).toFixed(1)} GB)`;
  } finally {
    await started.end();
  }
}

/** Processes of 20 stubborn programs after SIGKILL of the gateway. */
async function killed(gateway: Gateway, sizes: Sizes): Promise<number> {
  const before = new Set(commands().map(({ pid }) => pid));
  const started = await start(gateway, ['stubborn']);
  try {
    for (let n = 0; n < sizes.stubborn; n += 1) (await opened(started.url)).close();
    const own = commands().filter(
      ({ pid, text }) => !before.has(pid) && text.includes('setInterval'),
    );
    process.kill(started.leader.pid ?? 0, 'SIGKILL');
    await pause(sizes.settleMs);
    const alive = new Set(commands().map(({ pid }) => pid));
    const left = [
      ...own.map(({ pid }) => pid).filter((pid) => alive.has(pid)),
      ...started.processes(),
    ];
    for (const pid of left) kill(pid);
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

export async function measureGateways(only: readonly string[], isShort: boolean): Promise<string> {
  const others = mkdtempSync(join(tmpdir(), 'gateways-'));
  const sizes = isShort ? SHORT : FULL;
  const rows: (readonly string[])[] = [];
  try {
    install(others);
    const gateways = gatewaysIn(others);
    // The client of the first one would be slower than those of the others: V8 has not compiled it.
    for (const gateway of gateways.slice(0, 1)) await calls(gateway, sizes);
    for (const gateway of gateways) {
      if (only.length > 0 && !only.some((one) => gateway.name.includes(one))) continue;
      const { p50, perSecond, cpu, megabytes } = await calls(gateway, sizes);
      const failures = gateway.isInProcess
        ? ['', '', '']
        : [await cut(gateway, sizes), `${await killed(gateway, sizes)}`, await restarted(gateway)];
      rows.push([gateway.name, `${p50}`, `${perSecond}`, `${cpu}`, `${megabytes}`, ...failures]);
    }
  } finally {
    rmSync(others, { recursive: true, force: true });
  }
  const after = [`children of ${sizes.cut} cut sessions`, 'processes after SIGKILL'];
  const head = ['', 'p50 ms', 'calls/s', 'CPU µs', 'MB', ...after, 'session after SIGKILL'];
  return formatTable([head, ...rows]);
}
