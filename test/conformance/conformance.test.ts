/**
 * The official suite, every revision, over both faces, with a server per session and with one server for all. Each
 * revision runs on one of the four combinations, in the matrix on two: both faces and both kinds of servers. No expected
 * failures, no warnings.
 */
import { describe, expect, it } from 'vitest';
import { lackOf } from '../installs/installed.ts';
import type { ConnectableServer, McpEndpointFactory } from '../../src/index.ts';
import { createFixtureServer } from '../kit/fixture-server.ts';
import { isMatrix } from '../kit/matrix.ts';
import { bothFaces, serve, type Served } from '../kit/serve.ts';
import { legs, problems, requirements, runLeg } from './suite.ts';

/** The longest leg takes 3 s on an idle machine; the first one may also install the suite. */
const timeout = 180_000;

type Notifier = () => Served['endpoint']['notify'];
const makings: Record<string, (notifier: Notifier) => McpEndpointFactory | ConnectableServer> = {
  'a factory': (notifier) => (ctx) => createFixtureServer(ctx, notifier),
  'one definition': (notifier) => createFixtureServer({ era: 'legacy' }, notifier),
};
const all = [...legs, requirements];
/** Every fourth leg runs on a way, in the matrix every other one. */
const ways = bothFaces.flatMap((face, atFace) =>
  Object.entries(makings).map(([making, make], at) => {
    const own = isMatrix
      ? all.filter((_, n) => n % 2 === (atFace + at) % 2)
      : all.filter((_, n) => n % 4 === 2 * atFace + at);
    return { face, making, make, own };
  }),
);

const lack = lackOf('conformance');

describe.skipIf(lack !== '').each(ways)(`the $face face, $making${lack}`, ({ face, make, own }) => {
  it.each(own)('passes every scenario of $name', { timeout }, async (leg) => {
    const served: Served = await serve(
      make(() => served.endpoint.notify),
      { tasks: true },
      { face },
    );
    expect(problems(await runLeg(leg, served.url))).toEqual([]);
  });
});
