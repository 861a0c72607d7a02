/** The requests of the works, and the handshakes before them. */
import type { Load } from './load.ts';

const clientInfo = { name: 'bench', version: '1.0.0' };
const MODERN = '2026-07-28';
const OPENERS = 16;
const ID = 987_654;

const postHeaders = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
};

function load(port: number, headers: Load['headers'], message: object): Load {
  const text = JSON.stringify({ jsonrpc: '2.0', id: ID, ...message });
  const [before = '', after = ''] = text.split(String(ID));
  return { port, headers, before, after };
}

const answerTo = ({ port, headers, before, after }: Load): Promise<Response> =>
  fetch(`http://127.0.0.1:${port}/mcp`, { method: 'POST', headers, body: `${before}1${after}` });

/** Sends one request of the load. Throws unless it is answered with 200 and without an error. */
async function send(given: Load): Promise<Response> {
  const { before, after } = given;
  const response = await answerTo(given);
  const text = await response.text();
  if (response.status !== 200 || text.includes('"error"') || text.includes('"isError":true'))
    throw new Error(
      `${before}1${after} was answered with ${response.status} ${text.slice(0, 500)}`,
    );
  return response;
}

async function checked(given: Load): Promise<Load> {
  await send(given);
  return given;
}

const userHeaders = (user: string | undefined): Load['headers'] =>
  user === undefined ? {} : { 'x-user': user };

/** `initialize` on a new session each time. */
export const initializeLoad = (port: number, protocolVersion: string, user?: string): Load =>
  load(
    port,
    { ...postHeaders, ...userHeaders(user) },
    {
      method: 'initialize',
      params: { protocolVersion, capabilities: {}, clientInfo },
    },
  );

/** A session after its handshake, as the headers of its requests. */
async function openSession(
  port: number,
  protocolVersion: string,
  user?: string,
): Promise<Load['headers']> {
  const opened = await send(initializeLoad(port, protocolVersion, user));
  const sessionId = opened.headers.get('mcp-session-id') ?? '';
  const headers = {
    ...postHeaders,
    ...userHeaders(user),
    'mcp-protocol-version': protocolVersion,
    'mcp-session-id': sessionId,
  };
  const body = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' });
  const told = await fetch(`http://127.0.0.1:${port}/mcp`, { method: 'POST', headers, body });
  await told.text();
  if (told.status !== 202)
    throw new Error(`notifications/initialized was answered with ${told.status}`);
  return headers;
}

export async function openSessions(port: number, count: number): Promise<void> {
  let left = count;
  const open = async (): Promise<void> => {
    while (left-- > 0) await openSession(port, '2025-06-18');
  };
  await Promise.all(Array.from({ length: OPENERS }, open));
}

/** `tools/list` on one session. */
export async function sessionLists(port: number, protocolVersion: string): Promise<Load> {
  return checked(load(port, await openSession(port, protocolVersion), { method: 'tools/list' }));
}

const call = { name: 'echo', arguments: { text: 'hello' } };

/** `tools/call` on one session, after the `tools/list` that every client sends: it tells which tools may be retried. */
export async function sessionCalls(port: number, protocolVersion: string): Promise<Load> {
  const { headers } = await sessionLists(port, protocolVersion);
  return checked(load(port, headers, { method: 'tools/call', params: call }));
}

/** A tool on one session of a user. */
export async function toolCalls(
  port: number,
  name: string,
  args: object = {},
  user?: string,
): Promise<Load> {
  const headers = await openSession(port, '2025-11-25', user);
  await send(load(port, headers, { method: 'tools/list' }));
  return checked(load(port, headers, { method: 'tools/call', params: { name, arguments: args } }));
}

/** One session each. */
export async function openUsers(port: number, from: number, to: number): Promise<void> {
  let next = from;
  const open = async (): Promise<void> => {
    while (next < to) await send(initializeLoad(port, '2025-06-18', `user ${next++}`));
  };
  await Promise.all(Array.from({ length: OPENERS }, open));
}

const TASKS = { extensions: { 'io.modelcontextprotocol/tasks': {} } };

/** A request of the 2026-07-28 revision, which needs none before it. */
export async function modernLoad(
  port: number,
  method: string,
  name: string,
  params: object,
  capabilities: object = {},
): Promise<Load> {
  const headers = {
    ...postHeaders,
    'mcp-protocol-version': MODERN,
    'mcp-method': method,
    'mcp-name': name,
  };
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': MODERN,
    'io.modelcontextprotocol/clientInfo': clientInfo,
    'io.modelcontextprotocol/clientCapabilities': capabilities,
  };
  return checked(load(port, headers, { method, params: { ...params, _meta } }));
}

/** `tools/call` of the 2026-07-28 revision. */
export const modernCalls = (port: number): Promise<Load> =>
  modernLoad(port, 'tools/call', 'echo', call);

/** A call that becomes a task. */
export const taskStarts = (port: number): Promise<Load> =>
  modernLoad(port, 'tools/call', 'job', { name: 'job', arguments: {} }, TASKS);

/** What a member of an answer says. */
async function told(of: Load, member: RegExp): Promise<string> {
  const [, value] = member.exec(await (await answerTo(of)).text()) ?? [];
  if (value === undefined) throw new Error(`no ${member.source} in the answer`);
  return value;
}

export async function taskReads(port: number): Promise<Load> {
  const taskId = await told(await taskStarts(port), /"taskId":"([^"]+)"/);
  return modernLoad(port, 'tasks/get', taskId, { taskId }, TASKS);
}

/** Opens one handle again and again. */
export async function handleOpens(port: number): Promise<Load> {
  const id = await told(await toolCalls(port, 'make'), /"text":"([^"]+)"/);
  return toolCalls(port, 'open', { id });
}

export const firstAnswer = (given: Load): Promise<Response> => send(given);
