import { McpServer } from '@modelcontextprotocol/server';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createMcpEndpoint } from '../../src/index.ts';
import { storeOf } from '../../src/cli/store-url.ts';
import { newFile, runHere } from '../cli/here.ts';
import { initializeRequest } from '../kit/initialize-request.ts';
import { createLog, type Log } from '../kit/log.ts';
import { sharedStore } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';

const warnings = ({ lines }: Log) => lines.filter(({ level }) => level === 'warn');
const named = (name: string) => new McpServer({ name, version: '1' });
const told = (server: string, other: string) => ({
  level: 'warn',
  fields: { deployment: 'mcp', server, other },
  message: expect.stringMatching(/^Another server is in this deployment/) as string,
});

async function serving(given: Parameters<typeof createMcpEndpoint>[0], more: object) {
  const log = createLog();
  const endpoint = createMcpEndpoint(given, { logger: log, ...more });
  onTestFinished(() => endpoint.close({ timeoutMs: 0 }));
  expect((await endpoint.fetch(initializeRequest())).status).toBe(200);
  return log;
}

describe.each([
  ['servers', (name: string) => named(name)],
  ['factories', (name: string) => () => named(name)],
])('two %s on one store', (_, made) => {
  test.each(['memory', 'sqlite'] as const)(
    '%s: another server in the deployment is a warning',
    async (kind) => {
      const store = sharedStore(kind);
      const open = async (name: string, more = {}) =>
        serving(made(name), { store: store(), ...more });
      const billing = await open('billing');
      const [apart] = [await open('apart', { deployment: 'apart' }), await open('billing')];
      const weather = await open('weather');
      await until(() => warnings(weather).length > 0);
      expect(warnings(weather)).toMatchObject([told('weather', 'billing')]);
      expect(warnings(apart)).toEqual([]);
      // Instances in one process do not renew their leases.
      if (kind === 'memory') return;
      await until(() => warnings(billing).length > 0);
      expect(warnings(billing)).toMatchObject([told('billing', 'weather')]);
    },
  );
});

test('sojourn doctor warns of another server, and names each', async () => {
  const url = newFile().env.SOJOURN_STORE;
  for (const name of ['billing', 'weather'])
    await serving(named(name), { store: (await storeOf(url, '')).store });
  const { code, stdout } = await runHere(['doctor', url]);
  expect(code).toBe(1);
  expect(stdout).toMatch(/^ {2}warning +Different servers are .*: (billing|weather), /m);
  expect(stdout).toMatch(/^ {2}instance +\S+ serving, .*, server billing$/m);
});
