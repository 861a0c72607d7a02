/**
 * `resumeModernCalls` as users of 2026-07-28 clients see it: programs with the official SDKs, two real instances on
 * Redis behind nginx. Each client runs with its defaults.
 */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
// @ts-expect-error: a script without declarations
import { commandOf, lackOf } from '../../scripts/ensure-clients.mjs';
import { createFaultProxy } from '../../src/testing/index.ts';
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

const missing = isAvailable('redis') ? '' : ` (${missingServer('redis')})`;

describe.skipIf(missing !== '')(`on two instances${missing}`, () => {
  let deployment: OtherDeployment;
  beforeAll(async () => {
    deployment = await OtherDeployment.start('redis', 2, ['--resume-modern-calls']);
  }, 60_000);
  afterAll(() => deployment.close());

  const open = async (name: string, port: number) => {
    const program = new OtherProgram(commandOf(name));
    onTestFinished(() => program.close());
    return program.connect(`http://127.0.0.1:${port}/mcp`, '2026', 60_000);
  };

  for (const name of NAMES) {
    const lacks = lacking.get(name);
    describe.skipIf(lacks !== undefined)(`${name}${lacks === undefined ? '' : ` (${lacks})`}`, () => {
      test('a call whose connection breaks succeeds', { timeout: 90_000 }, async () => {
        const proxy = await createFaultProxy({ port: deployment.port });
        onTestFinished(() => proxy.close());
        const client = await open(name, proxy.port);
        const call = client.call('count', { ms: CALL_MS });
        await pause(RUNNING_MS);
        const { accepted } = proxy;
        proxy.cutAll();
        await until(() => proxy.accepted > accepted, { timeoutMs: 20_000, what: 'the client to come back' });
        expect(await call).toBe('ok');
        expect(await client.call('read', {}, 'read')).toBe('ok');
      });

      test(
        'kill -9: a read-only call succeeds, a call with effects ends with an error',
        { timeout: 90_000 },
        async () => {
          await deployment.reduce();
          const [reader, payer] = [await open(name, deployment.port), await open(name, deployment.port)];
          const read = reader.call('read', { ms: KILLED_CALL_MS }, 'read');
          const count = payer.call('count', { ms: KILLED_CALL_MS });
          await pause(RUNNING_MS);
          await deployment.complete();
          await deployment.killFor(0, () => {});
          expect(await read).toBe('ok');
          expect(await count).toMatch(/^failed: .*may have run/s);
          for (const client of [reader, payer]) expect(await client.call('read', {}, 'read')).toBe('ok');
        },
      );
    });
  }
});
