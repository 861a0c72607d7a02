/** `sojourn serve` on a listening socket that it was given and that outlives it. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { activatedSocket } from '../../src/cli/socket-activation.ts';
import { connectV1, connectV2, type OfficialClient } from '../clients/official.ts';
import { until } from '../kit/until.ts';
import { program, startCli } from './cli-process.ts';
import { heldSocket } from './held-socket.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { openClient } from '../kit/listening.ts';

const RESTARTS = 3;
/** Between two calls. Calls without a pause take the CPU with which a process starts. */
const CALL_PAUSE_MS = 5;

function deployment() {
  const folder = temporaryFolder();
  const socket = heldSocket();
  const start = (...flags: string[]) =>
    startCli(['serve', program('counting-server.mjs'), '--store', `sqlite:${join(folder, 's.db')}`, ...flags], {
      fd: socket.fd,
    });
  return { socket, start };
}

/** Calls one after the other, until told to stop; every answer must be the next number. */
function caller(client: OfficialClient) {
  let calls = 0;
  let stopped = false;
  const done = (async () => {
    while (!stopped) {
      expect(await client.say('count')).toMatch(new RegExp(`^${++calls} restored (true|false)$`));
      await delay(CALL_PAUSE_MS);
    }
  })();
  done.catch(() => {});
  return {
    get calls() {
      return calls;
    },
    stop: () => {
      stopped = true;
      return done;
    },
  };
}

describe.skipIf(process.platform === 'win32')('a socket that outlives the process (needs a Unix system)', () => {
  test('serves on it, whatever port says, and tells its address', async () => {
    const { socket, start } = deployment();
    const cli = start('--port', '1');
    expect(await cli.url()).toBe(`http://127.0.0.1:${socket.port}/mcp`);
    expect(cli.output.stderr).toContain('so --port and --host are ignored');
    const client = openClient(await cli.url());
    const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
    // The socket is bound to loopback: names of elsewhere are refused as they are without it.
    expect((await client.post(ping, { headers: { host: 'evil.example' } })).status).toBe(403);
    cli.kill('SIGTERM');
    expect(await cli.ended()).toMatchObject({ code: 0 });
  });

  test(`no call fails while the process restarts ${RESTARTS} times`, { timeout: 60_000 }, async () => {
    const { start } = deployment();
    let cli = start();
    const url = await cli.url();
    const clients = [await connectV1(url), await connectV2(url), await connectV1(url), await connectV2(url)];
    const callers = clients.map(caller);
    for (let restarts = 0; restarts < RESTARTS; restarts++) {
      const before = callers.map(({ calls }) => calls);
      await until(() => callers.every(({ calls }, n) => calls > (before[n] ?? 0) + 2), { what: 'calls to go on' });
      cli.kill('SIGTERM');
      expect(await cli.ended()).toMatchObject({ code: 0 });
      cli = start();
    }
    await cli.url();
    await Promise.all(callers.map(({ stop }) => stop()));
    for (const client of clients) expect(await client.say('count')).toContain('restored true');
  });
});

describe('the variables', () => {
  test.each([
    [{}, undefined],
    [{ LISTEN_PID: '7', LISTEN_FDS: '1' }, 3],
    [{ LISTEN_PID: '8', LISTEN_FDS: '1' }, undefined],
    [{ LISTEN_PID: '7', LISTEN_FDS: '0' }, undefined],
    [{ LISTEN_PID: '7' }, undefined],
    [{ LISTEN_FDS: '1' }, undefined],
  ])('%j for process 7: fd %s', (env, fd) => {
    expect(activatedSocket(env, 7)).toBe(fd);
  });

  test('more sockets than one are refused', () => {
    expect(() => activatedSocket({ LISTEN_PID: '7', LISTEN_FDS: '2' }, 7)).toThrow(
      'but sojourn serves one socket; give the socket unit one ListenStream',
    );
  });
});
