/** A dashboard on its server, for one test, and requests to it. */
import { once } from 'node:events';
import { createServer, request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { text as bodyOf } from 'node:stream/consumers';
import { getRequestListener } from '@hono/node-server';
import type { DashboardOptions } from '../../src/dashboard/server/options.ts';
import type { McpEndpoint } from '../../src/index.ts';
import { listening } from './listening.ts';

export const TOKEN = 'a-token-of-the-dashboard';
export const BEARER = { authorization: `Bearer ${TOKEN}` };
export const ACTION = { ...BEARER, 'sojourn-dashboard': '1', 'content-type': 'application/json' };

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

type Headers = Readonly<Record<string, string>>;

/** The path is sent as it is: `fetch` would clean it. */
export async function ask(
  port: number,
  path: string,
  {
    method = 'GET',
    headers = {},
    body,
    host = '127.0.0.1',
  }: { method?: string; headers?: Headers; body?: string; host?: string } = {},
): Promise<Answer> {
  const sent = request({ host, port, path, method, headers, agent: false });
  sent.end(body);
  const [res] = (await once(sent, 'response')) as [IncomingMessage];
  return { status: res.statusCode ?? 0, headers: res.headers, body: await bodyOf(res) };
}

export const jsonOf = <T>({ body }: Answer): T => JSON.parse(body) as T;

/** Its port. The dashboard is below `prefix`. */
export async function mount(
  endpoint: McpEndpoint,
  options: DashboardOptions = { token: TOKEN },
  face: 'node' | 'fetch' = 'node',
): Promise<number> {
  const dashboard = endpoint.dashboard(options);
  const server = createServer(
    face === 'node' ? dashboard.node : getRequestListener(dashboard.fetch),
  );
  const port = Number(new URL(await listening(server)).port);
  // It is loaded, and counts from now on.
  await ask(port, '/');
  return port;
}

/** One value of the API, as its page asks for it. */
export const valueOf = async <T>(port: number, path: string, prefix = ''): Promise<T> =>
  jsonOf<T>(await ask(port, `${prefix}/api/${path}`, { headers: BEARER }));
