import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { buildEchoServer } from './echo-server.mjs';
import { serve } from './serve.mjs';

// The endpoint with `auth.jwt`, and its issuer on the same port: `/jwks`, and `/token`, which answers with a token.
// BENCH_CACHE: whether verified tokens are remembered.
const { createMcpEndpoint } = await import(process.env.BENCH_DIST ?? '../../dist/index.js');
const { publicKey, privateKey } = await generateKeyPair('RS256');
const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'bench', alg: 'RS256' }] });
const audience = 'https://bench.example/mcp';

let issued;

async function answerAsIssuer(req, res) {
  const issuer = `http://127.0.0.1:${req.socket.localPort}`;
  issued ??= {
    token: await new SignJWT({ sub: 'ada', scope: 'read write', client_id: 'bench' })
      .setProtectedHeader({ alg: 'RS256', kid: 'bench' })
      .setIssuer(issuer)
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime('2h')
      .sign(privateKey),
    endpoint: createMcpEndpoint(buildEchoServer, {
      auth: { jwt: { issuer, audience, jwksUri: `${issuer}/jwks`, cache: process.env.BENCH_CACHE === 'true' } },
    }),
  };
  res.end(issued.token);
}

serve((req, res) => {
  if (req.url === '/jwks') res.end(jwks);
  else if (req.url === '/token') void answerAsIssuer(req, res);
  else issued.endpoint.node(req, res);
});
