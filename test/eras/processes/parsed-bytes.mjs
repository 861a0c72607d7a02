/**
 * Prints what the JSON text of its standard input takes: its bytes, its text and its value. Run it with `--expose-gc`.
 */
import { text } from 'node:stream/consumers';

const used = () => {
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

const input = Buffer.from(await text(process.stdin));
JSON.parse('{"a":[1.5,"b"]}');
const before = used();
const held = { text: input.toString(), value: undefined };
held.value = JSON.parse(held.text);
console.log(used() - before + input.length);
globalThis.held = held;
