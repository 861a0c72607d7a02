// @module-tag matrix
/**
 * Requests that an instance leaves unanswered, and large ones, behind nginx as the deployment page has it: no call is
 * sent twice, and a GET of a stream ends with a closed connection. Clients open such a stream again; some end for good
 * at a 502, 503 or 504.
 */
import { expect, test } from 'vitest';
import { DEFAULTS } from '../../src/options/table.ts';
import { openClient } from '../kit/listening.ts';
import { freePort } from '../kit/servers/index.ts';
import { AFFINITY, behindNginx, describeBehindNginx, ROUND_ROBIN } from './nginx.ts';
import { standIn } from './stand-in.ts';

/** An instance that closes the connection of each request that it has read. */
const dyingInstance = (seen: string[]): Promise<number> =>
  standIn((request) => {
    seen.push(String(request.method));
    request.socket.destroy();
  });

/** What one request gets: the first line of its answer; `''`: its connection is closed without one. */
async function ask(url: string, method: string): Promise<string> {
  const body = method === 'POST' ? '{"jsonrpc":"2.0","id":1,"method":"ping"}' : '';
  const length = method === 'POST' ? `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n` : '';
  const head = `${method} /mcp HTTP/1.1\r\nHost: a\r\nMcp-Session-Id: s\r\nConnection: close\r\n${length}`;
  return (await openClient(url).bytes(`${head}\r\n${body}`)).split('\r\n', 1)[0] ?? '';
}

for (const files of [ROUND_ROBIN, AFFINITY]) {
  describeBehindNginx(`requests without an answer behind ${files.join(' and ')}`, () => {
    test('a POST or DELETE that an instance has read is not sent to another one; a GET ends with a closed connection', async () => {
      const seen: string[] = [];
      const { url } = await behindNginx(files, [
        await dyingInstance(seen),
        await dyingInstance(seen),
        await dyingInstance(seen),
      ]);
      expect(await ask(url, 'GET')).toBe('');
      for (const method of ['POST', 'DELETE'])
        expect([method, await ask(url, method)]).toEqual([method, expect.stringContaining('HTTP/1.1 502 ')]);
      // nginx cannot tell a GET that was sent from one whose connection was refused. It has no effect twice.
      expect(seen).toEqual(['GET', 'GET', 'GET', 'POST', 'DELETE']);
    });

    test('a body above limits.bodyBytes reaches the instance: some clients end for good at a 413 of the proxy', async () => {
      const bytes = DEFAULTS.limits.bodyBytes + 2 ** 20;
      const one = await standIn((request, response) => {
        let length = 0;
        request.on('data', (chunk: Buffer) => (length += chunk.length)).on('end', () => response.end(String(length)));
      });
      const { url } = await behindNginx(files, [one, one, one]);
      const response = await fetch(url, {
        method: 'POST',
        body: Buffer.alloc(bytes),
        headers: { connection: 'close' },
      });
      expect([response.status, await response.text()]).toEqual([200, String(bytes)]);
    });

    test('with no instance that accepts, a GET fails in the same way, and a POST is answered', async () => {
      const { url } = await behindNginx(files, [await freePort(), await freePort(), await freePort()]);
      expect(await ask(url, 'GET')).toBe('');
      expect(await ask(url, 'POST')).toMatch(/^HTTP\/1.1 50[23] /);
    });
  });
}
