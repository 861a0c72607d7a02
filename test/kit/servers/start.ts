/** Starts the servers of stores, also outside a test runner. */
import { freePort } from '../free-port.ts';
import { recipes } from './recipes.ts';
import { TestServer, type ServerKind, type ServerOptions } from './test-server.ts';

export const serverKinds = ['redis', 'postgres'] as const satisfies readonly ServerKind[];

/** Whether its tests run: under CI they always run, and fail if the server is missing. */
export const isAvailable = (kind: ServerKind): boolean =>
  process.env['CI'] !== undefined || recipes[kind].find() !== undefined;

export const missingServer = (kind: ServerKind): string =>
  `${kind}: the server is not installed (Debian: apt-get install ${recipes[kind].package})`;

/** Starts a separate server and resolves when it answers. */
export async function startServer(
  kind: ServerKind,
  { args = [], port }: ServerOptions = {},
): Promise<TestServer> {
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
