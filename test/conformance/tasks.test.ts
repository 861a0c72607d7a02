// @module-tag matrix
/**
 * The scenarios of the extension `io.modelcontextprotocol/tasks` of the official suite, on every store, with two
 * instances that take the requests in turns.
 */
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { lackOf } from '../../tools/installed.ts';
import { createMcpEndpoint } from '../../src/index.ts';
import { createFixtureServer } from '../kit/fixture-server.ts';
import { sharedStore, storeKinds, useSharedStores } from '../kit/shared-stores.ts';
import { problems, runLeg } from './suite.ts';

useSharedStores();

const timeout = 120_000;
const SCENARIOS = ['tasks-lifecycle', 'tasks-mrtr-input', 'tasks-mrtr-composition', 'tasks-dispatch-and-envelope'];

const lack = lackOf('conformance');

describe.skipIf(lack !== '')(`two instances in turns${lack}`, () => {
  test.each(storeKinds)('pass the scenarios of tasks on the store %s', { timeout }, async (kind) => {
    const make = sharedStore(kind);
    const members = [1, 2].map(() =>
      createMcpEndpoint((ctx) => createFixtureServer(ctx), { store: make(), tasks: true, logger: false }),
    );
    let asked = 0;
    const front = createServer((req, res) => members[(asked += 1) % 2]?.node(req, res)).listen(0, '127.0.0.1');
    onTestFinished(async () => {
      front.closeAllConnections();
      front.close();
      await Promise.all(members.map((member) => member.close()));
    });
    await once(front, 'listening');
    const url = `http://127.0.0.1:${(front.address() as AddressInfo).port}/mcp`;
    const reports = await Promise.all(
      SCENARIOS.map((name) => runLeg({ name, args: ['--scenario', name], scenarios: 1, reached: [] }, url)),
    );
    expect(reports.flatMap(problems)).toEqual([]);
    expect(asked).toBeGreaterThan(30);
  });
});
