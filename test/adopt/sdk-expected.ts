/** What must come of a server of a version of the SDK, and the table of it in docs/reference/packages.md. */
// @ts-expect-error a script without declarations
import { renderTable } from '../../scripts/pages.mjs';
import type { Outcome, Sdk, SdkCase } from './sdk-case.ts';
import type { ClientKind } from './sdk-clients.ts';

type SdkName = Sdk['name'];

/** The versions that `npm run adopt -- --only sdks` tries, oldest first. */
export const SDK_VERSIONS: Readonly<Record<SdkName, readonly string[]>> = {
  '@modelcontextprotocol/sdk': [
    '1.0.1',
    '1.4.1',
    '1.8.0',
    '1.10.2',
    '1.12.3',
    '1.15.1',
    '1.17.5',
    '1.20.2',
    '1.23.1',
    '1.24.0',
    '1.26.0',
    '1.29.0',
    '1.32.2',
  ],
  '@modelcontextprotocol/server': ['2.0.0', '2.1.0', '2.2.0', '2.3.0', '2.4.0'],
};

/** What is wrong with an outcome, one line for each finding. */
export function wrongIn({ sdk }: SdkCase, { refused, seen, errors }: Outcome, kinds: readonly ClientKind[]): string[] {
  if (refused !== undefined) return [`refused: ${refused}`];
  const newest = sdk.name === '@modelcontextprotocol/server' ? '2026-07-28' : '2025';
  const wrong = kinds.flatMap(({ name, wants }) => {
    const came = seen[name] ?? 'nothing';
    const isServed = came === (wants === 'newest' ? newest : wants) && (wants === '2025' || came === newest);
    const isToldWhy = wants === '2026-07-28' && newest === '2025' && /Unsupported protocol version/.test(came);
    return isServed || isToldWhy ? [] : [`${name}: ${came}`];
  });
  return [...wrong, ...errors];
}

export const SDK_MARKS = ['<!-- sdks:begin -->', '<!-- sdks:end -->'] as const;

/** One row for each line of the SDK: its versions are served alike, behind a factory and as one object. */
export function sdkTable(): string {
  const rows = (Object.keys(SDK_VERSIONS) as SdkName[]).map((name) => {
    const modern = name === '@modelcontextprotocol/sdk' ? 'refused with −32022' : 'served, with tasks';
    return [`\`${name}\``, SDK_VERSIONS[name].join(', '), 'served', modern];
  });
  return renderTable(['SDK', 'versions', 'sessions', '2026-07-28'], rows) as string;
}
