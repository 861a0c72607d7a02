/** A client of an endpoint in another process, whose failures are answers too. */
export interface Answer {
  /** 0: the connection was cut, or no answer came in time. Then the text says why. */
  readonly status: number;
  readonly sessionId: string | undefined;
  readonly text: string;
}

const VERSION = '2025-11-25';

export class Caller {
  readonly #port: number;
  readonly #user: string | undefined;
  readonly #answerMs: number;
  sessionId: string | undefined;
  #nextId = 1;

  constructor(port: number, user?: string, answerMs = 90_000) {
    this.#port = port;
    this.#user = user;
    this.#answerMs = answerMs;
  }

  async post(body: string, headers: Record<string, string> = {}, path = '/mcp'): Promise<Answer> {
    const all = {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...(this.#user !== undefined && { 'x-user': this.#user }),
      ...(this.sessionId !== undefined && { 'mcp-session-id': this.sessionId }),
      ...headers,
    };
    try {
      const signal = AbortSignal.timeout(this.#answerMs);
      const response = await fetch(`http://127.0.0.1:${this.#port}${path}`, {
        method: 'POST',
        body,
        headers: all,
        signal,
      });
      const sessionId = response.headers.get('mcp-session-id') ?? undefined;
      return { status: response.status, sessionId, text: await response.text() };
    } catch (cause) {
      return {
        status: 0,
        sessionId: undefined,
        text: `${String(cause)}: ${String((cause as Error).cause)}`,
      };
    }
  }

  rpc(
    method: string,
    params: object,
    headers?: Record<string, string>,
    path?: string,
  ): Promise<Answer> {
    return this.post(
      JSON.stringify({ jsonrpc: '2.0', id: this.#nextId++, method, params }),
      headers,
      path,
    );
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
}
