/**
 * With `CI` set, the run fails when a test wrote into the checkout: a file that is new, changed or deleted, ignored by
 * git or not. A developer who edits beside the run would break this without `CI`.
 */
import { readdirSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');

/** Packages, builds and what git itself writes. */
const LEFT_OUT = new Set(['.git', 'node_modules', 'dist', 'test/installs']);

/** Each file of the checkout, with the time of its last change. */
function files(folder = root, found = new Map()) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    const name = relative(root, path);
    if (LEFT_OUT.has(name) || entry.name === 'node_modules') continue;
    if (entry.isDirectory()) files(path, found);
    else found.set(name, statSync(path, { throwIfNoEntry: false })?.mtimeMs);
  }
  return found;
}

export default function setup() {
  if (!process.env.CI) return undefined;
  const before = files();
  return () => {
    const after = files();
    const names = new Set([...before.keys(), ...after.keys()]);
    const touched = [...names].filter((name) => before.get(name) !== after.get(name));
    if (touched.length === 0) return;
    console.error(`a test wrote into the checkout: ${touched.join(', ')}`);
    process.exitCode = 1;
  };
}
