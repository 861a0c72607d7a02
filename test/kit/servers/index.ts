/**
 * The servers that store tests need. One that is not installed fails the tests under CI, and is a named skip elsewhere;
 * `npm test` installs what is missing where it can.
 */
import { afterAll, beforeAll, describe } from 'vitest';
import { recipes } from './recipes.ts';
import { freePort, TestServer, type ServerKind, type ServerOptions } from './test-server.ts';

export { freePort, type ServerKind, type ServerOptions, type TestServer } from './test-server.ts';
export const serverKinds = ['redis', 'postgres', 'nats'] as const satisfies readonly ServerKind[];

/** Whether its tests run: under CI they do, and fail where it is not installed. */
export const isAvailable = (kind: ServerKind): boolean =>
  process.env['CI'] !== undefined || recipes[kind].find() !== undefined;

export const missingServer = (kind: ServerKind): string =>
  `${kind}: the server is not installed (Debian: apt-get install ${recipes[kind].package})`;

/** A server of one's own, answering. */
export async function startServer(kind: ServerKind, { args = [], port }: ServerOptions = {}): Promise<TestServer> {
  const executable = recipes[kind].find();
  if (executable === undefined) throw new Error(missingServer(kind));
  const server = new TestServer(recipes[kind], executable, port ?? (await freePort()), args);
  try {
    await server.prepare();
    await server.start();
  } catch (error) {
    await server.close();
    throw error;
  }
  return server;
}

/**
 * `describe` for tests that need a server: one for all of them, started before the first and gone after the last. What it
 * keeps is theirs to tell apart (deployments by name).
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
