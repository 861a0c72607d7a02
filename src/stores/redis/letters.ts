/**
 * What one instance says to another as it travels on a channel: JSON with a version, the sender, and the message or, where that
 * is large, the key under which it waits. Whoever listens and does not read has a buffer on the server, and is cut off when that
 * is full (`client-output-buffer-limit pubsub`); a value has none.
 */
import type { InstanceMessage } from '../store.ts';

const VERSION = 1;
/** Of text; past it a message waits under a key. */
export const LARGE = 1_048_576;

export type Letter =
  | { readonly from: string; readonly message: InstanceMessage }
  | { readonly from: string; readonly key: string };

export const writeLetter = (from: string, message: string): string =>
  `{"v":${VERSION},"from":${JSON.stringify(from)},"message":${message}}`;

export const writeNotice = (from: string, key: string): string => JSON.stringify({ v: VERSION, from, key });

/** Undefined: it was written by a newer version, or is none of ours. */
export function readLetter(text: string): Letter | undefined {
  try {
    const letter = JSON.parse(text) as { readonly v?: unknown } | null;
    return letter?.v === VERSION ? (letter as Letter) : undefined;
  } catch {
    return undefined;
  }
}
