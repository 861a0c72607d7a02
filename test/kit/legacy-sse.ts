/** A client of the 2024-11-05 transport: a GET that is the session, and POSTs to the address in its first event. */
import type { RawClient, RawRequestOptions } from './raw-client.ts';

export const handshake = (id: number, protocolVersion = '2024-11-05') => ({
  jsonrpc: '2.0',
  id,
  method: 'initialize',
  params: {
    protocolVersion,
    capabilities: { sampling: {}, roots: {} },
    clientInfo: { name: 'old', version: '1' },
  },
});

/** An open GET, and the address for its messages. */
export async function connectSse(client: RawClient, path: string, options?: RawRequestOptions) {
  const stream = await client.get({ ...options, path });
  const { data = '' } = await stream.next();
  const { pathname, search } = new URL(data, new URL(path, 'http://localhost'));
  const endpoint = `${pathname}${search}`;
  const post = (message: unknown, more?: RawRequestOptions) =>
    client.post(message, { ...options, ...more, path: endpoint });
  return { stream, data, endpoint, post };
}

/** Also performs the handshake. */
export async function openSse(client: RawClient, path = '/mcp/sse', protocolVersion?: string) {
  const connection = await connectSse(client, path);
  await connection.post(handshake(0, protocolVersion));
  await connection.stream.nextMessage();
  await connection.post({ jsonrpc: '2.0', method: 'notifications/initialized' });
  return connection;
}
