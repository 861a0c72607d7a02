import { readFileSync } from 'node:fs';

/** The version of the installed package; `src/cli` and `dist/cli` are equally deep in it. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return String((JSON.parse(text) as { version?: unknown }).version);
}
