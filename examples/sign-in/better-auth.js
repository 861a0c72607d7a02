/**
 * better-auth and an MCP server in one app: users of the app sign in, and allow clients to use it for them. Users, clients
 * and tokens are kept in `auth.db`, sessions and notes in `mcp.db`.
 *
 *     npm init -y && npm pkg set type=module
 *     npm install sojourn @modelcontextprotocol/server zod express libsql better-call@1.4.0 @better-auth/utils@0.4.2 \
 *       better-auth@1.7.5 @better-auth/core@1.7.5 @better-auth/oauth-provider@1.7.5 @better-fetch/fetch@1.3.2
 *     BETTER_AUTH_SECRET=$(openssl rand -hex 32) node better-auth.js
 *
 * `ORIGIN` is the URL under which browsers and clients reach this app. Keep the secret from one deploy to the next.
 */
import { oauthProvider, oauthProviderAuthServerMetadata } from '@better-auth/oauth-provider';
import { betterAuth } from 'better-auth';
import { getMigrations } from 'better-auth/db/migration';
import { createAuthMiddleware } from 'better-auth/api';
import { toNodeHandler } from 'better-auth/node';
import { jwt } from 'better-auth/plugins';
import express from 'express';
import { SqliteDialect } from 'kysely';
import Database from 'libsql';
import { createMcpEndpoint } from 'sojourn';
import { sqlite } from 'sojourn/sqlite';
import { server as mcp } from './notes.js';
import { consentPage, signInPage } from './pages.js';

const { ORIGIN: origin = 'http://localhost:3000', PORT: port = '3000' } = process.env;
const resource = `${origin}/mcp`;

const LOCAL = /^http:\/\/(?:localhost|127\.0\.0\.1|\[::1\])[:/]/;
const before = createAuthMiddleware(async ({ path, body, query }) => {
  // Clients on their user's machine (Claude Code, VS Code) leave out the type that their redirects to it need.
  if (path === '/oauth2/register' && body?.redirect_uris?.some((uri) => LOCAL.test(uri)))
    return { context: { body: { application_type: 'native', ...body } } };
  // Others leave out the scope without which their user must sign in again each hour.
  if (path === '/oauth2/authorize' && !query?.scope?.includes('offline_access'))
    return { context: { query: { ...query, scope: `${query?.scope ?? 'notes'} offline_access` } } };
});

const auth = betterAuth({
  baseURL: origin,
  database: {
    type: 'sqlite',
    dialect: new SqliteDialect({ database: new Database('auth.db') }),
    transaction: true,
  },
  emailAndPassword: { enabled: true },
  hooks: { before },
  // The same path would give tokens without the consent of a user.
  disabledPaths: ['/token'],
  plugins: [
    jwt(),
    oauthProvider({
      loginPage: '/sign-in',
      consentPage: '/consent',
      scopes: ['offline_access', 'notes', 'notes:delete'],
      resources: [resource],
      // Clients register themselves, as Claude, ChatGPT and VS Code do.
      allowDynamicClientRegistration: true,
      allowUnauthenticatedClientRegistration: true,
      clientRegistrationDefaultResources: [resource],
    }),
  ],
});
const { runMigrations } = await getMigrations(auth.options);
await runMigrations();

const issuer = `${origin}/api/auth`;
const endpoint = createMcpEndpoint(mcp, {
  store: sqlite('mcp.db'),
  auth: {
    jwt: { issuer, audience: resource, jwksUri: `${issuer}/jwks` },
    requiredScopes: ['notes'],
  },
});

const metadata = oauthProviderAuthServerMetadata(auth);
const app = express();
app.all('/api/auth/{*any}', toNodeHandler(auth));
app.get('/.well-known/oauth-authorization-server/api/auth', toNodeHandler(metadata));
// No other site can lay its own page over their buttons.
const show = (page) => (_, response) =>
  response.set('content-security-policy', "frame-ancestors 'none'").send(page);
app.get('/sign-in', show(signInPage));
app.get('/consent', show(consentPage));
app.use(endpoint.wellKnown.node);
app.all('/mcp', endpoint.node);

const listening = app.listen(Number(port), () => console.log(resource));
const stop = endpoint.createShutdown(listening);
process.once('SIGTERM', () => void stop());
