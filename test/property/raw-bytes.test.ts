/** Bytes that are not HTTP, or only half of it: connections open and close, and the endpoint keeps serving. */
import { connect } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isMatrix } from '../kit/matrix.ts';
import { serve } from '../kit/serve.ts';
import { body } from './arbitraries.ts';
import { createHostileServer } from './hostile-server.ts';

const RUNS = isMatrix ? 300 : 50;

/** Sends the pieces one by one, then ends its side. Resolves with the received bytes when the connection is over. */
function converse(port: number, pieces: readonly Uint8Array[], hangUp: boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    const tooLong = setTimeout(() => {
      reject(new Error('the connection hangs'));
      socket.destroy();
    }, 15_000);
    let received = '';
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => (received += text));
    socket.on('error', () => {}); // reset, as a server may
    socket.on('close', () => {
      clearTimeout(tooLong);
      resolve(received);
    });
    for (const piece of pieces) socket.write(piece);
    if (hangUp) socket.destroySoon();
    else socket.end();
  });
}

const junk = fc.uint8Array({ maxLength: 100 });

/** Head and body of a POST; each may contradict the other. */
const request = fc
  .record({
    line: fc.oneof(
      { weight: 6, arbitrary: fc.constant('POST /mcp HTTP/1.1') },
      fc.constantFrom(
        'GET /mcp HTTP/1.1',
        'DELETE /mcp HTTP/1.0',
        'POST /%ff/../mcp?x HTTP/1.1',
        'POST * HTTP/1.1',
        'x',
      ),
    ),
    length: fc.oneof(
      { weight: 3, arbitrary: fc.constant('right') },
      fc.constantFrom('none', 'short', 'long', 'chunked', 'both'),
    ),
    extra: fc.array(
      fc.constantFrom('Expect: 100-continue', 'Upgrade: h2c', 'Connection: close', 'Host: a', 'X: \u00ff'),
      {
        maxLength: 2,
      },
    ),
    body,
  })
  .map(({ line, length, extra, body: content }) => {
    const bytes = Buffer.from(content);
    const sizes: Record<string, number> = {
      right: bytes.length,
      short: bytes.length >> 1,
      long: bytes.length + 10,
      both: bytes.length,
    };
    const size = sizes[length];
    const chunked = length === 'chunked' || length === 'both';
    const head = [
      line,
      'Host: localhost',
      'Accept: application/json, text/event-stream',
      'Content-Type: application/json',
      ...(size === undefined ? [] : [`Content-Length: ${size}`]),
      ...(chunked ? ['Transfer-Encoding: chunked'] : []),
      ...extra,
    ];
    const chunk = chunked
      ? Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n0\r\n\r\n')])
      : bytes;
    return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`, 'latin1'), chunk]);
  });

const pieces = fc.array(fc.oneof({ weight: 4, arbitrary: request }, junk), { minLength: 1, maxLength: 3 });

test.each(['hybrid', 'stateful', 'stateless'] as const)(
  'any bytes on a connection of a %s endpoint',
  async (sessionMode) => {
    const { port, client, log } = await serve(createHostileServer, { sessionMode });
    await fc.assert(
      fc.asyncProperty(pieces, fc.boolean(), async (sent, hangUp) => {
        const received = await converse(port, sent, hangUp);
        // All received bytes are HTTP, and no status is a failure of the server.
        if (received !== '') expect(received).toMatch(/^HTTP\/1\.1 [1-4]\d\d /);
        expect(received).not.toMatch(/HTTP\/1\.1 5\d\d /);
        expect(received).not.toMatch(/ at .*\.ts:|node_modules/);
      }),
      { numRuns: RUNS },
    );
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
    const one = client();
    const { response } =
      sessionMode === 'stateless' ? await one.call('tools/list') : await one.initialize({ initialized: false });
    expect(response.status).toBe(200);
  },
);
