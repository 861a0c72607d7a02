/** The official clients in a test: each is closed when the test ends. */
import { onTestFinished } from 'vitest';
import { type Connect, openV1, openV2 } from '../kit/official-client.ts';

export type { Connect, ConnectOptions, OfficialClient } from '../kit/official-client.ts';
export type { Message } from '../kit/sse-parser.ts';

const inTest =
  (open: Connect): Connect =>
  async (url, options) => {
    const client = await open(url, options);
    onTestFinished(client.close);
    return client;
  };

export const connectV1: Connect = inTest((url, options) => openV1(url, options));
export const connectV2: Connect = inTest((url, options) => openV2(url, options));
/** Asks with `server/discover` first: 2026-07-28 where it is served, else a session. */
export const connectNegotiating: Connect = inTest((url, options) =>
  openV2(url, options, 'http', 'auto'),
);

/** For `describe.each`: sessions over streamable HTTP. */
export const sessionClients: Array<[name: string, connect: Connect]> = [
  ['v1', connectV1],
  ['v2', connectV2],
];

/** The 2024-11-05 transport. */
export const sseClients: Array<[name: string, connect: Connect]> = [
  ['v1 over SSE', inTest((url, options) => openV1(`${url}/sse`, options, 'sse'))],
  ['v2 over SSE', inTest((url, options) => openV2(`${url}/sse`, options, 'sse'))],
];
