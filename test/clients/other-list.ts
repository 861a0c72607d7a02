/** The clients in other languages, one entry for each era that its author can choose. */
// @ts-expect-error: a script without declarations
import { commandOf, ensureClient, missingFor } from '../../scripts/ensure-clients.mjs';
import type { Era, Seen } from './other-client.ts';

export interface Other {
  /** The folder in `programs/`. */
  readonly name: string;
  readonly title: string;
  readonly era: Era;
  readonly command: readonly string[];
  /** The program that this machine lacks. */
  readonly missing: string | undefined;
  readonly results: { readonly id: string; readonly store: string; readonly seen: readonly Seen[] }[];
}

const quick: readonly (readonly [name: string, title: string, era: Era])[] = [
  ['python-1', 'Python 1.30', '2025'],
  ['python-2', 'Python 2.3', '2025'],
  ['python-2', 'Python 2.3', '2026'],
  ['go-sdk', 'go-sdk 1.8', '2025'],
  ['go-sdk', 'go-sdk 1.8', '2026'],
  ['mcp-go', 'mcp-go 1.2', '2025'],
  ['mcp-go', 'mcp-go 1.2', '2026'],
];
/** Built in minutes: not in `npm test`. */
const slow: typeof quick = [];

const chosen = process.env['SOJOURN_CLIENTS'] === 'all' ? [...quick, ...slow] : quick;
const only = process.env['SOJOURN_CLIENT'];

const missing = new Map<string, string | undefined>();
for (const [name] of chosen) {
  if (missing.has(name)) continue;
  missing.set(name, missingFor(name));
  if (missing.get(name) === undefined) await ensureClient(name);
}

export const others: readonly Other[] = chosen
  .filter(([name]) => only === undefined || name === only)
  .map(([name, title, era]) => ({
    name,
    title: `${title}, ${era}`,
    era,
    command: commandOf(name),
    missing: missing.get(name),
    results: [],
  }));
