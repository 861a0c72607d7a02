/**
 * An authorization server of its own (`oidc-provider`), for servers that have no users yet. Users, clients, tokens and keys are
 * kept in `issuer.db`, so that a deploy signs no one out. Beside it, the MCP server:
 *
 *     npm init -y && npm pkg set type=module
 *     npm install sojourn @modelcontextprotocol/server zod oidc-provider libsql
 *     COOKIE_SECRET=$(openssl rand -hex 32) node issuer.js
 *     npx sojourn serve notes.js --store sqlite:./mcp.db --auth-required-scopes notes \
 *       --auth-jwt-issuer http://127.0.0.1:9000 --auth-jwt-audience http://127.0.0.1:3000/mcp
 *
 * `ISSUER` is the URL under which browsers and clients reach it, `RESOURCE` that of the MCP server.
 */
import { generateKeyPairSync, randomBytes, randomUUID, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { text } from 'node:stream/consumers';
import Database from 'libsql';
import { Provider } from 'oidc-provider';
import { adapterOf } from './records.js';

const {
  ISSUER: issuer = 'http://127.0.0.1:9000',
  RESOURCE: resource = 'http://127.0.0.1:3000/mcp',
  PORT: port = '9000',
  COOKIE_SECRET: secret,
} = process.env;
if (!secret) throw new Error('COOKIE_SECRET is not set');
const hashed = promisify(scrypt);
const database = new Database('issuer.db');
database.exec(`
  CREATE TABLE IF NOT EXISTS users (mail TEXT PRIMARY KEY, id TEXT, salt BLOB, hash BLOB);
  CREATE TABLE IF NOT EXISTS keys (jwk TEXT);
`);

/** The key that signs tokens, made at the first start. */
function signingKey() {
  const kept = database.prepare('SELECT jwk FROM keys').get();
  if (kept !== undefined) return JSON.parse(kept.jwk);
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = {
    ...privateKey.export({ format: 'jwk' }),
    kid: randomUUID(),
    use: 'sig',
    alg: 'RS256',
  };
  database.prepare('INSERT INTO keys VALUES (?)').run(JSON.stringify(jwk));
  return jwk;
}

/** The id of the user, who is made where `isNew`; undefined where mail and password do not fit. */
async function userOf(mail, password, isNew) {
  const known = database.prepare('SELECT * FROM users WHERE mail = ?').get(mail);
  const salt = known?.salt ?? randomBytes(16);
  const hash = await hashed(password, salt, 32);
  if (known !== undefined) return timingSafeEqual(hash, known.hash) ? known.id : undefined;
  if (!isNew || mail === '' || password.length < 8) return undefined;
  const id = randomUUID();
  database.prepare('INSERT INTO users VALUES (?, ?, ?, ?)').run(mail, id, salt, hash);
  return id;
}

const provider = new Provider(issuer, {
  adapter: adapterOf(database),
  jwks: { keys: [signingKey()] },
  cookies: { keys: [secret] },
  clients: [],
  scopes: ['offline_access', 'notes', 'notes:delete'],
  pkce: { required: () => true },
  // A client registers with the scopes that it needs first, and may ask its user for others later.
  extraClientMetadata: {
    properties: ['any_scope'],
    validator: (_ctx, _name, _value, metadata) => delete metadata.scope,
  },
  issueRefreshToken: async () => true,
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (_, { uid }) => `/interaction/${uid}` },
  ttl: {
    AccessToken: 600,
    Grant: 30 * 86_400,
    Interaction: 600,
    Session: 86_400,
    RefreshToken: 30 * 86_400,
  },
  features: {
    devInteractions: { enabled: false },
    registration: { enabled: true },
    clientIdMetadataDocument: { enabled: true, ack: 'draft-02' },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, asked) => {
        if (asked !== resource) throw new Error(`tokens are for ${resource}`);
        const jwt = { sign: { alg: 'RS256' } };
        return { scope: 'notes notes:delete', audience: resource, accessTokenFormat: 'jwt', jwt };
      },
    },
  },
});

const FORM_BYTES = 4_096;
const escaped = (value) =>
  String(value).replaceAll(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
const page = (title, form) => `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>${title}</title><h1>${title}</h1><form method="post">${form}</form>`;
const signInPage = page(
  'Sign in',
  `<label>Mail <input name="email" type="email" autocomplete="username" required></label>
  <label>Password <input name="password" type="password" autocomplete="current-password" minlength="8" required></label>
  <button name="way" value="in">Sign in</button> <button name="way" value="up">Make an account</button>`,
);
const consentPage = (name, scopes, redirect) =>
  page(
    'Allow this client to use your notes?',
    `<p>${escaped(name)} asks for: ${escaped(scopes)}. It is sent to ${escaped(redirect)}</p>
  <button name="accept" value="yes">Allow</button> <button name="accept" value="no">Refuse</button>`,
  );

/** What the user answers; undefined: the page is shown again. */
async function answered({ prompt, params, session, grantId }, form) {
  if (prompt.name === 'login') {
    const [mail, password] = [form.get('email') ?? '', form.get('password') ?? ''];
    const accountId = await userOf(mail, password, form.get('way') === 'up');
    return accountId && { login: { accountId } };
  }
  if (form.get('accept') !== 'yes') return { error: 'access_denied' };
  const known = grantId && (await provider.Grant.find(grantId));
  const grant =
    known ?? new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope = [], missingResourceScopes = {} } = prompt.details;
  grant.addOIDCScope(missingOIDCScope.join(' '));
  for (const [of, scopes] of Object.entries(missingResourceScopes))
    grant.addResourceScope(of, scopes.join(' '));
  return { consent: { grantId: await grant.save() } };
}

async function interact(request, response) {
  const details = await provider.interactionDetails(request, response);
  const { prompt, params } = details;
  if (request.method === 'POST') {
    if (!(Number(request.headers['content-length']) < FORM_BYTES)) throw new Error('too large');
    const form = new URLSearchParams(await text(request));
    const answer = await answered(details, form);
    if (answer !== undefined)
      return provider.interactionFinished(request, response, answer, {
        mergeWithLastSubmission: prompt.name === 'consent',
      });
  }
  const { clientName = params.client_id } = await provider.Client.find(params.client_id);
  // No other site can lay its own page over these buttons.
  response.setHeader('content-security-policy', "frame-ancestors 'none'");
  response.setHeader('content-type', 'text/html');
  response.end(
    prompt.name === 'login'
      ? signInPage
      : consentPage(clientName, params.scope, params.redirect_uri),
  );
}

provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next();
  ctx.respond = false;
  await interact(ctx.req, ctx.res).catch(() => ctx.res.writeHead(400).end('Begin again.'));
});
const listening = provider.listen(Number(port), '127.0.0.1', () => console.log(issuer));
process.once('SIGTERM', () => {
  listening.close(() => database.close());
  listening.closeIdleConnections();
});
