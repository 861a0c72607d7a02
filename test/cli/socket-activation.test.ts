/** `sojourn serve` on a listening socket that it was given and that outlives it. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { activatedSocket } from '../../src/cli/held-socket.ts';
import { connectV1, connectV2 } from '../clients/official.ts';
import { answersGoOn, keepCalling } from '../kit/calling.ts';
import { program, startCli } from './cli-process.ts';
import { heldSocket } from '../kit/held-socket.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { openClient } from '../kit/listening.ts';

const RESTARTS = 3;

function deployment() {
  const folder = temporaryFolder();
  const socket = heldSocket();
  const start = (...flags: string[]) =>
    startCli(
      [
        'serve',
        program('durable-server.mjs'),
        '--store',
        `sqlite:${join(folder, 's.db')}`,
        ...flags,
      ],
      {
        fd: socket.fd,
      },
    );
  return { socket, start };
}

describe.skipIf(process.platform === 'win32')(
  'a socket that outlives the process (needs a Unix system)',
  () => {
    test(
      `no call fails while the process restarts ${RESTARTS} times`,
      { timeout: 120_000 },
      async () => {
        const { socket, start } = deployment();
        let cli = start('--port', '1');
        const url = await cli.url();
        expect(url).toBe(`http://127.0.0.1:${socket.port}/mcp`);
        expect(cli.output.stderr).toContain('so --port and --host are ignored');
        const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
        // The socket is bound to loopback: names of elsewhere are refused as they are without it.
        expect(
          (await openClient(url).post(ping, { headers: { host: 'evil.example' } })).status,
        ).toBe(403);
        const clients = [
          await connectV1(url),
          await connectV2(url),
          await connectV1(url),
          await connectV2(url),
        ];
        const callers = clients.map((client) =>
          keepCalling(async (n) =>
            expect(await client.say('count')).toMatch(
              new RegExp(`^${n + 1} restored (true|false)$`),
            ),
          ),
        );
        for (let restarts = 0; restarts < RESTARTS; restarts++) {
          await answersGoOn(callers);
          cli.kill('SIGTERM');
          expect(await cli.ended()).toMatchObject({ code: 0 });
          cli = start();
        }
        await cli.url();
        await Promise.all(callers.map(({ stop }) => stop()));
        expect(callers.flatMap(({ failures }) => failures)).toEqual([]);
        for (const client of clients) expect(await client.say('count')).toContain('restored true');
      },
    );
  },
);

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
