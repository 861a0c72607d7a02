/** An issuer whose answers a test chooses, and tokens without a valid signature that make an instance ask it. */
import { createServer, type ServerResponse } from 'node:http';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { RESOURCE } from '../kit/issuer.ts';
import { listening } from '../kit/listening.ts';

/** s. The SDK compares with the clock of the machine. */
const EXPIRES = 4_000_000_000;

export type Answer = (res: ServerResponse, url: string) => void;

export const says =
  (text: string): Answer =>
  (res) => {
    res.setHeader('content-type', 'application/json').end(text);
  };

export async function startFaultyIssuer(answer?: Answer) {
  const pair = await generateKeyPair('RS256', { extractable: true });
  const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'good', alg: 'RS256' };
  const requests: string[] = [];
  /** Without `answer` it gives its metadata and keys. `open`: answers whose connection is open. */
  const state = { answer, open: 0 };
  const server = createServer((req, res) => {
    requests.push(req.url ?? '');
    state.open += 1;
    res.on('close', () => (state.open -= 1));
    if (state.answer !== undefined) return state.answer(res, url);
    if (req.url === '/jwks') return says(JSON.stringify({ keys: [jwk] }))(res, url);
    return says(JSON.stringify({ issuer: url, jwks_uri: `${url}/jwks` }))(res, url);
  });
  const url = await listening(server);
  const token = (sub = 'ada') =>
    new SignJWT({ iss: url, aud: RESOURCE, sub, exp: EXPIRES })
      .setProtectedHeader({ alg: 'RS256', kid: 'good' })
      .sign(pair.privateKey);
  return { url, requests, state, token };
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token with an unknown key id. */
export function garbage(url: string, n: number): string {
  const claims = { iss: url, aud: RESOURCE, sub: 'ada', exp: EXPIRES };
  return `${encode({ alg: 'RS256', kid: `k${n}` })}.${encode(claims)}.${encode('no signature')}`;
}
