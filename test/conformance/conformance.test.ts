/** The official suite, every revision, over both faces. No expected failures, no warnings. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMcpEndpoint, type McpEndpoint } from '../../src/index.ts';
import { createFixtureServer } from '../kit/fixture-server.ts';
import { faces, type Served } from './faces.ts';
import { legs, problems, requirements, runLeg, summary } from './suite.ts';

/** The longest leg takes 3 s on an idle machine; the first one may also install the suite. */
const timeout = 180_000;

describe.each(Object.entries(faces))('the %s face', (_face, serve) => {
  let endpoint: McpEndpoint;
  let served: Served;

  beforeAll(async () => {
    endpoint = createMcpEndpoint((ctx) => createFixtureServer(ctx, () => endpoint.notify));
    served = await serve(endpoint);
  });

  afterAll(async () => {
    await endpoint.close();
    await served.close();
  });

  it.each(legs)('passes every scenario of $name', { timeout }, async (leg) => {
    const report = await runLeg(leg, served.url);
    expect(problems(report), summary(report)).toEqual([]);
  });

  it('fails nothing but tasks of what 2026-07-28 requires', { timeout }, async () => {
    const report = await runLeg(requirements, served.url);
    console.log(summary(report));
    expect(problems(report).filter((problem) => !problem.startsWith('tasks-'))).toEqual([]);
  });
});
