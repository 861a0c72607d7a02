/** Official clients at a server: at the lab, whose calls a test controls, or at the example that has everything. */
import everything from '../../examples/everything/server.ts';
import type { McpEndpointFactory, McpEndpointOptions } from '../../src/index.ts';
import { createFixtureServer } from '../kit/fixture-server.ts';
import { createLab, type Lab } from '../kit/lab.ts';
import { faces, serve, type Face } from '../kit/serve.ts';
import type { Connect, ConnectOptions, OfficialClient } from './official.ts';

/** For `describe.each`: each client over each face. */
export const overFaces = (
  clients: ReadonlyArray<readonly [name: string, connect: Connect]>,
): Array<[name: string, face: Face, connect: Connect]> =>
  faces.flatMap((face) =>
    clients.map(([name, connect]): [string, Face, Connect] => [name, face, connect]),
  );

type Behind = ConnectOptions & { readonly options?: McpEndpointOptions | undefined };

/** A server, and a client of it. */
async function connected(
  factory: McpEndpointFactory,
  face: Face,
  connect: Connect,
  { options, ...behind }: Behind,
) {
  const served = await serve(factory, { legacySse: true, retryMs: 5, ...options }, { face });
  return { ...served, ...(await connect(served.url, behind)) };
}

export async function openLab(
  face: Face,
  connect: Connect,
  behind: Behind = {},
  lab: Lab = createLab(),
) {
  return { lab, ...(await connected(lab.factory, face, connect, behind)) };
}

/** `examples/everything`, as `npm start` serves it. */
export const openExample = (face: Face, connect: Connect, behind: ConnectOptions = {}) =>
  connected(everything.factory, face, connect, { ...behind, options: everything.options });

/** The server of the conformance suite. */
export const openFixture = (face: Face, connect: Connect, behind: ConnectOptions = {}) =>
  connected(createFixtureServer, face, connect, behind);

/** The session in which a client's calls run. */
export async function sessionOf({ say }: Pick<OfficialClient, 'say'>): Promise<unknown> {
  return (JSON.parse(await say('who')) as { id?: unknown }).id;
}
