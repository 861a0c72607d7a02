/** A client of an endpoint in another process, whose failures are answers too. */
import { Agent, request } from 'node:http';

export interface Answer {
  /** 0: the connection was cut, or no answer came in time. Then the text says why. */
  readonly status: number;
  readonly sessionId: string | undefined;
  readonly text: string;
}

export interface CallerOptions {
  readonly user?: string | undefined;
  /** Connections at once. */
  readonly sockets?: number;
  readonly answerMs?: number | undefined;
}

const ANSWER_MS = 90_000;
const VERSION = '2025-11-25';

export class Caller {
  readonly #port: number;
  readonly #user: string | undefined;
  readonly #agent: Agent;
  readonly #answerMs: number;
  sessionId: string | undefined;
  #nextId = 1;

  constructor(port: number, { user, sockets = 1, answerMs = ANSWER_MS }: CallerOptions = {}) {
    this.#port = port;
    this.#user = user;
    this.#agent = new Agent({ keepAlive: true, maxSockets: sockets });
    this.#answerMs = answerMs;
  }

  post(body: string, headers: Record<string, string> = {}, path?: string): Promise<Answer> {
    return this.#send('POST', body, { accept: 'application/json, text/event-stream', ...headers }, path);
  }

  /** What follows an event, up to the end of the response. */
  resume(lastEventId: string): Promise<Answer> {
    const headers = { 'last-event-id': lastEventId, 'mcp-protocol-version': VERSION, accept: 'text/event-stream' };
    return this.#send('GET', '', headers);
  }

  rpc(method: string, params: object, headers?: Record<string, string>, path?: string): Promise<Answer> {
    return this.post(JSON.stringify({ jsonrpc: '2.0', id: this.#nextId++, method, params }), headers, path);
  }

  initialize(capabilities: object = {}, protocolVersion = VERSION, path?: string): Promise<Answer> {
    const clientInfo = { name: 'caller', version: '1' };
    return this.rpc('initialize', { protocolVersion, capabilities, clientInfo }, {}, path);
  }

  async open(): Promise<string> {
    const { sessionId, status, text } = await this.initialize();
    if (sessionId === undefined) throw new Error(`no session: ${status} ${text.slice(0, 200)}`);
    this.sessionId = sessionId;
    return sessionId;
  }

  close(): void {
    this.#agent.destroy();
  }

  #send(method: string, body: string, headers: Record<string, string>, path = '/mcp'): Promise<Answer> {
    return new Promise((resolve) => {
      const failed = ({ message: text }: Error): void => resolve({ status: 0, sessionId: undefined, text });
      const all = {
        'content-type': 'application/json',
        ...(headers['transfer-encoding'] === undefined && { 'content-length': Buffer.byteLength(body) }),
        ...(this.#user !== undefined && { 'x-user': this.#user }),
        ...(this.sessionId !== undefined && { 'mcp-session-id': this.sessionId }),
        ...headers,
      };
      const to = { host: '127.0.0.1', port: this.#port, path, method, agent: this.#agent, headers: all };
      const outgoing = request(to, (incoming) => {
        const parts: Buffer[] = [];
        incoming.on('data', (part: Buffer) => parts.push(part));
        incoming.on('error', failed);
        incoming.on('end', () => {
          const id = incoming.headers['mcp-session-id'];
          const sessionId = typeof id === 'string' ? id : undefined;
          resolve({ status: incoming.statusCode ?? 0, sessionId, text: Buffer.concat(parts).toString() });
        });
      });
      outgoing.setTimeout(this.#answerMs, () => outgoing.destroy(new Error('no answer')));
      outgoing.on('error', failed);
      // The server may answer before it has the whole body, and close.
      outgoing.on('socket', (socket) => {
        if (socket.listenerCount('error') < 2) socket.on('error', failed);
      });
      outgoing.end(body);
    });
  }
}
