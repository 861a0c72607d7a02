// @module-tag matrix
/**
 * `resumeModernCalls` as users of 2026-07-28 clients see it: programs with the official SDKs, two real instances on
 * Redis behind nginx. Each client runs with its defaults.
 */
import { afterAll, beforeAll, describe, expect, test, type TestContext } from 'vitest';
// @ts-expect-error: a script without declarations
import { commandOf, lackOf } from '../../scripts/servers.mjs';
import { createFaultProxy } from '../kit/fault-proxy.ts';
import { isAvailable, missingServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { OtherProgram } from './other-client.ts';
import { OtherDeployment, pause } from './other-deployment.ts';

const NAMES = ['typescript-2', 'python-2', 'go-sdk'] as const;
/** Longer than the first event takes, shorter than the call. */
const RUNNING_MS = 1_000;
const CALL_MS = 4_000;
/** Of calls that run while a second instance starts. */
const KILLED_CALL_MS = 8_000;

const lacking = new Map<string, string | undefined>();
for (const name of NAMES) lacking.set(name, await lackOf(name));
const here = NAMES.filter((name) => lacking.get(name) === undefined);

const missing = isAvailable('redis') ? '' : ` (${missingServer('redis')})`;

describe.skipIf(missing !== '')(`on two instances${missing}`, () => {
  let deployment: OtherDeployment;
  beforeAll(async () => {
    deployment = await OtherDeployment.start('redis', 2, ['--resume-modern-calls']);
  }, 60_000);
  afterAll(() => deployment.close());

  const open = async (name: string, port: number, { onTestFinished }: Pick<TestContext, 'onTestFinished'>) => {
    const program = new OtherProgram(commandOf(name));
    onTestFinished(() => program.close());
    return program.connect(`http://127.0.0.1:${port}/mcp`, '2026', 60_000);
  };

  for (const [name, lacks] of lacking) if (lacks !== undefined) test.skip(`${name} (${lacks})`);

  // Mostly waits; each client has a separate proxy.
  test.concurrent.for(here)(
    '%s: a call whose connection breaks succeeds',
    { timeout: 90_000 },
    async (name, context) => {
      const proxy = await createFaultProxy({ port: deployment.port });
      context.onTestFinished(() => proxy.close());
      const client = await open(name, proxy.port, context);
      const call = client.call('count', { ms: CALL_MS });
      await pause(RUNNING_MS);
      const { accepted } = proxy;
      proxy.cutAll();
      await until(() => proxy.accepted > accepted, { timeoutMs: 20_000, what: 'the client to come back' });
      expect(await call).toBe('ok');
      expect(await client.call('read', {}, 'read')).toBe('ok');
    },
  );

  test.skipIf(here.length === 0)(
    'kill -9 of the instance of every client: a read-only call succeeds, a call with effects ends with an error',
    { timeout: 120_000 },
    async (context) => {
      await deployment.reduce();
      const opened = here.map(async (name) => {
        const [reader, payer] = [
          await open(name, deployment.port, context),
          await open(name, deployment.port, context),
        ];
        return { name, reader, payer };
      });
      const clients = await Promise.all(opened);
      const seen = clients.map(async ({ name, reader, payer }) => {
        const calls = [
          reader.call('read', { ms: KILLED_CALL_MS }, 'read'),
          payer.call('count', { ms: KILLED_CALL_MS }),
        ];
        const ends = await Promise.all(calls);
        for (const client of [reader, payer]) ends.push(await client.call('read', {}, 'read'));
        return [name, ...ends];
      });
      await pause(RUNNING_MS);
      await deployment.complete();
      await deployment.killFor(0, () => {});
      const mayHaveRun = expect.stringMatching(/^failed: .*may have run/s) as string;
      expect(await Promise.all(seen)).toEqual(here.map((name) => [name, 'ok', mayHaveRun, 'ok', 'ok']));
    },
  );
});
