/** Starts the page. */
import { render } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { Banner } from './frame/banner.tsx';
import { watchKeys } from './frame/keys.ts';
import { Say } from './frame/say.tsx';
import { TokenView } from './frame/token-view.tsx';
import { Top } from './frame/top.tsx';
import { FleetView } from './fleet/view.tsx';
import { readToken } from './net/token.ts';
import { RefusalsView } from './refusals/view.tsx';
import { SessionView } from './session/view.tsx';
import { SessionsView } from './sessions/view.tsx';
import { connection, startModel } from './state/model.ts';
import { route, takeFocus, watchAddress, type Route } from './state/route.ts';
import { applySettings } from './state/settings.ts';
import { TaskView } from './task/view.tsx';
import { TasksView } from './tasks/view.tsx';
import { Dialog } from './ui/dialog.tsx';
import { Toast } from './ui/toast.tsx';

const TITLES = { fleet: 'Fleet', sessions: 'Sessions', refusals: 'Refusals', tasks: 'Tasks' };

function Shown({ view, id }: Pick<Route, 'view' | 'id'>) {
  switch (view) {
    case 'fleet':
      return <FleetView />;
    case 'sessions':
      return id === undefined ? <SessionsView /> : <SessionView key={id} hash={id} />;
    case 'refusals':
      return <RefusalsView />;
    case 'tasks':
      return id === undefined ? <TasksView /> : <TaskView key={id} hash={id} />;
  }
}

function Page() {
  const { view, id } = route.value;
  const main = useRef<HTMLElement>(null);
  const isFirst = useRef(true);
  const { value: connected } = connection;
  useEffect(() => {
    document.title = `${TITLES[view]}, sojourn`;
    if (!isFirst.current) {
      const target = document.getElementById(takeFocus() ?? '') ?? main.current;
      target?.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
    isFirst.current = false;
  }, [view, id]);
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to content
      </a>
      <Top />
      <Banner />
      <main ref={main} id="main" tabindex={-1} data-stale={connected.state === 'lost' ? '' : undefined}>
        {connected.state === 'token' ? <TokenView wrong={connected.wrong} /> : <Shown view={view} id={id} />}
      </main>
      <Say />
      <Toast />
      <Dialog />
    </>
  );
}

readToken();
watchAddress();
applySettings();
watchKeys();
startModel();
const root = document.getElementById('app');
if (root !== null) render(<Page />, root);
