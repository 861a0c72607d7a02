/**
 * Data that a client carries and can neither read nor change: AES-256-GCM, written as base64url of nonce (12 bytes),
 * ciphertext and tag (16 bytes). The length of the data stays visible.
 *
 * Decoders of base64url skip padding, stray characters and unused bits, so many spellings decode to the same bytes.
 * Only the canonical spelling is accepted.
 */
import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { orUndefined } from '../or-undefined.ts';

export const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;

/** `label` separates uses, so that one secret can serve several. */
export function sealingKey(secret: string | Uint8Array, label: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, '', label, KEY_BYTES));
}

/** `nonce`: 12 random bytes, new for each text. `bound`: what must be the same when it is opened. */
export function seal(
  key: Uint8Array,
  nonce: Uint8Array,
  plain: string | Uint8Array,
  bound = '',
): string {
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(Buffer.from(bound));
  const bytes = [nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()];
  return Buffer.concat(bytes).toString('base64url');
}

/** `undefined`: it was not sealed with this key and for `bound`. */
export function open(key: Uint8Array, text: string, bound = ''): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.length <= NONCE_BYTES + TAG_BYTES || bytes.toString('base64url') !== text)
    return undefined;
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES));
  decipher.setAAD(Buffer.from(bound));
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
  return orUndefined(() =>
    Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]),
  );
}
