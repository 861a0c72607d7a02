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

/** Sends one request of the load. Throws unless it is answered with 200 and without an error. */
async function send({ port, headers, before, after }: Load): Promise<Response> {
  const response = await fetch(`http://127.0.0.1:${port}/mcp`, {
    method: 'POST',
    headers,
    body: `${before}1${after}`,
  });
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

/** `initialize` on a new session each time. */
export const initializeLoad = (port: number, protocolVersion: string): Load =>
  load(port, postHeaders, {
    method: 'initialize',
    params: { protocolVersion, capabilities: {}, clientInfo },
  });

/** A session after its handshake, as the headers of its requests. */
async function openSession(port: number, protocolVersion: string): Promise<Load['headers']> {
  const opened = await send(initializeLoad(port, protocolVersion));
  const sessionId = opened.headers.get('mcp-session-id') ?? '';
  const headers = {
    ...postHeaders,
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

/** `tools/call` of the 2026-07-28 revision, which needs no request before it. */
export async function modernCalls(port: number): Promise<Load> {
  const headers = {
    ...postHeaders,
    'mcp-protocol-version': MODERN,
    'mcp-method': 'tools/call',
    'mcp-name': 'echo',
  };
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': MODERN,
    'io.modelcontextprotocol/clientInfo': clientInfo,
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  return checked(load(port, headers, { method: 'tools/call', params: { ...call, _meta } }));
}

export const firstAnswer = (given: Load): Promise<Response> => send(given);
