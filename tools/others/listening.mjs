// What the harness asks is answered by bench/servers/serve.mjs; these servers listen by themselves.
import { createServer } from 'node:net';
import '../../bench/servers/serve.mjs';

export async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

export const listens = (port) => process.send({ port });
