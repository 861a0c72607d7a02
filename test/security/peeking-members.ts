import { requireScopes } from '@modelcontextprotocol/server';
import { onTestFinished } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { serveMember } from '../kit/fleet.ts';
import { createLab } from '../kit/lab.ts';
import type { ServeSettings } from '../kit/serve.ts';
import { sharedStore } from '../kit/shared-stores.ts';
import { said } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';

/**
 * Two instances with a tool `peek` that may run twice. At the first instance it waits for the test, at the second it
 * answers at once, or after `hold`. The second one may have been deployed with a rule more: `scope`.
 */
export async function servePeeking(
  kind: Parameters<typeof sharedStore>[0],
  options: McpEndpointOptions,
  settings: ServeSettings,
  hold: () => unknown = () => {},
  scope?: string,
) {
  const connect = sharedStore(kind);
  const store = watchedStore({ durable: true, inProcess: false, inner: connect() });
  const waits = gate();
  onTestFinished(() => waits.open());
  const ran: string[] = [];
  const labOf = (who: string, hold: () => unknown, scope?: string) =>
    createLab((server) => {
      const scopeChallenge = scope === undefined ? undefined : requireScopes(scope);
      const config = { annotations: { readOnlyHint: true }, ...(scopeChallenge && { scopeChallenge }) };
      server.registerTool('peek', config, async () => {
        ran.push(who);
        await hold();
        return said(`${who} saw`);
      });
    });
  const first = await serveMember({ ...options, store }, settings, labOf('first', waits.hook));
  const second = await serveMember({ ...options, store: connect() }, settings, labOf('second', hold, scope));
  // A call is recorded only where the store is open.
  for (const { endpoint } of [first, second]) await until(() => endpoint.health().store === 'ok');
  return {
    first,
    second,
    store,
    ran,
    waits,
    /** The first instance counts as dead from now on. */
    lose: async (): Promise<void> => {
      await store.views[0]?.instances.leave(first.id);
    },
  };
}
