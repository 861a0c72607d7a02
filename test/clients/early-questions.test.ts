/** Servers that ask official clients in `oninitialized`, before the GET stream of the client is open. */
import { McpServer } from '@modelcontextprotocol/server';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { describe, expect, test } from 'vitest';
import type { McpEndpointContext, McpEndpointOptions } from '../../src/index.ts';
import { deployment } from '../cli/deployment.ts';
import { inMatrix } from '../kit/matrix.ts';
import { serve } from '../kit/serve.ts';
import { sharedStore, useSharedStores } from '../kit/shared-stores.ts';
import { said } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { overFaces } from './opened.ts';
import { sessionClients, sseClients } from './official.ts';

useSharedStores();

const FOLDER = { roots: [{ uri: 'file:///home/ada' }] };
const KNOWN = 'file:///home/ada';

/** `found`: what each server learnt, or why not. */
function foldersServer(line: 'v1' | 'v2' = 'v2') {
  const found: string[] = [];
  const factory = (ctx: McpEndpointContext): McpServer => {
    const info = { name: 'folders', version: '1' };
    const server = (
      line === 'v1' ? new McpServerV1(info) : new McpServer(info, ctx.serverOptions)
    ) as McpServer;
    const asked: string[] = [];
    server.registerTool('folders', {}, () => said(asked.join(' ')));
    const read = async (): Promise<void> => {
      const answer = await server.server.listRoots().then(
        ({ roots }) => roots.map(({ uri }) => uri).join(' '),
        ({ code, message }: { code: unknown; message: string }) => `${String(code)} ${message}`,
      );
      asked.push(answer);
      found.push(answer);
    };
    server.server.oninitialized = () => void read();
    return server;
  };
  return { factory, found };
}

describe.each(overFaces([...sessionClients, ...sseClients]))(
  'the %s client on the face %s tells its folders',
  (_name, face, connect) => {
    const open = async (options: McpEndpointOptions, line?: 'v1' | 'v2') => {
      const { factory, found } = foldersServer(line);
      const { url } = await serve(factory, { legacySse: true, ...options }, { face });
      const client = await connect(url, { roots: () => FOLDER });
      await until(() => found.length === 1, { what: 'the answer' });
      expect(found).toEqual([KNOWN]);
      return client;
    };

    test.each(['memory', 'sqlite'] as const)('a server of either line, on %s', async (kind) => {
      for (const line of ['v1', 'v2'] as const) {
        const { say, errors, requests } = await open({ store: sharedStore(kind)() }, line);
        expect(await say('folders')).toBe(KNOWN);
        expect([errors, requests.filter((request) => request.startsWith('GET')).length]).toEqual([
          [],
          1,
        ]);
      }
    });

    test('where POSTs are answered with JSON', async () => {
      expect(await (await open({ responseMode: 'json' })).say('folders')).toBe(KNOWN);
    });
  },
);

// A process takes longer to start than both clients take.
describe.each(inMatrix(sessionClients, sessionClients.slice(1)))(
  'the %s client',
  (_name, connect) => {
    test('that opens no GET stream does not hold up the end of a process that asks', async () => {
      const { start } = deployment({
        server: 'roots-server.mjs',
        env: { SOJOURN_RETRY_MS: '600000' },
      });
      const { cli, url } = await start();
      const client = await connect(url, { roots: () => FOLDER, withoutGet: true });
      expect(await client.say('folders')).toBe(`${cli.parent} `);
      cli.kill('SIGTERM');
      expect(await cli.ended()).toMatchObject({
        code: 0,
        stderr: expect.not.stringContaining('nhandled') as string,
      });
    });

    test(
      'is asked for its folders by each process before its first call there',
      { timeout: 120_000 },
      async () => {
        const { start } = deployment({ server: 'roots-server.mjs' });
        let serving = await start({ SDK: '1' });
        const client = await connect(serving.url, {
          roots: () => FOLDER,
          route: () => serving.url,
        });
        const folders = (): Promise<string> => client.say('folders').catch(String);
        await until(async () => (await folders()) === `${serving.cli.parent} ${KNOWN}`, {
          what: 'the first process',
        });
        for (const [signal, SDK] of [
          ['SIGKILL', '1'],
          ['SIGKILL', '2'],
          ['SIGTERM', '1'],
          ['SIGTERM', '2'],
        ] as const) {
          serving.cli.kill(signal);
          await serving.cli.ended();
          serving = await start({ SDK });
          expect(await folders(), `${signal}, SDK ${SDK}`).toBe(`${serving.cli.parent} ${KNOWN}`);
        }
      },
    );
  },
);
