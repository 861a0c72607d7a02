/** Starts the page: what surrounds a view, and which view it is. */
import { render } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { FleetPage } from '../wire.ts';
import { readToken, setToken } from './api.ts';
import { Dialog } from './dialog.tsx';
import { clock, span } from './format.ts';
import { connection, fleet, nameOf, now, refresh, route, start, VIEWS } from './state.ts';
import { Head, Toast } from './ui.tsx';
import { HandlesView, HandleView } from './views/handles.tsx';
import { InstancesView, InstanceView } from './views/instances.tsx';
import { RefusalsView, RefusalView } from './views/refusals.tsx';
import { SessionsView, SessionView } from './views/sessions.tsx';
import { TasksView, TaskView } from './views/tasks.tsx';
import { ToolsView, ToolView } from './views/tools.tsx';

const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);

function Token({ wrong }: { wrong: boolean }) {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), [wrong]);
  return (
    <>
      <Head title="This dashboard needs a token" />
      <form
        class="token"
        onSubmit={(event) => {
          event.preventDefault();
          setToken(input.current?.value ?? '');
          refresh();
        }}
      >
        <label for="token">Token</label>
        <input
          ref={input}
          type="password"
          id="token"
          autocomplete="off"
          aria-describedby="token-error token-help"
        />
        <button type="submit">Open</button>
        <p class="error" role="alert" id="token-error">
          {wrong && 'This is not the token.'}
        </p>
      </form>
      <p id="token-help">
        <code>sojourn serve --dashboard</code> makes one and prints it with this address, in a
        terminal. Elsewhere set <code>SOJOURN_DASHBOARD_TOKEN</code> before the start;{' '}
        <code>openssl rand -hex 16</code> makes one. It stays in this tab and is sent as a header,
        never in an address.
      </p>
    </>
  );
}

function Shown({ page }: { page: FleetPage }) {
  const { view, id, query } = route.value;
  switch (view) {
    case 'instances':
      return id === undefined ? (
        <InstancesView page={page} />
      ) : (
        <InstanceView page={page} id={id} />
      );
    case 'sessions':
      return id === undefined ? (
        <SessionsView query={query} />
      ) : (
        <SessionView key={id} which={id} />
      );
    case 'tasks':
      return id === undefined ? (
        <TasksView page={page} query={query} />
      ) : (
        <TaskView key={id} which={id} />
      );
    case 'handles':
      return id === undefined ? <HandlesView query={query} /> : <HandleView key={id} which={id} />;
    case 'tools':
      return id === undefined ? <ToolsView page={page} /> : <ToolView page={page} name={id} />;
    case 'refusals':
      return id === undefined ? <RefusalsView page={page} /> : <RefusalView page={page} id={id} />;
  }
}

function Lost({ since }: { since: number }) {
  return (
    <>
      The connection to {nameOf(fleet.value?.instance)} is lost since {clock(since)}.{' '}
      {fleet.value === undefined
        ? 'Nothing is known yet.'
        : `What you see is of ${clock(now.value)}.`}{' '}
      The page tries again twice a second; another instance may answer.
    </>
  );
}

function Page() {
  const { view, id } = route.value;
  const main = useRef<HTMLElement>(null);
  const isFirst = useRef(true);
  const { value: connected } = connection;
  const isLocked = connected.state === 'token';
  useEffect(() => {
    document.title = `${capital(view)}, sojourn`;
    if (!isFirst.current) main.current?.focus({ preventScroll: true });
    isFirst.current = false;
    scrollTo(0, 0);
  }, [view, id]);
  const page = fleet.value;
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
      <header class="top">
        <a class="brand" href="#/instances">
          sojourn
        </a>
        <nav aria-label="Views" hidden={isLocked}>
          {VIEWS.map((name) => (
            <a key={name} href={`#/${name}`} aria-current={name === view ? 'page' : undefined}>
              {capital(name)}
            </a>
          ))}
        </nav>
        {page !== undefined && !isLocked && (
          <span class="from">
            {connected.state === 'live' ? 'live from' : 'was from'} {nameOf(page.instance)}
          </span>
        )}
      </header>
      <div role="status" class={connected.state === 'lost' ? 'banner bad' : undefined}>
        {connected.state === 'lost' && <Lost since={connected.since} />}
      </div>
      {page?.awaySince !== undefined && view !== 'instances' && (
        <p class="banner wait">The store has not answered for {span(page.at - page.awaySince)}.</p>
      )}
      <main ref={main} id="main" tabindex={-1}>
        {connected.state === 'token' ? (
          <Token wrong={connected.wrong} />
        ) : page === undefined ? (
          <p class="none">Asks the server…</p>
        ) : (
          <Shown page={page} />
        )}
      </main>
      <Toast />
      <Dialog />
    </>
  );
}

/** `/`: the search of the view. */
addEventListener('keydown', (event) => {
  const isTyping = event.target instanceof HTMLElement && event.target.matches('input, textarea');
  const search = document.getElementById('search');
  if (event.key !== '/' || event.ctrlKey || event.metaKey || isTyping || search === null) return;
  event.preventDefault();
  search.focus();
});

readToken();
start();
const root = document.getElementById('app');
if (root !== null) render(<Page />, root);
