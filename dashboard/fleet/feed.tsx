/** What happened to instances and the store, newest first. */
import type { FleetEvent } from '../../src/dashboard/wire.ts';
import { clock, exact } from '../format.ts';
import { events } from '../state/model.ts';
import { Icon, type IconName } from '../ui/icon.tsx';

const SHOWN = 16;

const MARKS: Record<FleetEvent['kind'], readonly [IconName, string]> = {
  joined: ['joining', ''],
  draining: ['draining', ''],
  drained: ['done', ''],
  gone: ['gone', 'bad'],
  lapsed: ['gone', 'bad'],
  storeAway: ['gone', 'bad'],
  storeBack: ['done', ''],
  moved: ['moved', 'moved'],
  other: ['wait', ''],
};

function Line({ at, kind, text }: FleetEvent) {
  // A newer server may know kinds that this page does not.
  const [icon, name] = MARKS[kind] ?? MARKS.other;
  return (
    <li class={name}>
      <time dateTime={new Date(at).toISOString()} title={exact(at)}>
        {clock(at)}
      </time>
      <Icon name={icon} />
      <span>{text}</span>
    </li>
  );
}

export const Feed = () => (
  <section aria-labelledby="feed-title">
    <h2 id="feed-title">What happened</h2>
    <ol class="feed">
      {events.value.slice(0, SHOWN).map((event) => (
        <Line key={event.id} {...event} />
      ))}
      {events.value.length === 0 && (
        <li>
          <span />
          <span />
          <span class="sub">
            Instances that join or stop, the store, and what moved. What happens to one session is on its page.
          </span>
        </li>
      )}
    </ol>
  </section>
);
