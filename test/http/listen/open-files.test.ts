/** Without file descriptors, Linux and Node close new connections in silence: so a process keeps some. */
import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { connect, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { dist, program } from '../../cli/cli-process.ts';
import { startNode } from '../../kit/child-process.ts';
import { until } from '../../kit/until.ts';

const LIMIT = 160;

test.skipIf(process.platform !== 'linux')(
  'a low limit of open files lowers maxConnections with a warning: more connections are closed, and the others are served',
  async () => {
    const command = `ulimit -n ${LIMIT}; exec "$0" "$@"`;
    const args = [
      `${dist}/cli/main.js`,
      'serve',
      program('echo-server.mjs'),
      '--port',
      '0',
      '--workers',
      '0',
    ];
    const { output, says } = startNode(['-c', command, process.execPath, ...args], {
      program: 'sh',
    });
    const port = Number(await says(/endpoint +http:\/\/[^:]+:(\d+)/));
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const ready = async (): Promise<number | undefined> => {
      const [answer] = await once(
        get({ port, host: '127.0.0.1', path: '/readyz', agent }),
        'response',
      );
      (answer as NodeJS.ReadableStream).resume();
      await once(answer as NodeJS.ReadableStream, 'end');
      return (answer as { statusCode?: number }).statusCode;
    };
    expect(await ready()).toBe(200);
    const lines = (begin: string): { msg: string; maxConnections?: number; openFiles?: number }[] =>
      output.stderr
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as { msg: string })
        .filter(({ msg }) => msg.startsWith(begin));
    expect(lines('The limit of open files')).toMatchObject([
      {
        openFiles: LIMIT,
        maxConnections: LIMIT / 2,
        msg: expect.stringContaining('ulimit -n') as string,
      },
    ]);
    const sockets: Socket[] = [];
    let closed = 0;
    for (let n = 0; n < LIMIT; n++)
      sockets.push(
        connect(port, '127.0.0.1')
          .on('error', () => {})
          .on('close', () => (closed += 1)),
      );
    onTestFinished(() => sockets.forEach((socket) => socket.destroy()));
    // Those above the limit, one of which is that of the agent.
    await until(() => closed === LIMIT / 2 + 1, { what: 'connections to be closed' });
    expect(lines('A connection was closed at once').length).toBeGreaterThan(0);
    expect(await ready()).toBe(200);
    for (const socket of sockets) socket.destroy();
    agent.destroy();
    const served = async (): Promise<boolean> =>
      (await fetch(`http://127.0.0.1:${port}/readyz`)).ok;
    await until(() => served().catch(() => false), { what: 'new connections to be served' });
  },
);
