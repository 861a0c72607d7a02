/**
 * The official suite, every revision, over both faces, with a server per session and with one server for all. Each
 * revision runs on two of the four combinations, and so over both faces and with both kinds of servers. No expected
 * failures, no warnings.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lackOf } from '../../tools/installed.ts';
import { createMcpEndpoint, type McpEndpoint } from '../../src/index.ts';
import { createFixtureServer } from '../kit/fixture-server.ts';
import { faces, type Served } from './faces.ts';
import { legs, problems, requirements, runLeg, summary } from './suite.ts';

/** The longest leg takes 3 s on an idle machine; the first one may also install the suite. */
const timeout = 180_000;

const makings: Record<string, (notifier: () => McpEndpoint['notify']) => McpEndpoint> = {
  'a factory': (notifier) => createMcpEndpoint((ctx) => createFixtureServer(ctx, notifier), { tasks: true }),
  'one definition': (notifier) => createMcpEndpoint(createFixtureServer({ era: 'legacy' }, notifier), { tasks: true }),
};
/** Every other leg runs on a way. */
const ways = Object.entries(faces).flatMap(([face, serve], atFace) =>
  Object.entries(makings).map(([making, make], at) => {
    const isOdd = (atFace + at) % 2;
    return { face, serve, making, make, own: [...legs, requirements].filter((_, n) => n % 2 === isOdd) };
  }),
);

const lack = lackOf('conformance');

describe.skipIf(lack !== '').each(ways)(`the $face face, $making${lack}`, ({ serve, make, own }) => {
  let endpoint: McpEndpoint;
  let served: Served;

  beforeAll(async () => {
    endpoint = make(() => endpoint.notify);
    served = await serve(endpoint);
  });

  afterAll(async () => {
    await endpoint.close();
    await served.close();
  });

  it.each(own.filter((leg) => leg !== requirements))('passes every scenario of $name', { timeout }, async (leg) => {
    const report = await runLeg(leg, served.url);
    expect(problems(report), summary(report)).toEqual([]);
  });

  if (own.includes(requirements))
    it('passes everything that 2026-07-28 requires, tasks too', { timeout }, async () => {
      const report = await runLeg(requirements, served.url);
      console.log(summary(report));
      expect(problems(report)).toEqual([]);
    });
});
