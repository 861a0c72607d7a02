/** `npm start`: the everything example, on the embedded store. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { createRawClient } from '../kit/raw-client.ts';
import { until } from '../kit/until.ts';

async function start() {
  const child = spawn('sh', ['-c', `${manifest.scripts.start} --port 0 --log-level warn`], {
    env: { ...process.env, SOJOURN_STORE: '' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await closed;
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const found = (): string | undefined =>
    /^ {2}endpoint +(\S+)$[^]*^ {2}store +sqlite:\S+everything\.db$/m.exec(output)?.[1];
  const url = await until(found, { timeoutMs: 30_000, what: 'the banner, with the SQLite store' });
  const interrupt = async (): Promise<void> => {
    child.kill('SIGINT');
    expect(await closed).toEqual([0, null]);
  };
  return { client: createRawClient(url as string), interrupt };
}

test('the session of a client continues after Ctrl+C and another npm start', { timeout: 60_000 }, async () => {
  const first = await start();
  await first.client.initialize();
  const { sessionId, protocolVersion } = first.client;
  const count = async ({ client }: Awaited<ReturnType<typeof start>>): Promise<unknown> =>
    (await client.call('tools/call', { name: 'counter', arguments: {} })).message.result;
  expect(await count(first)).toMatchObject({ content: [{ text: 'This session called me 1 time.' }] });
  first.client.close();
  await first.interrupt();
  const second = await start();
  Object.assign(second.client, { sessionId, protocolVersion });
  expect(await count(second)).toMatchObject({ content: [{ text: 'This session called me 2 times.' }] });
  expect((await second.client.delete()).status).toBe(200);
  second.client.close();
  await second.interrupt();
});
