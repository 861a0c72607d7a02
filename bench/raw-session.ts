/** Requests as bytes, and a session opened with them. */
import type { Connection } from './connection.ts';
import type { Load } from './requests.ts';

interface Target {
  readonly sessionId?: string;
  readonly version: string;
  readonly method?: 'POST' | 'DELETE';
}

export function post(message: object | undefined, { sessionId, version, method = 'POST' }: Target): string {
  const body = message === undefined ? '' : JSON.stringify(message);
  const session = sessionId === undefined ? '' : `mcp-session-id: ${sessionId}\r\nmcp-protocol-version: ${version}\r\n`;
  return (
    `${method} /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n` +
    `accept: application/json, text/event-stream\r\n${session}content-length: ${String(body.length)}\r\n\r\n${body}`
  );
}

/** One request of the load. */
export function bytesOf({ path, headers, before, after }: Load): string {
  const body = `${before}1${after}`;
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return (
    `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n${lines.join('')}` +
    `content-length: ${String(body.length)}\r\n\r\n${body}`
  );
}

/** Returns the id of the session. */
export async function openSessionAt(connection: Connection, version: string): Promise<string> {
  const clientInfo = { name: 'bench', version: '1.0.0' };
  const params = { protocolVersion: version, capabilities: {}, clientInfo };
  const opened = await connection.send(post({ jsonrpc: '2.0', id: 0, method: 'initialize', params }, { version }));
  const sessionId = /\r\nmcp-session-id: (\S+)/i.exec(opened.head)?.[1];
  if (sessionId === undefined) throw new Error(`initialize was answered with ${opened.head}`);
  await connection.send(post({ jsonrpc: '2.0', method: 'notifications/initialized' }, { sessionId, version }));
  return sessionId;
}
