import { Agent, type IncomingHttpHeaders, request } from 'node:http';

/** What the load client sends repeatedly. The id of each request is inserted between `before` and `after`. */
export interface Load {
  readonly port: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly before: string;
  readonly after: string;
  /** The requests go to these sessions in turn. */
  readonly sessionIds?: readonly string[];
}

/** An answer split so that the bare side can write it for another id. */
export interface RecordedAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The texts around each place that holds the request's id: the message and, on streams, its event id. */
  readonly parts: readonly string[];
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

const path = '/mcp';
const clientInfo = { name: 'bench', version: '1.0.0' };
const echoed = 'hello';
const recordedId = 987_654;
const OPENERS = 16;

const postHeaders = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
};

/** Opens a session as a client does, and returns the load of `tools/call` on it. */
export async function statefulCalls(port: number, protocolVersion: string, more: Load['headers'] = {}): Promise<Load> {
  return callsOf('echo', port, await openedHeaders(port, protocolVersion, more));
}

const callsOf = (name: string, port: number, headers: Load['headers']): Promise<Load> =>
  checked(load(port, headers, { method: 'tools/call', params: { name, arguments: { text: echoed } } }));

/** The same of another tool, by a client that has listed the tools, so that their hints are known. */
export async function listedCalls(port: number, protocolVersion: string, name: string): Promise<Load> {
  const headers = await openedHeaders(port, protocolVersion, {});
  await send(load(port, headers, { method: 'tools/list' }), 2);
  return callsOf(name, port, headers);
}

/** The same of `tools/list`. */
export async function statefulLists(port: number, protocolVersion: string): Promise<Load> {
  return load(port, await openedHeaders(port, protocolVersion, {}), { method: 'tools/list' });
}

async function openedHeaders(port: number, protocolVersion: string, more: Load['headers']): Promise<Load['headers']> {
  const plain = initializeLoad(port, protocolVersion);
  const opening = { ...plain, headers: { ...plain.headers, ...more } };
  const opened = await send(opening, 1);
  const sessionId = opened.headers['mcp-session-id'];
  if (opened.status !== 200 || typeof sessionId !== 'string') throw unexpected('initialize', opened);
  const headers = {
    ...postHeaders,
    ...more,
    'mcp-protocol-version': protocolVersion,
    'mcp-session-id': sessionId,
  };
  const initialized = await post(
    port,
    headers,
    JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' }),
  );
  if (initialized.status !== 202) throw unexpected('notifications/initialized', initialized);
  return headers;
}

/** The same with an access token, where the server issues one (`ours-auth.mjs`). */
export async function authorizedCalls(port: number, protocolVersion: string): Promise<Load> {
  const answer = await fetch(`http://127.0.0.1:${port}/token`);
  const token = await answer.text();
  return statefulCalls(port, protocolVersion, token.startsWith('eyJ') ? { authorization: `Bearer ${token}` } : {});
}

/** Opens sessions, a few at a time, and returns their ids. */
export async function openSessions(port: number, protocolVersion: string, count: number): Promise<string[]> {
  const opening = initializeLoad(port, protocolVersion);
  const agent = new Agent({ keepAlive: true, maxSockets: OPENERS });
  const ids: string[] = [];
  const open = async (): Promise<void> => {
    while (ids.length < count) {
      const place = ids.push('') - 1;
      const { status, headers, body } = await post(port, opening.headers, `${opening.before}1${opening.after}`, agent);
      const id = headers['mcp-session-id'];
      if (status !== 200 || typeof id !== 'string') throw new Error(`initialize was answered with ${body}`);
      ids[place] = id;
      const more = { ...opening.headers, 'mcp-protocol-version': protocolVersion, 'mcp-session-id': id };
      await post(port, more, JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' }), agent);
    }
  };
  await Promise.all(Array.from({ length: OPENERS }, open));
  agent.destroy();
  return ids;
}

/**
 * The same load after a `tools/list`, which every client sends. From it the endpoint learns which tools may be retried.
 */
export async function repeatableCalls(port: number, protocolVersion: string): Promise<Load> {
  const calls = await statefulCalls(port, protocolVersion);
  const listed = await post(port, calls.headers, JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'tools/list' }));
  if (listed.status !== 200 || !listed.body.includes('"readOnlyHint":true')) throw unexpected('tools/list', listed);
  return calls;
}

