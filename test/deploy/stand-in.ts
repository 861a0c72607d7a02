/** An HTTP server in the place of an instance. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { listening } from '../kit/listening.ts';

/** Answers requests of `/mcp` as given, and others, such as health checks, with 200. Resolves with its port. */
export async function standIn(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<number> {
  const server = createServer((request, response) => {
    if (request.url === '/mcp') answer(request, response);
    else response.end();
  });
  return Number(new URL(await listening(server)).port);
}
