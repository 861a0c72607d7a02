/** Several paths of one endpoint, and JWTs for each: which metadata, which challenge, which tokens. */
import { expect, onTestFinished, test } from 'vitest';
import { type AuthOptions, createMcpEndpoint } from '../../../src/index.ts';
import { handshake } from '../../kit/legacy-sse.ts';
import { startIssuer } from '../../kit/issuer.ts';
import { createLab } from '../../kit/lab.ts';
import { createLog } from '../../kit/log.ts';

const GIT = 'https://mcp.example/tools/git/mcp';
const NOTES = 'https://mcp.example/tools/notes/mcp';

async function listening(
  audience: readonly string[],
  path: readonly string[] = ['/git/mcp', '/notes/mcp'],
  more: Partial<AuthOptions> = {},
) {
  const issuer = await startIssuer();
  const endpoint = createMcpEndpoint(createLab().factory, {
    logger: createLog(),
    auth: { jwt: { issuer: issuer.url, audience }, ...more },
  });
  onTestFinished(() => endpoint.close({ timeoutMs: 0 }));
  const { port } = await endpoint.listen({ port: 0, path });
  const at = (to: string): string => `http://127.0.0.1:${port}${to}`;
  const post = (to: string, token?: string): Promise<Response> =>
    fetch(at(to), {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(handshake(1, '2025-11-25')),
    });
  const statuses = async (
    aud: string | readonly string[],
    paths: readonly string[] = path,
  ): Promise<number[]> => {
    const token = await issuer.token({ claims: { aud } });
    const found: number[] = [];
    for (const to of paths) found.push((await post(to, token)).status);
    return found;
  };
  const metadataOf = async (to: string): Promise<string | undefined> =>
    /resource_metadata="([^"]*)"/.exec((await post(to)).headers.get('www-authenticate') ?? '')?.[1];
  return { at, post, statuses, metadataOf };
}

test('each path has the metadata and the challenge of the audience whose URL ends with it', async () => {
  const { at, metadataOf } = await listening([GIT, NOTES]);
  for (const [path, resource] of [
    ['/git/mcp', GIT],
    ['/notes/mcp', NOTES],
    ['/git/mcp/', GIT],
  ] as const) {
    const url = await metadataOf(path);
    const { pathname } = new URL(resource);
    expect(url).toBe(`https://mcp.example/.well-known/oauth-protected-resource${pathname}`);
    const document = await fetch(at(new URL(String(url)).pathname));
    expect(await document.json()).toMatchObject({ resource });
  }
});

test("a token for another path's audience is 401, also when it was verified at its own a moment ago", async () => {
  const { statuses } = await listening([GIT, NOTES]);
  expect(await statuses(GIT, ['/notes/mcp', '/git/mcp', '/notes/mcp', '/git/mcp'])).toEqual([
    401, 200, 401, 200,
  ]);
  expect(await statuses(NOTES)).toEqual([401, 200]);
  expect(await statuses([GIT, NOTES])).toEqual([200, 200]);
});

test('an audience that no path ends is good at each path', async () => {
  const { statuses } = await listening([GIT, NOTES, 'api', 'https://old.example/v1']);
  for (const aud of ['api', 'https://old.example/v1'])
    expect(await statuses(aud)).toEqual([200, 200]);
  expect(await statuses('https://old.example/v2')).toEqual([401, 401]);
});

test('of paths that end alike the longest has the audience', async () => {
  const { statuses, metadataOf } = await listening(
    ['https://a.example/api/mcp', 'https://a.example/api/git/mcp', 'https://b.example/mcp'],
    ['/mcp', '/git/mcp'],
  );
  expect(await statuses('https://a.example/api/mcp')).toEqual([200, 401]);
  expect(await statuses('https://b.example/mcp')).toEqual([200, 401]);
  expect(await statuses('https://a.example/api/git/mcp')).toEqual([401, 200]);
  expect(await metadataOf('/git/mcp')).toContain('/oauth-protected-resource/api/git/mcp');
});

test('where no audience ends with a path, every audience counts there, with the first metadata', async () => {
  const { statuses, metadataOf } = await listening([GIT, NOTES], ['/git/mcp', '/files/mcp']);
  expect(await statuses(GIT)).toEqual([200, 200]);
  expect(await statuses(NOTES)).toEqual([200, 200]);
  expect(await metadataOf('/files/mcp')).toContain('/tools/git/mcp');
});

test('auth.metadata.resource is the one resource of all paths', async () => {
  const metadata = { resource: 'https://mcp.example/all' };
  const { at, metadataOf } = await listening([GIT, NOTES], undefined, { metadata });
  for (const path of ['/git/mcp', '/notes/mcp'])
    expect(await metadataOf(path)).toBe(
      'https://mcp.example/.well-known/oauth-protected-resource/all',
    );
  const { pathname } = new URL(GIT);
  expect((await fetch(at(`/.well-known/oauth-protected-resource${pathname}`))).status).toBe(404);
});
