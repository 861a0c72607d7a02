/** Shown while the connection is lost: how old the picture is, and when the next attempt begins. */
import { useEffect, useState } from 'preact/hooks';
import { clock } from '../format.ts';
import { connect, connection, fleet, now } from '../state/model.ts';
import { Icon } from '../ui/icon.tsx';

function Countdown({ to }: { to: number }) {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), 250);
    return () => clearInterval(timer);
  }, []);
  const seconds = Math.ceil((to - performance.now()) / 1000);
  // Read out, this would be a number every second.
  return <span aria-hidden="true">{seconds > 0 ? `in ${seconds} s` : 'now'}</span>;
}

function Lost({ name, retryAt }: { name: string; retryAt: number }) {
  return (
    <>
      <Icon name="gone" />
      <span class="grow">
        <b>The connection to {name} is lost. </b>
        {fleet.value === undefined ? 'Nothing is known yet. ' : `What you see is of ${clock(now.value)}. `}
        Next try <Countdown to={retryAt} />; another instance may answer.
      </span>
      <button class="btn" type="button" onClick={connect}>
        Try now
      </button>
    </>
  );
}

export function Banner() {
  const lost = connection.value;
  return (
    <div class={lost.state === 'lost' ? 'banner bad' : ''} role="status">
      {lost.state === 'lost' && <Lost name={lost.name} retryAt={lost.retryAt} />}
    </div>
  );
}
