import { Connection } from './connection.ts';

const path = '/mcp';
const version = '2025-06-18';
const text = 'hello';

/** A session, and the worker that has it. */
export interface WorkerSession {
  readonly id: string;
  readonly instance: string;
}

/** A connection, and the instance that accepted it. */
export interface WorkerConnection {
  readonly connection: Connection;
  readonly instance: string;
}

function postBytes(to: string, message: object, sessionId?: string): string {
  const body = JSON.stringify(message);
  const session = sessionId === undefined ? '' : `mcp-session-id: ${sessionId}\r\nmcp-protocol-version: ${version}\r\n`;
  return (
    `POST ${to} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n` +
    `accept: application/json, text/event-stream\r\n${session}content-length: ${String(body.length)}\r\n\r\n${body}`
  );
}

export async function openConnection(port: number): Promise<WorkerConnection> {
  const connection = await Connection.open(port);
  const { body } = await connection.send(postBytes('/healthz', {}));
  return { connection, instance: (JSON.parse(body) as { instance: string }).instance };
}

/** Opens a session at the worker that has the connection. */
export async function openSession({ connection, instance }: WorkerConnection): Promise<WorkerSession> {
  const clientInfo = { name: 'bench', version: '1.0.0' };
  const params = { protocolVersion: version, capabilities: {}, clientInfo };
  const { head } = await connection.send(postBytes(path, { jsonrpc: '2.0', id: 0, method: 'initialize', params }));
  const id = /\r\nmcp-session-id: (\S+)/i.exec(head)?.[1];
  if (id === undefined) throw new Error(`initialize was answered with ${head}`);
  await connection.send(postBytes(path, { jsonrpc: '2.0', method: 'notifications/initialized' }, id));
  // From it the endpoint learns which tools may be retried.
  await connection.send(postBytes(path, { jsonrpc: '2.0', id: 1, method: 'tools/list' }, id));
  return { id, instance };
}

/** All ids have as many digits, so that all answers of a tool have the same length. Each connection has other ids. */
const firstId = 1_000_000;
const idsEach = 100_000;
const idAt = '\0';

/** Calls of one tool in one session. */
export class Calls {
  readonly #before: string;
  readonly #after: string;
  readonly #first: number;
  #made = 0;

  constructor({ id }: WorkerSession, tool: string, connection: number) {
    const params = { name: tool, arguments: { text } };
    const message = { jsonrpc: '2.0', id: firstId, method: 'tools/call', params };
    const [before = '', after = ''] = postBytes(path, message, id)
      .replace(`:${String(firstId)}`, `:${idAt}`)
      .split(idAt);
    this.#before = before;
    this.#after = after;
    this.#first = firstId + connection * idsEach;
  }

  next(): string {
    this.#made = (this.#made + 1) % idsEach;
    return this.#before + String(this.#first + this.#made) + this.#after;
  }
}

export function isAnswer(answer: string): boolean {
  return answer.startsWith('HTTP/1.1 200') && answer.includes(`"text":"${text}"`);
}
