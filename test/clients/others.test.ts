// @module-tag matrix
/**
 * Clients in other languages, each with its SDK at a pinned version and its defaults, against `sojourn serve`: what
 * their users see while everything works and while something fails. `npm run test:clients` runs every client through
 * every case, on one instance and on two behind nginx.
 */
import { afterAll, describe, expect, test } from 'vitest';
import { isAvailable, missingServer } from '../kit/servers/index.ts';
import { times } from '../security/small-heap.ts';
import { connect, type User } from './other-cases.ts';
import { OtherProgram, type Seen } from './other-client.ts';
import { OtherDeployment, type Size, type StoreKind } from './other-deployment.ts';
import { Fault } from './other-faults.ts';
import { type Flaw, others, type Other } from './other-list.ts';
import { meets, rounds, type CaseId, type Round } from './other-rounds.ts';

const available = others.filter(({ missing }) => missing === undefined);
const stores: readonly StoreKind[] = ['redis', 'postgres'];
const sizes: readonly Size[] = [1, 2];

/**
 * One process for each client and `lane`: many connections at once, or a burst of calls, would keep a client of the
 * same process from coming back to its streams.
 */
const programs = new Map<string, OtherProgram>();
const LANES = ['busy', 'waiting'] as const;
type Lane = (typeof LANES)[number];
/** A JVM, or the imports of Python, on a machine with other work. */
const START_MS = 120_000;

const programOf = ({ name }: Other, lane: Lane): OtherProgram =>
  programs.get(`${name} ${lane}`) as OtherProgram;

/** Starts the programs, a few at a time, and waits until each has connected once. */
async function startPrograms({ port }: OtherDeployment): Promise<void> {
  const names = new Map(available.map((other) => [other.name, other]));
  const works = [...names.values()].flatMap((other) => LANES.map((lane) => ({ other, lane })));
  await inTurns(
    works.map(({ other, lane }) => async () => {
      const program = new OtherProgram(other.command);
      programs.set(`${other.name} ${lane}`, program);
      const client = await program.connect(`http://127.0.0.1:${port}/mcp`, other.era, START_MS);
      await client.close();
    }),
    4,
  );
}

afterAll(() => Promise.all([...programs.values()].map((program) => program.close())));

for (const { title, missing } of others.filter((other) => other.missing !== undefined)) {
  // Under CI a missing language fails.
  test.skipIf(process.env['CI'] === undefined)(`${title} (${missing})`, () => {
    expect.fail(missing);
  });
}

const KINDS = ['failed', 'hung', 'dead', 'no push'] as const;

/** A connection that was refused failed. */
function kindOf(seen: Seen): Flaw['kinds'][number] {
  if (seen.startsWith('refused: hung')) return 'hung';
  return KINDS.find((kind) => seen.startsWith(kind)) ?? 'failed';
}

/** By which of its flaws the user saw it. */
const flawOf = (seen: Seen, flaws: readonly Flaw[] = []): Flaw | undefined =>
  flaws.find(({ kinds, told }) => kinds.includes(kindOf(seen)) && (told?.test(seen) ?? true));

/** Runs `use`. Resolves with what the client's own flaws do not explain. */
async function go(
  other: Other,
  id: CaseId,
  where: string,
  use: () => Promise<Seen[]>,
): Promise<string[]> {
  const seen = await use().catch((error: unknown) => [`refused: ${(error as Error).message}`]);
  const wrong = seen.filter((each) => each !== 'ok' && flawOf(each, other.flaws[id]) === undefined);
  const counts = [...new Set(wrong)].map(
    (each) => `${wrong.filter((one) => one === each).length} × ${each}`,
  );
  if (counts.length === 0) return [];
  return [`${where}: ${other.title}, ${id}, of ${seen.length}: ${counts.join('; ')}`];
}

const inTurns = <T>(works: readonly (() => Promise<T>)[], atOnce: number): Promise<T[]> =>
  times(works.length, atOnce, (n) => (works[n] as () => Promise<T>)());

const casesOf = <T>(
  cases: Readonly<Partial<Record<CaseId, T>>>,
): readonly (readonly [CaseId, T])[] => Object.entries(cases) as [CaseId, T][];

async function play(
  { lanes = [], fault }: Round,
  where: string,
  deployment: OtherDeployment,
): Promise<string[]> {
  const { port } = deployment;
  const userOf = (other: Other, lane: Lane): User => ({
    program: programOf(other, lane),
    era: other.era,
    port,
  });
  const wrong = lanes.map(async ({ atOnce, cases }) => {
    const found: string[][] = [];
    for (const [id, use] of casesOf(cases)) {
      const clients = available.filter(({ era }) => meets(era, id));
      const lane = atOnce === Infinity ? 'waiting' : 'busy';
      const works = clients.map(
        (other) => () => go(other, id, where, () => use(userOf(other, lane))),
      );
      found.push(...(await inTurns(works, atOnce)));
    }
    return found.flat();
  });
  if (fault !== undefined)
    wrong.push(suffer(fault, where, deployment, (other) => userOf(other, 'waiting')));
  return (await Promise.all(wrong)).flat();
}

/** Every client in every case of the fault at the same time. */
async function suffer(
  { happens, cases }: NonNullable<Round['fault']>,
  where: string,
  deployment: OtherDeployment,
  userOf: (other: Other) => User,
): Promise<string[]> {
  const all = casesOf(cases).flatMap(([id, use]) =>
    available.filter(({ era }) => meets(era, id)).map((other) => ({ id, use, other })),
  );
  await deployment.reduce();
  const users = await Promise.all(
    all.map(async (one) => {
      const user = userOf(one.other);
      return {
        ...one,
        user,
        client: await connect(user).catch((error: unknown) => error as Error),
      };
    }),
  );
  await deployment.complete();
  const fault = new Fault(users.filter(({ client }) => !(client instanceof Error)).length);
  const seen = users.map(({ id, use, other, user, client }) =>
    go(other, id, where, () =>
      client instanceof Error ? Promise.reject(client) : use(user, client, fault),
    ),
  );
  await fault.run(deployment, happens);
  return (await Promise.all(seen)).flat();
}

/** Every round, on a deployment of `size` instances. */
async function playAll(store: StoreKind, size: Size): Promise<string[]> {
  const where = `${store}, ${size === 1 ? 'one instance' : 'two behind nginx'}`;
  const deployment = await OtherDeployment.start(store, size);
  const found: string[] = [];
  try {
    if (programs.size === 0) await startPrograms(deployment);
    for (const round of rounds) found.push(...(await play(round, where, deployment)));
  } finally {
    await deployment.close();
  }
  return found;
}

describe.skipIf(available.length === 0)('clients in other languages', () => {
  for (const store of stores) {
    const missing = isAvailable(store) ? '' : ` (${missingServer(store)})`;
    const title = `keep what their users do, on ${store}${missing}`;
    test.skipIf(missing !== '')(title, { timeout: 3_600_000 }, async () => {
      const found: string[] = [];
      for (const size of sizes) found.push(...(await playAll(store, size)));
      expect(found).toEqual([]);
    });
  }
});
