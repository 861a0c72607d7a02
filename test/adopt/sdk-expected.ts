/** What must come of a server of a version of the SDK. */
import type { Outcome, SdkCase } from './sdk-case.ts';
import type { ClientKind } from './sdk-clients.ts';

/** What is wrong with an outcome, one line for each finding. */
export function wrongIn(
  { sdk, way }: SdkCase,
  { refused, seen, errors }: Outcome,
  kinds: readonly ClientKind[],
): string[] {
  if (refused !== undefined) {
    const copy = `it is ${sdk.name} ${sdk.version ?? 'of an unknown version'} (in `;
    const isRight =
      refused.includes(copy) && refused.includes('pass a factory, which creates a new server in each call');
    return way === 'object' && isRight ? [] : [`refused: ${refused}`];
  }
  const newest = sdk.name === '@modelcontextprotocol/server' ? '2026-07-28' : '2025';
  const wrong = kinds.flatMap(({ name, wants }) => {
    const came = seen[name] ?? 'nothing';
    const isServed = came === (wants === 'newest' ? newest : wants) && (wants === '2025' || came === newest);
    const isToldWhy = wants === '2026-07-28' && newest === '2025' && /Unsupported protocol version/.test(came);
    return isServed || isToldWhy ? [] : [`${name}: ${came}`];
  });
  return [...wrong, ...errors];
}
