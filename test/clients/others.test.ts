/**
 * Clients in other languages, each with its official SDK at a pinned version and its defaults, against `sojourn serve`: what
 * their users see while everything works and while something fails. Every client goes through a case at the same time.
 * `npm run test:clients` adds those whose builds take minutes; with `--write` it keeps the table in docs/guide/clients.md.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { startCli } from '../cli/cli-process.ts';
import { isAvailable, missingServer, startServer, type TestServer } from '../kit/servers/index.ts';
import { fileURLToPath } from 'node:url';
import { answering, calling, connecting, type Fault, manyAtOnce, type Subject } from './other-cases.ts';
import { type OtherClient, OtherProgram, type Seen } from './other-client.ts';
import { others, type Other } from './other-list.ts';
import { keep } from './other-table.ts';

const serverModule = fileURLToPath(new URL('processes/colours.mjs', import.meta.url));
const AWAY_MS = 3_000;
const FROZEN_MS = 5_000;
const stores = ['sqlite', 'redis', 'postgres'] as const;
type StoreKind = (typeof stores)[number];

const available = others.filter(({ missing }) => missing === undefined);
const programs = new Map<string, OtherProgram>();

beforeAll(() => {
  for (const { name, command } of available) if (!programs.has(name)) programs.set(name, new OtherProgram(command));
});
afterAll(async () => {
  await Promise.all([...programs.values()].map((program) => program.close()));
  keep(available);
});

for (const { title, missing } of others.filter((other) => other.missing !== undefined)) {
  // Under CI the missing language is a failed check of `npm test` too.
  test.skipIf(process.env['CI'] === undefined)(`${title} (${missing} is not installed)`, () => {
    expect.fail(`${missing} is not installed`);
  });
}

const subjectOf = ({ name, era }: Other): Subject => ({ program: programs.get(name) as OtherProgram, era });
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

function latch() {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

/** Runs a case with all clients at once, and expects of each what it is known to show its user. */
async function withAll(id: string, store: StoreKind, run: (other: Other) => Promise<Seen[]>): Promise<void> {
  const bad: Record<string, string[]> = {};
  await Promise.all(
    available.map(async (other) => {
      const seen = await run(other).catch((error: unknown) => [`refused: ${(error as Error).message}`]);
      other.results.push({ id, store, seen });
      const wrong = seen.filter((each) => each !== 'ok');
      if (wrong.length > 0) bad[other.title] = [`${wrong.length} of ${seen.length}`, ...new Set(wrong)];
    }),
  );
  expect(bad).toEqual({});
}

async function serve(store: StoreKind, server: TestServer | undefined) {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-others-'));
  const cli = startCli([
    'serve',
    serverModule,
    '--port',
    '0',
    '--store',
    server?.url ?? `sqlite:${folder}/sessions.db`,
  ]);
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }));
  return { ...cli, url: await cli.url() };
}

/** Connects all, lets `use` begin, and runs `fault` in the middle. */
async function throughFault(
  id: string,
  store: StoreKind,
  url: string,
  use: (client: OtherClient, other: Other, fault: Fault) => Promise<Seen[]>,
  fault: (begin: () => void) => Promise<void>,
  ready: (clients: readonly OtherClient[]) => Promise<unknown>,
): Promise<void> {
  const begun = latch();
  const recovered = latch();
  const clients = new Map<Other, OtherClient>();
  const connections = available.map(async (other) => {
    const { program, era } = subjectOf(other);
    clients.set(other, await program.connect(url, era));
  });
  await Promise.all(connections);
  const all = withAll(id, store, (other) =>
    use(clients.get(other) as OtherClient, other, { begun: begun.opened, recovered: recovered.opened }),
  );
  // A failed expectation is reported when `all` is awaited, below.
  all.catch(() => {});
  await ready([...clients.values()]);
  await fault(begun.open);
  recovered.open();
  await all;
}

describe.skipIf(available.length === 0)('clients in other languages', () => {
  for (const store of stores) {
    const missing = store !== 'sqlite' && !isAvailable(store) ? ` (${missingServer(store)})` : '';
    describe.skipIf(missing !== '')(`${store}${missing}`, () => {
      let server: TestServer | undefined;
      beforeAll(async () => {
        const args = store === 'redis' ? ['--appendonly', 'yes', '--appendfsync', 'always'] : [];
        if (store !== 'sqlite') server = await startServer(store, { args });
      });
      afterAll(() => server?.close());

      test('connects 40 times and calls', { timeout: 180_000 }, async () => {
        const { url } = await serve(store, server);
        await withAll('connect', store, (other) => connecting(subjectOf(other), url));
      });

      test('answers 100 calls at once', { timeout: 180_000 }, async () => {
        const { url } = await serve(store, server);
        await withAll('at once', store, (other) => manyAtOnce(subjectOf(other), url));
      });

      test('loses no call while the instance is frozen for 5 s', { timeout: 180_000 }, async () => {
        const { url, kill } = await serve(store, server);
        const freeze = async (begin: () => void) => {
          begin();
          await pause(100);
          kill('SIGSTOP');
          await pause(FROZEN_MS);
          kill('SIGCONT');
        };
        const use = (client: OtherClient, { era }: Other, fault: Fault) => calling(client, era, fault);
        await throughFault('freeze', store, url, use, freeze, () => pause(500));
      });

      test.skipIf(store === 'sqlite')(
        'loses no call while the server of the store restarts for 3 s',
        { timeout: 180_000 },
        async () => {
          const { url } = await serve(store, server);
          const restart = async (begin: () => void) => {
            begin();
            await server?.stop();
            await pause(AWAY_MS);
            await server?.start();
          };
          const use = (client: OtherClient, { era }: Other, fault: Fault) => calling(client, era, fault);
          await throughFault('restart', store, url, use, restart, () => pause(500));
        },
      );

      test.skipIf(store === 'sqlite')(
        'hands in an answer that its user gave while the store was away',
        { timeout: 180_000 },
        async () => {
          const { url } = await serve(store, server);
          const restart = async (begin: () => void) => {
            await server?.stop();
            begin();
            await pause(1_000);
            await server?.start();
          };
          const use = (client: OtherClient, { era }: Other, fault: Fault) => answering(client, era, fault);
          const asked = (clients: readonly OtherClient[]) => Promise.all(clients.map((client) => client.asked()));
          await throughFault('answer', store, url, use, restart, asked);
        },
      );
    });
  }
});
