/** Fleet: is it well, and what just happened? */
import { fleet } from '../state/model.ts';
import { EmptyFleet, isEmpty } from './empty.tsx';
import { Feed } from './feed.tsx';
import { Figures } from './figures.tsx';
import { headline } from './headline.ts';
import { Lens } from './lens.tsx';
import { River } from './river.tsx';

function Head() {
  const { title, more } = headline();
  return (
    <header class="head">
      <div class="grow">
        <h1>{title}</h1>
        <p>{more}</p>
      </div>
    </header>
  );
}

export function FleetView() {
  if (fleet.value === undefined) return <p class="none">Waits for the first figures…</p>;
  if (isEmpty()) return <EmptyFleet />;
  return (
    <div>
      <Head />
      <Figures />
      <River />
      <div class="split">
        <Lens />
        <Feed />
      </div>
    </div>
  );
}
