/** An authorization server as a resource server sees it: keys, metadata, and tokens signed with these keys. */
import { createServer, type ServerResponse } from 'node:http';
import type { AuthInfo } from '@modelcontextprotocol/server';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import { listening } from './listening.ts';

export const RESOURCE = 'https://mcp.example/mcp';

export interface TokenParts {
  readonly alg?: string;
  /** `null`: the token names no key. */
  readonly kid?: string | null;
  readonly key?: CryptoKey | Uint8Array;
  /** s from now. */
  readonly expiresIn?: number;
  readonly claims?: Record<string, unknown>;
}

export type IssuerAnswer = (res: ServerResponse, url: string) => void;

export interface Issuer {
  readonly url: string;
  readonly jwksUri: string;
  readonly publicKey: CryptoKey;
  readonly publicJwk: JWK;
  /** Requests it got, by path. */
  readonly requests: string[];
  /** Answers in place of metadata and keys, while it is set. */
  answer: IssuerAnswer | undefined;
  /** How many answers have an open connection. */
  open: number;
  token(parts?: TokenParts): Promise<string>;
}

const seconds = (): number => Math.floor(Date.now() / 1_000);

export const says =
  (text: string, status = 200): IssuerAnswer =>
  (res) =>
    void res.writeHead(status, { 'content-type': 'application/json' }).end(text);

let pair: ReturnType<typeof generateKeyPair> | undefined;

/** The keys of every issuer of this process: to make them takes longer than most tests of tokens. */
export const issuerKeys = () => (pair ??= generateKeyPair('RS256', { extractable: true }));

export async function startIssuer(answer?: IssuerAnswer): Promise<Issuer> {
  const kid = 'first';
  const { publicKey, privateKey } = await issuerKeys();
  const publicJwk: JWK = { ...(await exportJWK(publicKey)), kid, alg: 'RS256', use: 'sig' };
  const url = await listening(
    createServer((req, res) => {
      issuer.requests.push(req.url ?? '');
      issuer.open += 1;
      res.on('close', () => (issuer.open -= 1));
      if (issuer.answer !== undefined) issuer.answer(res, url);
      else if (req.url === '/jwks') says(JSON.stringify({ keys: [publicJwk] }))(res, url);
      else if (req.url === '/.well-known/openid-configuration')
        says(JSON.stringify({ issuer: url, jwks_uri: issuer.jwksUri }))(res, url);
      else says('{}', 404)(res, url);
    }),
  );
  const issuer: Issuer = {
    url,
    jwksUri: `${url}/jwks`,
    publicKey,
    publicJwk,
    requests: [],
    answer,
    open: 0,
    token: ({
      alg = 'RS256',
      kid: ownKid = kid,
      key = privateKey,
      expiresIn = 600,
      claims = {},
    } = {}) =>
      new SignJWT({
        iss: url,
        aud: RESOURCE,
        sub: 'ada',
        client_id: 'cli',
        scope: 'read write',
        exp: seconds() + expiresIn,
        ...claims,
      })
        .setProtectedHeader({ alg, ...(ownKid !== null && { kid: ownKid }), typ: 'at+jwt' })
        .sign(key),
  };
  return issuer;
}

/** For `auth.verify`: each token names its user. */
export const userToken = async (token: string): Promise<AuthInfo> => ({
  token,
  clientId: 'c',
  scopes: [],
  expiresAt: 4e9,
  extra: { sub: token },
});

export const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
