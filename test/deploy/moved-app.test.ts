/** A rolling deploy of the moved Express app as its page has it: two processes behind nginx with the page's recipe. */
import { expect, onTestFinished, test } from 'vitest';
import { connectV1, connectV2 } from '../clients/official.ts';
import { startNode } from '../kit/child-process.ts';
import { freePort } from '../kit/free-port.ts';
import { isMatrix } from '../kit/matrix.ts';
import { movedApp } from '../kit/moved-app.ts';
import { projectFolder } from '../kit/project-folder.ts';
import { until } from '../kit/until.ts';
import { describeBehindNginx, ROUND_ROBIN, startNginx } from './nginx.ts';

const CLIENTS_OF_EACH_SDK = 3;
/** The page says that none of 20,000 fails. */
const CALLS = isMatrix ? 20_000 : 400;

/** Restarts one process after the other until the clients have made `calls`. Resolves with the calls that failed. */
async function rollingDeploy(calls: number): Promise<string[]> {
  const folder = projectFolder({ 'server.js': movedApp().text });
  const ports = [await freePort(), await freePort()];
  const start = async (port: number) => {
    const app = startNode(['server.js'], { cwd: folder, env: { ...process.env, MCP_PORT: `${port}` } });
    await until(() => app.output.stdout.includes('listening on port') || !app.alive(), { timeoutMs: 20_000 });
    return app;
  };
  const apps = await Promise.all(ports.map(start));
  const proxy = await startNginx(ROUND_ROBIN, ports);
  onTestFinished(() => proxy.close());
  const connects = Array.from({ length: CLIENTS_OF_EACH_SDK }, () => [connectV1, connectV2]).flat();
  const clients = await Promise.all(connects.map((connect) => connect(proxy.url)));
  const failed: string[] = [];
  let made = 0;
  let isOver = false;
  const callers = clients.map(async ({ say }) => {
    while (!isOver) {
      made += 1;
      const answer = await say('greet', { name: 'Ada' }).catch((error: Error) => `${error.message}`);
      if (answer !== 'Hello, Ada!') failed.push(answer);
      // Calls without a pause take the CPU with which a process starts.
      await new Promise((done) => setTimeout(done, 5));
    }
  });
  try {
    for (let restarts = 0; restarts < ports.length || made < calls; restarts++) {
      const n = restarts % ports.length;
      apps[n]?.child.kill('SIGTERM');
      expect((await apps[n]?.closed)?.[0]).toBe(0);
      const before = made;
      await until(() => made > before + clients.length, { timeoutMs: 20_000, what: 'the other process to answer' });
      apps[n] = await start(ports[n] as number);
    }
  } finally {
    isOver = true;
    await Promise.all(callers);
  }
  return failed;
}

describeBehindNginx('the moved Express app behind nginx', () => {
  test(
    `none of ${CALLS} calls fails while its processes are restarted`,
    { timeout: isMatrix ? 3_600_000 : 120_000 },
    async () => {
      expect(await rollingDeploy(CALLS)).toEqual([]);
    },
  );
});
