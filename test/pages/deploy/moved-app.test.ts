// @module-tag matrix
/** A rolling deploy of the moved Express app as its page has it: two processes behind nginx with the page's recipe. */
import { expect, test } from 'vitest';
import { connectV1, connectV2 } from '../../clients/official.ts';
import { answersGoOn, keepCalling } from '../../kit/calling.ts';
import { startNode } from '../../kit/child-process.ts';
import { freePort } from '../../kit/free-port.ts';
import { movedApp } from '../../kit/moved-app.ts';
import { projectFolder } from '../../kit/project-folder.ts';
import { behindNginx, describeBehindNginx, ROUND_ROBIN } from './nginx.ts';

const CLIENTS_OF_EACH_SDK = 3;
/** The page says that none of 20,000 fails. */
const CALLS = 20_000;

describeBehindNginx('the moved Express app behind nginx', () => {
  test(
    `none of ${CALLS} calls fails while its processes are restarted`,
    { timeout: 3_600_000 },
    async () => {
      const folder = projectFolder({ 'server.js': movedApp().text });
      const ports = [await freePort(), await freePort()];
      const start = async (port: number) => {
        const app = startNode(['server.js'], {
          cwd: folder,
          env: { ...process.env, MCP_PORT: `${port}` },
        });
        await app.says(/listening on port/);
        return app;
      };
      const apps = await Promise.all(ports.map(start));
      const proxy = await behindNginx(ROUND_ROBIN, ports);
      const connects = Array.from({ length: CLIENTS_OF_EACH_SDK }, () => [
        connectV1,
        connectV2,
      ]).flat();
      const clients = await Promise.all(connects.map((connect) => connect(proxy.url)));
      const callers = clients.map(({ say }) =>
        keepCalling(async () => expect(await say('greet', { name: 'Ada' })).toBe('Hello, Ada!')),
      );
      const made = (): number => callers.reduce((sum, { answered }) => sum + answered(), 0);
      for (let restarts = 0; restarts < ports.length || made() < CALLS; restarts++) {
        const n = restarts % ports.length;
        expect(await apps[n]?.stop()).toBe(0);
        await answersGoOn(callers);
        apps[n] = await start(ports[n] as number);
      }
      await Promise.all(callers.map(({ stop }) => stop()));
      expect(callers.flatMap(({ failures }) => failures)).toEqual([]);
    },
  );
});
