/** A server that callbacks of event subscriptions name: it answers challenges, checks signatures and keeps events. */
import { createHmac, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { onTestFinished } from 'vitest';
import type { EventsOptions } from '../../src/index.ts';
import type { RawClient } from './raw-client.ts';
import { callModern } from './modern.ts';

export interface Heard {
  readonly id: string;
  readonly text: string;
  readonly subscription: string;
  readonly signatures: readonly string[];
  readonly time: string;
  readonly body: string;
  readonly cursor: string | null;
}

/** One path of the server. */
export interface CallbackPath {
  readonly url: string;
  /** Events that it took. */
  readonly events: Heard[];
  /** What else it was sent: `gap`, `terminated`. */
  readonly control: Array<Readonly<Record<string, unknown>>>;
  challenges: number;
  posts: number;
  /** What it answers events with. */
  status: number;
  /** Answers no event until it is called. */
  hold: Promise<void> | undefined;
  /** A wrong answer to challenges. */
  lie: boolean;
  /** Where redirects lead. */
  location: string | undefined;
  /** So many bytes before the answer to a challenge. */
  padding: number;
}

export interface CallbackServer {
  path(name: string): CallbackPath;
}

export const newSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`;

/** As a verifier of Standard Webhooks computes it. */
export const signatureOf = (secret: string, { id, time, body }: Heard): string =>
  `v1,${createHmac('sha256', Buffer.from(secret.slice(6), 'base64'))
    .update(`${id}.${time}.${body}`)
    .digest('base64')}`;

export async function openCallbacks(): Promise<CallbackServer> {
  const paths = new Map<string, CallbackPath>();
  const server = createServer((request, response) => {
    void serve(paths.get(request.url ?? ''), request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as { port: number };
  return {
    path(name) {
      const made = {
        url: `http://127.0.0.1:${port}/${name}`,
        events: [],
        control: [],
        challenges: 0,
        posts: 0,
        status: 204,
        hold: undefined,
        lie: false,
        location: undefined,
        padding: 0,
      };
      paths.set(`/${name}`, made);
      return made;
    },
  };
}

async function serve(
  path: CallbackPath | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  let body = '';
  for await (const part of request) body += String(part);
  if (path === undefined) return void response.writeHead(404).end();
  path.posts += 1;
  const message = JSON.parse(body) as Record<string, unknown>;
  if (message['type'] === 'verification') {
    path.challenges += 1;
    const challenge = path.lie ? 'wrong' : message['challenge'];
    return void response.end(' '.repeat(path.padding) + JSON.stringify({ challenge }));
  }
  await path.hold;
  const { status, location } = path;
  if (status >= 300)
    return void response.writeHead(status, location === undefined ? {} : { location }).end();
  if (message['type'] !== undefined) path.control.push(message);
  else
    path.events.push({
      id: String(request.headers['webhook-id']),
      time: String(request.headers['webhook-timestamp']),
      signatures: String(request.headers['webhook-signature']).split(' '),
      subscription: String(request.headers['x-mcp-subscription-id']),
      text: String((message['data'] as { text?: unknown }).text),
      cursor: message['cursor'] as string | null,
      body,
    });
  response.writeHead(path.status).end();
}

/** For tests: callbacks on this machine. */
export const eventsOf = (types: EventsOptions['types']): { events: EventsOptions } => ({
  events: { types, trustedCallback: ({ hostname }) => hostname === '127.0.0.1' },
});

export const userKeyOf = (user: string): string => JSON.stringify(['sub', '', user]);

type Params = Readonly<Record<string, unknown>>;
export interface Answered {
  readonly result: Readonly<Record<string, unknown>>;
  readonly error: { readonly code: number; readonly message: string; readonly data?: unknown };
}

/** A request of a user. */
export async function ask(
  client: RawClient,
  method: string,
  params: Params = {},
  user?: string,
): Promise<Answered> {
  const headers: Record<string, string> = user === undefined ? {} : { 'x-user': user };
  const { message } = await callModern(client, `events/${method}`, params, { headers });
  return message as unknown as Answered;
}

export const subscription = (
  url: string,
  more: Params & { readonly secret?: string } = {},
): Params => {
  const { secret = newSecret(), name = 'note', ...rest } = more;
  return { name, delivery: { mode: 'webhook', url, secret }, ...rest };
};
