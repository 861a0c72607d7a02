/** A process without file descriptors: Linux and Node close its new connections in silence. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { connect, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { dist, program } from '../cli/cli-process.ts';
import { until } from '../kit/until.ts';

const LIMIT = 160;

test.skipIf(process.platform !== 'linux')(
  'a process without file descriptors says so once, is not ready, and is ready again when it has some',
  { timeout: 60_000 },
  async () => {
    const command = `ulimit -n ${LIMIT}; exec "$0" "$@"`;
    const args = [`${dist}/cli/main.js`, 'serve', program('echo-server.mjs'), '--port', '0', '--workers', '0'];
    const child = spawn('sh', ['-c', command, process.execPath, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text));
    onTestFinished(async () => {
      child.kill('SIGKILL');
      await once(child, 'close');
    });
    const port = (): number => Number(/endpoint +http:\/\/[^:]+:(\d+)/.exec(output.stdout)?.[1]);
    await until(() => port() > 0, { timeoutMs: 20_000, what: 'the banner' });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const ready = async (): Promise<number | undefined> => {
      const [answer] = await once(get({ port: port(), host: '127.0.0.1', path: '/readyz', agent }), 'response');
      (answer as NodeJS.ReadableStream).resume();
      await once(answer as NodeJS.ReadableStream, 'end');
      return (answer as { statusCode?: number }).statusCode;
    };
    expect(await ready()).toBe(200);
    const sockets: Socket[] = [];
    for (let n = 0; n < LIMIT; n++) sockets.push(connect(port(), '127.0.0.1').on('error', () => {}));
    onTestFinished(() => sockets.forEach((socket) => socket.destroy()));
    const lines = (level: number): { limit?: number; msg: string }[] =>
      output.stderr
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as { level: number; limit?: number; msg: string })
        .filter((line) => line.level === level && line.msg.includes('descriptor'));
    await until(() => lines(60).length > 0, { timeoutMs: 20_000, what: 'the error' });
    expect(lines(60)).toMatchObject([{ limit: LIMIT, msg: expect.stringContaining('ulimit -n') as string }]);
    expect(await ready()).toBe(503);
    for (const socket of sockets) socket.destroy();
    await until(async () => (await ready()) === 200, { timeoutMs: 20_000, what: 'the process to be ready' });
    expect(lines(60)).toHaveLength(1);
  },
);
