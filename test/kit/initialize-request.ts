import { handshake } from './legacy-sse.ts';

/** An `initialize` as a web `Request`, for tests of `endpoint.fetch`. */
export const initializeRequest = (): Request =>
  new Request('http://localhost/mcp', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: JSON.stringify(handshake(1, '2025-11-25')),
  });
