/**
 * The head of a stream and its priming event leave in one write. A client with a head and no event id cannot resume
 * when its server crashes: its call waits until it times out.
 */
import { Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { createLab, tool } from '../kit/lab.ts';
import { serve } from '../kit/serve.ts';

/** Records each write of every server in this process. */
function watchWrites(): string[] {
  const writes: string[] = [];
  const { prototype } = Socket;
  const { _write, _writev } = prototype;
  const ofServer = (socket: Socket): boolean => 'server' in socket && socket.server !== null;
  prototype._write = function (chunk: unknown, ...rest) {
    if (ofServer(this)) writes.push(String(chunk));
    return _write.call(this, chunk, ...rest);
  };
  prototype._writev = function (chunks, ...rest) {
    if (ofServer(this)) writes.push(chunks.map(({ chunk }) => String(chunk)).join(''));
    return _writev?.call(this, chunks, ...rest);
  };
  onTestFinished(() => void Object.assign(prototype, { _write, _writev }));
  return writes;
}

test('a call that takes its time opens its stream in one piece', async () => {
  const lab = createLab();
  const { openSession } = await serve(lab.factory);
  const raw = await openSession();
  const writes = watchWrites();
  const calling = raw.call(...tool('hold'));
  (await lab.held()).answer('done');
  expect((await calling).response.status).toBe(200);
  expect(writes[0]).toMatch(
    /^HTTP\/1\.1 200 [\s\S]*text\/event-stream[\s\S]*\r\n\r\n[\s\S]*id: \S+\nretry: /,
  );
});
