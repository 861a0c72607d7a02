/** The requests of the published comparison, and the check that all sides answer them alike. */
import { isDeepStrictEqual } from 'node:util';
import type { PublicServer, PublicSide } from './public-sides.ts';

export interface PublicRequest {
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** What the load of the comparison asks for. */
export const VERSION = '2024-11-05';
const clientInfo = { name: 'bench', version: '1.0.0' };
export const INITIALIZE = { protocolVersion: VERSION, capabilities: {}, clientInfo };

export const userOf = (n: number): string => `user-${String(n).padStart(5, '0')}`;

const items = [
  { product_id: 42, quantity: 2 },
  { product_id: 1337, quantity: 1 },
];
const search = { category: 'Electronics', min_price: 50, max_price: 500, limit: 10 };
const call = (name: string, given: object): PublicRequest => ({
  method: 'tools/call',
  params: { name, arguments: given },
});

/** Each with a pattern of its answer: its text is JSON in JSON. */
export const requestsOf = (user: string): { request: PublicRequest; expected: RegExp }[] => [
  { request: call('search_products', search), expected: /\\"top10_popular_ids/ },
  { request: call('get_user_cart', { user_id: user }), expected: /\\"recent_history/ },
  { request: call('checkout', { user_id: user, items }), expected: /\\"status\\":\\"confirmed/ },
  { request: { method: 'tools/list', params: {} }, expected: /"inputSchema/ },
];

/** Throws where a side answers anything but what the first side answers. */
export async function requireSameAnswers(
  sides: readonly PublicSide[],
  servers: readonly PublicServer[],
): Promise<void> {
  let first: unknown[] | undefined;
  for (const [n, { port }] of servers.entries()) {
    const answers: unknown[] = [];
    // No user of the load, so that all sides see the same history. `{}`: the defaults of the arguments.
    for (const { request } of [...requestsOf(userOf(0)), { request: call('search_products', {}) }])
      answers.push(comparable(await answerTo(port, request)));
    first ??= answers;
    const differing = answers.findIndex((answer, m) => !isDeepStrictEqual(answer, first?.[m]));
    if (differing < 0) continue;
    const [theirs, ours] = [first[differing], answers[differing]].map((answer) => JSON.stringify(answer));
    throw new Error(
      `${sides[n]?.id ?? ''} answers\n${ours ?? ''}\nwhere ${sides[0]?.id ?? ''} answers\n${theirs ?? ''}`,
    );
  }
}

interface Answer {
  readonly content?: readonly { readonly text: string }[];
  readonly tools?: readonly {
    readonly name: string;
    readonly description: string;
    readonly inputSchema: { readonly properties: Readonly<Record<string, { type: string; default?: unknown }>> };
  }[];
}

/**
 * The text of a call, byte by byte but for the count of the user's calls, which grows. Of a list what a client needs to call:
 * each SDK writes the rest of a schema its own way.
 */
function comparable({ content, tools }: Answer): unknown {
  if (tools === undefined) return content?.map(({ text }) => text.replace(/"rate_limit_count":\d+/, ''));
  const inputs = ({ properties }: { properties: Record<string, { type: string; default?: unknown }> }): unknown =>
    Object.fromEntries(Object.entries(properties).map(([name, given]) => [name, [given.type, given.default]]));
  return Object.fromEntries(
    tools.map(({ name, description, inputSchema }) => [name, { description, inputs: inputs(inputSchema) }]),
  );
}

async function answerTo(port: number, request: PublicRequest): Promise<Answer> {
  const url = `http://127.0.0.1:${String(port)}/mcp`;
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  };
  const send = async (message: object): Promise<Response> =>
    fetch(url, { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', ...message }) });
  const opened = await send({ id: 1, method: 'initialize', params: INITIALIZE });
  await opened.text();
  const sessionId = opened.headers.get('mcp-session-id');
  if (sessionId !== null) Object.assign(headers, { 'mcp-session-id': sessionId, 'mcp-protocol-version': VERSION });
  await (await send({ method: 'notifications/initialized' })).text();
  const answered = await (await send({ id: 2, ...request })).text();
  if (sessionId !== null) await fetch(url, { method: 'DELETE', headers });
  const json = answered.startsWith('{') ? answered : /^data: ?(\{.*)$/m.exec(answered)?.[1];
  const { result } = JSON.parse(json ?? '{}') as { result?: Answer };
  if (result === undefined) throw new Error(`${JSON.stringify(request)} was answered with ${answered}`);
  return result;
}
