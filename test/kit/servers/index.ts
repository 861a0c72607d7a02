/**
 * The servers that store tests need. A missing server fails the tests under CI, and skips them by name elsewhere. `npm
 * test` installs missing servers where it can.
 */
import { afterAll, beforeAll, describe } from 'vitest';
import { isAvailable, missingServer, startServer } from './start.ts';
import type { ServerKind, ServerOptions, TestServer } from './test-server.ts';

export { isAvailable, missingServer, serverKinds, startServer } from './start.ts';
export { freePort } from '../free-port.ts';
export { type ServerKind, type ServerOptions, type TestServer } from './test-server.ts';

/**
 * `describe` for tests that need a server. One server runs for all of them, from before the first test to after the
 * last. Tests must separate their data (deployments by name).
 */
export function describeWithServer(
  kind: ServerKind,
  title: string,
  tests: (server: () => TestServer) => void,
  options?: ServerOptions,
): void {
  describeWhereInstalled(kind, title, () => {
    let server: TestServer | undefined;
    beforeAll(async () => {
      server = await startServer(kind, options);
    });
    afterAll(() => server?.close());
    tests(() => {
      if (server === undefined) throw new Error('the server runs from beforeAll to afterAll');
      return server;
    });
  });
}

/** `describe` for tests that start servers themselves. */
export function describeWhereInstalled(kind: ServerKind, title: string, tests: () => void): void {
  if (isAvailable(kind)) describe(title, tests);
  else describe.skip(`${title} (${missingServer(kind)})`, tests);
}
