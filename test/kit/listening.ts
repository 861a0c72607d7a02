/** A server that a test makes by itself, around an endpoint or in its place. */
import { Server as HttpServer } from 'node:http';
import { type AddressInfo, type Server, Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { RawClient, type RawClientOptions } from './raw-client.ts';

/** Listens until the test ends, and resolves with the origin. `close` comes before the end of the server. */
export async function listening(server: Server, close?: () => unknown): Promise<string> {
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  onTestFinished(async () => {
    await close?.();
    if (server instanceof HttpServer) server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** The outcome for a client that connects now: in this turn, as far as the kernel is concerned. */
export function connecting(port: number): Promise<string | undefined> {
  const socket = new Socket();
  const end = new Promise<string | undefined>((done) => {
    socket.once('error', ({ code }: NodeJS.ErrnoException) => done(code));
    socket.once('connect', () => done('connected'));
  });
  void end.then(() => socket.destroy());
  socket.connect({ host: '127.0.0.1', port });
  return end;
}

/** A client that is closed when the test ends. */
export function openClient(url: string, options?: RawClientOptions): RawClient {
  const client = new RawClient(url, options);
  onTestFinished(() => client.close());
  return client;
}

/** A client of `endpoint`, which this server has. */
export async function clientBehind(
  server: Server,
  endpoint: { close(options?: { timeoutMs: number }): Promise<void> },
  { path = '/mcp', ...options }: RawClientOptions & { readonly path?: string } = {},
): Promise<RawClient> {
  return openClient(
    (await listening(server, () => endpoint.close({ timeoutMs: 0 }))) + path,
    options,
  );
}
