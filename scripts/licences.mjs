/** The licences of packages that are bundled. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The licence of each package that a file comes from, each text once. `script`: who asks, for its errors. */
export function licencesOf(files, script) {
  const texts = new Map();
  const folders = files.flatMap((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/.][^/]*(?=\/)/.exec(file)?.[0] ?? []);
  for (const folder of new Set(folders)) {
    const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    if (file === undefined) throw new Error(`${script}: ${name} has no licence file`);
    const text = readFileSync(join(folder, file), 'utf8').trim();
    texts.set(text, [...(texts.get(text) ?? []), `${name} ${version}`]);
  }
  return [...texts].map(([text, names]) => `${names.join(', ')}\n\n${text}\n`).join(`\n${'-'.repeat(80)}\n\n`);
}

/** The files of which something is in the bundle, from the metafile of esbuild. */
export function bundledFiles({ outputs }) {
  const inputs = Object.values(outputs).flatMap((output) => Object.entries(output.inputs));
  return inputs.flatMap(([file, { bytesInOutput }]) => (bytesInOutput > 0 ? [file] : []));
}
