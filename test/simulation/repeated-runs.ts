/**
 * How often a call may run that may run twice. Its client cannot see that, so only the runs tell.
 *
 *     one copy of a session     → runs a call once. A retry that reaches this copy gets the answer of that run: it
 *                                 still runs the call, or has the answer in its log. Without an event log an answer is
 *                                 not kept: a retry runs the call again, but not before the first run has ended
 *     the next copy             → runs a call again only while its client waits for the answer
 *     a copy that left in order → needs no second run: its answer is stored when it releases the session. But the
 *                                 relaying instance sends the call again if no message with the answer reached it
 *                                 before the owner left, and the next copy knows nothing of the first run
 *
 * So each owner that is lost costs a call one more run at most. An owner may learn only after it lost the session that
 * its first write was stored. It passes the call on as new, although the next owner may have run it from the log.
 */
import type { Call, Ledger, Ran } from './ledger.ts';
import type { StoreData } from './store-data.ts';
import { EPOCH_MS } from './process.ts';

export function checkRepeatedRuns(
  { logged, unheard }: Ledger,
  data: StoreData,
  call: Call,
  runs: readonly Ran[],
  say: (what: string) => void,
): void {
  const { ending } = call;
  const again: string[] = [];
  for (const [n, run] of runs.entries()) {
    if (n === 0) continue;
    const where = `on ${run.instance} at ${run.at}`;
    const before = runs
      .slice(0, n)
      .find(({ copy, endedAt = Infinity }) => copy === run.copy && (logged || endedAt > run.at));
    if (before !== undefined)
      again.push(`ran twice on one copy of its session, ${where}, first at ${before.at}`);
    if (ending?.kind === 'result' && ending.at < run.at)
      say(`ran again ${where}, after its client had the answer at ${ending.at}`);
    const sentAgain =
      runs.slice(0, n).some(({ instance }) => unheard.has(instance)) && isOpener(data, call, run);
    const left = leftInOrder(data, call, run.at);
    if (left !== undefined && !sentAgain)
      say(
        `ran again ${where}, and the owner that released its session at ${left} had stored the answer`,
      );
  }
  if (again.length > passedOn(data, call, runs)) for (const what of again) say(what);
}

/** How many processes opened a stream for the call and never ran it: they passed it on as a new call. */
function passedOn(data: StoreData, call: Call, runs: readonly Ran[]): number {
  const names = openersOf(data, call);
  for (const { instance } of runs) names.delete(instance);
  return names.size;
}

/** Whether the call was sent to the process of this run. A run of a call that is found in the log opens no stream. */
function isOpener(data: StoreData, call: Call, { instance }: Ran): boolean {
  return openersOf(data, call).has(instance);
}

function openersOf({ opened }: StoreData, { session, id }: Call): Set<string> {
  const of = opened.filter(
    (one) => one.id === session && (JSON.parse(one.requests) as { id?: unknown }).id === id,
  );
  return new Set(of.map(({ process }) => process));
}

/** When an owner released the session that had stored the answer, before `until`. */
function leftInOrder(data: StoreData, { session, id }: Call, until: number): number | undefined {
  const stored = [...(data.everStored.get(session)?.values() ?? [])].flatMap((events) => [
    ...events.values(),
  ]);
  const answer = stored.find(({ data: text }) => isAnswer(text, id));
  if (answer === undefined) return undefined;
  const next = data.happened.find(
    ({ id: of, kind, at }) => of === session && kind !== 'create' && at > answer.at,
  );
  if (next?.kind !== 'release') return undefined;
  const at = next.at - EPOCH_MS;
  return at < until ? at : undefined;
}

function isAnswer(text: string, id: number): boolean {
  if (text === '') return false;
  const message = JSON.parse(text) as { id?: unknown; result?: unknown };
  return message.id === id && message.result !== undefined;
}
