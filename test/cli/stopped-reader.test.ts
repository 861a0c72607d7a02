// @module-tag matrix
/** A reader of stderr that stops: a full pipe must not stop the process, and must not hold its end. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { jsonLogger } from '../../src/cli/log.ts';
import { until } from '../kit/until.ts';
import { dist, program } from './cli-process.ts';
import { temporaryFolder } from '../kit/temporary.ts';

/** A pipe that nothing reads, as `sojourn serve 2>&1 | program` makes one. */
function fullPipe() {
  const folder = temporaryFolder();
  const path = join(folder, 'pipe');
  execFileSync('mkfifo', [path]);
  const fd = openSync(path, 'r+');
  return { fd, path };
}

/** More lines of requests than a pipe of 64 KiB holds. */
const REQUESTS = 900;

test.each([1, 2])(
  'sojourn serve with %i workers serves on when its log is not read, and ends at SIGTERM',
  { timeout: 120_000 },
  async (workers) => {
    const pipe = fullPipe();
    const env = { PATH: process.env['PATH'], SOJOURN_ACCESS_LOG: 'true' };
    const store = workers > 1 ? ['--store', `sqlite:${pipe.path}.db`] : [];
    const args = [
      'serve',
      program('echo-server.mjs'),
      '--port',
      '0',
      '--workers',
      String(workers),
      ...store,
    ];
    const child = spawn(process.execPath, [`${dist}/cli/main.js`, ...args], {
      env,
      stdio: ['ignore', 'pipe', pipe.fd],
    });
    const ended = once(child, 'close');
    onTestFinished(async () => {
      child.kill('SIGKILL');
      await ended;
      closeSync(pipe.fd);
    });
    let banner = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (banner += text));
    const url = (): string | undefined => /^ {2}endpoint +(\S+)$/m.exec(banner)?.[1];
    await until(() => url() !== undefined, { what: 'the banner' });

    const statuses = new Set<number>();
    for (let n = 0; n < REQUESTS; n++) {
      const request = { jsonrpc: '2.0', id: n, method: 'ping' };
      const headers = {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      };
      const response = await fetch(url() ?? '', {
        method: 'POST',
        headers,
        body: JSON.stringify(request),
      });
      await response.arrayBuffer();
      statuses.add(response.status);
    }
    expect([...statuses]).toEqual([400]);
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);

    const log = new Socket({ fd: openSync(pipe.path, 'r+'), readable: true });
    onTestFinished(() => void log.destroy());
    let read = 0;
    log.on('data', (part) => (read += part.length));
    await until(() => read >= 60_000, { what: 'a full pipe' });
  },
);

test.skipIf(process.platform !== 'linux')(
  'output that could not be written is a failure of the command',
  () => {
    const full = openSync('/dev/full', 'w');
    const { status, stderr } = spawnSync(process.execPath, [`${dist}/cli/main.js`, '--help'], {
      stdio: ['ignore', full, 'pipe'],
    });
    closeSync(full);
    expect([status, String(stderr)]).toEqual([
      1,
      expect.stringMatching(/^Error: ENOSPC: .* write/m),
    ]);
  },
);

test('lines that do not fit are dropped, and the next line that fits says how many', () => {
  const taken: string[] = [];
  const stream = { writableLength: 0, write: (text: string) => taken.push(text) };
  const logger = jsonLogger({ level: 'info' }, stream);
  logger.info({}, 'first');
  stream.writableLength = 2_000_000;
  for (let n = 0; n < 5; n++) logger.info({}, 'dropped');
  stream.writableLength = 0;
  logger.error({}, 'last');
  logger.info({}, 'after');
  const lines = taken.map((text) => JSON.parse(text) as { msg: string; lines?: number });
  expect(lines.map(({ msg, lines: count }) => [msg, count])).toEqual([
    ['first', undefined],
    ['Log lines were dropped before this one: the reader of stderr does not take them', 5],
    ['last', undefined],
    ['after', undefined],
  ]);
});
