// @module-tag matrix
/**
 * A body in chunks of one byte takes hundreds of times its length as objects. Each is charged to the memory budget.
 */
import { connect } from 'node:net';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { until } from '../kit/until.ts';
import { Caller, startSmallHeap, underAttack } from './small-heap.ts';

/** 11 MB on the wire. */
const CHARACTERS = 1_800_000;

test('a process with a small heap refuses a body in chunks of one byte', { timeout: 180_000 }, async () => {
  const server = await startSmallHeap();
  await underAttack(server, async () => {
    const attacker = new Caller(server.port, 'attacker', 1);
    const sessionId = await attacker.open();
    const socket = connect(server.port, '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    let answer = '';
    socket.setEncoding('utf8').on('data', (text: string) => (answer += text));
    socket.on('error', (error) => (answer += String(error)));
    socket.write(
      `POST /mcp HTTP/1.1\r\nHost: localhost\r\nX-User: attacker\r\nMcp-Session-Id: ${sessionId}\r\n` +
        'Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    const params = { _meta: { padding: 'x'.repeat(CHARACTERS) } };
    const body = JSON.stringify({ jsonrpc: '2.0', id: 77, method: 'ping', params });
    const chunks = Array.from(body, (byte) => `1\r\n${byte}\r\n`);
    for (let at = 0; at < chunks.length; at += 1_000) {
      if (!socket.write(chunks.slice(at, at + 1_000).join('')))
        await Promise.race([once(socket, 'drain'), once(socket, 'close')]);
      if (socket.destroyed) break;
    }
    if (!socket.destroyed) socket.write('0\r\n\r\n');
    await until(() => answer.includes('\r\n\r\n') || socket.destroyed, { timeoutMs: 60_000 });
    expect(answer).toMatch(/^Sojourn-Refused: over_memory\r$/m);
  });
});
