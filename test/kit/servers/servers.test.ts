import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { until } from '../until.ts';
import { describeWhereInstalled, serverKinds, startServer } from './index.ts';
import { recipes } from './recipes.ts';

/** Whether a new connection is accepted, which a frozen server's kernel still does. */
const connects = (port: number): Promise<boolean> =>
  new Promise((done) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => done(true)).once('error', () => done(false));
    socket.once('close', () => done(false));
    socket.unref();
    setTimeout(() => socket.destroy(), 200);
  });

for (const kind of serverKinds) {
  describeWhereInstalled(kind, `a ${kind} server of the tests`, () => {
    test('starts on its own, freezes, is killed, starts again on the same port and leaves nothing', async () => {
      const server = await startServer(kind);
      const answers = (): Promise<boolean> => recipes[kind].answers(server.port);
      try {
        expect(server.url).toContain(`127.0.0.1:${server.port}`);
        expect(await answers()).toBe(true);
        server.pause();
        await until(async () => !(await answers()), { what: 'it to be frozen' });
        server.resume();
        await until(answers);
        await server.killed();
        expect(await connects(server.port)).toBe(false);
        await server.start();
        expect(await answers()).toBe(true);
        await server.stop();
        expect(await connects(server.port)).toBe(false);
        await server.start();
      } finally {
        await server.close();
      }
      expect(await connects(server.port)).toBe(false);
    });
  });
}
