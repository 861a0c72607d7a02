import crypto, { createHash, timingSafeEqual } from 'node:crypto';

/** SHA-256. Digests have one length, as `timingSafeEqual` needs. */
export const digestOf = (text: string | Uint8Array): Buffer =>
  createHash('sha256').update(text).digest();

const slowText = (text: string): string => digestOf(text).toString('base64url');
/** In a third of the time. Node has it since 20.12; Bun and Deno may not. */
const fastText = (text: string): string => crypto.hash('sha256', text, 'base64url');

/** The same as 43 characters, for ids and keys. */
export const digestText = 'hash' in crypto ? fastText : slowText;

/** Whether an `Authorization` header has the token with this digest. It takes equally long for every wrong token. */
export function isBearer(header: string | undefined, token: Buffer): boolean {
  const [scheme = '', given = ''] = (header ?? '').split(' ', 2);
  return scheme.toLowerCase() === 'bearer' && timingSafeEqual(digestOf(given), token);
}
