/** An authorization server as a resource server sees it: keys, metadata, and tokens signed with these keys. */
import { createServer } from 'node:http';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import { listening } from './listening.ts';

export const RESOURCE = 'https://mcp.example/mcp';

export interface TokenParts {
  readonly alg?: string;
  readonly kid?: string;
  readonly key?: CryptoKey | Uint8Array;
  /** s from now. */
  readonly expiresIn?: number;
  readonly claims?: Record<string, unknown>;
}

export interface Issuer {
  readonly url: string;
  readonly jwksUri: string;
  readonly publicKey: CryptoKey;
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
  /** Requests it got, by path. */
  readonly requests: string[];
  /** While `true`, every request is answered with 500. */
  broken: boolean;
  /** Replaces its key; resolves with the new `kid`. */
  rotate(): Promise<string>;
  token(parts?: TokenParts): Promise<string>;
}

const seconds = (): number => Math.floor(Date.now() / 1_000);

export async function startIssuer(): Promise<Issuer> {
  let kid = 'first';
  let pair = await generateKeyPair('RS256', { extractable: true });
  const jwkOf = async (): Promise<JWK> => ({ ...(await exportJWK(pair.publicKey)), kid, alg: 'RS256', use: 'sig' });
  let keys = [await jwkOf()];
  const requests: string[] = [];
  const server = createServer((req, res) => {
    requests.push(req.url ?? '');
    if (issuer.broken) {
      res.statusCode = 500;
      res.end();
      return;
    }
    res.setHeader('content-type', 'application/json');
    if (req.url === '/jwks') res.end(JSON.stringify({ keys }));
    else if (req.url === '/.well-known/openid-configuration') {
      res.end(JSON.stringify({ issuer: issuer.url, jwks_uri: issuer.jwksUri }));
    } else {
      res.statusCode = 404;
      res.end('{}');
    }
  });
  const url = await listening(server);
  const issuer: Issuer = {
    url,
    jwksUri: `${url}/jwks`,
    get publicKey() {
      return pair.publicKey;
    },
    get privateKey() {
      return pair.privateKey;
    },
    get publicJwk() {
      return keys[0] as JWK;
    },
    requests,
    broken: false,
    rotate: async () => {
      kid = `key-${keys.length}`;
      pair = await generateKeyPair('RS256', { extractable: true });
      keys = [await jwkOf()];
      return kid;
    },
    token: ({ alg = 'RS256', kid: ownKid = kid, key = pair.privateKey, expiresIn = 600, claims = {} } = {}) =>
      new SignJWT({
        iss: url,
        aud: RESOURCE,
        sub: 'ada',
        client_id: 'cli',
        scope: 'read write',
        exp: seconds() + expiresIn,
        ...claims,
      })
        .setProtectedHeader({ alg, kid: ownKid, typ: 'at+jwt' })
        .sign(key),
  };
  return issuer;
}

export const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
