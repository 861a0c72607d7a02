/**
 * Authorization with the SDK's Express adapter and `jose`: clients discover the authorization server by themselves, and a session
 * belongs to the user who opened it. (The option `auth` of `createMcpEndpoint` does the same without Express.)
 *
 *     npm init -y && npm pkg set type=module
 *     npm install sojourn @modelcontextprotocol/server @modelcontextprotocol/express zod express jose tsx
 *     ISSUER=https://id.example RESOURCE=https://mcp.example/mcp npx tsx server.ts
 *
 * `ISSUER` is your authorization server, `RESOURCE` the URL under which clients reach `/mcp`.
 */
import type { AddressInfo } from 'node:net';
import { mcpAuthMetadataRouter, requireBearerAuth } from '@modelcontextprotocol/express';
import {
  type AuthInfo,
  getOAuthProtectedResourceMetadataUrl,
  McpServer,
  OAuthError,
  OAuthErrorCode,
  type OAuthMetadata,
  type ServerContext,
} from '@modelcontextprotocol/server';
import express from 'express';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { createMcpEndpoint } from 'sojourn';

const issuer = process.env['ISSUER'] ?? 'http://localhost:9000';
const resource = process.env['RESOURCE'] ?? 'http://localhost:3000/mcp';

const discovered = await fetch(`${issuer}/.well-known/openid-configuration`);
const oauthMetadata = (await discovered.json()) as OAuthMetadata & { jwks_uri: string };
const keys = createRemoteJWKSet(new URL(oauthMetadata.jwks_uri));

async function verifyAccessToken(token: string): Promise<AuthInfo> {
  const accepted = {
    issuer,
    audience: resource,
    algorithms: ['RS256', 'ES256'],
    requiredClaims: ['sub', 'exp'],
  };
  const { payload } = await jwtVerify(token, keys, accepted).catch(() => {
    throw new OAuthError(OAuthErrorCode.InvalidToken, 'Token is not valid');
  });
  const { iss, sub, exp = 0, client_id: clientId, scope } = payload;
  return {
    token,
    clientId: String(clientId),
    scopes: typeof scope === 'string' ? scope.split(' ') : [],
    expiresAt: exp,
    extra: { iss, sub },
  };
}

const whoami = { description: 'Says whose session this is' };
const sayWho = ({ http }: ServerContext) => ({
  content: [{ type: 'text' as const, text: `You are ${String(http?.authInfo?.extra?.['sub'])}.` }],
});

const mcp = new McpServer({ name: 'express-auth-example', version: '1.0.0' });
mcp.registerTool('whoami', whoami, sayWho);

const endpoint = createMcpEndpoint(mcp);

const resourceServerUrl = new URL(resource);
const resourceMetadataUrl = getOAuthProtectedResourceMetadataUrl(resourceServerUrl);

const app = express();
app.use(mcpAuthMetadataRouter({ oauthMetadata, resourceServerUrl }));
app.all(
  '/mcp',
  requireBearerAuth({ verifier: { verifyAccessToken }, resourceMetadataUrl }),
  endpoint.node,
);

const server = app.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1', (error) => {
  if (error) throw error; // Express 5 passes the error of a taken port
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`);
});

const stop = endpoint.createShutdown(server);
process.once('SIGTERM', () => void stop());
