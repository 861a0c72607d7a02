/** A time: relative, exact on hover and in `datetime`; a clock with "Exact times". */
import { clock, exact, NONE, span } from '../format.ts';
import { now } from '../state/model.ts';
import { exactTimes } from '../state/settings.ts';

export function agoText(at: number, suffix = ''): string {
  if (exactTimes.value) return clock(at);
  const past = now.value - at;
  return past < 950 ? 'now' : span(past) + suffix;
}

/** `ago`: "9 s ago" and not "9 s". */
export function When({ at, ago = false }: { at: number | undefined; ago?: boolean }) {
  if (at === undefined) return <>{NONE}</>;
  return (
    <time dateTime={new Date(at).toISOString()} title={exact(at)}>
      {agoText(at, ago ? ' ago' : '')}
    </time>
  );
}