/** A page of the fleet and one of the sessions are open until the server ends, where it has a dashboard. */
export async function watchDashboard(port: number, token: string): Promise<void> {
  const headers = { authorization: `Bearer ${token}` };
  const opened = ['/dashboard/api/stream', '/dashboard/api/stream?rows'].map(
    (path) =>
      new Promise<void>((resolve) => {
        const page = request({ host: '127.0.0.1', port, path, headers, agent: false }, (incoming) => {
          incoming.on('error', () => {}).resume();
          resolve();
        });
        page.on('error', () => resolve());
        page.end();
      }),
  );
  await Promise.all(opened);
}

/** `initialize` on a new session each time. */
export function initializeLoad(port: number, protocolVersion: string): Load {
  return load(port, postHeaders, {
    method: 'initialize',
    params: { protocolVersion, capabilities: {}, clientInfo },
  });
}

/** `tools/call` of the 2026-07-28 revision, which needs no request before it. */
export async function modernCalls(port: number, capabilities: object = {}): Promise<Load> {
  return checked(modernLoad(port, 'tools/call', 'echo', { name: 'echo', arguments: { text: echoed } }, capabilities));
}

/** Requests of the 2026-07-28 revision. `name`: the value of the header `Mcp-Name`. */
export function modernLoad(port: number, method: string, name: string, params: object, capabilities: object): Load {
  const protocolVersion = '2026-07-28';
  const headers = {
    ...postHeaders,
    'mcp-protocol-version': protocolVersion,
    'mcp-method': method,
    'mcp-name': name,
  };
  const meta = {
    'io.modelcontextprotocol/protocolVersion': protocolVersion,
    'io.modelcontextprotocol/clientInfo': clientInfo,
    'io.modelcontextprotocol/clientCapabilities': capabilities,
  };
  return load(port, headers, { method, params: { ...params, _meta: meta } });
}

/** Sends one request of the load and splits the answer. Headers that node:http adds by itself are omitted. */
export async function recordAnswer(target: Load): Promise<RecordedAnswer> {
  const { status, rawHeaders, body } = await send(target, recordedId);
  const parts = body.split(String(recordedId));
  if (parts.length < 2) throw new Error(`the answer does not carry its id: ${body}`);
  const headers: Record<string, string> = {};
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? '';
    if (/^(date|connection|keep-alive|transfer-encoding)$/i.test(name)) continue;
    headers[name.toLowerCase() === 'content-length' ? 'content-length' : name] = rawHeaders[index + 1] ?? '';
  }
  return { status, headers, parts };
}

async function send(target: Load, id: number): Promise<Answer> {
  return post(target.port, target.headers, target.before + String(id) + target.after);
}

function load(port: number, headers: Load['headers'], message: object): Load {
  const text = JSON.stringify({ jsonrpc: '2.0', id: recordedId, ...message });
  const [before = '', after = ''] = text.split(String(recordedId));
  return { port, path, headers, before, after };
}

async function checked(target: Load): Promise<Load> {
  const answer = await send(target, 2);
  if (answer.status !== 200 || !answer.body.includes(`"text":"${echoed}"`)) throw unexpected('tools/call', answer);
  return target;
}

function unexpected(what: string, answer: Answer): Error {
  return new Error(`${what} was answered with ${String(answer.status)}: ${answer.body}`);
}

async function post(
  port: number,
  headers: Load['headers'],
  body: string,
  agent: Agent | false = false,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, path, method: 'POST', headers, agent }, (incoming) => {
      let text = '';
      incoming.setEncoding('utf8');
      incoming.on('data', (chunk: string) => (text += chunk));
      incoming.on('error', reject);
      incoming.on('end', () => {
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          rawHeaders: incoming.rawHeaders,
          body: text,
        });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
