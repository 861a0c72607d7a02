/** Large items travel in parts, because a store takes messages of bounded size. Parts of one item are consecutive. */
import type { CallItem, LinkItem } from './messages.ts';

const PART_BYTES = 262_144;

/** An item, or a part of it. */
export interface Part {
  item: LinkItem;
  bytes: number;
}

/** The item itself, or its parts with their bytes. */
export function partsOf(item: LinkItem, bytes: number): Part[] {
  if (bytes <= PART_BYTES) return [{ item, bytes }];
  const text = JSON.stringify(item);
  const count = Math.ceil(text.length / PART_BYTES);
  return Array.from({ length: count }, (_, n) => {
    const part = text.slice(n * PART_BYTES, (n + 1) * PART_BYTES);
    return { item: { t: 'part', text: part, isLast: n + 1 === count }, bytes: Math.ceil(bytes / count) };
  });
}

export class JoinedParts {
  #texts: string[] = [];

  /** `undefined`: more parts follow, or the item was for the link alone. */
  take(item: LinkItem): CallItem | undefined {
    if (item.t === 'part') {
      this.#texts.push(item.text);
      return item.isLast ? (JSON.parse(this.#texts.splice(0).join('')) as CallItem) : undefined;
    }
    // An item that was replaced while its parts were under way has no end.
    this.#texts = [];
    return item.t === 'ping' ? undefined : item;
  }
}
