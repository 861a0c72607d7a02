/** Nothing is asked of other instances before a page is open, and nothing is sent 10 s after the last has closed. */
import { expect, test } from 'vitest';
import { memory } from '../../src/stores/memory/index.ts';
import type { InstanceMessage, Store } from '../../src/stores/store.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { serveFleet } from '../kit/fleet.ts';
import { mount, openStream } from '../kit/dashboard.ts';
import { until } from '../kit/until.ts';

/** A memory store that notes what dashboards say to each other. */
function notedStore() {
  const said: string[] = [];
  const store = memory();
  const noted: Store = {
    ...store,
    open: async (options) => {
      const view = await store.open(options);
      const { instances } = view;
      const noting = new Proxy(instances, {
        get: (_, name: keyof typeof instances) => {
          const method = (instances[name] as (...given: unknown[]) => unknown).bind(instances);
          return (...given: unknown[]) => {
            const message = given[2] as InstanceMessage | undefined;
            if (name === 'send' && message?.kind === 'dashboard')
              said.push(String((message['said'] as { t?: unknown }).t));
            return method(...given);
          };
        },
      });
      return Object.create(view, {
        records: { value: view.records.bind(view) },
        secret: { value: view.secret.bind(view) },
        close: { value: view.close.bind(view) },
        instances: { value: noting },
      }) as typeof view;
    },
  };
  return { said, store: noted };
}

test('one subscription for each instance, reports twice a second, and an end', async () => {
  const { said, store } = notedStore();
  const time = createFakeTime();
  const [one, two, three] = await serveFleet(3, { store, timeProvider: time });
  const ports = [];
  for (const member of [one, two, three]) ports.push(await mount((member as NonNullable<typeof member>).endpoint));
  await time.advance(120_000);
  expect(said).toEqual([]);

  const page = await openStream(ports[0] ?? 0, '/api/stream');
  await until(() => page.of('fleet').length > 0);
  expect(said.filter((t) => t === 'watch')).toHaveLength(2);
  await time.advance(3_000);
  expect(said.filter((t) => t === 'watch')).toHaveLength(2);
  const reports = said.filter((t) => t === 'report').length;
  expect(reports).toBeGreaterThanOrEqual(10);
  expect(reports).toBeLessThanOrEqual(16);

  // Another page costs nothing more.
  const other = await openStream(ports[0] ?? 0, '/api/stream');
  await until(() => other.of('fleet').length > 0);
  await time.advance(3_000);
  expect(said.filter((t) => t === 'report').length - reports).toBeLessThanOrEqual(14);
  expect(said.filter((t) => t === 'watch')).toHaveLength(4);

  page.close();
  other.close();
  await until(async () => {
    await time.advance(500);
    return (
      said.filter((t) => t === 'report').length ===
      (await time.advance(1_000).then(() => said.filter((t) => t === 'report').length))
    );
  });
  const quiet = said.length;
  await time.advance(120_000);
  expect(said).toHaveLength(quiet);
  expect(new Set(said)).toEqual(new Set(['watch', 'report']));
});
