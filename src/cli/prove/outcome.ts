/** What a run cost its clients. */
import { HUNG_MS } from './clients.ts';
import { type Called, isHung } from './crowd.ts';

/** What `fetch`, the official clients and proxies say of it. */
export const BROKEN =
  /fetch failed|terminated|socket|ECONN|\b50[234]\b|disconnected|closed|POSTing to endpoint: ?$/i;

/** Counts the calls of one kind of client. `hinted`: what may run twice. */
export function countsOf(called: readonly Called[], hinted: ReadonlySet<string>) {
  const ended = called.filter((one) => !isHung(one));
  const reasons: Record<string, number> = {};
  for (const one of called)
    if (one.failed !== undefined) {
      const why = wordsFor(one, hinted.has(one.tool));
      reasons[why] = (reasons[why] ?? 0) + 1;
    }
  return {
    calls: called.length,
    failed: ended.filter(({ failed }) => failed !== undefined).length,
    hung: called.length - ended.length,
    reasons,
    longestWaitMs: Math.round(Math.max(0, ...ended.map(({ waitedMs }) => waitedMs))),
    calm: quantiles(ended.filter(({ phase }) => phase === 'calm')),
    faults: quantiles(ended.filter(({ phase }) => phase !== 'calm')),
  };
}

function quantiles(called: readonly Called[]) {
  const sorted = called.map(({ waitedMs }) => waitedMs).sort((a, b) => a - b);
  const at = (part: number): number => Math.round(sorted[Math.floor(sorted.length * part)] ?? 0);
  return { p50: at(0.5), p99: at(0.99) };
}

function wordsFor(one: Called, mayRunTwice: boolean): string {
  const { tool, failed = '' } = one;
  if (isHung(one)) return `${tool}: no answer after ${HUNG_MS / 1_000} s`;
  if (failed === 'owner_lost' || failed === 'draining')
    return mayRunTwice
      ? `${tool}: each process in which it ran ended before it`
      : `its process died, and ${tool} may not run twice`;
  if (BROKEN.test(failed))
    return `${tool}: its connection broke, and it could not be resumed or sent again`;
  return `${tool}: ${failed.slice(0, 100)}`;
}
