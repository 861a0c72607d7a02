/** The Fleet view before the first client. */
import { many } from '../format.ts';
import { fleet, hello, stops } from '../state/model.ts';
import { Code } from '../ui/parts.tsx';
import { present, serving, storeTotal } from './sums.ts';

/** No session, no request, nothing that happened. */
export function isEmpty(): boolean {
  const { value } = fleet;
  if (value === undefined || serving().length === 0) return false;
  const hasRequests = present().some(({ count, sessions }) => (count?.requests ?? 0) > 0 || (sessions ?? 0) > 0);
  return !hasRequests && (storeTotal() ?? 0) === 0 && stops.value.length === 0 && (value.clients ?? 0) === 0;
}

export function EmptyFleet() {
  const { endpoint, served, store } = hello.value ?? {};
  const number = serving().length;
  const url = endpoint ?? new URL('../mcp', document.baseURI).href;
  return (
    <div class="blank">
      <h1>
        {many(number, 'instance')} {number === 1 ? 'serves' : 'serve'}. No client has connected yet.
      </h1>
      <p>This page fills when one does. Point a client at the endpoint:</p>
      <Code text={url} />
      <Code text={`claude mcp add --transport http server ${url}`} />
      {store === 'memory' && (
        <>
          <p>
            The store is <code>memory:</code>, so sessions end with this process. To keep them:
          </p>
          <Code
            text={
              served === true
                ? 'npx sojourn serve server.js --dashboard --store sqlite:./sessions.db'
                : "createMcpEndpoint(server, { store: sqliteStore('./sessions.db') })"
            }
          />
        </>
      )}
      <p>
        A client that cannot connect is listed under <a href="#/refusals">Refusals</a>, with the option that allows it.
      </p>
    </div>
  );
}
