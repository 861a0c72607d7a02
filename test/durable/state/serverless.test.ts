/** The recipe for AWS Lambda, with a fresh process for each call. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { inherited } from '../../kit/child-process.ts';
import { isMatrix } from '../../kit/matrix.ts';
import { envelope, mirrored } from '../../kit/modern.ts';
import { describeWithServer } from '../../kit/servers/index.ts';

const PROCESS = join(import.meta.dirname, 'processes/lambda.mjs');
const CALLS = isMatrix ? 500 : 12;
const AT_ONCE = 3;

const params = { name: 'count', arguments: {}, _meta: envelope() };
const event = {
  version: '2.0',
  routeKey: '$default',
  rawPath: '/mcp',
  rawQueryString: '',
  headers: {
    host: 'mcp.example.com',
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    ...mirrored('tools/call', params),
  },
  requestContext: {
    http: { method: 'POST', path: '/mcp', sourceIp: '192.0.2.1' },
    domainName: 'mcp.example.com',
  },
  body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }),
  isBase64Encoded: false,
};

describeWithServer('redis', 'with Redis', (server) => {
  test(
    `${CALLS} calls in as many processes count to ${CALLS}`,
    async () => {
      const env = { ...inherited, REDIS_URL: server().url };
      const numbers: number[] = [];
      let calls = 0;
      const caller = async () => {
        while (calls < CALLS) {
          calls += 1;
          const run = promisify(execFile)(process.execPath, [PROCESS, JSON.stringify(event)], {
            env,
          });
          const { stdout } = await run;
          const [, n] = /^200 .*"text":"call (\d+)"/ms.exec(stdout) ?? [];
          expect(n, stdout).toBeDefined();
          numbers.push(Number(n));
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, caller));
      expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: CALLS }, (_, n) => n + 1));
    },
    isMatrix ? 1_200_000 : 120_000,
  );
});
