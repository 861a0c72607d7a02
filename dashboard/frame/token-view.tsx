/** The page asks for the token when the server answers 401. */
import { useEffect, useRef } from 'preact/hooks';
import { setToken } from '../net/token.ts';
import { connectWithToken } from '../state/model.ts';
import { Icon } from '../ui/icon.tsx';

export function TokenView({ wrong }: { wrong: boolean }) {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), [wrong]);
  const submit = (event: Event) => {
    event.preventDefault();
    setToken(input.current?.value ?? '');
    connectWithToken();
  };
  return (
    <div class="blank">
      <h1>This dashboard needs a token</h1>
      <form onSubmit={submit}>
        <label for="token">Token</label>
        <input
          ref={input}
          class="field"
          type="password"
          id="token"
          autocomplete="off"
          aria-describedby="token-help token-error"
          aria-invalid={wrong}
        />
        <p class="err" role="alert" id="token-error">
          {wrong && (
            <>
              <Icon name="gone" />
              This is not the token.
            </>
          )}
        </p>
        <p id="token-help">
          <code>sojourn serve --dashboard</code> makes one and prints it with this address, in a terminal. Elsewhere set{' '}
          <code>SOJOURN_DASHBOARD_TOKEN</code> before the start; <code>openssl rand -hex 16</code> makes one. It stays
          in this tab and is sent as a header, never in an address.
        </p>
        <div class="row">
          <button class="btn" type="submit">
            Open
          </button>
        </div>
      </form>
    </div>
  );
}
