/**
 * The fixture served by the official SDK, hand-wired for both eras: sessions of the 2025 era in a map with an
 * in-memory event store, 2026-07-28 by `createMcpHandler`. What passes here and fails on sojourn is sojourn's fault.
 *
 *     npx tsx test/conformance/official-baseline.ts        (prints the table of every leg)
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  localhostHostValidation,
  localhostOriginValidation,
  type NodeIncomingMessageLike,
  NodeStreamableHTTPServerTransport,
  toNodeHandler,
  toWebRequest,
} from '@modelcontextprotocol/node';
import { createMcpHandler, type EventStore, isLegacyRequest, type JSONRPCMessage } from '@modelcontextprotocol/server';
import { createFixtureServer } from '../kit/fixture-server.ts';
import { legs, problems, requirements, runLeg, summary } from './suite.ts';

class MemoryEventStore implements EventStore {
  #events: Array<{ id: string; streamId: string; message: JSONRPCMessage }> = [];

  storeEvent(streamId: string, message: JSONRPCMessage) {
    const id = `${streamId}/${this.#events.length}`;
    this.#events.push({ id, streamId, message });
    return Promise.resolve(id);
  }

  async replayEventsAfter(
    lastEventId: string,
    { send }: { send: (id: string, message: JSONRPCMessage) => Promise<void> },
  ) {
    const at = this.#events.findIndex((event) => event.id === lastEventId);
    const last = this.#events[at];
    if (!last) throw new Error(`unknown event ${lastEventId}`);
    for (const event of this.#events.slice(at + 1)) {
      if (event.streamId === last.streamId && 'jsonrpc' in event.message) await send(event.id, event.message);
    }
    return last.streamId;
  }
}

const modern = createMcpHandler((ctx) => createFixtureServer(ctx, () => modern.notify), { legacy: 'reject' });
const modernNode = toNodeHandler(modern);
const sessions = new Map<string, NodeStreamableHTTPServerTransport>();

async function openSession() {
  const transport = new NodeStreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    eventStore: new MemoryEventStore(),
    retryInterval: 500,
    onsessioninitialized: (id) => void sessions.set(id, transport),
    onsessionclosed: (id) => void sessions.delete(id),
  });
  await createFixtureServer({ era: 'legacy' }).connect(transport);
  return transport;
}

async function handle(req: IncomingMessage, res: ServerResponse) {
  if (!localhostHostValidation()(req, res) || !localhostOriginValidation()(req, res)) return;
  const chunks: Buffer[] = [];
  for await (const chunk of req) chunks.push(chunk as Buffer);
  const raw = Buffer.concat(chunks).toString();
  const body: unknown = raw === '' ? undefined : JSON.parse(raw);
  if (!(await isLegacyRequest(await toWebRequest(req as NodeIncomingMessageLike, body))))
    return modernNode(req as NodeIncomingMessageLike, res, body);
  const id = req.headers['mcp-session-id'];
  if (id === undefined) return (await openSession()).handleRequest(req, res, body);
  const known = sessions.get(String(id));
  if (known) return known.handleRequest(req, res, body);
  res
    .writeHead(404)
    .end(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32001, message: 'Session not found' } }));
}

const server = createServer((req, res) => void handle(req, res).catch((error) => res.destroy(error as Error)));
await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
for (const leg of [...legs, requirements]) {
  const report = await runLeg(leg, url);
  console.log([summary(report), ...problems(report)].join('\n  '));
}
server.closeAllConnections();
server.close();
await modern.close();
