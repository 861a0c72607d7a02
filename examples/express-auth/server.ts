/**
 * Authentication: your own middleware sets `req.auth`, and a session belongs to the user who opened it.
 *
 *     npm install sojourn @modelcontextprotocol/server zod express
 *     npx tsx server.ts
 *
 * The two tokens replace your identity provider. Verify real tokens: signature, audience, expiry.
 */
import type { AddressInfo } from 'node:net';
import { type AuthInfo, McpServer, type ServerContext } from '@modelcontextprotocol/server';
import express, { type NextFunction, type Request, type Response } from 'express';
import { createMcpEndpoint } from 'sojourn';

const users = new Map([
  ['token-of-ada', 'ada'],
  ['token-of-bob', 'bob'],
]);

function authenticate(req: Request & { auth?: AuthInfo }, res: Response, next: NextFunction): void {
  const token = /^Bearer (\S+)$/.exec(req.headers.authorization ?? '')?.[1] ?? '';
  const sub = users.get(token);
  if (sub === undefined) {
    res.status(401).set('WWW-Authenticate', 'Bearer').end();
    return;
  }
  req.auth = { token, clientId: 'example', scopes: [], extra: { sub } };
  next();
}

const whoami = { description: 'Says whose session this is' };
const sayWho = ({ http }: ServerContext) => ({
  content: [{ type: 'text' as const, text: `You are ${String(http?.authInfo?.extra?.['sub'])}.` }],
});

const mcp = new McpServer({ name: 'express-auth-example', version: '1.0.0' });
mcp.registerTool('whoami', whoami, sayWho);

const endpoint = createMcpEndpoint(mcp);

const app = express();
app.all('/mcp', authenticate, endpoint.node);

const server = app.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`);
});

async function stop(): Promise<void> {
  await endpoint.drain();
  await endpoint.close();
  server.close();
}
process.once('SIGTERM', () => void stop());
