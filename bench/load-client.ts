import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Load } from './requests.ts';

export interface LoadOptions {
  readonly connections: number;
  readonly durationS: number;
}

interface LoadResult {
  readonly requests: number;
  readonly durationUs: number;
  /** Answers that were not 2xx, and connections that broke. */
  readonly failures: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly clientCpuUs: number;
}

export interface LoadClient {
  readonly description: string;
  run(load: Load, options: LoadOptions): Promise<LoadResult>;
}

/** Distinct ids in flight: a session refuses a second request with a running id. */
const preparedBodies = 1024;

/** wrk if it is installed or can be installed, else autocannon, the slower client. */
export function findLoadClient(): LoadClient {
  if (!hasWrk() && process.getuid?.() === 0) {
    spawnSync('apt-get', ['install', '-y', '-qq', 'wrk'], { stdio: 'ignore' });
  }
  return hasWrk() ? wrk() : autocannon();
}

function hasWrk(): boolean {
  return spawnSync('wrk', ['-v'], { stdio: 'ignore' }).error === undefined;
}

function wrk(): LoadClient {
  // `wrk -v` prints its version and exits with 1.
  const version = spawnSync('wrk', ['-v'], { encoding: 'utf8' }).stdout.split(' ')[1] ?? '';
  return {
    description: `wrk ${version}, one thread`,
    async run(load, { connections, durationS }) {
      const folder = mkdtempSync(join(tmpdir(), 'bench-'));
      try {
        const script = join(folder, 'load.lua');
        const ids = join(folder, 'sessions');
        if (load.sessionIds !== undefined) writeFileSync(ids, load.sessionIds.join('\n'));
        writeFileSync(script, wrkScript(load, ids));
        const duration = `${String(Math.max(1, Math.round(durationS)))}s`;
        const flags = ['-t1', `-c${String(connections)}`, `-d${duration}`, '--timeout', '20s'];
        const url = `http://127.0.0.1:${String(load.port)}${load.path}`;
        const { stdout } = await promisify(execFile)('wrk', [...flags, '-s', script, url]);
        const line = stdout.split('\n').find((text) => text.startsWith('RESULT'));
        if (line === undefined) throw new Error(`wrk printed no result:\n${stdout}`);
        return JSON.parse(line.slice('RESULT'.length)) as LoadResult;
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  };
}

/** Requests are built once, in `init`: with a script that builds a string per request, wrk itself is the limit. */
function wrkScript(load: Load, ids: string): string {
  const lua = (text: string): string => JSON.stringify(text);
  const headers = Object.entries(load.headers).map(([name, value]) => `headers[${lua(name)}] = ${lua(value)}`);
  const count = load.sessionIds?.length ?? preparedBodies;
  // A request of each session, where there are several. Ids of requests in flight are distinct.
  const each = `
  local sessions = {}
  for id in io.lines(${lua(ids)}) do sessions[#sessions + 1] = id end
  local function prepare(n)
    headers["mcp-session-id"] = sessions[n]
    return n
  end`;
  const same = 'local function prepare(n) return n end';
  return `
local prepared, count, at = {}, ${String(count)}, 0
function init(args)
  local headers = {}
  ${headers.join('\n  ')}
  ${load.sessionIds === undefined ? same : each.trim()}
  for n = 1, count do
    local id = prepare(n)
    prepared[n] = wrk.format("POST", ${lua(load.path)}, headers, ${lua(load.before)} .. id .. ${lua(load.after)})
  end
end
function request()
  at = at % count + 1
  return prepared[at]
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT{"requests":%d,"durationUs":%d,"failures":%d,"p50Us":%d,"p99Us":%d,"clientCpuUs":%d}\\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99), os.clock() * 1000000))
end
`;
}

function autocannon(): LoadClient {
  const script = fileURLToPath(new URL('autocannon-client.mjs', import.meta.url));
  const { version } = JSON.parse(
    execFileSync(process.execPath, ['-p', 'JSON.stringify({ version: require("autocannon/package.json").version })'], {
      encoding: 'utf8',
      cwd: fileURLToPath(new URL('.', import.meta.url)),
    }),
  ) as { version: string };
  return {
    description: `autocannon ${version} (wrk is missing: this client is slower than a bare server, so shares of bare come out too high)`,
    async run(load, options) {
      if (load.sessionIds !== undefined) throw new Error('calls over several sessions need wrk: apt-get install wrk');
      const plan = JSON.stringify({ load, ...options, preparedBodies });
      const { stdout } = await promisify(execFile)(process.execPath, [script, plan]);
      return JSON.parse(stdout) as LoadResult;
    },
  };
}
