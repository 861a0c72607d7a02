/** The slot of a key in a Cluster. https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/ */

const SLOTS = 16_384;
const POLYNOMIAL = 0x1021;

const table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ POLYNOMIAL : crc << 1;
  return crc;
});

/** Only the part between braces counts, if there is one. The store's keys are ASCII. */
export function slotOf(key: string): number {
  const open = key.indexOf('{');
  const close = open === -1 ? -1 : key.indexOf('}', open + 1);
  const [from, to] = close > open + 1 ? [open + 1, close] : [0, key.length];
  let crc = 0;
  for (let n = from; n < to; n++) crc = ((crc << 8) ^ (table[((crc >> 8) ^ key.charCodeAt(n)) & 0xff] ?? 0)) & 0xffff;
  return crc % SLOTS;
}
