/**
 * Large items travel in parts, because a store takes messages of bounded size. Items of other users may travel between
 * the parts of one.
 */
import type { CallItem, LinkItem } from './messages.ts';

const PART_BYTES = 262_144;

/** An item, or a part of it. */
export interface Part {
  item: LinkItem;
  bytes: number;
}

/** The item itself, or its parts with their bytes. `of`: names it on its link. */
export function partsOf(item: LinkItem, bytes: number, of: number): Part[] {
  if (bytes <= PART_BYTES) return [{ item, bytes }];
  const text = JSON.stringify(item);
  const count = Math.ceil(text.length / PART_BYTES);
  return Array.from({ length: count }, (_, n) => {
    const part = text.slice(n * PART_BYTES, (n + 1) * PART_BYTES);
    return {
      item: { t: 'part', of, text: part, isLast: n + 1 === count },
      bytes: Math.ceil(bytes / count),
    };
  });
}

/** What is sent in the place of an item, or of a part. */
export const takenBack = (item: LinkItem): LinkItem =>
  item.t === 'part' && item.isLast ? { ...item, text: null } : { t: 'ping' };

export class JoinedParts {
  readonly #texts = new Map<number, string[]>();

  /** `undefined`: more parts follow, or the item was taken back, or it was for the link alone. */
  take(item: LinkItem): CallItem | undefined {
    if (item.t === 'ping') return undefined;
    if (item.t !== 'part') return item;
    const { of, text, isLast } = item;
    const texts = this.#texts.get(of) ?? [];
    if (text !== null) texts.push(text);
    if (isLast) this.#texts.delete(of);
    else this.#texts.set(of, texts);
    return isLast && text !== null ? (JSON.parse(texts.join('')) as CallItem) : undefined;
  }
}
